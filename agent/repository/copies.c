/*
 * Blobs that lie in several packs: two backups stored them at the same time, or a later one did so
 * because the first pack could not be read.  The index gives one place of each; here are the
 * others.
 */
#include <stdlib.h>

#include "agent/repository/repository_internal.h"
#include "shared/progress.h"

enum { FRAME_UNKNOWN, FRAME_READABLE, FRAME_UNREADABLE };

int
repository_next_copy(struct repository *repo, const struct blob_id *id, size_t *cursor,
    struct blob_place *ret)
{
	int found = 0;

	pthread_rwlock_rdlock(&repo->lock);
	while (*cursor < repo->copy_count && found == 0) {
		const struct blob_copy *copy = &repo->copies[(*cursor)++];

		if (blob_id_compare(&copy->id, id) != 0)
			continue;
		repository_fill_place(repo, &copy->at, ret);
		found = 1;
	}
	pthread_rwlock_unlock(&repo->lock);
	return found;
}

static bool
is_readable(struct repository *repo, const struct blob_location *at, uint8_t *states)
{
	uint8_t *state = &states[at->frame];
	struct frame_data *frame;
	struct error why = ERROR_INIT;
	struct blob_place place;
	const uint8_t *data;

	if (*state != FRAME_UNKNOWN)
		return *state == FRAME_READABLE;
	repository_fill_place(repo, at, &place);
	/* Whatever the reason is, it is no place to rely on alone. */
	*state = FRAME_UNREADABLE;
	if (frame_cache_get(repo->cache, &place, &frame, &data, &why) == 0) {
		*state = FRAME_READABLE;
		frame_release(frame);
	}
	return *state == FRAME_READABLE;
}

int
repository_prefer_readable(struct repository *repo, const struct blob_table *used,
    const bool *endangered, uint8_t *states, struct progress *progress, struct error *err)
{
	int changed = 0;

	for (size_t i = 0; i < repo->copy_count; i++) {
		struct blob_copy *copy = &repo->copies[i];
		struct blob_location given;

		if (!endangered[repo->frames[copy->at.frame].pack] ||
		    blob_table_find(used, &copy->id, NULL) == 0 ||
		    blob_table_find(&repo->table, &copy->id, &given) == 0)
			continue;
		if (progress_check(progress, err) != 0)
			return -1;
		if (is_readable(repo, &given, states) || !is_readable(repo, &copy->at, states))
			continue;
		blob_table_insert(&repo->table, &copy->id, &copy->at, 1);
		copy->at = given;
		changed = 1;
	}
	return changed;
}
