/*
 * Parity: a file beside each pack from which damaged parts of the pack can be made again.
 *
 * A pack is cut into blocks, block i belongs to stripe i modulo the number of stripes, and each
 * stripe has parity blocks (Reed-Solomon): of a stripe, as many blocks can be lost as it has
 * parity. Neighbours lie in different stripes, so that a run of bad sectors heals as well as
 * scattered flips do. Each block has a checksum, which tells what is damaged; the header and the
 * checksums are there twice. None of this is trusted: what was healed must still open, as sealed,
 * before anybody uses it.
 * Invariants: parity is written after its pack and before the index; it is of no meaning without
 * its pack. A struct parity belongs to one thread. After a crash: a pack may lack its parity,
 * nothing else.
 * Source: agent/repository/FORMAT.md, "Parity".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_PARITY_H
#define HOLDFAST_AGENT_REPOSITORY_PARITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/repository/pack.h"
#include "shared/buffer.h"
#include "shared/error.h"

#define PARITY_FOLDER "parity"
#define PARITY_NAME_SIZE (sizeof(PARITY_FOLDER "/xx/") + OBJECT_ID_TEXT_SIZE)
#define PARITY_HEADER_SIZE 72
/* Blocks of packs from this size on are as large as the sectors and pages in which disks lose
 * data; of smaller ones, as small as a sector can be. */
#define PARITY_SMALL_PACK (256u << 10)
#define PARITY_BLOCK_SMALL 512u
#define PARITY_BLOCK 4096u
/* What a reader takes. */
#define PARITY_BLOCK_MAX 65536u
#define PARITY_BLOCKS_MAX (1u << 19)
#define PARITY_STRIPE_MAX 255u /* blocks of one stripe, data and parity */

/* How much parity new packs get; all zero: none. */
struct parity_rule {
	unsigned percent;      /* of each pack, 1..100; 0: as data and parity say */
	unsigned data, parity; /* so many parity blocks for each so many of data */
};

/* "off", "10%" or "20+3".  ERROR_CONFIG says what was expected. */
int parity_rule_parse(const char *text, struct parity_rule *ret, struct error *err);
bool parity_rule_is_on(const struct parity_rule *rule);
/* Whether this program was built with the library that parity needs; else ERROR_UNSUPPORTED. */
int parity_is_available(struct error *err);

/* How one pack is cut up. */
struct parity_shape {
	uint64_t pack_size;    /* bytes */
	uint32_t block;        /* bytes, a power of two */
	uint32_t stripes;
	unsigned data, parity; /* blocks of each stripe, 1 <= parity <= data */
};

void parity_shape_choose(const struct parity_rule *rule, uint64_t pack_size,
    struct parity_shape *ret);
uint32_t parity_data_blocks(const struct parity_shape *shape);
uint32_t parity_parity_blocks(const struct parity_shape *shape);
/* Bytes of the header and the checksums, up to the first parity block. */
uint64_t parity_head_size(const struct parity_shape *shape);
uint64_t parity_file_size(const struct parity_shape *shape);

void parity_name(const struct object_id *pack, char out[PARITY_NAME_SIZE]);
/* 0 and the pack's id, or -1 if the name is not that of a pack's parity. */
int parity_name_parse(const char *name, struct object_id *ret);

/* Checksum of len bytes of this pack's parity; place is where they stand (see FORMAT.md). */
uint64_t parity_sum(const struct object_id *pack, uint64_t place, const void *data, size_t len);
/* What stands for a block in `place`. */
#define PARITY_PLACE_BLOCK 0

void parity_header_encode(const struct keys *keys, const struct object_id *pack,
    const struct parity_shape *shape, struct buffer *ret);
int parity_header_decode(const uint8_t header[PARITY_HEADER_SIZE], const struct keys *keys,
    const struct object_id *pack, struct parity_shape *ret, struct error *err);
/* The checksums of all blocks, those of the pack first, as they lie in the file. */
void parity_table_encode(const struct object_id *pack, const uint64_t *sums, size_t count,
    struct buffer *ret);
size_t parity_table_size(size_t count);
/*
 * Take every checksum whose part of the table is whole; sets known[i] for each.  Returns how many
 * are in damaged parts.
 */
size_t parity_table_decode(const struct object_id *pack, const uint8_t *table, size_t count,
    uint64_t *sums, bool *known);

/*
 * Make the parity of a pack that is durable under its name.
 *   sum   the XXH3-64 of the pack as it was written, to be found again by reading; NULL: not known
 *   replace   whether there may be one already
 * Memory: as much as the parity has bytes, and one stripe's share of the pack.
 */
int parity_write(struct storage *storage, const struct keys *keys, const struct object_id *pack,
    const struct parity_shape *shape, const uint64_t *sum, bool replace, struct error *err);

struct parity;

/* What was found wrong with a pack's parity itself. */
struct parity_damage {
	bool size, header, table; /* wrong length; one of two headers; a part of a table */
	uint32_t blocks;          /* damaged parity blocks, once they were looked at */
};

/*
 * Open the parity of a pack, whole or not.
 * Returns 1; 0 if there is none; -1 with ERROR_CORRUPT if too little of it is left to be of use.
 */
int parity_open(struct storage *storage, const struct keys *keys, const struct object_id *pack,
    struct parity **ret, struct error *err);
void parity_close(struct parity *parity);
/* As parity_open(), but read the two headers only: the parity is there, of a pack of this size,
 * and has its length.  Returns 1 with its size, 0 if there is none, -1. */
int parity_look(struct storage *storage, const struct keys *keys, const struct object_id *pack,
    uint64_t *ret_size, struct error *err);
const struct parity_shape *parity_shape_of(const struct parity *parity);
const struct parity_damage *parity_damage_of(const struct parity *parity);
/* Read every parity block; what is damaged is counted in parity_damage_of(). */
int parity_verify_blocks(struct parity *parity, struct error *err);
/* The pack's real size; 0 if it is not there. */
uint64_t parity_pack_size(const struct parity *parity);
/* Read every block of the pack, and count those that are not as they were written. */
int parity_scan_pack(struct parity *parity, uint32_t *ret_damaged, struct error *err);
/*
 * Read from the pack as it was written, making again what is damaged.  ERROR_CORRUPT if there is
 * more damage than parity.  Where checksums are lost, and there is not parity enough to make all
 * those blocks again, they are given as they are: what is sealed in them shows whether they are
 * whole.
 */
int parity_read(struct parity *parity, uint64_t offset, void *buf, size_t len,
    struct error *err);
/* Blocks made again so far. */
uint32_t parity_healed_blocks(const struct parity *parity);
/* The pack as parity_read() gives it; lent, ends with the parity. */
void parity_source(struct parity *parity, struct pack_source *ret);

/* Whether an error says that stored bytes are not what they were: not found, not readable, not
 * what they should be. */
bool parity_error_is_damage(const struct error *err);

#endif
