/*
 * Bytes that would take too much memory: an unlinked temporary file, written from front to back.
 * Threads: any; one lock.
 */
#ifndef HOLDFAST_AGENT_FILES_ARCHIVE_IN_SPOOL_H
#define HOLDFAST_AGENT_FILES_ARCHIVE_IN_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

struct import_spool;

/* In this folder; if it is NULL or takes no file, in /var/tmp. */
int import_spool_new(const char *folder, struct import_spool **ret, struct error *err);
void import_spool_free(struct import_spool *spool);
/* ERROR_NO_SPACE, ERROR_IO. */
int import_spool_add(struct import_spool *spool, const void *data, size_t len,
    uint64_t *ret_offset, struct error *err);
int import_spool_get(struct import_spool *spool, uint64_t offset, void *buf, size_t len,
    struct error *err);

#endif
