/*
 * Reading from packs of which parts are damaged: what does not open is made again from the pack's
 * parity, used, and noted. Nothing is written; that is for repair_packs().
 * Thread-safe. Shared by a repository and all its views.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_HEALING_H
#define HOLDFAST_AGENT_REPOSITORY_HEALING_H

#include "agent/repository/repository_internal.h"

struct heal_log;

struct heal_log *heal_log_new(void);
void heal_log_free(struct heal_log *log);

/* As pack_read_frame() and pack_read_directory(), with parity behind them.  The error is that of
 * the pack as it is. */
int repository_read_frame(struct repository *repo, struct frame_coder *coder,
    const struct object_id *pack, uint32_t offset, uint32_t stored_len, void *plain,
    uint32_t plain_len, struct error *err);
int repository_read_directory(struct repository *repo, const struct object_id *pack,
    struct pack_directory **ret, struct error *err);

/* A pack was written anew: whoever shares the log relies on all packs again, until they prove
 * bad. */
void repository_pack_mended(struct repository *repo);
uint64_t heal_log_mended(struct heal_log *log);

#endif
