#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/files/archive.h"
#include "agent/files/archive_internal.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "tests/lib/test_repository.h"

struct fixture {
	char *folder, *source;
	struct repository *repo;
	struct snapshot *snapshot;
	struct progress progress;
	struct error err;
	/* what the sink got */
	struct buffer out;
	size_t refuse_after; /* bytes; 0: takes all */
};

static int
setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->repo = test_snapshot_new(&f->folder, &f->source, &f->snapshot);
	progress_init(&f->progress);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	progress_done(&f->progress);
	buffer_done(&f->out);
	snapshot_free(f->snapshot);
	repository_close(f->repo);
	free(f->source);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static int
take(void *arg, const void *data, size_t len, struct error *err)
{
	struct fixture *f = arg;

	if (f->refuse_after > 0 && f->out.len + len > f->refuse_after)
		return error_set(err, ERROR_UNAVAILABLE, "the client went away");
	buffer_put(&f->out, data, len);
	return 0;
}

static int
make(struct fixture *f, enum archive_format_kind kind, const char *path, uint64_t skip)
{
	buffer_clear(&f->out);
	return files_archive(f->repo, f->snapshot, path, kind, skip, take, f, &f->progress,
	    &f->err);
}

static void
formats_have_words_and_media_types(void **state)
{
	enum archive_format_kind kind;
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARCHIVE_FORMAT_COUNT; i++) {
		const char *word = archive_kind_word((enum archive_format_kind)i);

		assert_int_equal(archive_kind_parse(word, &kind, &err), 0);
		assert_int_equal(kind, i);
		assert_non_null(strchr(archive_kind_media_type(kind), '/'));
	}
	assert_int_equal(archive_kind_parse("rar", &kind, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.message, "unknown archive format 'rar'");
	assert_string_equal(err.hint, "the formats are tar, tar.zst and zip");
}

/* How many entries libarchive reads, and the sum of their sizes. */
static unsigned
read_archive(const struct buffer *buf, uint64_t *ret_bytes)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	unsigned count = 0;
	int code;

	archive_read_support_format_all(a);
	archive_read_support_filter_all(a);
	assert_int_equal(archive_read_open_memory(a, buf->data, buf->len), ARCHIVE_OK);
	*ret_bytes = 0;
	while ((code = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		count++;
		*ret_bytes += (uint64_t)archive_entry_size(entry);
		assert_int_equal(archive_read_data_skip(a), ARCHIVE_OK);
	}
	assert_int_equal(code, ARCHIVE_EOF);
	archive_read_free(a);
	return count;
}

static void
each_format_holds_every_entry(void **state)
{
	struct fixture *f = *state;
	uint64_t bytes, first_bytes = 0;
	unsigned count, first = 0;

	for (size_t kind = 0; kind < ARCHIVE_FORMAT_COUNT; kind++) {
		assert_int_equal(make(f, (enum archive_format_kind)kind, f->source, 0), 0);
		count = read_archive(&f->out, &bytes);
		if (kind == 0) {
			first = count;
			first_bytes = bytes;
		}
		assert_int_equal(count, first);
		/* A zip has the content of a hard link once more. */
		assert_true(kind == ARCHIVE_ZIP ? bytes > first_bytes : bytes == first_bytes);
	}
	assert_true(first > 20);
	assert_int_equal(f->progress.losses.total, 0);
}

static void
skipped_bytes_are_those_at_the_front(void **state)
{
	struct fixture *f = *state;
	struct buffer whole;

	for (size_t i = 0; i < ARCHIVE_FORMAT_COUNT; i++) {
		enum archive_format_kind kind = (enum archive_format_kind)i;

		assert_int_equal(make(f, kind, f->source, 0), 0);
		whole = f->out;
		memset(&f->out, 0, sizeof(f->out));
		for (uint64_t skip = 1; skip < whole.len; skip = skip * 7 + 1) {
			assert_int_equal(make(f, kind, f->source, skip), 0);
			assert_int_equal(f->out.len, whole.len - skip);
			assert_memory_equal(f->out.data, whole.data + skip, f->out.len);
		}
		/* Behind the end there is nothing. */
		assert_int_equal(make(f, kind, f->source, whole.len + 9), 0);
		assert_int_equal(f->out.len, 0);
		buffer_done(&whole);
	}
}

static void
the_sinks_own_error_ends_the_stream(void **state)
{
	struct fixture *f = *state;

	f->refuse_after = 100000;
	for (size_t kind = 0; kind < ARCHIVE_FORMAT_COUNT; kind++) {
		assert_int_equal(make(f, (enum archive_format_kind)kind, f->source, 0), -1);
		assert_int_equal(f->err.code, ERROR_UNAVAILABLE);
		assert_string_equal(f->err.message, "the client went away");
	}
}

static void
cancelled_archive_has_no_end_mark(void **state)
{
	struct fixture *f = *state;

	progress_cancel(&f->progress);
	assert_int_equal(make(f, ARCHIVE_TAR, f->source, 0), -1);
	assert_int_equal(f->err.code, ERROR_CANCELLED);
	assert_int_equal(f->out.len, 0);
}

static void
path_that_is_not_there_is_told_before_anything_is_written(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(make(f, ARCHIVE_ZIP, "/no/such/thing", 0), -1);
	assert_int_equal(f->err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(f->err.message, "has no path '/no/such/thing'"));
	assert_int_equal(f->out.len, 0);
	assert_int_equal(make(f, ARCHIVE_ZIP, "relative", 0), -1);
	assert_int_equal(f->err.code, ERROR_BAD_REQUEST);
	assert_int_equal(make(f, ARCHIVE_ZIP, "/broken\\xg", 0), -1);
	assert_int_equal(f->err.code, ERROR_BAD_REQUEST);
	assert_int_equal(f->out.len, 0);
}

/* --- single entries ----------------------------------------------------------------- */

static void
acl_of_the_kernel_becomes_one_of_libarchive(void **state)
{
	/* user::rw-, user:4242:r-x, group::r--, mask::rwx, other::--- */
	uint8_t bytes[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 5, 0, 0x92, 0x10,
		0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 0x10, 0, 7, 0, 255, 255, 255, 255, 0x20, 0, 0,
		0, 255, 255, 255, 255 };
	struct xattr xattr = { NULL, bytes, sizeof(bytes) };
	struct archive_entry *to = archive_entry_new();
	struct error err = ERROR_INIT;
	char *text;

	(void)state;
	assert_int_equal(archive_item_add_acl(to, &xattr, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &err),
	    0);
	text = archive_entry_acl_to_text(to, NULL, ARCHIVE_ENTRY_ACL_TYPE_ACCESS |
	    ARCHIVE_ENTRY_ACL_STYLE_SEPARATOR_COMMA);
	assert_string_equal(text, "user::rw-,group::r--,other::---,user:4242:r-x,mask::rwx");
	free(text);
	archive_entry_free(to);
}

static void
acl_that_is_none_is_refused(void **state)
{
	static const struct { const char *bytes; size_t len; } broken[] = {
		{ "", 0 }, { "\2\0\0", 3 }, { "\3\0\0\0", 4 }, { "\2\0\0\0\1\0\6", 7 },
		{ "\2\0\0\0\1\0\10\0\377\377\377\377", 12 },
		{ "\2\0\0\0\3\0\6\0\377\377\377\377", 12 },
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		size_t len = broken[i].len;
		uint8_t *bytes = len == 0 ? NULL : mem_dup(broken[i].bytes, len);
		struct xattr xattr = { NULL, bytes, len };
		struct archive_entry *to = archive_entry_new();

		assert_int_equal(archive_item_add_acl(to, &xattr, ARCHIVE_ENTRY_ACL_TYPE_ACCESS,
		    &err), -1);
		archive_entry_free(to);
		free(bytes);
	}
}

static void
entry_keeps_what_the_archive_can_hold(void **state)
{
	struct extent extents[] = { { 4096, 100 }, { 1 << 20, 50 } };
	char name[] = "user.x";
	uint8_t value[] = { 'a', 'b' };
	struct xattr xattrs[] = { { name, value, sizeof(value) } };
	struct entry entry;
	struct archive_entry *to;

	(void)state;
	entry_init(&entry);
	entry.kind = ENTRY_FILE;
	entry.mode = 04750;
	entry.uid = 3000000000u;
	entry.gid = 7;
	entry.mtime = (struct timespec){ 1600000000, 123456789 };
	entry.size = 2 << 20;
	entry.sparse = true;
	entry.extents = extents;
	entry.extent_count = 2;
	entry.xattrs = xattrs;
	entry.xattr_count = 1;
	to = archive_item_new(&entry, "a/b", NULL, true);
	assert_string_equal(archive_entry_pathname(to), "a/b");
	assert_int_equal(archive_entry_mode(to), S_IFREG | 04750);
	assert_true(archive_entry_uid(to) == 3000000000);
	assert_int_equal(archive_entry_mtime(to), 1600000000);
	assert_int_equal(archive_entry_mtime_nsec(to), 123456789);
	assert_int_equal(archive_entry_size(to), 2 << 20);
	assert_int_equal(archive_entry_sparse_count(to), 2);
	assert_int_equal(archive_entry_xattr_count(to), 1);
	archive_entry_free(to);
	to = archive_item_new(&entry, "a/c", "a/b", true);
	assert_string_equal(archive_entry_hardlink(to), "a/b");
	assert_int_equal(archive_entry_size(to), 0);
	archive_entry_free(to);
	/* Before 1970 both parts count away from zero: -5 s + 0.25 s is "-4.75". */
	entry.mtime = (struct timespec){ -5, 250000000 };
	to = archive_item_new(&entry, "a", NULL, false);
	assert_int_equal(archive_entry_mtime(to), -4);
	assert_int_equal(archive_entry_mtime_nsec(to), 750000000);
	assert_int_equal(archive_entry_xattr_count(to), 0);
	archive_entry_free(to);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_have_words_and_media_types),
		TEST(each_format_holds_every_entry),
		TEST(skipped_bytes_are_those_at_the_front),
		TEST(the_sinks_own_error_ends_the_stream),
		TEST(cancelled_archive_has_no_end_mark),
		TEST(path_that_is_not_there_is_told_before_anything_is_written),
		cmocka_unit_test(acl_of_the_kernel_becomes_one_of_libarchive),
		cmocka_unit_test(acl_that_is_none_is_refused),
		cmocka_unit_test(entry_keeps_what_the_archive_can_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
