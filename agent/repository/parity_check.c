#include "agent/repository/parity_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

bool
parity_damage_text(const struct parity *parity, char *out, size_t size)
{
	const struct parity_damage *damage = parity_damage_of(parity);
	char blocks[64] = "";

	if (damage->blocks > 0)
		snprintf(blocks, sizeof(blocks), "%u of %u blocks", damage->blocks,
		    parity_parity_blocks(parity_shape_of(parity)));
	snprintf(out, size, "damaged:%s%s%s%s%s", damage->size ? " the length;" : "",
	    damage->header ? " a header;" : "", damage->table ? " a table;" : "",
	    *blocks != '\0' ? " " : "", blocks);
	if (out[strlen(out) - 1] == ';')
		out[strlen(out) - 1] = '\0';
	return damage->size || damage->header || damage->table || damage->blocks > 0;
}

int
parity_check_file(struct repository *repo, const struct object_id *pack, bool read,
    uint64_t *ret_size, struct error *err)
{
	struct parity *parity;
	char text[160];
	int there;

	if (!read)
		return parity_look(repo->storage, repo->keys, pack, ret_size, err);
	there = parity_open(repo->storage, repo->keys, pack, &parity, err);
	if (there != 1)
		return there;
	*ret_size = parity_file_size(parity_shape_of(parity));
	if (parity_verify_blocks(parity, err) != 0)
		there = -1;
	else if (parity_damage_text(parity, text, sizeof(text)))
		there = error_set(err, ERROR_CORRUPT, "parity is %s", text);
	parity_close(parity);
	return there;
}

bool
parity_can_heal(struct repository *repo, const struct object_id *pack)
{
	struct error ignored = ERROR_INIT;
	struct pack_source source;
	struct parity *parity;
	bool can;

	if (parity_open(repo->storage, repo->keys, pack, &parity, &ignored) != 1)
		return false;
	parity_source(parity, &source);
	can = pack_verify(&source, repo->keys, pack, NULL, NULL, NULL, &ignored) == 0;
	parity_close(parity);
	return can;
}

/* Ids end the names, so the names of both folders compare by their ends. */
static int
compare_ids(const void *a, const void *b)
{
	const char *const *one = a, *const *other = b;

	return strcmp(strrchr(*one, '/'), strrchr(*other, '/'));
}

int
parity_orphans(struct repository *repo, struct object_names *ret, struct error *err)
{
	struct object_names packs;
	size_t kept = 0;

	if (object_names_read(repo->storage, PARITY_FOLDER, ret, err) != 0)
		return -1;
	/* Listed after the parity: a pack is there before its parity is. */
	if (object_names_read(repo->storage, "packs", &packs, err) != 0) {
		object_names_done(ret);
		return -1;
	}
	if (packs.count > 0)
		qsort(packs.list, packs.count, sizeof(*packs.list), compare_ids);
	for (size_t i = 0; i < ret->count; i++) {
		struct object_id id;
		bool orphan = parity_name_parse(ret->list[i], &id) != 0 ||
		    ((packs.count == 0 || bsearch(&ret->list[i], packs.list, packs.count,
		        sizeof(*packs.list), compare_ids) == NULL) &&
		    !repository_knows_pack(repo, &id));

		if (orphan)
			ret->list[kept++] = ret->list[i];
		else
			free(ret->list[i]);
	}
	ret->count = kept;
	object_names_done(&packs);
	return 0;
}

int
parity_sweep(struct repository *repo, struct error *err)
{
	struct object_names orphans;
	struct object_id id;
	int rc = 0;

	if (parity_orphans(repo, &orphans, err) != 0)
		return -1;
	/* If interrupted here, the next prune goes on. What is no parity by its name is not ours. */
	for (size_t i = 0; i < orphans.count && rc == 0; i++)
		if (parity_name_parse(orphans.list[i], &id) == 0)
			rc = storage_remove(repo->storage, orphans.list[i], err);
	object_names_done(&orphans);
	return rc;
}
