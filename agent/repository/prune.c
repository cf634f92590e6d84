#include "agent/repository/prune.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/claim.h"
#include "agent/repository/healing.h"
#include "agent/repository/parity_check.h"
#include "agent/repository/prune_internal.h"
#include "agent/repository/scan.h"
#include "agent/repository/sealed_json.h"
#include "agent/repository/snapshot_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* How long the deleting phase waits for backups to end before it is put off to the next prune. */
#define EXCLUSIVE_WAIT_S 5
#define SHARED_WAIT_S 60

struct pack_list {
	struct object_id *ids;
	size_t count, cap;
};

/* By their numbers in repo->packs. */
struct small_packs {
	size_t *numbers;
	size_t count, cap;
};

/* How much of each pack (by its number in repo->packs) is still needed, in plain bytes. */
struct pack_use {
	uint64_t live, total;
	bool marked; /* by an earlier prune */
};

struct prune {
	struct repository *repo;
	const struct prune_options *options;
	struct progress *progress;
	struct prune_result *result;
	struct scan scan;
	struct pack_use *use;
};

static int
problem_ends_prune(void *arg, const char *path, size_t len, const struct blob_id *id,
    const struct error *why, struct error *err)
{
	char *shown = text_printable(path, len);

	(void)arg;
	(void)id;
	error_set(err, ERROR_CORRUPT, "nothing was removed: '%.200s' is damaged: %.200s", shown,
	    why->message);
	error_hint(err, "see what is affected with: holdfastd check --read-data");
	free(shown);
	return -1;
}

static void
bad_snapshot(void *arg, const char *id, const struct error *why)
{
	struct error *first = arg;

	/* That one is of a newer format says more than that another is damaged. */
	if (first->code != ERROR_NONE &&
	    (first->code == ERROR_UNSUPPORTED || why->code != ERROR_UNSUPPORTED))
		return;
	error_set(first, why->code, "nothing was removed: snapshot '%s': %.300s", id, why->message);
	if (why->code == ERROR_UNSUPPORTED)
		error_hint(first, "what it needs is not known here: prune with the newer version");
	else
		error_hint(first, "forget that snapshot, or bring its file back from a copy");
}

/* Scan a snapshot that was forgotten less than the grace period ago: its data is still needed. */
static int
scan_trashed(struct prune *prune, const struct object_id *id, bool *ret_expired,
    struct error *err)
{
	struct snapshot *snapshot = NULL;
	int64_t age_s;
	json_t *json;
	bool met;
	int rc = 0;

	if (sealed_json_read(prune->repo, TRASH_FOLDER, SEAL_TRASH, id, &json, err) != 0)
		return -1;
	age_s = sealed_json_age(json, "trashed", &met);
	if (age_s < 0)
		rc = error_set(err, ERROR_CORRUPT, "trash: 'trashed' is not a time");
	*ret_expired = age_s >= 0 && age_s >= prune->options->grace_s;
	if (met && !*ret_expired && !prune->options->dry_run)
		rc = sealed_json_write(prune->repo, TRASH_FOLDER, SEAL_TRASH, id, json, true, err);
	if (rc == 0 && !*ret_expired)
		rc = snapshot_from_json(json_object_get(json, "snapshot"), &snapshot, err);
	if (rc == 0 && snapshot != NULL)
		rc = scan_snapshot(&prune->scan, snapshot, err);
	snapshot_free(snapshot);
	json_decref(json);
	return rc;
}

static int
scan_trash(struct prune *prune, struct error *err)
{
	struct object_names names;
	struct object_id id;
	int rc = 0;

	if (object_names_read(prune->repo->storage, TRASH_FOLDER, &names, err) != 0)
		return -1;
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		struct error why = ERROR_INIT;
		bool expired = false;

		if (sealed_json_name_parse(names.list[i], TRASH_FOLDER, &id) != 0)
			continue;
		rc = scan_trashed(prune, &id, &expired, &why);
		/* What is damaged in the trash cannot keep prune from its work; what only a newer
		 * version can read may still be brought back by that. */
		if (rc != 0)
			error_clear(err);
		if (rc != 0 && why.code == ERROR_UNSUPPORTED)
			bad_snapshot(err, names.list[i] + strlen(TRASH_FOLDER "/"), &why);
		else if (rc != 0 && why.code == ERROR_CANCELLED)
			*err = why;
		else
			rc = 0;
		if (rc == 0 && expired && !prune->options->dry_run)
			rc = storage_remove(prune->repo->storage, names.list[i], err);
	}
	object_names_done(&names);
	return rc;
}

/* Every blob that a snapshot needs; a damaged snapshot or tree ends the prune. */
static int
find_used(struct prune *prune, struct error *err)
{
	struct error damaged = ERROR_INIT;
	struct keep_decision *decisions;
	struct snapshot **list;
	size_t count;
	int rc = 0;

	if (snapshot_list(prune->repo, &list, &count, bad_snapshot, &damaged, err) != 0)
		return -1;
	/* In a dry run, what would be forgotten counts as forgotten. */
	decisions = keep_decide(prune->options->policy, list, count);
	if (damaged.code != ERROR_NONE) {
		*err = damaged;
		rc = -1;
	}
	scan_done(&prune->scan);
	scan_init(&prune->scan, prune->repo, prune->progress);
	prune->scan.problem = problem_ends_prune;
	for (size_t i = 0; i < count && rc == 0; i++)
		if (decisions[i].keep || !prune->options->dry_run ||
		    prune->options->part == PRUNE_REMOVE)
			rc = scan_snapshot(&prune->scan, list[i], err);
	if (rc == 0)
		rc = scan_trash(prune, err);
	keep_decisions_free(decisions, count);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return rc;
}

/* Fill prune->use.  A blob that lies in several packs is live only where the index leads to. */
static void
count_use(struct prune *prune)
{
	struct repository *repo = prune->repo;

	free(prune->use);
	prune->use = mem_calloc(repo->pack_count, sizeof(*prune->use));
	pthread_rwlock_rdlock(&repo->lock);
	for (size_t f = 0; f < repo->frame_count; f++)
		if (!repo->frames[f].again)
			prune->use[repo->frames[f].pack].total += repo->frames[f].plain_len;
	for (uint32_t n = 0; n < repo->table.count; n++) {
		struct blob_location at;
		struct blob_id id;

		blob_table_get(&repo->table, n, &id, &at);
		if (blob_table_find(&prune->scan.used, &id, NULL) == 1)
			prune->use[repo->frames[at.frame].pack].live += at.len;
	}
	for (size_t p = 0; p < repo->pack_count; p++)
		prune->use[p].marked = repo->packs[p].marked;
	pthread_rwlock_unlock(&repo->lock);
}

/* So much of it is dead, or all, that it is not kept as it is. */
static bool
is_sparse(const struct prune *prune, size_t pack)
{
	const struct pack_use *use = &prune->use[pack];

	return use->live == 0 || (use->total - use->live) * 100 >=
	    use->total * prune->options->rewrite_percent;
}

/* Packs that may be removed, or rewritten without what is dead there, by their use so far. */
static bool *
find_endangered(const struct prune *prune)
{
	const struct repository *repo = prune->repo;
	bool *endangered = mem_calloc(repo->pack_count, sizeof(*endangered));

	for (size_t p = 0; p < repo->pack_count; p++)
		endangered[p] = prune->use[p].marked || is_sparse(prune, p) ||
		    repo->packs[p].size < PRUNE_SMALL_PACK;
	return endangered;
}

/*
 * Of a blob that lies in several packs all copies but one go in time, and the one that stays must
 * not be the damaged one. So before anything is held to be dead whose copy lives elsewhere, that
 * copy is read.
 */
static int
settle_use(struct prune *prune, struct error *err)
{
	uint8_t *states = mem_calloc(prune->repo->frame_count, sizeof(*states));
	int changed;

	do {
		bool *endangered;

		count_use(prune);
		endangered = find_endangered(prune);
		changed = repository_prefer_readable(prune->repo, &prune->scan.used, endangered,
		    states, prune->progress, err);
		free(endangered);
	} while (changed > 0);
	free(states);
	return changed;
}

static int
refuse_bad_index(struct repository *repo, struct error *err)
{
	for (size_t i = 0; i < repo->bad_file_count; i++) {
		struct error why = ERROR_INIT;
		struct index_file *file;

		if (index_read_header(repo->storage, repo->keys, &repo->bad_files[i], &file,
		    &why) == 0) {
			index_file_free(file);
		} else if (why.code == ERROR_UNSUPPORTED) {
			*err = why;
			return error_prefix(err, "nothing was removed: ");
		}
	}
	error_set(err, ERROR_CORRUPT, "nothing was removed: an index file is damaged");
	return error_hint(err, "see which with: holdfastd check");
}

/* Read index, marks and snapshots anew, and find out what each pack is needed for. */
static int
survey(struct prune *prune, struct error *err)
{
	struct repository *repo = prune->repo;

	progress_phase(prune->progress, "survey");
	repository_trim(repo);
	if (repository_refresh(repo, err) != 0)
		return -1;
	if (repo->bad_file_count > 0)
		return refuse_bad_index(repo, err);
	if (repository_note_missing(repo, err) != 0 ||
	    repository_load_unindexed(repo, err) != 0 || prune_load_marks(repo, err) != 0 ||
	    repository_load_index(repo, err) != 0 || find_used(prune, err) != 0)
		return -1;
	return settle_use(prune, err);
}

static ssize_t
find_pack(const struct repository *repo, const struct object_id *id)
{
	for (size_t p = 0; p < repo->pack_count; p++)
		if (memcmp(&repo->packs[p].id, id, sizeof(*id)) == 0)
			return (ssize_t)p;
	return -1;
}

static bool
in_list(const struct object_id *list, size_t count, const struct object_id *id)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(&list[i], id, sizeof(*id)) == 0)
			return true;
	return false;
}

/* If an index file covers one of the packs, write one without them in its place. */
static int
replace_index(struct repository *repo, const char *name, const struct object_id *packs,
    size_t count, struct error *err)
{
	struct pack_directory **kept;
	struct index_file *file;
	struct object_id id;
	size_t kept_count = 0;
	bool affected = false;
	int rc = 0;

	if (index_name_parse(name, &id) != 0)
		return 0;
	if (index_read_header(repo->storage, repo->keys, &id, &file, err) != 0)
		return -1;
	kept = mem_calloc(file->pack_count, sizeof(*kept));
	for (size_t p = 0; p < file->pack_count; p++)
		affected = affected || in_list(packs, count, &file->packs[p].id);
	for (size_t p = 0; p < file->pack_count && affected && rc == 0; p++) {
		if (in_list(packs, count, &file->packs[p].id))
			continue;
		rc = repository_read_directory(repo, &file->packs[p].id, &kept[kept_count], err);
		/* A writer that lost its claim may have indexed what was removed meanwhile. */
		if (rc != 0 && err->code == ERROR_NOT_FOUND)
			rc = 0;
		else if (rc == 0)
			kept_count++;
	}
	if (rc == 0 && affected && kept_count > 0)
		rc = index_write(repo->storage, repo->keys, kept, kept_count, &id, err);
	/* If interrupted here, both files are there and say the same of the packs that stay. */
	if (rc == 0 && affected)
		rc = storage_remove(repo->storage, name, err);
	for (size_t p = 0; p < kept_count; p++)
		pack_directory_free(kept[p]);
	free(kept);
	index_file_free(file);
	return rc;
}

/* Remove packs for good: from the index first, then themselves.  Needs the exclusive claim. */
static int
remove_packs(struct prune *prune, const struct object_id *packs, size_t count,
    struct error *err)
{
	struct repository *repo = prune->repo;
	struct object_names names;
	char name[PACK_NAME_SIZE], parity[PARITY_NAME_SIZE];
	int rc = 0;

	if (object_names_read(repo->storage, "index", &names, err) != 0)
		return -1;
	for (size_t i = 0; i < names.count && rc == 0; i++)
		rc = replace_index(repo, names.list[i], packs, count, err);
	object_names_done(&names);
	/* If interrupted here, the packs are in no index; the next prune finds them without use. */
	for (size_t i = 0; i < count && rc == 0; i++) {
		ssize_t p = find_pack(repo, &packs[i]);

		pack_name(&packs[i], name);
		rc = storage_remove(repo->storage, name, err);
		/* If interrupted here, its parity is left over; parity_sweep() finds it. */
		parity_name(&packs[i], parity);
		if (rc == 0)
			rc = storage_remove(repo->storage, parity, err);
		if (rc == 0 && p >= 0) {
			prune->result->packs_removed++;
			prune->result->bytes_removed += repo->packs[p].size;
		}
	}
	return rc;
}

static bool
is_due(const struct prune *prune, const struct mark *mark)
{
	return mark->age_s >= prune->options->grace_s;
}

/* Remove the packs of all marks that are due, but those that came into use again. */
static int
delete_due(struct prune *prune, const struct marks *marks, struct claim *claim,
    struct error *err)
{
	struct object_id *packs = NULL;
	size_t count = 0, cap = 0;
	int rc;

	for (size_t m = 0; m < marks->count; m++) {
		if (!is_due(prune, &marks->list[m]))
			continue;
		for (size_t i = 0; i < marks->list[m].pack_count; i++) {
			ssize_t p = find_pack(prune->repo, &marks->list[m].packs[i]);

			if (p < 0 || prune->use[p].live > 0)
				continue;
			MEM_GROW(packs, count, cap);
			packs[count++] = marks->list[m].packs[i];
		}
	}
	rc = claim_check(claim, err);
	if (rc == 0 && count > 0)
		rc = remove_packs(prune, packs, count, err);
	for (size_t m = 0; m < marks->count && rc == 0; m++)
		if (is_due(prune, &marks->list[m]))
			rc = mark_remove(prune->repo, &marks->list[m].id, err);
	free(packs);
	return rc;
}

/* The deleting phase.  Put off, with a note, if the repository is in use. */
static int
delete_phase(struct prune *prune, struct error *err)
{
	struct claim *claim = NULL;
	struct error busy = ERROR_INIT;
	struct marks marks;
	bool due = false;
	int rc;

	if (marks_read(prune->repo, &marks, err) != 0)
		return -1;
	rc = 0;
	for (size_t m = 0; m < marks.count && rc == 0; m++) {
		due = due || is_due(prune, &marks.list[m]);
		if (marks.list[m].met && !prune->options->dry_run)
			rc = mark_meet(prune->repo, &marks.list[m].id, err);
	}
	if (rc != 0 || !due || prune->options->dry_run)
		goto out;
	if (claim_take(prune->repo, CLAIM_EXCLUSIVE, "prune", NULL, EXCLUSIVE_WAIT_S,
	    prune->progress, &claim, &busy) != 0) {
		if (busy.code != ERROR_CLAIMED) {
			*err = busy;
			rc = -1;
		} else {
			progress_note(prune->progress, "", 0,
			    "removing was put off to the next prune: %s", busy.message);
		}
		goto out;
	}
	rc = survey(prune, err);
	progress_phase(prune->progress, "remove");
	if (rc == 0)
		rc = delete_due(prune, &marks, claim, err);
out:
	claim_release(claim);
	marks_done(&marks);
	return rc;
}

/* What a pack gives back once its dead blobs are gone; by their share, as nobody knows more
 * before it is rewritten. */
static uint64_t
dead_bytes(const struct prune *prune, size_t pack)
{
	const struct pack_use *use = &prune->use[pack];
	uint64_t size = prune->repo->packs[pack].size;

	if (use->live == 0)
		return size;
	return (uint64_t)((double)size * (double)(use->total - use->live) / (double)use->total);
}

static void
mark_one(struct prune *prune, struct pack_list *list, size_t pack)
{
	MEM_GROW(list->ids, list->count, list->cap);
	list->ids[list->count++] = prune->repo->packs[pack].id;
	prune->result->packs_marked++;
	prune->result->bytes_marked += prune->repo->packs[pack].size;
	prune->result->bytes_to_free += dead_bytes(prune, pack);
}

static int
compare_sizes(const void *a, const void *b, void *arg)
{
	const struct repository *repo = arg;
	uint64_t one = repo->packs[*(const size_t *)a].size;
	uint64_t other = repo->packs[*(const size_t *)b].size;

	return one < other ? -1 : one > other;
}

/* Of the small packs of one kind, those that are stored again together. */
static void
join_small(struct prune *prune, const struct small_packs *small, struct pack_list *list)
{
	uint64_t *sizes = mem_calloc(small->count, sizeof(*sizes));
	size_t count;

	if (small->count > 0)
		qsort_r(small->numbers, small->count, sizeof(*small->numbers), compare_sizes,
		    prune->repo);
	for (size_t i = 0; i < small->count; i++)
		sizes[i] = prune->repo->packs[small->numbers[i]].size;
	count = prune_count_to_join(sizes, small->count, prune->options->join_packs);
	for (size_t i = 0; i < count; i++)
		mark_one(prune, list, small->numbers[i]);
	prune->result->packs_joined += count;
	free(sizes);
}

/* Packs without use; and those that are to be rewritten, because much of them is dead or because
 * there are many small ones. */
static void
choose_packs(struct prune *prune, struct pack_list *dead, struct pack_list *rewritten)
{
	const struct repository *repo = prune->repo;
	struct small_packs small[PACK_KIND_COUNT] = { { .count = 0 } };

	for (size_t p = 0; p < repo->pack_count; p++) {
		const struct pack_use *use = &prune->use[p];
		struct small_packs *kind = &small[repo->packs[p].kind];

		if (use->marked && use->live == 0)
			prune->result->bytes_to_free += repo->packs[p].size;
		/* Of what is lost, nothing can be rewritten. */
		if (use->marked || (repo->packs[p].bad && use->live > 0))
			continue;
		if (use->live == 0) {
			mark_one(prune, dead, p);
		} else if (is_sparse(prune, p)) {
			mark_one(prune, rewritten, p);
			prune->result->packs_rewritten++;
		} else if (repo->packs[p].size < PRUNE_SMALL_PACK) {
			MEM_GROW(kind->numbers, kind->count, kind->cap);
			kind->numbers[kind->count++] = p;
		}
	}
	for (unsigned kind = 0; kind < PACK_KIND_COUNT; kind++) {
		join_small(prune, &small[kind], rewritten);
		free(small[kind].numbers);
	}
}

/* The marking phase. */
static int
mark_phase(struct prune *prune, struct error *err)
{
	struct pack_list dead = { NULL, 0, 0 }, rewritten = { NULL, 0, 0 };
	struct repository *repo = prune->repo;
	int rc = 0;

	if (survey(prune, err) != 0)
		return -1;
	choose_packs(prune, &dead, &rewritten);
	if (prune->options->dry_run)
		goto out;
	if (dead.count > 0)
		rc = mark_write(repo, dead.ids, dead.count, err);
	if (rc == 0 && rewritten.count > 0)
		rc = mark_write(repo, rewritten.ids, rewritten.count, err);
	/* If interrupted here, marked packs hold live blobs; before they go that is seen. */
	if (rc == 0 && rewritten.count > 0)
		rc = prune_rewrite(repo, &prune->scan.used, rewritten.ids, rewritten.count,
		    prune->progress, err);
out:
	free(dead.ids);
	free(rewritten.ids);
	return rc;
}

/* Apply the keep rules; what they do not keep moves to the trash. */
static int
forget_phase(struct prune *prune, struct error *err)
{
	struct error bad = ERROR_INIT;
	struct keep_decision *decisions;
	struct snapshot **list;
	size_t count;
	int rc = 0;

	if (snapshot_list(prune->repo, &list, &count, bad_snapshot, &bad, err) != 0)
		return -1;
	/* One of a newer format may count for the rules, too. */
	if (bad.code == ERROR_UNSUPPORTED) {
		*err = bad;
		rc = -1;
	}
	decisions = keep_decide(prune->options->policy, list, count);
	for (size_t i = 0; i < count && rc == 0; i++) {
		char time[TIME_TEXT_SIZE];
		json_t *sources = json_array();

		time_format(list[i]->time, 0, time);
		for (size_t s = 0; s < list[i]->source_count; s++)
			json_array_append_new(sources, json_string(list[i]->sources[s]));
		json_array_append_new(prune->result->snapshots, json_pack(
		    "{s:s, s:s, s:s, s:s?, s:o, s:b, s:s?, s:O}", "id", list[i]->id, "time",
		    time, "host", list[i]->host, "job", list[i]->job, "sources", sources, "keep",
		    decisions[i].keep, "rule", decisions[i].origin, "reasons",
		    decisions[i].reasons));
		if (decisions[i].keep)
			continue;
		prune->result->forgotten++;
		if (!prune->options->dry_run)
			rc = snapshot_remove(prune->repo, list[i]->id, err);
	}
	keep_decisions_free(decisions, count);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return rc;
}

int
prune_run(struct repository *repo, const struct prune_options *options,
    struct progress *progress, struct prune_result *result, struct error *err)
{
	const struct keep_row all = { .keep = options->keep, .origin = KEEP_ORIGIN_REQUEST };
	const struct keep_policy given = { &all, 1 };
	struct prune_options chosen = *options;
	struct prune prune = { .repo = repository_view(repo), .options = &chosen,
		.progress = progress, .result = result };
	struct claim *claim = NULL;
	int rc = -1;

	if (chosen.rewrite_percent == 0)
		chosen.rewrite_percent = PRUNE_REWRITE_DEFAULT;
	if (chosen.policy == NULL)
		chosen.policy = &given;
	memset(result, 0, sizeof(*result));
	result->snapshots = json_array();
	scan_init(&prune.scan, prune.repo, progress);
	progress_phase(progress, "forget");
	if (chosen.part != PRUNE_REMOVE && forget_phase(&prune, err) != 0)
		goto out;
	if (chosen.part == PRUNE_FORGET) {
		rc = 0;
		goto out;
	}
	if (delete_phase(&prune, err) != 0)
		goto out;
	/* Rewriting stores, so it holds the claim that storing needs. */
	if (!options->dry_run &&
	    claim_take(prune.repo, CLAIM_SHARED, "prune", NULL, SHARED_WAIT_S, progress, &claim,
	    err) != 0)
		goto out;
	if (mark_phase(&prune, err) != 0)
		goto out;
	if (!options->dry_run && parity_sweep(prune.repo, err) != 0)
		goto out;
	claim_release(claim);
	claim = NULL;
	/* Without a grace period the marks are due at once. */
	if (options->grace_s == 0 && result->packs_marked > 0 && delete_phase(&prune, err) != 0)
		goto out;
	rc = 0;
out:
	claim_release(claim);
	scan_done(&prune.scan);
	free(prune.use);
	repository_close(prune.repo);
	if (rc != 0)
		prune_result_done(result);
	return rc;
}

void
prune_result_done(struct prune_result *result)
{
	json_decref(result->snapshots);
	result->snapshots = NULL;
}
