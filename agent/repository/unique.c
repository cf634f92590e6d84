#include "agent/repository/unique.h"

#include <stdlib.h>
#include <string.h>

#include "agent/repository/scan.h"

static int
pass_over(void *arg, const char *path, size_t len, const struct blob_id *id,
    const struct error *why, struct error *err)
{
	(void)arg;
	(void)path;
	(void)len;
	(void)id;
	(void)why;
	(void)err;
	return 0;
}

static void
note_bad(void *arg, const char *id, const struct error *why)
{
	struct error *bad = arg;

	(void)id; /* the message names it */
	*bad = *why;
}

/* Frees the list. */
static int
scan_others(struct scan *scan, const struct snapshot *snapshot, struct snapshot **list,
    size_t count, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		if (rc == 0 && strcmp(list[i]->id, snapshot->id) != 0)
			rc = scan_snapshot(scan, list[i], err);
		snapshot_free(list[i]);
	}
	free(list);
	return rc;
}

/* All that others need. */
static int
scan_all_others(struct scan *scan, const struct snapshot *snapshot, struct error *err)
{
	struct error bad = ERROR_INIT;
	struct snapshot **list;
	struct timespec *times;
	size_t count;

	if (snapshot_list(scan->repo, &list, &count, note_bad, &bad, err) != 0 ||
	    scan_others(scan, snapshot, list, count, err) != 0)
		return -1;
	if (bad.code != ERROR_NONE) {
		*err = bad;
		return -1;
	}
	if (snapshot_list_trash(scan->repo, &list, &times, &count, err) != 0)
		return -1;
	free(times);
	return scan_others(scan, snapshot, list, count, err);
}

/* The blobs that the scan has reached since there were `first`. */
static int
sum_up(struct scan *scan, uint32_t first, struct unique_size *ret, struct error *err)
{
	*ret = (struct unique_size){ 0, 0 };
	for (uint32_t n = first; n < scan->used.count; n++) {
		struct blob_location nowhere;
		struct blob_place place;
		struct blob_id id;
		int found;

		blob_table_get(&scan->used, n, &id, &nowhere);
		found = repository_find_blob(scan->repo, &id, &place, err);
		if (found < 0)
			return -1;
		ret->blobs += found == 1;
		ret->bytes += found == 1 ? place.len : 0;
	}
	return 0;
}

int
snapshot_unique_bytes(struct repository *repo, const struct snapshot *snapshot,
    struct progress *progress, struct unique_size *ret, struct error *err)
{
	struct scan scan;
	uint32_t first;
	int rc;

	scan_init(&scan, repo, progress);
	scan.problem = pass_over;
	rc = repository_refresh(repo, err);
	if (rc == 0)
		rc = scan_all_others(&scan, snapshot, err);
	first = scan.used.count;
	if (rc == 0)
		rc = scan_snapshot(&scan, snapshot, err);
	if (rc == 0)
		rc = sum_up(&scan, first, ret, err);
	scan_done(&scan);
	return rc;
}
