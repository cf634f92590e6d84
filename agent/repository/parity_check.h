/*
 * The parity of a whole repository: what has none, what belongs to nothing, what is damaged.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_PARITY_CHECK_H
#define HOLDFAST_AGENT_REPOSITORY_PARITY_CHECK_H

#include "agent/repository/parity.h"
#include "agent/repository/repository_internal.h"

/*
 * Look at a pack's parity, without its pack.
 *   read  also read every checksum and every block
 * Returns 1 with its size; 0 if there is none; -1 and what is wrong with it: ERROR_CORRUPT, or the
 * error that kept it from being looked at.
 */
int parity_check_file(struct repository *repo, const struct object_id *pack, bool read,
    uint64_t *ret_size, struct error *err);
/* "the table; 3 of 80 blocks"; false if nothing is wrong. */
bool parity_damage_text(const struct parity *parity, char *out, size_t size);

/* Whether the whole pack can be had from what is left of it and its parity; nothing is written. */
bool parity_can_heal(struct repository *repo, const struct object_id *pack);

/* Names of what lies among the parity and belongs to no pack that is there or in the index, which
 * must have been read. */
int parity_orphans(struct repository *repo, struct object_names *ret, struct error *err);
/* Remove them. */
int parity_sweep(struct repository *repo, struct error *err);

#endif
