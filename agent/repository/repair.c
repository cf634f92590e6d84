#include "agent/repository/repair.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/check_internal.h"
#include "agent/repository/claim.h"
#include "agent/repository/healing.h"
#include "agent/repository/snapshot_internal.h"
#include "agent/repository/tree.h"
#include "agent/repository/tree_builder.h"
#include "agent/repository/writer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define CLAIM_WAIT_S 60
/* So many lost paths of one snapshot are named. */
#define LOST_NAMED_MAX 1000
/* One index file covers at most so many packs, so that memory is bounded: about 100 bytes a
 * blob. */
#define PACKS_PER_INDEX 512

/* ---- index */

static int
write_part(struct repository *repo, struct pack_directory **directories, size_t *count,
    struct repair_result *result, bool apply, struct error *err)
{
	struct object_id id;
	int rc = 0;

	for (size_t i = 0; i < *count; i++)
		result->blobs += directories[i]->blob_count;
	result->packs += *count;
	if (apply && *count > 0)
		rc = index_write(repo->storage, repo->keys, directories, *count, &id, err);
	for (size_t i = 0; i < *count; i++)
		pack_directory_free(directories[i]);
	*count = 0;
	return rc;
}

/* Packs that are there but whose directory cannot be read: an index file may still know them. */
struct unreadable {
	struct object_id *list;
	size_t count, cap;
};

static void
note_unreadable(struct unreadable *unreadable, const struct object_id *id, const char *name,
    const struct error *why, struct progress *progress, struct repair_result *result)
{
	MEM_GROW(unreadable->list, unreadable->count, unreadable->cap);
	unreadable->list[unreadable->count++] = *id;
	progress_loss(progress, name, strlen(name), "%s", why->message);
	json_array_append_new(result->unreadable, json_pack("{s:s, s:s}", "pack", name, "problem",
	    why->message));
}

/* Whether an older index file tells where the blobs of an unreadable pack lie: it must stay. */
static bool
is_still_needed(struct repository *repo, const char *name, const struct unreadable *unreadable)
{
	struct index_file *file = NULL;
	struct error why = ERROR_INIT;
	struct object_id id;
	bool needed = false;

	if (index_name_parse(name, &id) != 0)
		return false;
	/* Of one that only a newer version can read nobody here knows what it tells. */
	if (index_read_header(repo->storage, repo->keys, &id, &file, &why) != 0)
		return why.code == ERROR_UNSUPPORTED;
	for (size_t p = 0; p < file->pack_count && !needed; p++)
		for (size_t u = 0; u < unreadable->count && !needed; u++)
			needed = memcmp(&file->packs[p].id, &unreadable->list[u],
			    sizeof(unreadable->list[u])) == 0;
	index_file_free(file);
	return needed;
}

static int
index_packs(struct repository *repo, const struct object_names *packs, bool apply,
    struct progress *progress, struct unreadable *unreadable, struct repair_result *result,
    struct error *err)
{
	struct pack_directory *directories[PACKS_PER_INDEX];
	size_t count = 0;
	int rc = 0;

	for (size_t i = 0; i < packs->count && rc == 0; i++) {
		struct error why = ERROR_INIT;
		struct object_id id;

		rc = progress_check(progress, err);
		if (rc != 0 || pack_name_parse(packs->list[i], &id) != 0)
			continue;
		if (repository_read_directory(repo, &id, &directories[count], &why) != 0) {
			note_unreadable(unreadable, &id, packs->list[i], &why, progress,
			    result);
			continue;
		}
		if (++count == PACKS_PER_INDEX)
			rc = write_part(repo, directories, &count, result, apply, err);
	}
	if (rc == 0)
		rc = write_part(repo, directories, &count, result, apply, err);
	for (size_t i = 0; i < count; i++)
		pack_directory_free(directories[i]);
	return rc;
}

/* The older index files go, but for those that are still needed. */
static int
remove_old(struct repository *repo, const struct object_names *old,
    const struct unreadable *unreadable, bool apply, struct repair_result *result,
    struct error *err)
{
	for (size_t i = 0; i < old->count; i++) {
		if (is_still_needed(repo, old->list[i], unreadable))
			continue;
		/* If interrupted here, old and new index files say the same of every readable
		 * pack. */
		if (apply && storage_remove(repo->storage, old->list[i], err) != 0)
			return -1;
		result->index_files_removed++;
	}
	return 0;
}

int
repair_index(struct repository *repo, bool apply, struct progress *progress,
    struct repair_result *result, struct error *err)
{
	struct object_names packs = { 0 }, old = { 0 };
	struct unreadable unreadable = { NULL, 0, 0 };
	struct claim *claim = NULL;
	int rc = -1;

	*result = (struct repair_result){ .unreadable = json_array(), .snapshots = json_array() };
	progress_phase(progress, "index");
	/* Exclusive: a backup would index its packs while their older index files are removed. */
	if (apply && claim_take(repo, CLAIM_EXCLUSIVE, "repair", NULL, CLAIM_WAIT_S, progress,
	    &claim, err) != 0)
		goto out;
	if (object_names_read(repo->storage, "index", &old, err) != 0 ||
	    object_names_read(repo->storage, "packs", &packs, err) != 0 ||
	    index_packs(repo, &packs, apply, progress, &unreadable, result, err) != 0 ||
	    (apply && claim_check(claim, err) != 0) ||
	    remove_old(repo, &old, &unreadable, apply, result, err) != 0)
		goto out;
	if (apply)
		repository_trim(repo);
	rc = 0;
out:
	claim_release(claim);
	free(unreadable.list);
	object_names_done(&packs);
	object_names_done(&old);
	if (rc != 0)
		repair_result_done(result);
	return rc;
}

/* ---- snapshots */

struct repair {
	struct check check;
	struct scan scan;     /* knows which parts of trees are whole */
	struct writer *writer;
	uint64_t files, directories, others, bytes; /* copied of the snapshot at hand */
	struct repair_result *result;
	json_t *lost;         /* of the snapshot at hand */
	uint64_t lost_total;
	char *last_lost;      /* a file may lack many blobs, and is lost once */
};

static int
count_loss(void *arg, const char *path, size_t len, const struct blob_id *id,
    const struct error *why, struct error *err)
{
	struct repair *repair = arg;
	char *shown = text_printable(len > 0 ? path : "/", len > 0 ? len : 1);

	(void)id;
	(void)why;
	(void)err;
	if (repair->last_lost != NULL && strcmp(repair->last_lost, shown) == 0) {
		free(shown);
		return 0;
	}
	if (json_array_size(repair->lost) < LOST_NAMED_MAX)
		json_array_append_new(repair->lost, json_string(shown));
	repair->lost_total++;
	progress_loss(repair->check.progress, len > 0 ? path : "/", len > 0 ? len : 1,
	    "lost in the repository");
	free(repair->last_lost);
	repair->last_lost = shown;
	return 0;
}

static int
blob_unusable(void *arg, const struct blob_id *id, const struct blob_place *place,
    struct error *why)
{
	struct repair *repair = arg;

	return check_blob_unusable(&repair->check, id, place, why);
}

/* One directory of the damaged snapshot and its copy. */
struct copy_frame {
	struct blob_id *parts;
	size_t part_count, part;
	struct entry *entries;
	size_t count, next;
	char *last; /* the name copied last; the next one must follow */
	struct tree_dir *dir;
};

struct copy_stack {
	struct copy_frame *frames;
	size_t depth, cap;
};

static void
copy_push(struct copy_stack *stack, const struct blob_id *parts, size_t count,
    struct tree_dir *dir)
{
	MEM_GROW(stack->frames, stack->depth, stack->cap);
	stack->frames[stack->depth++] = (struct copy_frame){
		.parts = mem_dup(parts, count * sizeof(*parts)), .part_count = count, .dir = dir };
}

static void
copy_pop(struct copy_stack *stack)
{
	struct copy_frame *frame = &stack->frames[--stack->depth];

	tree_entries_free(frame->entries, frame->count);
	free(frame->last);
	free(frame->parts);
	tree_dir_end(frame->dir);
}

/* The next part that can be read; those that cannot are gone with all below them. */
static void
copy_enter_part(struct repair *repair, struct copy_frame *frame)
{
	const struct blob_id *id = &frame->parts[frame->part++];
	struct blob_view view;
	struct error why = ERROR_INIT;
	size_t number;

	tree_entries_free(frame->entries, frame->count);
	frame->entries = NULL;
	frame->count = frame->next = 0;
	if (check_blob_lost(&repair->check, id, &number) == 1 ||
	    repository_read_blob(repair->check.repo, BLOB_TREE, id, &view, &why) != 0)
		return;
	if (tree_decode(view.data, view.len, &frame->entries, &frame->count, &why) != 0) {
		frame->entries = NULL;
		frame->count = 0;
	}
	blob_release(&view);
}

/* Names hold no NUL, so texts compare as bytes do. */
static bool
follows(struct copy_frame *frame, const struct entry *entry)
{
	if (frame->last != NULL && strcmp(frame->last, entry->name) >= 0)
		return false;
	free(frame->last);
	frame->last = mem_strdup(entry->name);
	return true;
}

static void
copy_entry(struct repair *repair, struct copy_stack *stack, struct entry *entry)
{
	struct copy_frame *frame = &stack->frames[stack->depth - 1];
	struct tree_slot *slot;

	/* Lost files, and names that are there already, are left out; the scan has named them. */
	if ((entry->kind == ENTRY_FILE && !scan_is_whole(&repair->scan, entry)) ||
	    !follows(frame, entry))
		return;
	slot = tree_dir_add(frame->dir, entry->name, entry->name_len);
	entry_done(&slot->entry);
	entry_copy(&slot->entry, entry);
	repair->files += entry->kind == ENTRY_FILE;
	repair->bytes += entry->kind == ENTRY_FILE ? entry->size : 0;
	if (entry->kind != ENTRY_DIRECTORY) {
		repair->others += entry->kind != ENTRY_FILE;
		tree_slot_finish(slot, true);
		return;
	}
	repair->directories++;
	free(slot->entry.content);
	slot->entry.content = NULL;
	slot->entry.content_count = 0;
	copy_push(stack, entry->content, entry->content_count,
	    tree_dir_begin(repair->writer, slot));
}

/* All that is left of a tree, as a new tree. */
static int
copy_tree(struct repair *repair, const struct snapshot *snapshot, struct tree_roots *roots,
    struct error *err)
{
	struct copy_stack stack = { NULL, 0, 0 };
	int rc = 0;

	copy_push(&stack, snapshot->roots, snapshot->root_count,
	    tree_dir_begin_root(repair->writer, roots));
	while (rc == 0 && stack.depth > 0) {
		struct copy_frame *frame = &stack.frames[stack.depth - 1];

		rc = progress_check(repair->check.progress, err);
		if (rc != 0)
			break;
		if (frame->next < frame->count)
			copy_entry(repair, &stack, &frame->entries[frame->next++]);
		else if (frame->part < frame->part_count)
			copy_enter_part(repair, frame);
		else
			copy_pop(&stack);
	}
	while (stack.depth > 0)
		copy_pop(&stack);
	free(stack.frames);
	return rc;
}

/* The lost paths join the losses that the snapshot had. */
static void
add_losses(struct snapshot *snapshot, const json_t *lost, uint64_t lost_total)
{
	const json_t *path;
	size_t i, had = snapshot->loss_count;

	snapshot->losses = mem_realloc(snapshot->losses, had + json_array_size(lost),
	    sizeof(*snapshot->losses));
	json_array_foreach(lost, i, path) {
		struct snapshot_loss *loss = &snapshot->losses[snapshot->loss_count++];

		loss->path = mem_strdup(json_string_value(path));
		loss->reason = mem_strdup("lost in the repository; left out by repair");
	}
	snapshot->loss_total += lost_total;
	snapshot->warn = true;
}

static int
replace_snapshot(struct repair *repair, struct snapshot *snapshot, struct claim *claim,
    char ret_id[SNAPSHOT_ID_TEXT_SIZE], struct error *err)
{
	struct repository *repo = repair->check.repo;
	struct writer_options how = { .progress = repair->check.progress };
	struct tree_roots roots = { NULL, 0, false };
	struct writer_totals totals;
	struct error why = ERROR_INIT;
	int rc;

	if (writer_begin(repo, &how, &repair->writer, err) != 0)
		return -1;
	repair->files = repair->directories = repair->others = repair->bytes = 0;
	if (copy_tree(repair, snapshot, &roots, &why) != 0)
		writer_fail(repair->writer, &why);
	rc = writer_finish(repair->writer, &totals, err);
	repair->writer = NULL;
	if (rc != 0) {
		free(roots.parts);
		return -1;
	}
	free(snapshot->roots);
	snapshot->roots = roots.parts;
	snapshot->root_count = roots.count;
	snapshot->files = repair->files;
	snapshot->directories = repair->directories;
	snapshot->others = repair->others;
	snapshot->bytes = repair->bytes;
	add_losses(snapshot, repair->lost, repair->lost_total);
	free(snapshot->parent);
	snapshot->parent = mem_strdup(snapshot->id);
	if (claim_check(claim, err) != 0 || snapshot_replace(repo, snapshot, err) != 0)
		return -1;
	memcpy(ret_id, snapshot->id, SNAPSHOT_ID_TEXT_SIZE);
	return 0;
}

static int
repair_one(struct repair *repair, struct snapshot *snapshot, bool apply, struct claim *claim,
    struct repair_result *result, struct error *err)
{
	char replacement[SNAPSHOT_ID_TEXT_SIZE] = "", id[SNAPSHOT_ID_TEXT_SIZE];
	int rc;

	memcpy(id, snapshot->id, sizeof(id));
	repair->lost = json_array();
	repair->lost_total = 0;
	rc = scan_snapshot(&repair->scan, snapshot, err);
	if (rc == 0 && repair->lost_total > 0 && apply)
		rc = replace_snapshot(repair, snapshot, claim, replacement, err);
	if (rc == 0 && repair->lost_total > 0)
		json_array_append_new(result->snapshots, json_pack("{s:s, s:s*, s:O, s:I}", "id",
		    id, "replacement", apply ? replacement : NULL, "lost", repair->lost,
		    "lost_total", (json_int_t)repair->lost_total));
	json_decref(repair->lost);
	free(repair->last_lost);
	repair->last_lost = NULL;
	return rc;
}

/* What is missing here may be in packs that only a newer version can read: nothing is lost for
 * sure. */
static int
refuse_newer(const struct repair *repair, struct error *err)
{
	if (repair->check.newer.code == ERROR_NONE)
		return 0;
	*err = repair->check.newer;
	return error_prefix(err, "nothing was repaired: ");
}

/* Of a snapshot that cannot be read nothing can be saved; but it is not passed over. */
static void
snapshot_unreadable(void *arg, const char *id, const struct error *why)
{
	struct repair *repair = arg;

	progress_loss(repair->check.progress, id, strlen(id), "%s", why->message);
	json_array_append_new(repair->result->unreadable, json_pack("{s:s, s:s}", "snapshot", id,
	    "problem", why->message));
}

int
repair_snapshots(struct repository *repo, bool apply, bool read_data,
    struct progress *progress, struct repair_result *result, struct error *err)
{
	struct check_options options = { .read_data = read_data };
	struct check_result found;
	struct repair repair = { .result = result };
	struct snapshot **list = NULL;
	struct claim *claim = NULL;
	size_t count = 0;
	int rc = -1;

	*result = (struct repair_result){ .unreadable = json_array(), .snapshots = json_array() };
	check_begin(&repair.check, repo, &options, progress, &found);
	scan_init(&repair.scan, repair.check.repo, progress);
	repair.scan.problem = count_loss;
	repair.scan.unusable = blob_unusable;
	repair.scan.arg = &repair;
	if (apply && claim_take(repo, CLAIM_SHARED, "repair", NULL, CLAIM_WAIT_S, progress,
	    &claim, err) != 0)
		goto out;
	if (check_find_bad(&repair.check, err) != 0 || refuse_newer(&repair, err) != 0 ||
	    check_avoid_bad_packs(&repair.check, err) != 0 ||
	    snapshot_list(repo, &list, &count, snapshot_unreadable, &repair, err) != 0)
		goto out;
	progress_phase(progress, "snapshots");
	for (size_t i = 0; i < count; i++)
		if (repair_one(&repair, list[i], apply, claim, result, err) != 0)
			goto out;
	rc = 0;
out:
	claim_release(claim);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	scan_done(&repair.scan);
	check_end(&repair.check);
	check_result_done(&found);
	if (rc != 0)
		repair_result_done(result);
	return rc;
}

json_t *
repair_result_to_json(const struct repair_result *result, bool apply)
{
	return json_pack("{s:b, s:I, s:I, s:I, s:O, s:O}", "applied", apply, "packs",
	    (json_int_t)result->packs, "blobs", (json_int_t)result->blobs, "index_files_removed",
	    (json_int_t)result->index_files_removed, "unreadable", result->unreadable, "snapshots",
	    result->snapshots);
}

void
repair_result_done(struct repair_result *result)
{
	json_decref(result->unreadable);
	json_decref(result->snapshots);
	result->unreadable = result->snapshots = NULL;
}
