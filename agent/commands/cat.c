#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "agent/repository/content.h"
#include "agent/repository/tree.h"

static int
write_all(const void *data, size_t len, struct error *err)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(
			    err, ERROR_IO, errno, "could not write to the standard output");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* What lies between the runs of data is zeros. */
static int
write_hole(uint64_t len, struct error *err)
{
	static const char zeros[65536];

	while (len > 0) {
		size_t part = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (write_all(zeros, part, err) != 0)
			return -1;
		len -= part;
	}
	return 0;
}

static int
write_file(struct session *session, const struct entry *file, struct error *err)
{
	struct content *content = NULL;
	uint64_t offset, at = 0;
	const uint8_t *data;
	size_t len;
	int rc;

	if (content_open(session->repo, file, &content, err) != 0)
		return -1;
	while ((rc = content_next(content, &offset, &data, &len, err)) == 1) {
		if (write_hole(offset - at, err) != 0 || write_all(data, len, err) != 0) {
			rc = -1;
			break;
		}
		at = offset + len;
	}
	content_close(content);
	if (rc == 0 && at < file->size)
		rc = write_hole(file->size - at, err);
	return rc;
}

int
cat_main(struct session *session, struct error *err)
{
	const char *path = session->line.arguments[1];
	struct snapshot *snapshot = NULL;
	struct entry found;
	int rc = -1;

	entry_init(&found);
	if (session_snapshot(session, 0, &snapshot, err) != 0 ||
	    session_entry(session, snapshot, path, &found, err) != 0)
		goto out;
	if (found.kind == ENTRY_FILE)
		rc = write_file(session, &found, err);
	else
		error_set(err, ERROR_BAD_REQUEST, "'%s' is a %s, not a file", path,
		    entry_kind_word(found.kind));
out:
	entry_done(&found);
	snapshot_free(snapshot);
	return rc == 0 ? EXIT_OK : -1;
}
