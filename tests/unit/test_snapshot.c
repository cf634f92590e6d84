/* Snapshots: as JSON, sealed, found, forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/sealed_json.h"
#include "agent/repository/snapshot.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_repository.h"

struct fixture {
	char *folder, *path, *snapshots;
	struct repository *repo;
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->repo = test_repository_new(&f->folder, &f->path);
	f->snapshots = test_path(f->path, "snapshots");
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	repository_close(f->repo);
	test_folder_remove(f->folder);
	free(f->path);
	free(f->snapshots);
	free(f);
	return 0;
}

static struct snapshot *
make_snapshot(void)
{
	struct snapshot *snapshot = MEM_NEW(struct snapshot);

	snapshot->time = (struct timespec){ 1700000000, 123456789 };
	snapshot->finished = (struct timespec){ 1700000100, 1 };
	snapshot->host = mem_strdup("web1");
	snapshot->kind = mem_strdup("files");
	snapshot->job = mem_strdup("nightly");
	snapshot->run = mem_strdup("r-1");
	snapshot->parent = mem_strdup("0123456789abcdef0123456789abcdef");
	snapshot->program = mem_strdup("holdfast 0.1.0");
	snapshot->sources = mem_calloc(2, sizeof(char *));
	snapshot->sources[0] = mem_strdup("/etc");
	snapshot->sources[1] = mem_strdup("/srv/\\x01\"");
	snapshot->source_count = 2;
	snapshot->tags = mem_calloc(1, sizeof(char *));
	snapshot->tags[0] = mem_strdup("tag");
	snapshot->tag_count = 1;
	snapshot->roots = mem_calloc(1, sizeof(struct blob_id));
	snapshot->roots[0].bytes[31] = 0xab;
	snapshot->root_count = 1;
	snapshot->files = 1;
	snapshot->directories = 2;
	snapshot->others = 3;
	snapshot->bytes = INT64_MAX;
	snapshot->new_files = 5;
	snapshot->changed_files = 6;
	snapshot->unmodified_files = 7;
	snapshot->added_blobs = 8;
	snapshot->added_bytes = 9;
	snapshot->stored_bytes = 10;
	snapshot->warn = true;
	snapshot->loss_total = 2000;
	snapshot->losses = mem_calloc(1, sizeof(*snapshot->losses));
	snapshot->losses[0].path = mem_strdup("/etc/shadow");
	snapshot->losses[0].reason = mem_strdup("Permission denied");
	snapshot->loss_count = 1;
	return snapshot;
}

static void
assert_same_snapshot(const struct snapshot *a, const struct snapshot *b)
{
	json_t *x = snapshot_to_json(a), *y = snapshot_to_json(b);

	assert_true(json_equal(x, y));
	assert_int_equal(a->time.tv_nsec, b->time.tv_nsec);
	assert_int_equal(a->warn, b->warn);
	assert_int_equal(a->loss_total, b->loss_total);
	assert_string_equal(a->losses[0].path, b->losses[0].path);
	assert_string_equal(a->sources[1], b->sources[1]);
	assert_int_equal(a->bytes, b->bytes);
	assert_memory_equal(a->roots, b->roots, BLOB_ID_SIZE);
	json_decref(x);
	json_decref(y);
}

static void
everything_comes_back_from_json(void **state)
{
	struct snapshot *snapshot = make_snapshot(), *back;
	json_t *json = snapshot_to_json(snapshot);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(snapshot_from_json(json, &back, &err), 0);
	assert_same_snapshot(snapshot, back);
	json_decref(json);
	snapshot_free(snapshot);
	snapshot_free(back);
	snapshot_free(NULL);
}

static void
a_document_that_is_no_snapshot_is_refused(void **state)
{
	static const struct {
		const char *key, *value; /* NULL: without it */
		const char *message;
	} cases[] = {
		{ "format", "-2", "snapshot: of unknown format -2" },
		{ "format", NULL, "snapshot: of unknown format 0" },
		{ "time", "\"yesterday\"", "snapshot: 'time' is not a time" },
		{ "finished", NULL, "snapshot: 'finished' is not a time" },
		{ "host", "1", "snapshot: 'host' is not a text" },
		{ "kind", NULL, "snapshot: 'kind' is not a text" },
		{ "sources", "{}", "snapshot: 'sources' is not a list" },
		{ "sources", "[1]", "snapshot: 'sources' holds no text" },
		{ "tags", NULL, "snapshot: 'tags' is not a list" },
		{ "roots", NULL, "snapshot: 'roots' is not a list" },
		{ "roots", "[\"00\"]", "snapshot: a root is not a blob" },
		{ "roots", "[7]", "snapshot: a root is not a blob" },
		{ "sequence", "-1", "snapshot: 'sequence' is not a count" },
		{ "files", "1.5", "snapshot: 'files' is not a count" },
		{ "stored_bytes", NULL, "snapshot: 'stored_bytes' is not a count" },
		{ "losses", "[{}]", "snapshot: 'path' is not a text" },
		{ "losses", "[3]", "snapshot: 'path' is not a text" },
	};
	struct snapshot *snapshot = make_snapshot(), *back = NULL;
	struct error err = ERROR_INIT;
	json_t *list = json_array();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *json = snapshot_to_json(snapshot);

		if (cases[i].value == NULL)
			json_object_del(json, cases[i].key);
		else
			json_object_set_new(json, cases[i].key, json_loads(cases[i].value,
			    JSON_DECODE_ANY, NULL));
		assert_int_equal(snapshot_from_json(json, &back, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		assert_string_equal(err.message, cases[i].message);
		json_decref(json);
	}
	assert_int_equal(snapshot_from_json(list, &back, &err), -1);
	assert_int_equal(snapshot_from_json(NULL, &back, &err), -1);
	json_decref(list);
	snapshot_free(snapshot);
}

/* Publish one more; its id. */
static char *
publish(struct fixture *f)
{
	struct snapshot *snapshot = make_snapshot();
	struct error err = ERROR_INIT;
	char *id;

	if (snapshot_publish(f->repo, snapshot, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(strlen(snapshot->id), SNAPSHOT_ID_TEXT_SIZE - 1);
	id = mem_strdup(snapshot->id);
	snapshot_free(snapshot);
	return id;
}

static void
sequences_rise_by_one_and_order_the_list(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct snapshot **list;
	char *ids[5];
	size_t count;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ids[i] = publish(f);
	assert_int_equal(snapshot_list(f->repo, &list, &count, NULL, NULL, &err), 0);
	assert_int_equal(count, ARRAY_LEN(ids));
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(list[i]->id, ids[i]);
		assert_int_equal(list[i]->sequence, i + 1);
		snapshot_free(list[i]);
		free(ids[i]);
	}
	free(list);
}

static void
a_snapshot_is_found_by_id_by_its_beginning_and_as_latest(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct snapshot *found = NULL;
	char *first, *second, prefix[9];

	assert_int_equal(snapshot_find(f->repo, "latest", &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.message, "there is no snapshot yet");
	first = publish(f);
	second = publish(f);
	assert_int_equal(snapshot_find(f->repo, "latest", &found, &err), 0);
	assert_string_equal(found->id, second);
	snapshot_free(found);
	assert_int_equal(snapshot_find(f->repo, first, &found, &err), 0);
	assert_string_equal(found->id, first);
	snapshot_free(found);
	memcpy(prefix, first, 8);
	prefix[8] = '\0';
	assert_int_equal(snapshot_find(f->repo, prefix, &found, &err), 0);
	assert_string_equal(found->id, first);
	snapshot_free(found);
	free(first);
	free(second);
}

static void
names_that_lead_nowhere_or_elsewhere_are_not_found(void **state)
{
	static const char *const wrong[] = { "", "abc", "../keys", "ABCDEF01", "latest ",
		"0123456789abcdef0123456789abcdef0", "ffff0000ffff", "\x1b[31m", "0123/456" };
	struct fixture *f = *state;
	struct snapshot *found = NULL;

	free(publish(f));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(snapshot_find(f->repo, wrong[i], &found, &err), -1);
		assert_int_equal(err.code, ERROR_NOT_FOUND);
		assert_null(strchr(err.message, '\x1b'));
		assert_int_equal(snapshot_remove(f->repo, wrong[i], &err), -1);
		assert_int_equal(err.code, ERROR_NOT_FOUND);
	}
}

static void
a_beginning_of_two_is_ambiguous(void **state)
{
	static const struct object_id a = { { 0xab, 0xcd, 1 } }, b = { { 0xab, 0xcd, 2 } };
	struct fixture *f = *state;
	struct snapshot *snapshot = make_snapshot(), *found;
	json_t *json = snapshot_to_json(snapshot);
	struct error err = ERROR_INIT;

	assert_int_equal(sealed_json_write(f->repo, "snapshots", SEAL_SNAPSHOT, &a, json, false,
	    &err), 0);
	assert_int_equal(sealed_json_write(f->repo, "snapshots", SEAL_SNAPSHOT, &b, json, false,
	    &err), 0);
	assert_int_equal(snapshot_find(f->repo, "abcd", &found, &err), -1);
	assert_int_equal(err.code, ERROR_AMBIGUOUS);
	assert_string_equal(err.message, "2 snapshots begin with 'abcd'");
	assert_int_equal(snapshot_find(f->repo, "abcd02", &found, &err), 0);
	snapshot_free(found);
	snapshot_free(snapshot);
	json_decref(json);
}

static void
note_bad(void *arg, const char *id, const struct error *why)
{
	char **ret = arg;

	assert_int_equal(why->code, ERROR_CORRUPT);
	assert_null(*ret);
	*ret = mem_strdup(id);
}

static void
a_damaged_snapshot_is_told_and_hides_no_other(void **state)
{
	struct fixture *f = *state;
	char *whole = publish(f), *damaged = publish(f), *bad = NULL, *path;
	struct error err = ERROR_INIT;
	struct snapshot **list, *found;
	uint8_t *bytes;
	size_t count, len;

	path = test_path(f->snapshots, "%s", damaged);
	bytes = test_file_read(path, &len);
	bytes[len / 2] ^= 1;
	test_file_write(path, bytes, len);
	assert_int_equal(snapshot_list(f->repo, &list, &count, note_bad, &bad, &err), 0);
	assert_int_equal(count, 1);
	assert_string_equal(list[0]->id, whole);
	assert_non_null(bad);
	assert_string_equal(bad, damaged);
	assert_int_equal(snapshot_find(f->repo, damaged, &found, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	/* It can be forgotten like any other. */
	assert_int_equal(snapshot_remove(f->repo, damaged, &err), 0);
	assert_int_equal(snapshot_find(f->repo, damaged, &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	snapshot_free(list[0]);
	free(list);
	free(bad);
	free(bytes);
	free(path);
	free(whole);
	free(damaged);
}

static void
a_snapshot_under_another_name_or_of_another_repository_is_damage(void **state)
{
	struct fixture *f = *state;
	char *id = publish(f), *path = test_path(f->snapshots, "%s", id);
	char *other = test_path(f->snapshots, "ffffffffffffffffffffffffffffffff");
	char *elsewhere = test_path(f->folder, "elsewhere"), *there;
	struct error err = ERROR_INIT;
	struct repository *repo;
	struct snapshot *found;
	uint8_t *bytes;
	size_t len;

	bytes = test_file_read(path, &len);
	test_file_write(other, bytes, len);
	assert_int_equal(snapshot_find(f->repo, "ffffffffffffffffffffffffffffffff", &found, &err),
	    -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	test_repository_make(elsewhere);
	repo = test_repository_open(elsewhere, NULL, &err);
	assert_non_null(repo);
	free(publish(&(struct fixture){ .repo = repo }));
	there = test_path(elsewhere, "snapshots/%s", id);
	test_file_write(there, bytes, len);
	assert_int_equal(snapshot_find(repo, id, &found, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	repository_close(repo);
	free(there);
	free(elsewhere);
	free(other);
	free(path);
	free(bytes);
	free(id);
}

static void
a_forgotten_snapshot_lies_in_the_trash_and_a_withdrawn_one_nowhere(void **state)
{
	struct fixture *f = *state;
	char *id = publish(f), *trash = test_path(f->path, "trash"), *last;
	struct error err = ERROR_INIT;
	struct snapshot *found;

	assert_int_equal(snapshot_remove(f->repo, id, &err), 0);
	assert_int_equal(snapshot_find(f->repo, id, &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(test_folder_count(trash), 1);
	/* Its sequence is free again only if it was the last; that is no harm. */
	last = publish(f);
	assert_int_equal(snapshot_find(f->repo, last, &found, &err), 0);
	assert_int_equal(snapshot_withdraw(f->repo, found, &err), 0);
	assert_int_equal(test_folder_count(trash), 1);
	snapshot_free(found);
	assert_int_equal(snapshot_find(f->repo, last, &found, &err), -1);
	assert_int_equal(snapshot_remove(f->repo, last, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	free(last);
	free(trash);
	free(id);
}

static void
a_pinned_snapshot_cannot_be_forgotten(void **state)
{
	struct fixture *f = *state;
	char *id = publish(f);
	struct error err = ERROR_INIT;
	struct snapshot *found;

	assert_int_equal(snapshot_pin(f->repo, id, true, &err), 0);
	assert_int_equal(snapshot_find(f->repo, id, &found, &err), 0);
	assert_true(found->pinned);
	snapshot_free(found);
	assert_int_equal(snapshot_remove(f->repo, id, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_int_equal(snapshot_pin(f->repo, id, false, &err), 0);
	assert_int_equal(snapshot_remove(f->repo, id, &err), 0);
	free(id);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_comes_back_from_json),
		cmocka_unit_test(a_document_that_is_no_snapshot_is_refused),
		CASE(sequences_rise_by_one_and_order_the_list),
		CASE(a_snapshot_is_found_by_id_by_its_beginning_and_as_latest),
		CASE(names_that_lead_nowhere_or_elsewhere_are_not_found),
		CASE(a_beginning_of_two_is_ambiguous),
		CASE(a_damaged_snapshot_is_told_and_hides_no_other),
		CASE(a_snapshot_under_another_name_or_of_another_repository_is_damage),
		CASE(a_forgotten_snapshot_lies_in_the_trash_and_a_withdrawn_one_nowhere),
		CASE(a_pinned_snapshot_cannot_be_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
