#include "shared/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *word;
	int http;
	int status;
	const char *title;
} code_table[] = {
#define _(name, word, http, status, title) { word, http, status, title },
	ERROR_CODES(_)
#undef _
};

int
error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	err->sys = 0;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	return -1;
}

static enum error_code
code_for_errno(enum error_code code, int sys)
{
	if (sys == ENOSPC || sys == EDQUOT)
		return ERROR_NO_SPACE;
	if (code != ERROR_IO)
		return code;
	if (sys == ENOENT)
		return ERROR_NOT_FOUND;
	if (sys == EACCES || sys == EPERM)
		return ERROR_PERMISSION;
	return code;
}

int
error_sys(struct error *err, enum error_code code, int sys, const char *fmt, ...)
{
	va_list ap;
	size_t used;

	err->code = code_for_errno(code, sys);
	err->sys = sys;
	err->hint[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	used = strlen(err->message);
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(sys));
	if (err->code == ERROR_NO_SPACE)
		error_hint(err, "free some space, then start again: what was stored before is whole");
	return -1;
}

int
error_prefix(struct error *err, const char *fmt, ...)
{
	char text[sizeof(err->message)];
	size_t used;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, "%s", err->message);
	memcpy(err->message, text, sizeof(text));
	return -1;
}

int
error_hint(struct error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return -1;
}

void
error_clear(struct error *err)
{
	err->code = ERROR_NONE;
	err->sys = 0;
	err->message[0] = '\0';
	err->hint[0] = '\0';
}

const char *
error_word(enum error_code code)
{
	return code_table[code].word;
}

const char *
error_title(enum error_code code)
{
	return code_table[code].title;
}

int
error_http_status(enum error_code code)
{
	return code_table[code].http;
}

int
error_exit_status(enum error_code code)
{
	return code_table[code].status;
}
