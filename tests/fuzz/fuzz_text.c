/*
 * Text from outside: any bytes survive being made printable; times, sizes, durations and
 * escapes are taken or refused, and what is taken means the same when it is written again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "shared/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, *shown = text_printable(data, size), *back;
	char time_text[TIME_TEXT_SIZE], size_text[16];
	struct error err = ERROR_INIT;
	struct timespec t, again;
	size_t len;
	uint64_t bytes;
	int64_t seconds;

	assert(text_is_utf8(shown, strlen(shown)));
	assert(text_unprintable(shown, &err, &back, &len) == 0);
	assert(len == size && (len == 0 || memcmp(back, data, len) == 0));
	free(shown);
	free(back);

	text = mem_calloc(size + 1, 1);
	if (size > 0)
		memcpy(text, data, size);
	if (text_unprintable(text, &err, &back, &len) == 0)
		free(back);
	if (time_parse(text, false, &t, &err) == 0) {
		time_format(t, 9, time_text);
		/* An offset can lead out of the four-digit years. */
		if (t.tv_sec >= -62167219200 && t.tv_sec <= 253402300799) {
			assert(time_parse(time_text, false, &again, &err) == 0);
			assert(again.tv_sec == t.tv_sec && again.tv_nsec == t.tv_nsec);
		}
	}
	if (size_parse(text, &bytes, &err) == 0)
		size_format(bytes, size_text);
	if (duration_parse(text, &seconds, &err) == 0)
		assert(seconds >= 0);
	free(text);
	return 0;
}
