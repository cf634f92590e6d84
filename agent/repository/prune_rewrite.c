/*
 * The rewriting part of prune: what is live in packs goes into new ones.
 *
 * Packs are rewritten because much of them is dead, or because they are small and many: of hourly
 * backups each leaves two, and thousands of them make opening, listing and copying slow.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/repository/healing.h"
#include "agent/repository/prune_internal.h"
#include "agent/repository/writer.h"
#include "shared/mem.h"

/*
 * The largest are left out as long as one holds more than all smaller ones together: it would be
 * written again for little. So a byte is rewritten only when what it lies with doubles, and not
 * with each batch of new small packs; and what a join leaves behind, its result and what was left
 * out, cannot be joined again before enough new ones have come.
 */
size_t
prune_count_to_join(const uint64_t *sizes, size_t count, uint64_t least)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += sizes[i];
	while (count > 0 && sizes[count - 1] > sum - sizes[count - 1])
		sum -= sizes[--count];
	/* Of one there is nothing to join. */
	return least > 0 && count >= 2 && count >= least ? count : 0;
}

/* What is live in one pack, into new packs. */
struct rewrite {
	struct repository *repo;
	const struct blob_table *used;
	struct object_id pack;
};

/* What a frame holds of blobs that are used. */
enum frame_use { FRAME_DEAD, FRAME_ELSEWHERE, FRAME_NEEDED };

/* Elsewhere: other packs have all of it, too, and the index gives those. */
static enum frame_use
frame_use(const struct rewrite *rewrite, const struct pack_directory *directory,
    const struct pack_frame *frame)
{
	enum frame_use use = FRAME_DEAD;

	for (size_t b = 0; b < frame->blob_count && use != FRAME_NEEDED; b++) {
		const struct blob_id *id = &directory->blobs[frame->first_blob + b].id;
		struct error ignored = ERROR_INIT;
		struct blob_place place;

		if (blob_table_find(rewrite->used, id, NULL) == 0)
			continue;
		use = repository_find_blob(rewrite->repo, id, &place, &ignored) == 1 &&
		    memcmp(&place.pack, &rewrite->pack, sizeof(place.pack)) != 0 ?
		    FRAME_ELSEWHERE : FRAME_NEEDED;
	}
	return use;
}

static int
store_blobs(struct writer_worker *worker, const struct rewrite *rewrite,
    const struct pack_directory *directory, const struct pack_frame *frame, const uint8_t *p,
    struct error *err)
{
	for (size_t b = 0; b < frame->blob_count; b++) {
		const struct pack_blob *blob = &directory->blobs[frame->first_blob + b];
		struct blob_id id;
		enum blob_kind kind;

		if (blob_table_find(rewrite->used, &blob->id, NULL) == 1) {
			kind = blob_identify(rewrite->repo->keys, p, blob->len, &blob->id);
			if (kind == BLOB_KIND_COUNT)
				return error_set(err, ERROR_CORRUPT,
				    "a blob does not hold what its name says");
			if (writer_put(worker, kind, p, blob->len, &id, err) != 0)
				return -1;
		}
		p += blob->len;
	}
	return 0;
}

static int
rewrite_pack(struct writer_worker *worker, const struct rewrite *rewrite, struct error *err)
{
	struct frame_coder *coder = frame_coder_new(0);
	struct pack_directory *directory = NULL;
	struct buffer plain = BUFFER_INIT;
	int rc = repository_read_directory(rewrite->repo, &rewrite->pack, &directory, err);

	for (size_t f = 0; rc == 0 && f < directory->frame_count; f++) {
		const struct pack_frame *frame = &directory->frames[f];
		enum frame_use use = frame_use(rewrite, directory, frame);
		struct error why = ERROR_INIT;

		if (use == FRAME_DEAD)
			continue;
		buffer_clear(&plain);
		buffer_reserve(&plain, frame->plain_len);
		if (repository_read_frame(rewrite->repo, coder, &rewrite->pack, frame->offset,
		    frame->stored_len, plain.data, frame->plain_len, &why) == 0) {
			rc = store_blobs(worker, rewrite, directory, frame, plain.data, err);
		} else if (use == FRAME_NEEDED) {
			*err = why;
			rc = -1;
		}
	}
	pack_directory_free(directory);
	frame_coder_free(coder);
	buffer_done(&plain);
	return rc;
}

static void
rewrite_job(struct writer_worker *worker, void *arg)
{
	struct rewrite *rewrite = arg;
	struct error err = ERROR_INIT;

	if (rewrite_pack(worker, rewrite, &err) != 0)
		writer_fail(writer_of(worker), &err);
	free(rewrite);
}

int
prune_rewrite(struct repository *repo, const struct blob_table *used,
    const struct object_id *packs, size_t count, struct progress *progress, struct error *err)
{
	struct writer_options how = { .progress = progress };
	struct writer_totals totals;
	struct writer *writer;

	progress_phase(progress, "rewrite");
	if (writer_begin(repo, &how, &writer, err) != 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct rewrite *rewrite = MEM_NEW(struct rewrite);
		struct error stop = ERROR_INIT;

		if (progress_check(progress, &stop) != 0)
			writer_fail(writer, &stop);
		*rewrite = (struct rewrite){ repo, used, packs[i] };
		writer_submit(writer, rewrite_job, rewrite);
	}
	return writer_finish(writer, &totals, err);
}
