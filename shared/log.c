#include "shared/log.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/systemd.h"
#include "shared/text.h"

#define IDENTIFIER "holdfastd"
#define FIELD_PREFIX "HOLDFAST"

static const char *const level_words[] = { "info", "warn", "error" };
/* As syslog(3) numbers them. */
static const int level_priorities[] = { 6, 4, 3 };

/* "event: name=value name=value", for who reads the journal without its fields. */
static void
put_message(const char *event, const json_t *fields, struct buffer *out)
{
	const char *name, *between = ": ";
	json_t *value;

	buffer_put_text(out, event);
	json_object_foreach((json_t *)(uintptr_t)fields, name, value) {
		char *text = json_is_string(value) ? NULL
		    : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

		if (json_is_null(value) || strcmp(name, "event") == 0) {
			free(text);
			continue;
		}
		buffer_printf(out, "%s%s=%s", between, name, text != NULL ? text
		    : json_string_value(value));
		free(text);
		between = " ";
	}
}

/* False: it is not there, or took nothing. */
static bool
to_journal(enum log_level level, const char *event, json_t *fields)
{
	struct buffer message = BUFFER_INIT, entry = BUFFER_INIT;
	bool sent;

	if (!systemd_is_journal(STDERR_FILENO))
		return false;
	put_message(event, fields, &message);
	json_object_set_new(fields, "event", json_string(event));
	systemd_journal_entry(buffer_text(&message), level_priorities[level], IDENTIFIER,
	    FIELD_PREFIX, fields, &entry);
	sent = systemd_journal_send(SYSTEMD_JOURNAL, &entry);
	buffer_done(&message);
	buffer_done(&entry);
	return sent;
}

static void
to_stderr(enum log_level level, const char *event, json_t *fields)
{
	char when[TIME_TEXT_SIZE];
	char *text, *with_end;
	size_t len, done = 0;
	json_t *line;
	ssize_t n;

	time_format(time_now(), 3, when);
	line = json_pack(
	    "{s:s, s:s, s:s}", "ts", when, "level", level_words[level], "event", event);
	json_object_update_missing(line, fields);
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
log_event(enum log_level level, const char *event, json_t *fields)
{
	json_t *own = fields != NULL ? fields : json_object();

	if (!to_journal(level, event, own))
		to_stderr(level, event, own);
	json_decref(own);
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
