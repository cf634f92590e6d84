/*
 * One error value, owned by the caller and passed explicitly.
 *
 * A function that can fail takes a struct error as its last argument, returns -1 and
 * fills it; on success the error is left untouched.  Nothing is allocated, so an error
 * is copied by assignment and may cross threads.  Messages: lower case, no full stop,
 * what failed first, the subject in quotes, then the reason.
 */
#ifndef HOLDFAST_SHARED_ERROR_H
#define HOLDFAST_SHARED_ERROR_H

#include "shared/error_codes.h"

enum error_code {
#define _(name, word, http, status, title) ERROR_##name,
	ERROR_CODES(_)
#undef _
	ERROR_CODE_COUNT
};

/* What a command's exit status says; the man page repeats these. */
enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LOSSES = 3 };

struct error {
	enum error_code code;
	int sys; /* errno, CURLcode, SQLite or MariaDB error; 0 if none */
	char message[512];
	char hint[256]; /* what the operator can do next, or "" */
};

#define ERROR_INIT { ERROR_NONE, 0, "", "" }

/* Fill err; returns -1, so that a caller can write `return error_set(...)`. */
int error_set(struct error *err, enum error_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * As error_set, with the system's reason for sys (an errno) appended after ": ".
 * ENOSPC and EDQUOT turn any code into ERROR_NO_SPACE, ENOENT, EACCES and EPERM turn
 * ERROR_IO into ERROR_NOT_FOUND and ERROR_PERMISSION.
 */
int error_sys(struct error *err, enum error_code code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Put context before the message, as the error rises.  Returns -1. */
int error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Say what the operator can do next.  Returns -1. */
int error_hint(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void error_clear(struct error *err);

/* The row of a code in shared/error_codes.h. */
const char *error_word(enum error_code code);
const char *error_title(enum error_code code);
int error_http_status(enum error_code code);
int error_exit_status(enum error_code code);

#endif
