/*
 * Prune: what no snapshot needs is marked, and goes when the grace period is over; everything else
 * stays.  Crashes and failures in its midst:
 * tests/unit/test_faults_prune.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/repository/check.h"
#include "agent/repository/claim.h"
#include "agent/repository/prune.h"
#include "agent/repository/prune_internal.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"
#include "tests/lib/backup_fixture.h"
#include "tests/lib/system_hooks.h"

#define DAY_S 86400

static void
put_noise(const struct backup_fixture *f, const char *name, size_t len, uint64_t seed)
{
	uint8_t *data = mem_calloc(1, len);
	char *path = test_path(f->source, "%s", name);

	for (size_t i = 0; i < len; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		data[i] = (uint8_t)(seed >> 56);
	}
	test_file_write(path, data, len);
	free(path);
	free(data);
}

/* Back the source up as it is; the snapshot's id, heap. */
static char *
backup(const struct backup_fixture *f)
{
	struct backup_made made;
	char *id;

	backup_make(f, NULL, &made);
	if (made.rc != 0)
		fail_msg("%s", made.err.message);
	id = mem_strdup(made.snapshot->id);
	backup_made_done(&made);
	return id;
}

static void
prune(const struct backup_fixture *f, const struct prune_options *options,
    struct prune_result *result)
{
	struct progress progress;
	struct error err = ERROR_INIT;

	progress_init(&progress);
	if (prune_run(f->repo, options, &progress, result, &err) != 0)
		fail_msg("prune: %s", err.message);
	progress_done(&progress);
}

static unsigned
count_packs(const struct backup_fixture *f)
{
	struct object_names names;
	struct error err = ERROR_INIT;
	unsigned count;

	assert_int_equal(object_names_read(repository_storage(f->repo), "packs", &names, &err), 0);
	count = (unsigned)names.count;
	object_names_done(&names);
	return count;
}

static void
assert_sound(const struct backup_fixture *f)
{
	struct check_options options = { .read_data = true, .threads = 2 };
	struct check_result result = { 0 };
	struct progress progress;
	struct error err = ERROR_INIT;

	progress_init(&progress);
	assert_int_equal(check_run(f->repo, &options, &progress, &result, &err), 0);
	if (result.errors > 0) {
		char *text = json_dumps(result.damage, 0);

		fail_msg("%s", text);
	}
	check_result_done(&result);
	progress_done(&progress);
}

/* The snapshot holds the source as it is now. */
static void
assert_whole(const struct backup_fixture *f, const char *id)
{
	struct error err = ERROR_INIT;
	struct test_compared compared;
	struct snapshot *snapshot;

	if (snapshot_find(f->repo, id, &snapshot, &err) != 0)
		fail_msg("%s", err.message);
	test_compare(f->repo, snapshot, f->source, f->source, NULL, NULL, &compared);
	if (compared.wrong + compared.unreadable > 0)
		fail_msg("%s", compared.first);
	snapshot_free(snapshot);
}

static void
while_all_is_needed_nothing_goes(void **state)
{
	struct prune_options options = { .grace_s = 0 };
	struct backup_fixture *f = *state;
	struct prune_result result;
	char *id;
	unsigned packs;

	test_source_make(f->source);
	id = backup(f);
	packs = count_packs(f);
	for (int again = 0; again < 2; again++) {
		prune(f, &options, &result);
		assert_int_equal(result.forgotten, 0);
		assert_int_equal(result.packs_marked + result.packs_removed +
		    result.packs_rewritten, 0);
		assert_int_equal(json_array_size(result.snapshots), 1);
		prune_result_done(&result);
	}
	assert_int_equal(count_packs(f), packs);
	assert_whole(f, id);
	assert_sound(f);
	free(id);
}

/* Two snapshots that share nothing but folders; the source is as in the second. */
static void
two_snapshots(const struct backup_fixture *f, char **first, char **second)
{
	char *path = test_path(f->source, "data");

	put_noise(f, "data", 3 << 20, 1);
	*first = backup(f);
	assert_int_equal(unlink(path), 0);
	put_noise(f, "data", 3 << 20, 2);
	*second = backup(f);
	free(path);
}

static void
what_is_forgotten_goes_after_the_grace_period_and_not_before(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = DAY_S };
	struct backup_fixture *f = *state;
	struct prune_result result;
	struct error err = ERROR_INIT;
	struct snapshot *found;
	char *first, *second;
	unsigned packs;

	two_snapshots(f, &first, &second);
	packs = count_packs(f);
	prune(f, &options, &result);
	assert_int_equal(result.forgotten, 1);
	assert_int_equal(result.packs_removed, 0);
	/* What lies in the trash is still needed. */
	assert_int_equal(result.packs_marked, 0);
	prune_result_done(&result);
	assert_int_equal(snapshot_find(f->repo, first, &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	/* A day later the trash is over and packs are marked; after one more day they go. */
	hook_clock_ahead(3600 + DAY_S + 60);
	prune(f, &options, &result);
	assert_true(result.packs_marked >= 2);
	assert_true(result.bytes_marked > 3 << 20);
	assert_int_equal(result.packs_removed, 0);
	prune_result_done(&result);
	assert_int_equal(count_packs(f), packs);
	prune(f, &options, &result);
	assert_int_equal(result.packs_removed + result.packs_marked, 0);
	prune_result_done(&result);
	hook_clock_ahead(3600 + 2 * DAY_S + 120);
	prune(f, &options, &result);
	assert_true(result.packs_removed >= 2);
	assert_true(result.bytes_removed > 3 << 20);
	prune_result_done(&result);
	assert_true(count_packs(f) < packs);
	assert_whole(f, second);
	assert_sound(f);
	free(first);
	free(second);
}

static void
without_a_grace_period_it_goes_at_once(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = 0 };
	struct backup_fixture *f = *state;
	struct prune_result result;
	char *first, *second, *marks = test_path(f->repository, "marks");
	char *trash = test_path(f->repository, "trash");

	two_snapshots(f, &first, &second);
	prune(f, &options, &result);
	assert_int_equal(result.forgotten, 1);
	assert_true(result.packs_removed >= 2);
	prune_result_done(&result);
	assert_int_equal(test_folder_count(marks) + test_folder_count(trash), 0);
	assert_whole(f, second);
	assert_sound(f);
	/* And backups go on as if nothing had been. */
	free(second);
	second = backup(f);
	assert_whole(f, second);
	free(marks);
	free(trash);
	free(first);
	free(second);
}

static void
a_dry_run_tells_and_changes_nothing(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .dry_run = true };
	struct backup_fixture *f = *state;
	struct prune_result result;
	char *first, *second, *command, *before;
	size_t len;
	json_t *item;

	two_snapshots(f, &first, &second);
	before = test_path(f->folder, "before");
	command = mem_printf("cd '%s' && find . -type f | sort >'%s'", f->repository, before);
	assert_int_equal(system(command), 0);
	free(command);
	prune(f, &options, &result);
	assert_int_equal(result.forgotten, 1);
	assert_true(result.packs_marked >= 2);
	assert_int_equal(result.packs_removed, 0);
	assert_int_equal(json_array_size(result.snapshots), 2);
	item = json_array_get(result.snapshots, 0);
	assert_string_equal(json_string_value(json_object_get(item, "id")), first);
	assert_true(json_is_false(json_object_get(item, "keep")));
	item = json_array_get(result.snapshots, 1);
	assert_true(json_is_true(json_object_get(item, "keep")));
	prune_result_done(&result);
	command = mem_printf("cd '%s' && find . -type f | sort | cmp - '%s'", f->repository, before);
	assert_int_equal(system(command), 0);
	free(test_file_read(before, &len));
	assert_true(len > 0);
	free(command);
	free(before);
	free(first);
	free(second);
}

static void
a_pack_of_which_much_is_dead_is_rewritten(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = 0 };
	struct backup_fixture *f = *state;
	struct prune_result result;
	char *first, *second;
	char *gone = test_path(f->source, "gone");

	put_noise(f, "gone", 2 << 20, 1);
	put_noise(f, "kept", 1 << 20, 2);
	first = backup(f);
	assert_int_equal(unlink(gone), 0);
	second = backup(f);
	prune(f, &options, &result);
	assert_true(result.packs_rewritten >= 1);
	assert_true(result.packs_removed >= 1);
	prune_result_done(&result);
	assert_whole(f, second);
	assert_sound(f);
	/* Once more there is nothing left to do. */
	prune(f, &options, &result);
	assert_int_equal(result.packs_marked + result.packs_rewritten + result.packs_removed, 0);
	prune_result_done(&result);
	free(gone);
	free(first);
	free(second);
}

static void
a_pack_of_which_little_is_dead_is_left_alone(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = 0,
		.rewrite_percent = 90 };
	struct backup_fixture *f = *state;
	struct prune_result result;
	char *first, *second, *gone = test_path(f->source, "gone");

	put_noise(f, "gone", 2 << 20, 1);
	put_noise(f, "kept", 1 << 20, 2);
	first = backup(f);
	assert_int_equal(unlink(gone), 0);
	second = backup(f);
	prune(f, &options, &result);
	assert_int_equal(result.packs_rewritten, 0);
	prune_result_done(&result);
	assert_whole(f, second);
	free(gone);
	free(first);
	free(second);
}

static void
what_is_used_again_within_the_grace_period_stays(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = DAY_S };
	struct backup_fixture *f = *state;
	struct prune_result result;
	char *first, *second, *third, *path = test_path(f->source, "data");

	two_snapshots(f, &first, &second);
	prune(f, &options, &result);
	prune_result_done(&result);
	hook_clock_ahead(3600 + DAY_S + 60);
	prune(f, &options, &result);
	assert_true(result.packs_marked > 0);
	prune_result_done(&result);
	/* The first contents come back; whether stored anew or not, they must outlive the marks. */
	assert_int_equal(unlink(path), 0);
	put_noise(f, "data", 3 << 20, 1);
	third = backup(f);
	hook_clock_ahead(3600 + 2 * DAY_S + 120);
	prune(f, &options, &result);
	prune_result_done(&result);
	assert_whole(f, third);
	assert_sound(f);
	hook_clock_ahead(3600 + 9 * DAY_S);
	prune(f, &options, &result);
	prune_result_done(&result);
	assert_whole(f, third);
	assert_sound(f);
	free(path);
	free(first);
	free(second);
	free(third);
}

static void
a_forgotten_snapshot_can_be_recalled_as_long_as_its_data_is_there(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = DAY_S };
	struct backup_fixture *f = *state;
	char *first, *second, id[SNAPSHOT_ID_TEXT_SIZE];
	struct prune_result result;
	struct error err = ERROR_INIT;
	struct snapshot *found;

	two_snapshots(f, &first, &second);
	prune(f, &options, &result);
	prune_result_done(&result);
	assert_int_equal(snapshot_recall(f->repo, first, id, &err), 0);
	assert_string_equal(id, first);
	assert_int_equal(snapshot_find(f->repo, first, &found, &err), 0);
	snapshot_free(found);
	assert_sound(f);
	/* Forgotten again, and this time for good. */
	options.grace_s = 0;
	prune(f, &options, &result);
	assert_int_equal(result.forgotten, 1);
	prune_result_done(&result);
	assert_int_equal(snapshot_recall(f->repo, first, id, &err), -1);
	assert_int_equal(snapshot_find(f->repo, first, &found, &err), -1);
	assert_whole(f, second);
	free(first);
	free(second);
}

static void
a_pinned_snapshot_outlives_every_rule(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = 0 };
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct prune_result result;
	struct snapshot *found;
	char *first, *second;

	two_snapshots(f, &first, &second);
	assert_int_equal(snapshot_pin(f->repo, first, true, &err), 0);
	prune(f, &options, &result);
	assert_int_equal(result.forgotten, 0);
	assert_int_equal(result.packs_removed, 0);
	prune_result_done(&result);
	assert_int_equal(snapshot_find(f->repo, first, &found, &err), 0);
	snapshot_free(found);
	assert_sound(f);
	free(first);
	free(second);
}

static void
beside_a_running_backup_nothing_is_removed(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = 0 };
	struct backup_fixture *f = *state;
	struct error err = ERROR_INIT;
	struct progress progress;
	struct prune_result result;
	struct claim *claim;
	char *first, *second;
	unsigned packs;

	two_snapshots(f, &first, &second);
	packs = count_packs(f);
	assert_int_equal(claim_take(f->repo, CLAIM_SHARED, "backup", NULL, 0, NULL, &claim, &err), 0);
	progress_init(&progress);
	assert_int_equal(prune_run(f->repo, &options, &progress, &result, &err), 0);
	assert_int_equal(result.packs_removed, 0);
	assert_true(result.packs_marked > 0);
	assert_int_equal(progress.notes.total, 1);
	assert_memory_equal(progress.notes.list[0].reason,
	    "removing was put off to the next prune: the repository is in use: backup", 72);
	prune_result_done(&result);
	assert_true(count_packs(f) >= packs);
	claim_release(claim);
	assert_int_equal(prune_run(f->repo, &options, &progress, &result, &err), 0);
	assert_true(result.packs_removed > 0);
	prune_result_done(&result);
	progress_done(&progress);
	assert_whole(f, second);
	assert_sound(f);
	free(first);
	free(second);
}

static void
damage_ends_a_prune_before_anything_goes(void **state)
{
	struct prune_options options = { .grace_s = 0 };
	struct backup_fixture *f = *state;
	struct prune_result result;
	struct progress progress;
	struct error err = ERROR_INIT;
	char *first, *second, *path;
	uint8_t *bytes;
	unsigned packs;
	size_t len;

	two_snapshots(f, &first, &second);
	assert_int_equal(snapshot_remove(f->repo, first, &err), 0);
	path = test_path(f->repository, "snapshots/%s", second);
	bytes = test_file_read(path, &len);
	bytes[len - 1] ^= 1;
	test_file_write(path, bytes, len);
	packs = count_packs(f);
	progress_init(&progress);
	assert_int_equal(prune_run(f->repo, &options, &progress, &result, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_memory_equal(err.message, "nothing was removed: snapshot '", 31);
	assert_int_equal(count_packs(f), packs);
	bytes[len - 1] ^= 1;
	test_file_write(path, bytes, len);
	assert_int_equal(prune_run(f->repo, &options, &progress, &result, &err), 0);
	assert_true(result.packs_removed > 0);
	prune_result_done(&result);
	progress_done(&progress);
	assert_whole(f, second);
	free(path);
	free(bytes);
	free(first);
	free(second);
}

static void
a_cancelled_prune_says_so_and_harms_nothing(void **state)
{
	struct prune_options options = { .keep = { .last = 1 }, .grace_s = 0 };
	struct backup_fixture *f = *state;
	struct prune_result result;
	struct progress progress;
	struct error err = ERROR_INIT;
	char *first, *second;

	two_snapshots(f, &first, &second);
	progress_init(&progress);
	progress_cancel(&progress);
	assert_int_equal(prune_run(f->repo, &options, &progress, &result, &err), -1);
	assert_int_equal(err.code, ERROR_CANCELLED);
	progress_done(&progress);
	assert_whole(f, second);
	assert_sound(f);
	free(first);
	free(second);
}

#define HOURS 10

/* As of hourly backups: each changes one file a little, and leaves two packs. */
static void
hourly_backups(const struct backup_fixture *f, struct backup_made made[HOURS])
{
	for (int i = 0; i < HOURS; i++) {
		char text[40];

		snprintf(text, sizeof(text), "the state of hour %d", i);
		backup_put(f, "state", text);
		backup_make_well(f, NULL, &made[i]);
	}
	assert_int_equal(count_packs(f), 2 * HOURS);
}

static void
assert_hours_are_whole(const struct backup_fixture *f, struct backup_made made[HOURS])
{
	for (int i = 0; i < HOURS; i++) {
		char text[40];

		snprintf(text, sizeof(text), "the state of hour %d", i);
		backup_assert_text(f, &made[i], "state", text);
	}
	assert_sound(f);
}

static void
hours_done(struct backup_made made[HOURS])
{
	for (int i = 0; i < HOURS; i++)
		backup_made_done(&made[i]);
}

static void
assert_nothing_to_do(const struct backup_fixture *f, const struct prune_options *options)
{
	unsigned packs = count_packs(f);
	struct prune_result result;

	prune(f, options, &result);
	assert_int_equal(result.packs_joined + result.packs_rewritten + result.packs_marked +
	    result.packs_removed, 0);
	prune_result_done(&result);
	assert_int_equal(count_packs(f), packs);
}

static void
many_small_packs_become_one_of_each_kind_and_no_byte_is_lost(void **state)
{
	struct prune_options options = { .grace_s = 0, .join_packs = 8 };
	struct prune_options dry = { .grace_s = 0, .join_packs = 8, .dry_run = true };
	struct backup_fixture *f = *state;
	struct backup_made made[HOURS], more;
	struct prune_result result;

	hourly_backups(f, made);
	prune(f, &dry, &result);
	assert_int_equal(result.packs_joined, 2 * HOURS);
	assert_int_equal(result.bytes_to_free, 0);
	prune_result_done(&result);
	assert_int_equal(count_packs(f), 2 * HOURS);
	prune(f, &options, &result);
	assert_int_equal(result.packs_joined, 2 * HOURS);
	assert_int_equal(result.packs_rewritten, 0);
	assert_int_equal(result.packs_removed, 2 * HOURS);
	assert_int_equal(result.forgotten, 0);
	prune_result_done(&result);
	assert_int_equal(count_packs(f), PACK_KIND_COUNT);
	assert_hours_are_whole(f, made);
	/* Again does nothing, nor after some more backups, as long as they are few. */
	assert_nothing_to_do(f, &options);
	for (int i = 0; i < 3; i++) {
		backup_put(f, "more", i == 0 ? "a" : i == 1 ? "b" : "c");
		backup_make_well(f, NULL, &more);
		backup_made_done(&more);
		assert_nothing_to_do(f, &options);
	}
	assert_hours_are_whole(f, made);
	hours_done(made);
}

static void
small_packs_that_were_joined_stay_for_the_grace_period(void **state)
{
	struct prune_options options = { .grace_s = DAY_S, .join_packs = 8 };
	struct backup_fixture *f = *state;
	struct backup_made made[HOURS];
	struct prune_result result;

	hourly_backups(f, made);
	prune(f, &options, &result);
	assert_int_equal(result.packs_joined, 2 * HOURS);
	assert_int_equal(result.packs_removed, 0);
	prune_result_done(&result);
	assert_int_equal(count_packs(f), 2 * HOURS + PACK_KIND_COUNT);
	assert_hours_are_whole(f, made);
	assert_nothing_to_do(f, &options);
	hook_clock_ahead(3600 + DAY_S + 60);
	prune(f, &options, &result);
	assert_int_equal(result.packs_removed, 2 * HOURS);
	assert_int_equal(result.packs_joined, 0);
	prune_result_done(&result);
	assert_hours_are_whole(f, made);
	assert_nothing_to_do(f, &options);
	hours_done(made);
}

static void
few_small_packs_are_left_alone(void **state)
{
	struct prune_options few = { .grace_s = 0, .join_packs = HOURS + 1 };
	struct prune_options never = { .grace_s = 0, .join_packs = 0 };
	struct backup_fixture *f = *state;
	struct backup_made made[HOURS];

	hourly_backups(f, made);
	assert_nothing_to_do(f, &few);
	assert_nothing_to_do(f, &never);
	hours_done(made);
}

static void
one_that_outweighs_all_smaller_ones_is_not_joined(void **state)
{
	static const struct {
		uint64_t sizes[6];
		size_t count;
		uint64_t least;
		size_t joined;
	} cases[] = {
		{ { 0 }, 0, 2, 0 },
		{ { 5 }, 1, 1, 0 }, /* of one there is nothing to join */
		{ { 5, 5 }, 2, 2, 2 },
		{ { 5, 6 }, 2, 2, 0 },
		{ { 1, 1, 1, 1, 1, 1 }, 6, 6, 6 },
		{ { 1, 1, 1, 1, 1, 1 }, 6, 7, 0 },
		{ { 1, 1, 1, 1, 1, 1 }, 6, 0, 0 },
		{ { 1, 1, 1, 1, 4, 8 }, 6, 6, 6 },
		{ { 1, 1, 1, 1, 4, 9 }, 6, 2, 5 },
		{ { 1, 1, 1, 1, 5, 10 }, 6, 2, 4 },
		{ { 1, 1, 1, 1, 5, 10 }, 6, 5, 0 },
		{ { 1, 2, 4, 8, 16, 32 }, 6, 2, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(prune_count_to_join(cases[i].sizes, cases[i].count,
		    cases[i].least), cases[i].joined);
}

/* Backups of one unit each for years, and a prune after each: how often a byte is written. */
static void
joining_does_not_write_the_same_again_and_again(void **state)
{
	enum { BACKUPS = 5000, LEAST = 16 };
	uint64_t packs[BACKUPS], written = 0;
	size_t count = 0, most = 0;

	(void)state;
	for (unsigned i = 0; i < BACKUPS; i++) {
		size_t joined;

		memmove(packs + 1, packs, count++ * sizeof(*packs));
		packs[0] = 1;
		for (unsigned again = 0; again < 2; again++) {
			uint64_t sum = 0;
			size_t at = 0;

			joined = prune_count_to_join(packs, count, LEAST);
			assert_true(again == 0 || joined == 0);
			if (joined == 0)
				continue;
			for (size_t k = 0; k < joined; k++)
				sum += packs[k];
			written += sum;
			count -= joined;
			memmove(packs, packs + joined, count * sizeof(*packs));
			while (at < count && packs[at] < sum)
				at++;
			memmove(packs + at + 1, packs + at, (count++ - at) * sizeof(*packs));
			packs[at] = sum;
		}
		if (count > most)
			most = count;
	}
	/* Logarithms of 5,000: neither many packs nor much work. */
	assert_in_range(most, 1, LEAST + 13);
	assert_in_range(written, BACKUPS / 2, BACKUPS * 13);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, backup_fixture_setup, \
    backup_fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(while_all_is_needed_nothing_goes),
		CASE(what_is_forgotten_goes_after_the_grace_period_and_not_before),
		CASE(without_a_grace_period_it_goes_at_once),
		CASE(a_dry_run_tells_and_changes_nothing),
		CASE(a_pack_of_which_much_is_dead_is_rewritten),
		CASE(a_pack_of_which_little_is_dead_is_left_alone),
		CASE(what_is_used_again_within_the_grace_period_stays),
		CASE(a_forgotten_snapshot_can_be_recalled_as_long_as_its_data_is_there),
		CASE(a_pinned_snapshot_outlives_every_rule),
		CASE(beside_a_running_backup_nothing_is_removed),
		CASE(damage_ends_a_prune_before_anything_goes),
		CASE(a_cancelled_prune_says_so_and_harms_nothing),
		CASE(many_small_packs_become_one_of_each_kind_and_no_byte_is_lost),
		CASE(small_packs_that_were_joined_stay_for_the_grace_period),
		CASE(few_small_packs_are_left_alone),
		cmocka_unit_test(one_that_outweighs_all_smaller_ones_is_not_joined),
		cmocka_unit_test(joining_does_not_write_the_same_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
