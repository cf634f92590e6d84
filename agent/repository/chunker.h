/*
 * Content-defined cut points (a keyed gear hash).
 *
 * The same bytes are cut at the same places wherever they lie in a stream, in every repository at
 * other places: the table comes from the repository's key, so that chunk sizes do not betray
 * known contents.  A struct chunker is read-only and may be used by any thread.
 * Source: agent/repository/FORMAT.md, "Chunks".  Cost: one pass over the bytes of each chunk
 * behind its smallest size.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_CHUNKER_H
#define HOLDFAST_AGENT_REPOSITORY_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In bytes.  Each repository keeps its own in its key file. */
struct chunk_sizes {
	uint32_t min, mean, max;
};

/*
 * Of new repositories.  Small chunks keep what a change adds small; frames, not chunks, are
 * compressed, so small chunks cost no compression, but 48 bytes of memory each while a
 * backup runs, and as much in the index.
 */
extern const struct chunk_sizes chunk_sizes_default;

/* Whether a repository may have these: what it asks of memory is bounded. */
bool chunk_sizes_possible(const struct chunk_sizes *sizes);

struct chunker {
	struct chunk_sizes sizes;
	uint64_t threshold; /* a hash below it is a cut */
	uint64_t gear[256];
};

/* The sizes are possible ones. */
void chunker_init(struct chunker *chunker, const struct chunk_sizes *sizes,
    const uint8_t key[32]);

/*
 * Length of the first chunk of data, 1..max bytes.  If len < max and the stream goes on, the
 * caller gives more bytes first: only with final set is the end of data a cut.  Returns 0 if no
 * cut can be told yet.
 */
size_t chunker_cut(const struct chunker *chunker, const uint8_t *data, size_t len, int final);

#endif
