#include "agent/repository/find.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

/* One directory on the way down, at one of its parts. */
struct find_frame {
	struct blob_id *parts;
	size_t part_count, part;
	struct entry *entries; /* of the part at hand; NULL before it is read */
	size_t count, next;
	size_t path_len;
	bool matched;          /* something in or below the part at hand matches */
	bool any;              /* the same of the parts before */
};

struct find {
	struct repository *repo;
	const char *pattern;
	bool glob, whole_path;
	struct blob_table barren; /* parts without a match in or below them */
	struct buffer path;
	struct find_frame *frames;
	size_t depth, cap;
};

static bool
matches(struct find *find, const struct entry *entry)
{
	const char *text = find->whole_path ? buffer_text(&find->path) : entry->name;

	if (find->glob)
		return fnmatch(find->pattern, text, find->whole_path ? FNM_PATHNAME : 0) == 0;
	return strstr(text, find->pattern) != NULL;
}

static void
push(struct find *find, const struct blob_id *parts, size_t count)
{
	MEM_GROW(find->frames, find->depth, find->cap);
	find->frames[find->depth++] = (struct find_frame){
		.parts = mem_dup(parts, count * sizeof(*parts)), .part_count = count,
		.path_len = find->path.len };
}

static void
leave_part(struct find *find, struct find_frame *frame)
{
	static const struct blob_location nowhere = { 0, 0, 0 };

	/* Where a part lies matters when whole paths are compared. */
	if (!frame->matched && !find->whole_path)
		blob_table_insert(&find->barren, &frame->parts[frame->part], &nowhere, 0);
	frame->any |= frame->matched;
	frame->matched = false;
	tree_entries_free(frame->entries, frame->count);
	frame->entries = NULL;
	frame->count = frame->next = 0;
	frame->part++;
}

static void
pop(struct find *find)
{
	struct find_frame *frame = &find->frames[--find->depth];
	bool any = frame->any || frame->matched;

	tree_entries_free(frame->entries, frame->count);
	free(frame->parts);
	if (find->depth > 0)
		find->frames[find->depth - 1].matched |= any;
}

static int
enter_part(struct find *find, struct find_frame *frame, struct error *err)
{
	const struct blob_id *id = &frame->parts[frame->part];
	struct blob_view view;
	int rc;

	if (blob_table_find(&find->barren, id, NULL) == 1) {
		frame->part++;
		return 0;
	}
	if (repository_read_blob(find->repo, BLOB_TREE, id, &view, err) != 0)
		return -1;
	rc = tree_decode(view.data, view.len, &frame->entries, &frame->count, err);
	blob_release(&view);
	return rc;
}

/* 0 go on, 1 the caller has enough, -1 error. */
static int
step(struct find *find, const struct snapshot *snapshot,
    int (*each)(void *arg, const struct snapshot *snapshot, const char *path, size_t len,
    const struct entry *entry, struct error *err), void *arg, struct error *err)
{
	struct find_frame *frame = &find->frames[find->depth - 1];
	const struct entry *entry;
	int rc = 0;

	if (frame->entries == NULL) {
		if (frame->part == frame->part_count) {
			pop(find);
			return 0;
		}
		return enter_part(find, frame, err);
	}
	if (frame->next == frame->count) {
		leave_part(find, frame);
		return 0;
	}
	entry = &frame->entries[frame->next++];
	find->path.len = frame->path_len;
	buffer_put_u8(&find->path, '/');
	buffer_put(&find->path, entry->name, entry->name_len);
	if (matches(find, entry)) {
		frame->matched = true;
		rc = each(arg, snapshot, (const char *)find->path.data, find->path.len, entry, err);
	}
	if (rc == 0 && entry->kind == ENTRY_DIRECTORY && entry->content_count > 0)
		push(find, entry->content, entry->content_count);
	return rc;
}

int
find_names(struct repository *repo, struct snapshot *const *snapshots, size_t count,
    const char *pattern, int (*each)(void *arg, const struct snapshot *snapshot,
    const char *path, size_t len, const struct entry *entry, struct error *err), void *arg,
    struct progress *progress, struct error *err)
{
	struct find find = { .repo = repo, .pattern = pattern };
	int rc = 0;

	find.glob = strpbrk(pattern, "*?[") != NULL;
	find.whole_path = strchr(pattern, '/') != NULL;
	blob_table_init(&find.barren);
	buffer_text(&find.path);
	for (size_t i = 0; i < count && rc == 0; i++) {
		find.path.len = 0;
		push(&find, snapshots[i]->roots, snapshots[i]->root_count);
		while (rc == 0 && find.depth > 0) {
			rc = progress_check(progress, err);
			if (rc == 0)
				rc = step(&find, snapshots[i], each, arg, err);
		}
		while (find.depth > 0)
			pop(&find);
	}
	free(find.frames);
	blob_table_done(&find.barren);
	buffer_done(&find.path);
	return rc < 0 ? -1 : 0;
}

static bool
same_xattrs(const struct entry *a, const struct entry *b)
{
	if (a->xattr_count != b->xattr_count)
		return false;
	for (size_t i = 0; i < a->xattr_count; i++)
		if (strcmp(a->xattrs[i].name, b->xattrs[i].name) != 0 ||
		    a->xattrs[i].len != b->xattrs[i].len ||
		    (a->xattrs[i].len > 0 && memcmp(a->xattrs[i].value, b->xattrs[i].value,
		        a->xattrs[i].len) != 0))
			return false;
	return true;
}

static bool
is_same_version(const struct entry *a, const struct entry *b)
{
	return a->kind == b->kind && a->size == b->size && a->mode == b->mode && a->uid == b->uid &&
	    a->gid == b->gid && a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec && a->device_major == b->device_major &&
	    a->device_minor == b->device_minor && a->depth == b->depth &&
	    a->content_count == b->content_count &&
	    (a->content_count == 0 || memcmp(a->content, b->content,
	        a->content_count * sizeof(*a->content)) == 0) &&
	    a->target_len == b->target_len &&
	    (a->target_len == 0 || memcmp(a->target, b->target, a->target_len) == 0) &&
	    same_xattrs(a, b);
}

/* What the path was in the last snapshot of one host that could have held it. */
struct last_seen {
	const char *host;
	bool there;
	struct entry entry;
};

static struct last_seen *
last_of(struct last_seen **list, size_t *count, size_t *cap, const char *host)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp((*list)[i].host, host) == 0)
			return &(*list)[i];
	MEM_GROW(*list, *count, *cap);
	(*list)[*count] = (struct last_seen){ .host = host };
	return &(*list)[(*count)++];
}

/* Whether one of the sources of a snapshot holds the path: only then its absence means
 * something. */
static bool
covers(const struct snapshot *snapshot, const char *path)
{
	for (size_t i = 0; i < snapshot->source_count; i++) {
		const char *source = snapshot->sources[i];
		size_t len = strlen(source);

		if (strcmp(source, "/") == 0 || (strncmp(path, source, len) == 0 &&
		    (path[len] == '\0' || path[len] == '/')))
			return true;
	}
	return false;
}

int
find_versions(struct repository *repo, struct snapshot *const *snapshots, size_t count,
    const char *path, int (*each)(void *arg, const struct snapshot *snapshot,
    const struct entry *entry, struct error *err), void *arg, struct progress *progress,
    struct error *err)
{
	struct last_seen *list = NULL;
	size_t list_count = 0, cap = 0;
	char *shown = text_printable(path, strlen(path)); /* as sources are */
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++) {
		struct last_seen *last = last_of(&list, &list_count, &cap, snapshots[i]->host);
		struct entry entry;
		int found;

		if ((rc = progress_check(progress, err)) != 0)
			break;
		found = tree_lookup(repo, snapshots[i]->roots, snapshots[i]->root_count, path,
		    &entry, err);
		if (found < 0) {
			rc = -1;
		} else if (found == 0) {
			if (last->there && covers(snapshots[i], shown)) {
				entry_done(&last->entry);
				last->there = false;
				rc = each(arg, snapshots[i], NULL, err);
			}
		} else {
			if (!last->there || !is_same_version(&last->entry, &entry))
				rc = each(arg, snapshots[i], &entry, err);
			entry_done(&last->entry);
			last->entry = entry;
			last->there = true;
		}
	}
	for (size_t i = 0; i < list_count; i++)
		entry_done(&list[i].entry);
	free(list);
	free(shown);
	return rc < 0 ? -1 : 0;
}
