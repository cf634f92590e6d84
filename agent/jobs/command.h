/*
 * Running a program of somebody else's: a hook, a notice's command, sendmail.
 *
 * No shell reads anything.  The program gets the environment, the input and the folder that it is
 * given and nothing else of ours: no descriptor, no signal mask, no ignored signal.  It leads a
 * session of its own.  What it writes to its standard output and error is read to the end however
 * much it is, and the beginning and the end of it are kept.
 * One that takes too long, or is cancelled, gets SIGTERM with all of its process group, then
 * SIGKILL.  What it leaves behind in the background when it ends by itself lives on, is waited for
 * no longer than a second, and then writes to nobody.
 * Any thread may run any number of them; the calling thread waits.
 */
#ifndef HOLDFAST_AGENT_JOBS_COMMAND_H
#define HOLDFAST_AGENT_JOBS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

/* So much of the output is kept: one half from its beginning, one half from its end. */
#define COMMAND_OUTPUT_MAX (64u << 10)

/* The most of input. */
#define COMMAND_INPUT_MAX (1u << 20)

/* Between SIGTERM and SIGKILL. */
#define COMMAND_GRACE_MS 5000

struct command {
	char *const *argv;        /* ends with NULL; the first is an absolute path */
	char *const *environment; /* "NAME=VALUE", ends with NULL; all that it gets */
	const char *folder;       /* where it runs; NULL: "/" */
	const char *input;        /* what it reads; NULL: nothing */
	size_t input_len;
	int64_t timeout_ms;
	int64_t grace_ms;         /* 0: COMMAND_GRACE_MS */
	/* Asked several times a second while it runs; NULL: nobody cancels. */
	bool (*cancelled)(void *arg);
	void *arg;
};

enum command_end { COMMAND_EXITED, COMMAND_SIGNALLED, COMMAND_TIMED_OUT, COMMAND_CANCELLED };

struct command_result {
	enum command_end end;
	int status;               /* of COMMAND_EXITED, 0 to 255; of COMMAND_SIGNALLED its number */
	char *output;             /* bytes of any kind, a NUL behind them */
	size_t output_len;
	uint64_t output_total;    /* bytes that it wrote while we listened */
	int64_t duration_ms;
};

void command_result_done(struct command_result *result);

/*
 * 0: it was started, and ret says how it ended, well or not.  -1: it could not be started:
 * ERROR_NOT_FOUND no such program or folder, ERROR_PERMISSION not executable, ERROR_CONFIG no
 * absolute path, no regular file, or nothing that this system executes; ERROR_IO.
 */
int command_run(const struct command *command, struct command_result *ret, struct error *err);

/* 0 if it ended with status 0, else -1 with an error that says how it ended and what it said last:
 * ERROR_IO, ERROR_CANCELLED. */
int command_check(const struct command *command, const struct command_result *result,
    struct error *err);

/* "ended with status 3", heap. */
char *command_end_text(const struct command *command, const struct command_result *result);
/* The last lines of the output that are not empty, made printable and joined by " | ", of at most
 * max bytes; heap, "" if there are none. */
char *command_last_lines(const struct command_result *result, size_t lines, size_t max);

#endif
