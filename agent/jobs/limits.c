#include "agent/jobs/limits.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/storage/limited.h"
#include "shared/mem.h"

#define IO_NORMAL "normal"
#define IO_IDLE "idle"
/* The lowest of best-effort's eight levels. */
#define IO_LOW_LEVEL 7

struct run_limits {
	const struct config *config;
	struct limiter limiters[RATE_COUNT];
};

static const struct {
	const char *word;
	size_t setting; /* in struct config */
} rates[RATE_COUNT] = {
	[RATE_UPLOAD] = { "upload", offsetof(struct config, limit_upload) },
	[RATE_DOWNLOAD] = { "download", offsetof(struct config, limit_download) },
	[RATE_READ] = { "read", offsetof(struct config, limit_read) },
	[RATE_FILES] = { "files", offsetof(struct config, limit_files) },
};

/* clang-format off */
const struct argument_spec limit_arguments[] = {
	{ .name = "upload",   .type = ARGUMENT_SIZE, .max = INT64_MAX },
	{ .name = "download", .type = ARGUMENT_SIZE, .max = INT64_MAX },
	{ .name = "read",     .type = ARGUMENT_SIZE, .max = INT64_MAX },
	{ .name = "files",    .type = ARGUMENT_INTEGER, .max = 1000000000 },
	{ .name = "nice",     .type = ARGUMENT_INTEGER, .max = 19 },
	{ .name = "io",       .type = ARGUMENT_WORD, .words = CONFIG_IO_WORDS },
	{ .name = NULL }
};
/* clang-format on */

static uint64_t
rate_setting(const struct run_limits *shared, enum run_rate rate)
{
	uint64_t value;

	if (shared == NULL)
		return 0;
	memcpy(&value, (const char *)shared->config + rates[rate].setting, sizeof(value));
	return value;
}

struct run_limits *
run_limits_new(const struct config *config)
{
	struct run_limits *limits = MEM_NEW(struct run_limits);

	limits->config = config;
	for (unsigned r = 0; r < RATE_COUNT; r++)
		limiter_init(&limits->limiters[r], rate_setting(limits, r));
	return limits;
}

void
run_limits_free(struct run_limits *limits)
{
	if (limits == NULL)
		return;
	for (unsigned r = 0; r < RATE_COUNT; r++)
		limiter_done(&limits->limiters[r]);
	free(limits);
}

/* Places in CONFIG_IO_WORDS, which begins with the highest rank. */
static const char *
lower_io(const char *a, const char *b)
{
	return strstr(CONFIG_IO_WORDS, a) > strstr(CONFIG_IO_WORDS, b) ? a : b;
}

/* What holds for a run; true in ret_own where it brings a limit, in ret_shared where that of the
 * settings counts. */
static void
decide(struct run_pace *pace, const struct run_limits *shared, enum policy_rights rights,
    const json_t *arguments, bool ret_own[RATE_COUNT], bool ret_shared[RATE_COUNT])
{
	const json_t *own = json_object_get(arguments, "limits");
	const char *io = argument_text(own, "io");
	int nice = shared == NULL ? 0 : (int)shared->config->nice;

	for (unsigned r = 0; r < RATE_COUNT; r++) {
		uint64_t wanted = argument_size(own, rates[r].word, 0);
		uint64_t set = rate_setting(shared, r);

		if (rights == POLICY_LOCAL && json_object_get(own, rates[r].word) != NULL)
			set = 0;
		ret_own[r] = wanted > 0;
		ret_shared[r] = set > 0;
		pace->per_second[r] = set == 0 || (wanted > 0 && wanted < set) ? wanted : set;
	}
	pace->nice = (int)argument_integer(own, "nice", nice);
	if (rights != POLICY_LOCAL && pace->nice < nice)
		pace->nice = nice;
	pace->io = shared == NULL || shared->config->io == NULL ? IO_NORMAL : shared->config->io;
	if (io != NULL)
		pace->io = rights == POLICY_LOCAL ? io : lower_io(io, pace->io);
}

void
run_pace_begin(struct run_pace *pace, struct run_limits *shared, enum policy_rights rights,
    const json_t *arguments, struct repository *repo, struct progress *progress)
{
	bool own[RATE_COUNT], with_shared[RATE_COUNT];

	*pace = (struct run_pace){ .repo = repo };
	decide(pace, shared, rights, arguments, own, with_shared);
	for (unsigned r = 0; r < RATE_COUNT; r++) {
		pace->limits[r].progress = progress;
		limiter_init(&pace->own[r], argument_size(json_object_get(arguments, "limits"),
		    rates[r].word, 0));
		if (own[r])
			pace->limits[r].limiters[0] = &pace->own[r];
		if (with_shared[r])
			pace->limits[r].limiters[1] = &shared->limiters[r];
	}
	if (repo == NULL || (pace->per_second[RATE_UPLOAD] == 0 &&
	    pace->per_second[RATE_DOWNLOAD] == 0))
		return;
	pace->storage = storage_limited_new(repository_storage(repo), &pace->limits[RATE_UPLOAD],
	    &pace->limits[RATE_DOWNLOAD]);
	pace->repo = pace->view = repository_through(repo, pace->storage);
}

void
run_pace_end(struct run_pace *pace)
{
	repository_close(pace->view);
	storage_close(pace->storage);
	for (unsigned r = 0; r < RATE_COUNT; r++)
		limiter_done(&pace->own[r]);
}

struct paced {
	const struct run_pace *pace;
	struct progress *progress;
	int (*work)(void *arg, struct error *err);
	void *arg;
	struct error *err;
	int rc;
};

/* The rank of this thread, and so of all that it starts. */
static void
step_back(const struct run_pace *pace, struct progress *progress)
{
	int value = strcmp(pace->io, IO_IDLE) == 0 ? IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)
	    : IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IO_LOW_LEVEL);

	/* On Linux both are the thread's, not the process's. */
	if (pace->nice > getpriority(PRIO_PROCESS, 0) &&
	    setpriority(PRIO_PROCESS, 0, pace->nice) != 0)
		progress_note(progress, "", 0, "could not step back to nice %d: %s", pace->nice,
		    strerror(errno));
	if (strcmp(pace->io, IO_NORMAL) != 0 &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) != 0)
		progress_note(progress, "", 0, "could not step back at the disk: %s",
		    strerror(errno));
}

static void *
paced_main(void *arg)
{
	struct paced *paced = arg;

	step_back(paced->pace, paced->progress);
	paced->rc = paced->work(paced->arg, paced->err);
	return NULL;
}

int
run_pace_execute(const struct run_pace *pace, struct progress *progress,
    int (*work)(void *arg, struct error *err), void *arg, struct error *err)
{
	struct paced paced = { pace, progress, work, arg, err, -1 };
	pthread_t thread;
	int sys;

	if (pace->nice == 0 && strcmp(pace->io, IO_NORMAL) == 0)
		return work(arg, err);
	/* A thread that has stepped back may not step forward again, unless it is root's. */
	sys = pthread_create(&thread, NULL, paced_main, &paced);
	if (sys != 0)
		return error_sys(err, ERROR_IO, sys, "could not start a thread for the run");
	pthread_join(thread, NULL);
	return paced.rc;
}

json_t *
run_limits_json(const struct run_limits *shared, enum policy_rights rights,
    const json_t *arguments)
{
	bool own[RATE_COUNT], with_shared[RATE_COUNT], any;
	struct run_pace pace = { .nice = 0 };
	json_t *json;

	decide(&pace, shared, rights, arguments, own, with_shared);
	any = pace.nice > 0 || strcmp(pace.io, IO_NORMAL) != 0;
	json = json_object();
	for (unsigned r = 0; r < RATE_COUNT; r++) {
		any = any || pace.per_second[r] > 0;
		json_object_set_new(json, rates[r].word, pace.per_second[r] == 0 ? json_null()
		    : json_integer((json_int_t)pace.per_second[r]));
	}
	json_object_set_new(json, "nice", json_integer(pace.nice));
	json_object_set_new(json, "io", json_string(pace.io));
	if (any)
		return json;
	json_decref(json);
	return NULL;
}
