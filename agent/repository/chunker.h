/*
 * Content-defined cut points (FastCDC with a keyed gear table).
 *
 * The same bytes are cut at the same places wherever they lie in a stream, in every repository at
 * other places: the table comes from the repository's key, so that chunk sizes do not betray
 * known contents.  A struct chunker is read-only and may be used by any thread.
 * Source: agent/repository/FORMAT.md, "Chunks".  Cost: one pass over the bytes beyond CHUNK_MIN.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_CHUNKER_H
#define HOLDFAST_AGENT_REPOSITORY_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Small chunks keep what a change adds small; frames, not chunks, are compressed, so
 * small chunks cost no compression, only 48 bytes of memory each while a backup runs.
 */
#define CHUNK_MIN (64u << 10)
#define CHUNK_TARGET (128u << 10)
#define CHUNK_MAX (512u << 10)

struct chunker {
	uint64_t gear[256];
};

void chunker_init(struct chunker *chunker, const uint8_t key[32]);

/*
 * Length of the first chunk of data, 1..CHUNK_MAX bytes. If len < CHUNK_MAX and the stream goes
 * on, the caller gives more bytes first: only with final set is the end of data a cut. Returns 0
 * if no cut can be told yet.
 */
size_t chunker_cut(const struct chunker *chunker, const uint8_t *data, size_t len, int final);

#endif
