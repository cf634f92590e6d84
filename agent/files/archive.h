/*
 * A snapshot, or part of it, as a tar (pax), tar.zst or zip stream; never stored whole.
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
 * Write the archive of path (printable form; "/" for all) to the sink, in walk order.  The same snapshot, path and kind
 * give the same bytes each time, so that a broken transfer can be resumed: the first `skip` bytes
 * are produced but not passed to the sink.
 *   sink   takes all bytes or returns -1 with err, which ends the stream
 */
int files_archive(struct repository *repo, const struct snapshot *snapshot, const char *path,
    enum archive_format_kind kind, uint64_t skip,
    int (*sink)(void *arg, const void *data, size_t len, struct error *err), void *arg,
    struct progress *progress, struct error *err);

#endif
