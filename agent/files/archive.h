/*
 * A snapshot, or part of it, as a tar (pax), tar.zst or zip stream; never stored whole.
 *
 * tar holds everything that a snapshot holds, but for sockets: ACLs as SCHILY.acl, attributes as
 * SCHILY.xattr, holes as GNU.sparse 1.0, times to the nanosecond, names as their bytes.  zip
 * has neither owners' names, ACLs, attributes, holes nor hard links (each name gets its
 * content), and devices and fifos are left out with a note; names that are no UTF-8 appear there
 * in printable form.
 */
#ifndef HOLDFAST_AGENT_FILES_ARCHIVE_H
#define HOLDFAST_AGENT_FILES_ARCHIVE_H

#include "agent/repository/repository.h"
#include "agent/repository/snapshot.h"
#include "shared/progress.h"

enum archive_format_kind { ARCHIVE_TAR, ARCHIVE_TAR_ZST, ARCHIVE_ZIP, ARCHIVE_FORMAT_COUNT };

const char *archive_kind_word(enum archive_format_kind kind);       /* "tar", "tar.zst", "zip" */
const char *archive_kind_media_type(enum archive_format_kind kind);
int archive_kind_parse(const char *word, enum archive_format_kind *ret, struct error *err);

/*
 * Write the archive of path (printable form; "/" for all) to the sink, in walk order; names in
 * it are absolute paths without the first slash.  The same snapshot, path and kind give the
 * same bytes each time, so that a broken transfer can be resumed: the first `skip` bytes are
 * produced but not passed to the sink.
 *   sink   takes all bytes or returns -1 with err, which ends the stream
 * A file whose first content cannot be read is left out as a loss; damage found later, when its
 * size has been promised, ends the stream with ERROR_CORRUPT.  ERROR_NOT_FOUND if there is no
 * such path, before anything is written.
 */
int files_archive(struct repository *repo, const struct snapshot *snapshot, const char *path,
    enum archive_format_kind kind, uint64_t skip,
    int (*sink)(void *arg, const void *data, size_t len, struct error *err), void *arg,
    struct progress *progress, struct error *err);

#endif
