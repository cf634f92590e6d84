#include <malloc.h>
#include <sodium.h>
#include <stdio.h>

#include "agent/commands/commands.h"

int
main(int argc, char **argv)
{
	/*
	 * One pool of memory for all threads: what a run frees can then be given back to the
	 * system (malloc_trim leaves the top of every other pool), and the peak of a backup is some
	 * 8 MiB lower.  Its lock costs nothing measurable: large buffers are rare, small ones come
	 * from each thread's own cache.
	 */
	mallopt(M_ARENA_MAX, 1);
	if (sodium_init() < 0) {
		fputs("holdfastd: the cryptographic library does not start\n", stderr);
		return EXIT_FAILED;
	}
	return commands_run(argc, argv);
}
