#include "agent/repository/repair_packs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/claim.h"
#include "agent/repository/healing.h"
#include "agent/repository/parity_check.h"
#include "shared/mem.h"

#define CLAIM_WAIT_S 60

struct mender {
	struct repository *repo;
	const struct repair_packs_options *options;
	struct progress *progress;
	struct repair_packs_result *result;
	struct claim *claim; /* if something is to be changed */
};

static void
report(struct mender *mender, const char *object, const char *problem, bool healable,
    bool mended)
{
	json_array_append_new(mender->result->damaged, json_pack("{s:s, s:s, s:b, s:b}", "object",
	    object, "problem", problem, "healable", healable, "mended", mended));
	mender->result->left += !mended;
	if (!healable)
		progress_loss(mender->progress, object, strlen(object), "%s", problem);
}

/* The pack as it is. 1 whole, 0 not, with the reason in why; -1 it could not be looked at. */
static int
pack_is_whole(struct mender *mender, const struct object_id *id, uint64_t *ret_size,
    uint64_t *ret_sum, struct error *why, struct error *err)
{
	struct repository *repo = mender->repo;
	struct pack_stored stored;
	struct pack_source source;

	if (pack_stored_source(&stored, repo->storage, id, &source, err) != 0)
		return -1;
	*ret_size = source.size;
	if (pack_verify(&source, repo->keys, id, NULL, mender->progress, ret_sum, why) == 0)
		return 1;
	if (parity_error_is_damage(why))
		return 0;
	*err = *why;
	return -1;
}

/*
 * Make a pack's parity anew from the pack, if that is whole.
 *   shape     as it was; NULL: as new packs get it, or none if they get none
 *   problem   what is wrong with the present one; NULL: there is none
 */
static int
remake_parity(struct mender *mender, const struct object_id *id,
    const struct parity_shape *shape, const char *problem, struct error *err)
{
	struct repository *repo = mender->repo;
	char name[PARITY_NAME_SIZE], pack[PACK_NAME_SIZE];
	struct parity_shape chosen;
	struct error why = ERROR_INIT;
	char text[600];
	uint64_t size, sum;
	int rc = 0, whole = pack_is_whole(mender, id, &size, &sum, &why, err);

	pack_name(id, pack);
	parity_name(id, name);
	if (whole < 0)
		return -1;
	if (whole == 0) {
		report(mender, pack, why.message, false, false);
		if (problem != NULL)
			report(mender, name, problem, false, false);
		return 0;
	}
	if (shape == NULL && parity_rule_is_on(&repo->parity)) {
		parity_shape_choose(&repo->parity, size, &chosen);
		shape = &chosen;
	}
	if (mender->options->apply) {
		rc = claim_check(mender->claim, err);
		if (rc == 0 && shape == NULL)
			rc = storage_remove(repo->storage, name, err);
		else if (rc == 0)
			rc = parity_write(repo->storage, repo->keys, id, shape, &sum, true, err);
	}
	if (rc != 0)
		return -1;
	if (problem == NULL) {
		mender->result->parity_added++;
		return 0;
	}
	snprintf(text, sizeof(text), "%s%s", problem, shape != NULL ? "" :
	    "; as parity is off, it only goes");
	report(mender, name, text, true, mender->options->apply);
	return 0;
}

/* Write the pack anew from what parity makes of it, and read it back. */
static int
write_mended(struct mender *mender, const struct object_id *id,
    const struct pack_source *source, struct error *err)
{
	struct repository *repo = mender->repo;
	struct storage_put *put = NULL;
	struct error why = ERROR_INIT;
	char name[PACK_NAME_SIZE];
	uint64_t size, sum;
	int whole;

	pack_name(id, name);
	if (storage_put_begin(repo->storage, name, &put, err) != 0)
		return -1;
	if (pack_verify(source, repo->keys, id, put, mender->progress, NULL, err) != 0 ||
	    claim_check(mender->claim, err) != 0) {
		storage_put_abort(put);
		return -1;
	}
	/* If interrupted here, the damaged pack is still there, and so is its parity. */
	if (storage_put_commit(put, true, err) != 0)
		return -1;
	whole = pack_is_whole(mender, id, &size, &sum, &why, err);
	if (whole == 0) {
		error_set(err, ERROR_IO, "what was written does not read back: %.300s", why.message);
		error_hint(err, "check the disk and the memory of this machine");
	}
	if (whole == 1)
		repository_pack_mended(repo);
	return whole == 1 ? 0 : -1;
}

/* A pack that is not as it was when its parity was made. */
static int
mend_pack(struct mender *mender, const struct object_id *id, struct parity *parity,
    const char *problem, const char *parity_problem, struct error *err)
{
	const struct parity_shape shape = *parity_shape_of(parity);
	struct pack_source source;
	struct error why = ERROR_INIT, ignored = ERROR_INIT;
	char name[PACK_NAME_SIZE], parity_file[PARITY_NAME_SIZE], text[700];
	uint64_t size, sum;
	int whole;

	pack_name(id, name);
	parity_name(id, parity_file);
	parity_source(parity, &source);
	/* First without writing: only what opens as a whole is believed. */
	if (pack_verify(&source, mender->repo->keys, id, NULL, mender->progress, NULL, &why) != 0) {
		if (!parity_error_is_damage(&why)) {
			*err = why;
			return -1;
		}
		/* Perhaps it is the parity that is wrong. */
		whole = pack_is_whole(mender, id, &size, &sum, &ignored, err);
		if (whole < 0)
			return -1;
		if (whole == 1)
			return remake_parity(mender, id, size == shape.pack_size ? &shape : NULL,
			    "does not fit its pack", err);
		snprintf(text, sizeof(text), "%s; parity cannot heal that: %s", problem,
		    why.message);
		report(mender, name, text, false, false);
		return 0;
	}
	if (mender->options->apply && write_mended(mender, id, &source, err) != 0)
		return error_prefix(err, "could not mend '%s': ", name);
	report(mender, name, problem, true, mender->options->apply);
	if (parity_problem == NULL)
		return 0;
	if (mender->options->apply)
		return remake_parity(mender, id, &shape, parity_problem, err);
	report(mender, parity_file, parity_problem, true, false);
	return 0;
}

/* Compare a pack with its parity. */
static int
look_at(struct mender *mender, const struct object_id *id, struct parity *parity,
    struct error *err)
{
	const struct parity_shape *shape = parity_shape_of(parity);
	uint64_t size = parity_pack_size(parity);
	char problem[160], damage[160];
	uint32_t bad = 0;
	bool damaged;

	if (parity_verify_blocks(parity, err) != 0 || parity_scan_pack(parity, &bad, err) != 0)
		return -1;
	damaged = parity_damage_text(parity, damage, sizeof(damage));
	snprintf(problem, sizeof(problem), "%u of %u blocks are damaged", bad,
	    parity_data_blocks(shape));
	if (size == 0)
		snprintf(problem, sizeof(problem), "pack is missing");
	else if (size != shape->pack_size)
		snprintf(problem, sizeof(problem), "pack has %llu bytes, its parity says %llu",
		    (unsigned long long)size, (unsigned long long)shape->pack_size);
	if (bad > 0 || size != shape->pack_size)
		return mend_pack(mender, id, parity, problem, damaged ? damage : NULL, err);
	/* If a checksum is lost on both sides, its block may be damaged: the frames tell. */
	return damaged ? remake_parity(mender, id, shape, damage, err) : 0;
}

static int
mend_one(struct mender *mender, const struct object_id *id, struct error *err)
{
	struct repository *repo = mender->repo;
	struct error why = ERROR_INIT;
	struct parity *parity;
	int rc, there = parity_open(repo->storage, repo->keys, id, &parity, &why);

	mender->result->packs++;
	if (there == 1) {
		rc = look_at(mender, id, parity, err);
		parity_close(parity);
		return rc;
	}
	if (there == 0 && mender->options->add_parity)
		return remake_parity(mender, id, NULL, NULL, err);
	mender->result->without_parity++;
	if (there == 0)
		return 0;
	if (parity_error_is_damage(&why))
		return remake_parity(mender, id, NULL, why.message, err);
	*err = why;
	return -1;
}

/* Packs that are there, and those that are not, but whose parity is. */
static int
mend_all(struct mender *mender, struct error *err)
{
	struct repository *repo = mender->repo;
	struct object_names packs = { 0 }, parity = { 0 };
	struct object_id id;
	uint64_t size;
	int rc = -1, there;

	if (object_names_read(repo->storage, "packs", &packs, err) != 0 ||
	    object_names_read(repo->storage, PARITY_FOLDER, &parity, err) != 0)
		goto out;
	for (size_t i = 0; i < packs.count; i++)
		mender->progress->bytes_total += packs.sizes[i];
	for (size_t i = 0; i < packs.count; i++) {
		if (progress_check(mender->progress, err) != 0)
			goto out;
		progress_path(mender->progress, packs.list[i], strlen(packs.list[i]));
		if (pack_name_parse(packs.list[i], &id) == 0 && mend_one(mender, &id, err) != 0)
			goto out;
		atomic_fetch_add(&mender->progress->bytes, packs.sizes[i]);
	}
	for (size_t i = 0; i < parity.count; i++) {
		char name[PACK_NAME_SIZE];

		if (parity_name_parse(parity.list[i], &id) != 0 || !repository_knows_pack(repo, &id))
			continue;
		pack_name(&id, name);
		there = storage_size(repo->storage, name, &size, err);
		if (there < 0 || (there == 0 && mend_one(mender, &id, err) != 0))
			goto out;
	}
	rc = 0;
out:
	object_names_done(&packs);
	object_names_done(&parity);
	return rc;
}

int
repair_packs(struct repository *repo, const struct repair_packs_options *options,
    struct progress *progress, struct repair_packs_result *result, struct error *err)
{
	struct mender mender = { .repo = repo, .options = options, .progress = progress,
		.result = result };
	int rc = -1;

	*result = (struct repair_packs_result){ .damaged = json_array() };
	progress_phase(progress, "packs");
	if (parity_is_available(err) != 0)
		goto out;
	if (options->add_parity && !parity_rule_is_on(&repo->parity)) {
		error_set(err, ERROR_CONFIG, "parity cannot be added: it is off");
		error_hint(err, "say how much with 'parity = 10%%' in [repository]");
		goto out;
	}
	/* Shared: it keeps prune from removing packs while they are written anew. */
	if (options->apply && claim_take(repo, CLAIM_SHARED, "repair", NULL, CLAIM_WAIT_S,
	    progress, &mender.claim, err) != 0)
		goto out;
	if (repository_refresh(repo, err) != 0)
		goto out;
	rc = mend_all(&mender, err);
out:
	claim_release(mender.claim);
	if (rc != 0)
		repair_packs_result_done(result);
	return rc;
}

json_t *
repair_packs_to_json(const struct repair_packs_result *result, bool apply)
{
	return json_pack("{s:b, s:I, s:I, s:I, s:O}", "applied", apply, "packs",
	    (json_int_t)result->packs, "without_parity", (json_int_t)result->without_parity,
	    "parity_added", (json_int_t)result->parity_added, "damaged", result->damaged);
}

void
repair_packs_result_done(struct repair_packs_result *result)
{
	json_decref(result->damaged);
	result->damaged = NULL;
}
