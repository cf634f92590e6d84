#include "agent/http/csv.h"

#include <stdbool.h>
#include <string.h>

void
csv_text(struct buffer *buf, const char *text)
{
	const char *p;
	bool formula = text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;

	if (!formula && strpbrk(text, "\",\r\n") == NULL) {
		buffer_put_text(buf, text);
		return;
	}
	buffer_put_u8(buf, '"');
	if (formula)
		buffer_put_u8(buf, '\'');
	for (p = text; *p != '\0'; p++) {
		if (*p == '"')
			buffer_put_u8(buf, '"');
		buffer_put_u8(buf, (uint8_t)*p);
	}
	buffer_put_u8(buf, '"');
}
