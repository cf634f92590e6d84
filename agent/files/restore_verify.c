/*
 * Read back what was written, and compare it with what is stored.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/restore_internal.h"
#include "shared/mem.h"

void
restore_written(struct restore *r, uint64_t ordinal, const char *side)
{
	uint64_t cap;

	if (!r->options->verify || r->options->dry_run)
		return;
	pthread_mutex_lock(&r->each_lock);
	if (ordinal >= r->written_cap) {
		cap = (ordinal + 1) * 2 + 4096;
		cap -= cap % 8;
		r->written = mem_realloc(r->written, cap / 8, 1);
		memset(r->written + r->written_cap / 8, 0, (cap - r->written_cap) / 8);
		r->written_cap = cap;
	}
	r->written[ordinal / 8] |= (uint8_t)(1u << (ordinal % 8));
	if (side != NULL) {
		MEM_GROW(r->sides, r->side_count, r->side_cap);
		r->sides[r->side_count].ordinal = ordinal;
		memcpy(r->sides[r->side_count++].name, side, strlen(side) + 1);
	}
	pthread_mutex_unlock(&r->each_lock);
}

static int
side_compare(const void *a, const void *b)
{
	uint64_t left = ((const struct restore_side *)a)->ordinal;
	uint64_t right = ((const struct restore_side *)b)->ordinal;

	return (left > right) - (left < right);
}

bool
restore_was_written(const struct restore *r, uint64_t ordinal, const char **ret_name)
{
	struct restore_side key = { .ordinal = ordinal };
	const struct restore_side *side = NULL;

	*ret_name = NULL;
	if (ordinal >= r->written_cap || !((r->written[ordinal / 8] >> (ordinal % 8)) & 1))
		return false;
	if (r->side_count > 0)
		side = bsearch(&key, r->sides, r->side_count, sizeof(key), side_compare);
	if (side != NULL)
		*ret_name = side->name;
	return true;
}

static void
item_verify(struct restore *r, struct restore_item *item, int dir_fd)
{
	struct error err = ERROR_INIT;
	int fd, same = -1;

	if (progress_check(r->progress, &err) < 0) {
		restore_stop(r, &err);
		return;
	}
	fd = openat(dir_fd, item->entry.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		error_sys(&err, ERROR_IO, errno, "could not open the file to read it back");
	} else {
		/* What is written already leaves the cache, so that the disk is read. */
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		same = restore_content_compare(r, &item->entry, fd, &err);
		close(fd);
	}
	if (same == 0)
		error_set(&err, ERROR_CORRUPT, "what was read back differs from what is stored");
	if (same == 1)
		atomic_fetch_add(&r->verified, 1);
	/* The mode that it had may forbid its own owner to read it, which is no damage. */
	else if (same < 0 && err.code == ERROR_PERMISSION && r->uid != 0)
		restore_note(r, item->folder, item->entry.name, err.message);
	else
		restore_failed(r, item->folder, item->entry.name, &err);
}

void
restore_verify(struct restore *r, const struct snapshot *snapshot,
    const struct selection *selection)
{
	struct restore_folder *target = NULL;
	struct error err = ERROR_INIT;

	progress_phase(r->progress, "verify");
	r->verifying = true;
	if (r->side_count > 1)
		qsort(r->sides, r->side_count, sizeof(*r->sides), side_compare);
	if (restore_target_open(r, &target, &err) < 0) {
		restore_stop(r, &err);
		return;
	}
	if (restore_queue_start(r, r->thread_limit, item_verify, &err) < 0) {
		restore_stop(r, &err);
		restore_folder_unref(r, target);
		return;
	}
	restore_walk(r, snapshot, selection, target);
}
