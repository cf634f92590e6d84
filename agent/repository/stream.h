/*
 * A stream of bytes into the repository: cut into chunks, stored by the writer's workers, and
 * turned into an entry's content. For large files, tar streams and tables alike.
 *
 * Fill the room that stream_room() lends, say how much by stream_filled(), and end with
 * stream_end(), whose call-back gives the content once the last chunk is stored. One thread
 * writes; the call-back comes from a worker (or from stream_end itself).
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_STREAM_H
#define HOLDFAST_AGENT_REPOSITORY_STREAM_H

#include "agent/repository/tree.h"
#include "agent/repository/writer.h"

struct stream;

struct stream *stream_begin(struct writer *writer);
/* Room for more bytes (at least 64 KiB); valid until the next call. */
uint8_t *stream_room(struct stream *stream, size_t *ret_len);
void stream_filled(struct stream *stream, size_t len);
/*
 * content: content, content_count and depth are filled in entry. If the writer failed, ended is
 * called with ok false and the entry as it was. Ends the stream.
 */
void stream_end(struct stream *stream, struct entry *entry, void (*ended)(void *arg, bool ok),
    void *arg);

#endif
