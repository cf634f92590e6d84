/*
 * The packs' part of a check: several threads, each with a pack at a time.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/repository/check_internal.h"
#include "agent/repository/parity_check.h"
#include "shared/mem.h"

#define THREADS_MAX 64

/* The first bytes of a pack say what it is; nothing reads them but check. */
static int
check_header(struct check *check, const struct object_id *id, struct error *err)
{
	uint8_t header[PACK_HEADER_SIZE];
	char name[PACK_NAME_SIZE];

	pack_name(id, name);
	if (storage_get(check->repo->storage, name, 0, header, sizeof(header), err) != 0)
		return -1;
	return pack_header_check(header, check->repo->keys, id, err);
}

/* Whether parity makes a damaged frame again. */
static bool
frame_is_healable(struct check *check, const struct pack_directory *directory,
    const struct pack_frame *frame, struct frame_coder *coder, uint8_t *plain)
{
	struct repository *repo = check->repo;
	struct error ignored = ERROR_INIT;
	struct pack_source source;
	struct parity *parity;
	bool healable;

	if (parity_open(repo->storage, repo->keys, &directory->id, &parity, &ignored) != 1)
		return false;
	parity_source(parity, &source);
	healable = pack_frame_from(&source, repo->keys, coder, &directory->id, frame->offset,
	    frame->stored_len, plain, frame->plain_len, &ignored) == 0 &&
	    pack_frame_check(repo->keys, directory, frame, plain, &ignored) == 0;
	parity_close(parity);
	return healable;
}

/* Open every frame of a pack and hash every blob. */
static int
verify_frames(struct check *check, const struct pack_directory *directory,
    struct frame_coder *coder, struct buffer *plain, struct error *err)
{
	char name[PACK_NAME_SIZE];

	pack_name(&directory->id, name);
	for (size_t f = 0; f < directory->frame_count; f++) {
		const struct pack_frame *frame = &directory->frames[f];
		struct error why = ERROR_INIT;
		size_t damage;
		bool healable;

		if (progress_check(check->progress, err) != 0)
			return -1;
		buffer_clear(plain);
		buffer_reserve(plain, frame->plain_len);
		if (pack_read_frame(check->repo->storage, check->repo->keys, coder,
		    &directory->id, frame->offset, frame->stored_len, plain->data,
		    frame->plain_len, &why) == 0 &&
		    pack_frame_check(check->repo->keys, directory, frame, plain->data,
		        &why) != 0)
			error_prefix(&why, "frame at %u: ", frame->offset);
		atomic_fetch_add(&check->progress->bytes, frame->stored_len);
		if (why.code == ERROR_NONE)
			continue;
		healable = frame_is_healable(check, directory, frame, coder, plain->data);
		damage = check_damage_add_as(check, name, why.message, healable);
		if (!healable)
			check_frame_is_bad(check, directory, frame, damage);
	}
	return 0;
}

/* A pack's parity is of no use if it is damaged itself, but nothing is lost by that. */
static void
check_parity(struct check *check, const struct object_id *pack, bool read)
{
	struct error why = ERROR_INIT;
	char name[PARITY_NAME_SIZE];
	uint64_t size = 0;
	int there = parity_check_file(check->repo, pack, read, &size, &why);

	parity_name(pack, name);
	if (there < 0)
		check_damage_add_as(check, name, why.message, true);
	pthread_mutex_lock(&check->lock);
	check->result->packs_with_parity += there != 0;
	check->result->parity_bytes += size;
	pthread_mutex_unlock(&check->lock);
}

/* One pack that is in the storage.  Returns -1 only if the check cannot go on. */
static int
check_pack(struct check *check, const char *name, uint64_t size, bool read,
    struct frame_coder *coder, struct buffer *plain, struct error *err)
{
	struct pack_directory *directory = NULL;
	struct error why = ERROR_INIT;
	struct object_id id;
	int rc = 0;

	if (pack_name_parse(name, &id) != 0) {
		check_damage_add(check, name, "does not belong into a repository");
		return 0;
	}
	if (pack_read_directory(check->repo->storage, check->repo->keys, &id, &directory,
	        &why) != 0 || check_header(check, &id, &why) != 0) {
		pack_directory_free(directory);
		if (why.code == ERROR_UNSUPPORTED) {
			check_pass_over_blobs(check, name, &why);
			return 0;
		}
		check_pack_is_bad(check, &id, &why, false);
		check_parity(check, &id, read);
		return 0;
	}
	check_parity(check, &id, read);
	if (read) {
		rc = verify_frames(check, directory, coder, plain, err);
		pthread_mutex_lock(&check->lock);
		check->result->bytes_read += size;
		pthread_mutex_unlock(&check->lock);
	}
	pack_directory_free(directory);
	return rc;
}

/* 1 if the storage wrote the pack since the time that is asked for, or may have. */
static int
is_recent(const struct check *check, const char *name, struct error *err)
{
	const struct timespec *since = &check->options->since;
	struct timespec written;
	int known;

	if (since->tv_sec == 0)
		return 1;
	known = storage_time(check->repo->storage, name, &written, err);
	if (known <= 0)
		return known < 0 ? -1 : 1;
	return written.tv_sec > since->tv_sec ||
	    (written.tv_sec == since->tv_sec && written.tv_nsec >= since->tv_nsec);
}

static int
choose_packs(struct check *check, struct error *err)
{
	unsigned percent = check->options->percent;

	check->chosen = mem_calloc(check->packs.count, sizeof(*check->chosen));
	for (size_t i = 0; i < check->packs.count && check->options->read_data; i++) {
		int recent;

		/* Spread evenly: of every hundred packs, in the order of their random names, the
		 * first so many. */
		if (percent != 0 && i % 100 >= percent)
			continue;
		recent = is_recent(check, check->packs.list[i], err);
		if (recent < 0)
			return -1;
		check->chosen[i] = recent == 1;
		check->result->packs_read += recent == 1;
		if (recent == 1)
			check->progress->bytes_total += check->packs.sizes[i];
	}
	return 0;
}

static void *
verifier_main(void *arg)
{
	struct check *check = arg;
	struct frame_coder *coder = frame_coder_new(0);
	struct buffer plain = BUFFER_INIT;
	struct error err;
	int rc = 0;

	while (rc == 0) {
		size_t n;

		pthread_mutex_lock(&check->lock);
		n = check->failed ? check->packs.count : check->next_pack;
		if (n < check->packs.count)
			check->next_pack++;
		pthread_mutex_unlock(&check->lock);
		if (n >= check->packs.count)
			break;
		rc = progress_check(check->progress, &err);
		if (rc == 0)
			rc = check_pack(check, check->packs.list[n], check->packs.sizes[n],
			    check->chosen[n], coder, &plain, &err);
	}
	if (rc != 0) {
		pthread_mutex_lock(&check->lock);
		if (!check->failed)
			check->err = err;
		check->failed = true;
		pthread_mutex_unlock(&check->lock);
	}
	frame_coder_free(coder);
	buffer_done(&plain);
	return NULL;
}

int
check_packs(struct check *check, struct error *err)
{
	pthread_t threads[THREADS_MAX];
	long want = check->options->threads != 0 ? (long)check->options->threads :
	    sysconf(_SC_NPROCESSORS_ONLN);
	long started = 0;

	if (want < 1)
		want = 1;
	if (want > THREADS_MAX)
		want = THREADS_MAX;
	if (choose_packs(check, err) != 0)
		return -1;
	while (started < want &&
	    pthread_create(&threads[started], NULL, verifier_main, check) == 0)
		started++;
	if (started == 0)
		verifier_main(check);
	for (long i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	check->result->packs = check->packs.count;
	if (check->failed)
		*err = check->err;
	return check->failed ? -1 : 0;
}
