#include "shared/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/mem.h"
#include "shared/text.h"

static const char *const level_words[] = { "info", "warn", "error" };

void
log_event(enum log_level level, const char *event, json_t *fields)
{
	char when[TIME_TEXT_SIZE];
	json_t *line;
	char *text, *with_end;
	size_t len, done = 0;
	ssize_t n;

	time_format(time_now(), 3, when);
	line = json_pack(
	    "{s:s, s:s, s:s}", "ts", when, "level", level_words[level], "event", event);
	if (fields != NULL) {
		json_object_update_missing(line, fields);
		json_decref(fields);
	}
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	if (text == NULL)
		return;
	/* One write, so that lines of several threads do not mix. */
	with_end = mem_printf("%s\n", text);
	free(text);
	len = strlen(with_end);
	while (done < len) {
		n = write(STDERR_FILENO, with_end + done, len - done);
		if (n <= 0)
			break; /* nobody listens: there is no better place to say so */
		done += (size_t)n;
	}
	free(with_end);
}

void
log_error(const char *event, const struct error *why, json_t *fields)
{
	json_t *all = json_pack(
	    "{s:s, s:s}", "code", error_word(why->code), "message", why->message);

	/* A message with bytes that are not UTF-8 must not cost the whole line. */
	if (all == NULL) {
		char *message = text_printable(why->message, strlen(why->message));

		all = json_pack("{s:s, s:s}", "code", error_word(why->code), "message", message);
		free(message);
	}
	if (why->hint[0] != '\0' && text_is_utf8(why->hint, strlen(why->hint)))
		json_object_set_new(all, "hint", json_string(why->hint));
	if (fields != NULL) {
		json_object_update(all, fields);
		json_decref(fields);
	}
	log_event(LOG_LEVEL_ERROR, event, all);
}
