/*
 * Rows of commands that ran beside an agent.
 *
 * Only one process may have log.sqlite open, so a command writes its row as one small JSON file
 * into STATE/log.spool/, and the agent takes it from there.  Each file has a name of its own that
 * its row keeps, so that a file that was taken but not yet removed is not taken twice.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/actionlog/actionlog_internal.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define SPOOL_FILE_MAX (1 << 20)

static json_t *
action_to_json(const struct action *action)
{
	struct timespec date = action->date.tv_sec == 0 ? time_now() : action->date;
	char when[TIME_TEXT_SIZE];

	time_format(date, 3, when);
	return json_pack("{s:s, s:s, s:s*, s:s*, s:b, s:s*, s:s*, s:b, s:s*, s:s*, s:s*, s:I, s:I,"
	    " s:I, s:I}",
	    "date", when, "action", action->action, "command", action->command,
	    "parameter", action->parameter, "failed", action->failed, "outcome", action->outcome,
	    "run", action->run, "once", action->once, "snapshot", action->snapshot,
	    "origin", action->origin, "message", action->message,
	    "duration_ms", (json_int_t)action->duration_ms, "files", (json_int_t)action->files,
	    "bytes", (json_int_t)action->bytes, "stored_bytes", (json_int_t)action->stored_bytes);
}

static int
action_from_json(const json_t *json, struct action *ret, struct error *err)
{
	json_int_t files = 0, bytes = 0, stored_bytes = 0, duration_ms = 0;
	const char *date = NULL;
	int failed = 0, once = 0;
	json_error_t why;

	if (json_unpack_ex((json_t *)(uintptr_t)json, &why, 0, "{s:s, s:s, s?s, s?s, s:b, s?s, s?s,"
	    " s?b, s?s, s?s, s?s, s:I, s:I, s:I, s:I}", "date", &date, "action", &ret->action,
	    "command", &ret->command, "parameter", &ret->parameter, "failed", &failed, "outcome",
	    &ret->outcome, "run", &ret->run, "once", &once, "snapshot", &ret->snapshot, "origin",
	    &ret->origin, "message", &ret->message, "duration_ms", &duration_ms, "files", &files,
	    "bytes", &bytes, "stored_bytes", &stored_bytes) != 0)
		return error_set(err, ERROR_CORRUPT, "row left by a command: %s", why.text);
	ret->failed = failed != 0;
	ret->once = once != 0;
	ret->duration_ms = duration_ms;
	ret->files = (uint64_t)files;
	ret->bytes = (uint64_t)bytes;
	ret->stored_bytes = (uint64_t)stored_bytes;
	return time_parse(date, false, &ret->date, err);
}

static int
write_durably(int folder_fd, const char *name, const char *text, struct error *err)
{
	char hidden[NAME_MAX + 1];
	size_t len = strlen(text);
	int fd, rc = -1;

	snprintf(hidden, sizeof(hidden), ".%s", name);
	fd = openat(folder_fd, hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(
		    err, ERROR_IO, errno, "could not make '%s' in the log's spool", name);
	/* A row is far below the size at which a write to a file is cut. */
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) != 0) {
		error_sys(err, ERROR_IO, errno, "could not write '%s' in the log's spool", name);
	} else if (renameat(folder_fd, hidden, folder_fd, name) != 0 || fsync(folder_fd) != 0) {
		/* If interrupted here, the hidden file stays and is swept a day later. */
		error_sys(err, ERROR_IO, errno, "could not rename '%s' in the log's spool", name);
	} else {
		rc = 0;
	}
	if (rc != 0)
		unlinkat(folder_fd, hidden, 0);
	close(fd);
	return rc;
}

static int
leave_row(const char *state_folder, const struct action *action, struct error *err)
{
	char *folder = mem_printf("%s/log.spool", state_folder), *text = NULL;
	char random[16], hex[33], *name = NULL;
	json_t *json = action_to_json(action);
	struct timespec now;
	int fd = -1, rc = -1;

	if (json == NULL) {
		error_set(
		    err, ERROR_INTERNAL, "the row of '%s' is not valid text", action->command);
		goto out;
	}
	text = json_dumps(json, JSON_COMPACT);
	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		error_sys(err, ERROR_IO, errno, "could not make '%s'", folder);
		goto out;
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		error_sys(err, ERROR_IO, errno, "could not open '%s'", folder);
		goto out;
	}
	randombytes_buf(random, sizeof(random));
	hex_encode(random, sizeof(random), hex);
	/* By time first: rows are taken in the order of their names. */
	now = time_now();
	name = mem_printf("%012lld.%09ld-%s.json", (long long)now.tv_sec, now.tv_nsec, hex);
	rc = write_durably(fd, name, text, err);
out:
	if (fd >= 0)
		close(fd);
	free(name);
	free(text);
	free(folder);
	json_decref(json);
	return rc;
}

int
actionlog_spool(const char *state_folder, const char *agent_name, const struct action *action,
    struct error *err)
{
	struct actionlog *log = NULL;
	struct error why = ERROR_INIT;
	char *path;
	int fd;

	if (leave_row(state_folder, action, err) != 0)
		return -1;
	/* An agent that runs takes the row; if there is none, opening the log takes it. */
	path = mem_printf("%s/log.lock", state_folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	close(fd);
	/* Whoever gets between finds the row in the spool: nothing is lost if this fails. */
	if (actionlog_open(state_folder, agent_name, &log, &why) == 0)
		actionlog_close(log);
	return 0;
}

static char *
read_row(int folder_fd, const char *name)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct buffer text = BUFFER_INIT;
	ssize_t n;

	if (fd < 0)
		return NULL;
	do {
		n = read(fd, buffer_reserve(&text, 4096), 4096);
		if (n > 0)
			text.len += (size_t)n;
	} while (n > 0 && text.len < SPOOL_FILE_MAX);
	close(fd);
	return buffer_take(&text);
}

/* 0: the row is in the log, and its file gone. */
static int
take_row(struct actionlog *log, int folder_fd, const char *name)
{
	struct error err = ERROR_INIT;
	struct action action = { .action = NULL };
	char *text = read_row(folder_fd, name);
	json_t *json = text == NULL ? NULL : json_loads(text, 0, NULL);
	int rc;

	if (json == NULL || action_from_json(json, &action, &err) != 0) {
		char *bad = mem_printf("%s.bad", name);

		/* Nobody but us writes here: keep it for whoever wants to know, out of the way. */
		rc = renameat(folder_fd, name, folder_fd, bad);
		free(bad);
	} else {
		rc = actionlog_write_from(log, &action, name, NULL, &err);
		/* If interrupted here, the next look finds the row in the log by its name. */
		if (rc == 0)
			rc = unlinkat(folder_fd, name, 0);
	}
	json_decref(json);
	free(text);
	return rc;
}

static int
is_row(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 &&
	    strcmp(entry->d_name + len - 5, ".json") == 0;
}

/* Files that a command left half-written when it was killed. */
static void
sweep(int folder_fd)
{
	DIR *folder = fdopendir(dup(folder_fd));
	struct dirent *entry;
	struct stat st;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] != '.' || strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(folder_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_mtime < time(NULL) - 86400)
			unlinkat(folder_fd, entry->d_name, 0);
	}
	if (folder != NULL)
		closedir(folder);
}

static void
take_all(struct actionlog *log, const char *folder)
{
	struct dirent **list = NULL;
	int fd, count;

	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	count = scandirat(fd, ".", &list, is_row, alphasort);
	for (int i = 0; i < count; i++) {
		take_row(log, fd, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	sweep(fd);
	close(fd);
}

void
actionlog_take_spool(struct actionlog *log)
{
	char *folder = mem_printf("%s/log.spool", log->folder);
	struct timespec now = time_now();
	struct stat st;

	pthread_mutex_lock(&log->spool_lock);
	if (stat(folder, &st) == 0 && (st.st_mtim.tv_sec != log->spool_seen.tv_sec ||
	    st.st_mtim.tv_nsec != log->spool_seen.tv_nsec)) {
		take_all(log, folder);
		/* Our own unlinks change the folder: look again.  A folder that changed just now
		 * may change once more without its time telling. */
		if (stat(folder, &st) == 0 && now.tv_sec - st.st_mtim.tv_sec > 1)
			log->spool_seen = st.st_mtim;
	}
	pthread_mutex_unlock(&log->spool_lock);
	free(folder);
}
