#include "agent/repository/format.h"

#include <string.h>

/* The number between a magic's letters and its newline; 0 if there is none. */
static unsigned
magic_number(const char *magic, size_t letters)
{
	unsigned number = 0;

	for (size_t i = letters; i < FORMAT_MAGIC_SIZE - 1; i++) {
		if (magic[i] < '0' || magic[i] > '9')
			return 0;
		number = number * 10 + (unsigned)(magic[i] - '0');
	}
	return magic[FORMAT_MAGIC_SIZE - 1] == '\n' ? number : 0;
}

unsigned
format_newer(const uint8_t found[FORMAT_MAGIC_SIZE], const char own[FORMAT_MAGIC_SIZE])
{
	char text[FORMAT_MAGIC_SIZE];
	size_t letters = 0;
	unsigned number;

	while (own[letters] >= 'A' && own[letters] <= 'Z')
		letters++;
	memcpy(text, found, sizeof(text));
	if (memcmp(text, own, letters) != 0)
		return 0;
	number = magic_number(text, letters);
	return number > magic_number(own, letters) ? number : 0;
}

int
format_refuse(const char *what, unsigned long long format, struct error *err)
{
	error_set(err, ERROR_UNSUPPORTED,
	    "%s: made by a newer version of holdfast (format %llu); update this one", what, format);
	return error_hint(err, "nothing is wrong with it; install the newer version");
}
