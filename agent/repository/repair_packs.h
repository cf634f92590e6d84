/*
 * Repair of packs by their parity: damaged packs are written anew, whole and verified, under their
 * own names; damaged parity is made anew from its pack.
 *
 * Nothing is changed unless `apply` is set. After a crash at any point: a pack is as it was before
 * or whole; a damaged one is replaced at once, never taken away.
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_REPAIR_PACKS_H
#define HOLDFAST_AGENT_REPOSITORY_REPAIR_PACKS_H

#include <jansson.h>

#include "agent/repository/repository.h"
#include "shared/progress.h"

struct repair_packs_options {
	bool apply;
	bool add_parity; /* also make parity for packs that have none, as new packs get it */
};

struct repair_packs_result {
	uint64_t packs;          /* that were looked at */
	uint64_t without_parity; /* of these: there was nothing to compare them with */
	uint64_t parity_added;   /* or would be */
	uint64_t left;           /* damaged objects that still are */
	json_t *damaged;         /* array of {"object", "problem", "healable", "mended"} */
};

/* Reads every byte of every pack that has parity. ERROR_UNSUPPORTED without the library that parity
 * needs; ERROR_CONFIG if parity is to be added and is off. */
int repair_packs(struct repository *repo, const struct repair_packs_options *options,
    struct progress *progress, struct repair_packs_result *result, struct error *err);

/* {"applied", "packs", "without_parity", "parity_added", "damaged"} */
json_t *repair_packs_to_json(const struct repair_packs_result *result, bool apply);
void repair_packs_result_done(struct repair_packs_result *result);

#endif
