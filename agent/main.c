#include <sodium.h>
#include <stdio.h>

#include "agent/commands/commands.h"

int
main(int argc, char **argv)
{
	if (sodium_init() < 0) {
		fputs("holdfastd: the cryptographic library does not start\n", stderr);
		return EXIT_FAILED;
	}
	return commands_run(argc, argv);
}
