/*
 * A stream of bytes from outside becomes a snapshot: a tar with all it holds, or one file.
 *
 * Where it lies: the name is a path below the root of the snapshot, as "/dump.sql".  A file is
 * there; the members of a tar are below it, and "./" is the folder itself.  So a tar of "srv/www"
 * under "/", or of "." under "/srv/www", gives what a backup of /srv/www gives, but for ctimes and
 * inodes, which no tar has.  The name is also the snapshot's source: snapshots of one name are
 * versions of one thing to diff, versions and the rules of retention.
 *
 * A tar may be v7, ustar, GNU or pax, plain or compressed (gzip, zstd, xz, bzip2, lz4, lzip, lzma,
 * compress).  Its members come in any order:
 *   - Folders that are missing are made (0755, root, the newest time of what is in them).
 *   - Of a name that comes twice the last one counts; a folder that holds something stays.
 *   - A hard link's target may follow it; one that never comes is a loss.
 *   - Absolute names lose their slash, with a note; ".." in a name refuses the archive.
 * An archive without its end mark was cut off, wherever that happened, and is refused, as is one
 * that is damaged: there is no snapshot then.
 *
 * Memory: about 130 bytes and the name for each path while a tar arrives, at most
 * IMPORT_MEMORY_MAX; attributes and contents' names wait in an unlinked file in the spool folder.  Contents stream
 * through a few frames, whatever their size.
 */
#ifndef HOLDFAST_AGENT_FILES_ARCHIVE_IN_H
#define HOLDFAST_AGENT_FILES_ARCHIVE_IN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/progress.h"

enum import_format { IMPORT_FILE, IMPORT_TAR };

/* About four million paths. */
#define IMPORT_MEMORY_MAX (512u << 20)
/* Folders within folders; deeper ones are refused. */
#define IMPORT_DEPTH_MAX 4096
#define IMPORT_NAME_MAX 1024 /* of the whole import: bytes */

/*
 * Where the bytes come from.  read: 1 or more bytes, 0 at the end, -1 with err, or IMPORT_READ_WAIT
 * if none have come for a while (within a second, so that a cancelled import ends).
 */
#define IMPORT_READ_WAIT (-2)
struct import_input {
	ssize_t (*read)(void *arg, void *buf, size_t size, struct error *err);
	void *arg;
};

struct import_options {
	const char *name;      /* as import_name() gives it */
	enum import_format format;
	const char *spool;     /* a folder for what waits; NULL, or none: /var/tmp */
	unsigned threads;      /* 0: one per core */
	int level;             /* zstd level, 0: the repository's default */
	bool no_verify;        /* do not open each frame again before it is stored */
	const char *run;       /* or NULL; recorded in the snapshot */
	const char *host;      /* NULL: gethostname() */
};

/*
 * The path that a name means: one slash before it, none behind; caller frees.  ERROR_BAD_REQUEST:
 * empty, "..", control characters, too long, or "/" for a file.
 */
int import_name(const char *name, enum import_format format, char **ret, struct error *err);

/*
 * Store what the input gives.  Returns 0 with a snapshot (caller frees) once it is durable.
 * A file that is as in the snapshot before keeps its time, so that nothing has changed.
 * ERROR_BAD_REQUEST: nothing came, it is no tar, the tar is cut off or damaged, or holds a name
 * that leads out; ERROR_TOO_LARGE: a limit above; the input's own error; ERROR_NO_SPACE, ...
 * Members that could not be kept are losses in progress and in the snapshot.
 */
int files_import(struct repository *repo, const struct import_options *options,
    const struct import_input *input, struct progress *progress, struct snapshot **ret,
    struct error *err);

#endif
