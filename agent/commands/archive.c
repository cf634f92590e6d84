#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/commands/progress_line.h"
#include "agent/commands/session.h"
#include "agent/files/archive.h"

/* clang-format off */
const struct option_spec archive_options[] = {
	{ "format", 0,   OPTION_VALUE, "FORMAT", "tar, tar.zst or zip; default tar" },
	{ "o",      'o', OPTION_VALUE, "FILE",   "write to a new file; default: standard output" },
	{ .name = NULL }
};
/* clang-format on */

struct sink {
	int fd;
	const char *name;
};

static int
sink_write(void *arg, const void *data, size_t len, struct error *err)
{
	struct sink *sink = arg;
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(sink->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, ERROR_IO, errno, "could not write to %s", sink->name);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
open_sink(struct session *session, struct sink *sink, struct error *err)
{
	const char *file = option_value(&session->line, "o");

	if (file == NULL) {
		*sink = (struct sink){ STDOUT_FILENO, "the standard output" };
		if (isatty(STDOUT_FILENO) != 1)
			return 0;
		error_set(err, ERROR_USAGE, "an archive is not written to a terminal");
		return error_hint(err, "send it into a file: -o FILE, or > FILE");
	}
	/* An existing file is not overwritten: it may be the last good archive. */
	*sink = (struct sink){ open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), file };
	if (sink->fd < 0)
		return error_sys(err, errno == EEXIST ? ERROR_EXISTS : ERROR_IO, errno,
		    "could not make '%s'", file);
	return 0;
}

static int
close_sink(struct sink *sink, int rc, struct error *err)
{
	if (sink->fd < 0 || sink->fd == STDOUT_FILENO)
		return rc;
	if (rc == 0 && fsync(sink->fd) != 0)
		rc = error_sys(err, ERROR_IO, errno, "could not write to '%s'", sink->name);
	close(sink->fd);
	/* Half an archive is worse than none. */
	if (rc != 0)
		unlink(sink->name);
	return rc;
}

int
archive_main(struct session *session, struct error *err)
{
	const char *path = session->line.argument_count > 1 ? session->line.arguments[1] : "/";
	const char *format = option_value(&session->line, "format");
	enum archive_format_kind kind = ARCHIVE_TAR;
	struct sink sink = { -1, "" };
	struct progress progress;
	struct progress_line *line;
	struct snapshot *snapshot = NULL;
	int rc = -1;

	progress_init(&progress);
	if (format != NULL && archive_kind_parse(format, &kind, err) != 0)
		goto out;
	if (session_snapshot(session, 0, &snapshot, err) != 0 ||
	    open_sink(session, &sink, err) != 0)
		goto out;
	line = progress_line_start(&progress);
	rc = files_archive(
	    session->repo, snapshot, path, kind, 0, sink_write, &sink, &progress, err);
	progress_line_stop(line);
	rc = close_sink(&sink, rc, err);
	for (size_t i = 0; i < progress.losses.count; i++)
		fprintf(stderr, "lost: %s: %s\n", progress.losses.list[i].path,
		    progress.losses.list[i].reason);
	if (rc == 0)
		rc = progress.losses.total > 0 ? EXIT_LOSSES : EXIT_OK;
out:
	progress_done(&progress);
	snapshot_free(snapshot);
	return rc;
}
