#include "agent/repository/chunker.h"

#include <sodium.h>
#include <string.h>

/*
 * Before the target size a cut needs 19 zero bits, after it 15: sizes gather round the target
 * (normalised chunking, level 2).  The bits lie high in the hash, where 64 bytes have a say.
 */
#define MASK_BEFORE_TARGET (0x7ffffULL << 45)
#define MASK_AFTER_TARGET (0x7fffULL << 49)

void
chunker_init(struct chunker *chunker, const uint8_t key[32])
{
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };
	uint8_t stream[sizeof(chunker->gear)];

	crypto_stream_chacha20(stream, sizeof(stream), nonce, key);
	for (size_t i = 0; i < 256; i++) {
		uint64_t v = 0;

		for (size_t b = 0; b < 8; b++)
			v |= (uint64_t)stream[8 * i + b] << (8 * b);
		chunker->gear[i] = v;
	}
	explicit_bzero(stream, sizeof(stream));
}

size_t
chunker_cut(const struct chunker *chunker, const uint8_t *data, size_t len, int final)
{
	const uint64_t *gear = chunker->gear;
	size_t end = len < CHUNK_MAX ? len : CHUNK_MAX;
	size_t target = end < CHUNK_TARGET ? end : CHUNK_TARGET;
	size_t i = CHUNK_MIN;
	uint64_t hash = 0;

	for (; i < target; i++) {
		hash = (hash << 1) + gear[data[i]];
		if ((hash & MASK_BEFORE_TARGET) == 0)
			return i + 1;
	}
	for (; i < end; i++) {
		hash = (hash << 1) + gear[data[i]];
		if ((hash & MASK_AFTER_TARGET) == 0)
			return i + 1;
	}
	return len >= CHUNK_MAX || final ? end : 0;
}
