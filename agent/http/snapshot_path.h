/*
 * Paths within snapshots as requests name them.
 */
#ifndef HOLDFAST_AGENT_HTTP_SNAPSHOT_PATH_H
#define HOLDFAST_AGENT_HTTP_SNAPSHOT_PATH_H

#include "agent/http/request.h"
#include "agent/repository/snapshot.h"
#include "agent/repository/tree.h"
#include "shared/error.h"

/*
 * The snapshot named by the request's {id} and the entry at its parameter "path" ("/" if there
 * is none).  The path is taken in the printable form in which answers show names; where nothing
 * is at that, as it is.  Caller frees the snapshot and the entry.
 *   ret_path   the printable form; caller frees
 * ERROR_NOT_FOUND, ERROR_AMBIGUOUS, ERROR_BAD_REQUEST (no absolute path).
 */
int snapshot_path_find(const struct request *request, struct snapshot **ret_snapshot,
    struct entry *ret_entry, char **ret_path, struct error *err);

/* "Content-Disposition: attachment" with a file name of any bytes: RFC 6266. */
void disposition_header(struct response *response, const char *name, size_t len,
    const char *suffix);

/* An entity tag from the hash of some bytes; out is "\"" 32 digits "\"". */
#define ETAG_SIZE 35
void etag_make(const void *data, size_t len, char out[ETAG_SIZE]);

#endif
