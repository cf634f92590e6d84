/* Index files: each blob of some packs is found through one page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/index.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

/* Three pages, the last not full. */
#define PACKS 3
#define FRAMES 5
#define BLOBS 180 /* in a frame */
#define ENTRIES (PACKS * FRAMES * BLOBS)
#define BLOB_LEN 10

struct fixture {
	char *folder;
	struct storage *storage;
	struct keys *keys;
	struct pack_directory *packs[PACKS];
	struct object_id id;
};

static struct blob_id
id_of(const struct fixture *f, unsigned n)
{
	struct blob_id id;

	blob_hash(f->keys, BLOB_DATA, &n, sizeof(n), &id);
	return id;
}

static struct pack_directory *
make_directory(const struct fixture *f, unsigned pack)
{
	struct pack_directory *directory = MEM_NEW(struct pack_directory);
	uint32_t offset = PACK_HEADER_SIZE;

	object_id_random(&directory->id);
	directory->kind = pack == 0 ? PACK_META : PACK_DATA;
	for (unsigned i = 0; i < FRAMES; i++) {
		MEM_GROW(directory->frames, directory->frame_count, directory->frame_cap);
		directory->frames[directory->frame_count++] = (struct pack_frame){
			.offset = offset, .stored_len = 500 + i, .plain_len = BLOBS * BLOB_LEN,
			.first_blob = i * BLOBS, .blob_count = BLOBS };
		offset += 500 + i;
		for (unsigned b = 0; b < BLOBS; b++) {
			MEM_GROW(directory->blobs, directory->blob_count, directory->blob_cap);
			directory->blobs[directory->blob_count++] = (struct pack_blob){
				id_of(f, (pack * FRAMES + i) * BLOBS + b), BLOB_LEN };
		}
	}
	directory->size = offset + 12345;
	return directory;
}

static int
setup(void **state)
{
	static const uint8_t master[MASTER_KEY_SIZE] = { 9 };
	static const struct object_id repository = { { 'r' } };
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;

	f->folder = test_folder_new();
	if (crypto_start(&err) != 0 || storage_open(f->folder, false, &f->storage, &err) != 0)
		return -1;
	f->keys = keys_new(master, &repository);
	for (unsigned p = 0; p < PACKS; p++)
		f->packs[p] = make_directory(f, p);
	*state = f;
	return index_write(f->storage, f->keys, f->packs, PACKS, &f->id, &err);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned p = 0; p < PACKS; p++)
		pack_directory_free(f->packs[p]);
	keys_free(f->keys);
	storage_close(f->storage);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static void
the_header_names_packs_frames_and_pages(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct index_file *file;

	assert_int_equal(index_read_header(f->storage, f->keys, &f->id, &file, &err), 0);
	assert_int_equal(file->pack_count, PACKS);
	assert_int_equal(file->frame_count, PACKS * FRAMES);
	assert_int_equal(file->entry_count, ENTRIES);
	assert_int_equal(file->page_count, 3);
	for (unsigned p = 0; p < PACKS; p++) {
		assert_memory_equal(&file->packs[p].id, &f->packs[p]->id, OBJECT_ID_SIZE);
		assert_int_equal(file->packs[p].kind, f->packs[p]->kind);
		assert_int_equal(file->packs[p].size, f->packs[p]->size);
		assert_int_equal(file->packs[p].first_frame, p * FRAMES);
		assert_int_equal(file->packs[p].frame_count, FRAMES);
		for (unsigned i = 0; i < FRAMES; i++) {
			const struct index_frame *frame = &file->frames[p * FRAMES + i];

			assert_int_equal(frame->pack, p);
			assert_int_equal(frame->offset, f->packs[p]->frames[i].offset);
			assert_int_equal(frame->stored_len, 500 + i);
			assert_int_equal(frame->plain_len, BLOBS * BLOB_LEN);
		}
	}
	index_file_free(file);
	index_file_free(NULL);
}

static const struct index_entry *
find(const struct index_entry *entries, size_t count, const struct blob_id *id)
{
	for (size_t i = 0; i < count; i++)
		if (blob_id_compare(&entries[i].id, id) == 0)
			return &entries[i];
	return NULL;
}

static void
every_blob_is_found_in_the_one_page_that_would_hold_it(void **state)
{
	struct fixture *f = *state;
	struct index_entry *entries = mem_calloc(3 * INDEX_PAGE_ENTRIES, sizeof(*entries));
	struct error err = ERROR_INIT;
	struct index_file *file;

	assert_int_equal(index_read_header(f->storage, f->keys, &f->id, &file, &err), 0);
	for (size_t page = 0; page < file->page_count; page++)
		assert_int_equal(index_read_page(f->storage, f->keys, file, page,
		    entries + page * INDEX_PAGE_ENTRIES, &err), 0);
	for (unsigned n = 0; n < ENTRIES; n++) {
		struct blob_id id = id_of(f, n);
		ssize_t page = index_find_page(file, &id);
		const struct index_entry *entry;

		assert_true(page >= 0);
		entry = find(entries + page * INDEX_PAGE_ENTRIES, file->pages[page].count, &id);
		assert_non_null(entry);
		assert_int_equal(entry->location.frame, n / BLOBS);
		assert_int_equal(entry->location.offset, n % BLOBS * BLOB_LEN);
		assert_int_equal(entry->location.len, BLOB_LEN);
	}
	for (unsigned n = ENTRIES; n < ENTRIES + 100; n++) {
		struct blob_id id = id_of(f, n);

		assert_null(find(entries, 3 * INDEX_PAGE_ENTRIES, &id));
	}
	index_file_free(file);
	free(entries);
}

static void
an_index_of_no_blobs_has_no_page(void **state)
{
	struct fixture *f = *state;
	struct pack_directory empty = { .size = 100 }, *const list[] = { &empty };
	struct error err = ERROR_INIT;
	struct blob_id id = id_of(f, 1);
	struct index_file *file;
	struct object_id name;

	assert_int_equal(index_write(f->storage, f->keys, list, 1, &name, &err), 0);
	assert_int_equal(index_read_header(f->storage, f->keys, &name, &file, &err), 0);
	assert_int_equal(file->page_count, 0);
	assert_int_equal(index_find_page(file, &id), -1);
	index_file_free(file);
}

static void
read_file(struct fixture *f, struct buffer *ret)
{
	struct error err = ERROR_INIT;
	char name[INDEX_NAME_SIZE];

	index_name(&f->id, name);
	assert_int_equal(storage_get_whole(f->storage, name, 1 << 24, ret, &err), 0);
}

static void
store(struct fixture *f, const struct object_id *id, const uint8_t *data, size_t len)
{
	struct error err = ERROR_INIT;
	char name[INDEX_NAME_SIZE];

	index_name(id, name);
	assert_int_equal(storage_put_whole(f->storage, name, data, len, true, &err), 0);
}

static void
an_index_that_was_cut_lengthened_or_renamed_is_refused(void **state)
{
	struct fixture *f = *state;
	struct object_id other = f->id;
	struct buffer bytes = BUFFER_INIT;
	struct error err = ERROR_INIT;
	struct index_file *file;

	read_file(f, &bytes);
	for (size_t len = 0; len < bytes.len; len += len < 600 ? 1 : 4999) {
		store(f, &f->id, bytes.data, len);
		assert_int_equal(index_read_header(f->storage, f->keys, &f->id, &file, &err), -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
	}
	buffer_put_u8(&bytes, 0);
	store(f, &f->id, bytes.data, bytes.len);
	assert_int_equal(index_read_header(f->storage, f->keys, &f->id, &file, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	bytes.len--;
	/* Under another name, also when that name stands in the plain bytes. */
	other.bytes[0] ^= 1;
	store(f, &other, bytes.data, bytes.len);
	assert_int_equal(index_read_header(f->storage, f->keys, &other, &file, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	memcpy(bytes.data + 8 + OBJECT_ID_SIZE, other.bytes, OBJECT_ID_SIZE);
	store(f, &other, bytes.data, bytes.len);
	assert_int_equal(index_read_header(f->storage, f->keys, &other, &file, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "index header is damaged"));
	buffer_done(&bytes);
}

static void
an_index_of_another_repository_is_refused(void **state)
{
	static const struct object_id elsewhere = { { 'e' } };
	struct fixture *f = *state;
	struct keys *keys = keys_new(keys_master(f->keys), &elsewhere);
	struct error err = ERROR_INIT;
	struct index_file *file;

	assert_int_equal(index_read_header(f->storage, keys, &f->id, &file, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "index file of another repository"));
	keys_free(keys);
}

static void
pages_that_swapped_their_places_are_refused(void **state)
{
	struct fixture *f = *state;
	struct index_entry *entries = mem_calloc(INDEX_PAGE_ENTRIES, sizeof(*entries));
	size_t page_len = INDEX_PAGE_ENTRIES * INDEX_ENTRY_SIZE + SEAL_OVERHEAD;
	struct buffer bytes = BUFFER_INIT, copy = BUFFER_INIT;
	struct error err = ERROR_INIT;
	struct index_file *file;

	read_file(f, &bytes);
	read_file(f, &copy);
	assert_int_equal(index_read_header(f->storage, f->keys, &f->id, &file, &err), 0);
	memcpy(bytes.data + file->pages[0].offset, copy.data + file->pages[1].offset, page_len);
	memcpy(bytes.data + file->pages[1].offset, copy.data + file->pages[0].offset, page_len);
	store(f, &f->id, bytes.data, bytes.len);
	for (size_t page = 0; page < 2; page++) {
		assert_int_equal(index_read_page(f->storage, f->keys, file, page, entries, &err),
		    -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		assert_non_null(strstr(err.message, "is damaged"));
	}
	assert_int_equal(index_read_page(f->storage, f->keys, file, 2, entries, &err), 0);
	index_file_free(file);
	buffer_done(&bytes);
	buffer_done(&copy);
	free(entries);
}

static void
assert_header_refused(struct buffer *plain, const char *message)
{
	struct index_file *file = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(index_header_decode(plain->data, plain->len, 100, &file, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	if (message != NULL)
		assert_string_equal(err.message, message);
	buffer_clear(plain);
}

static void
a_header_with_impossible_counts_is_refused(void **state)
{
	static const uint8_t id[OBJECT_ID_SIZE] = { 1 };
	static const uint64_t huge[] = { UINT64_C(1) << 63, UINT32_MAX, 1u << 19 };
	struct buffer plain = BUFFER_INIT;

	(void)state;
	assert_header_refused(&plain, NULL);
	for (size_t i = 0; i < ARRAY_LEN(huge); i++) {
		/* Packs, then frames, then pages. */
		buffer_put_varint(&plain, huge[i]);
		assert_header_refused(&plain, NULL);
		buffer_put_varint(&plain, 1);
		buffer_put(&plain, id, sizeof(id));
		buffer_put_u8(&plain, PACK_DATA);
		buffer_put_varint(&plain, 1000);
		buffer_put_varint(&plain, huge[i]);
		assert_header_refused(&plain, NULL);
		buffer_put_varint(&plain, 0);
		buffer_put_varint(&plain, huge[i]);
		assert_header_refused(&plain, NULL);
	}
	/* A frame behind the end of its pack. */
	buffer_put_varint(&plain, 1);
	buffer_put(&plain, id, sizeof(id));
	buffer_put_u8(&plain, PACK_DATA);
	buffer_put_varint(&plain, PACK_HEADER_SIZE + 99);
	buffer_put_varint(&plain, 1);
	buffer_put_varint(&plain, 100);
	buffer_put_varint(&plain, 100);
	buffer_put_varint(&plain, 0);
	assert_header_refused(&plain, "index header: frames beyond the end of their pack");
	/* Pages out of order. */
	buffer_put_varint(&plain, 0);
	buffer_put_varint(&plain, 2);
	buffer_put_u64(&plain, 5);
	buffer_put_varint(&plain, 1);
	buffer_put_u64(&plain, 4);
	buffer_put_varint(&plain, 1);
	assert_header_refused(&plain, "index header: pages are not in order");
	buffer_done(&plain);
}

static void
put_entry(struct buffer *plain, uint8_t id, uint32_t frame, uint32_t offset, uint32_t len)
{
	const uint8_t bytes[BLOB_ID_SIZE] = { id };

	buffer_put(plain, bytes, sizeof(bytes));
	buffer_put_u32(plain, frame);
	buffer_put_u32(plain, offset);
	buffer_put_u32(plain, len);
}

static void
a_page_that_points_elsewhere_is_refused(void **state)
{
	struct index_frame frame = { .plain_len = 100 };
	struct index_page page = { .count = 1 };
	struct index_file file = { .frames = &frame, .frame_count = 1, .pages = &page,
		.page_count = 1 };
	static const uint32_t wrong[][3] = { { 1, 0, 1 }, { 0, 100, 1 }, { 0, 0, 101 },
		{ 0, UINT32_MAX, 2 }, { 0, 0, BLOB_MAX + 1 } };
	struct index_entry entries[2];
	struct buffer plain = BUFFER_INIT;
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		put_entry(&plain, 1, wrong[i][0], wrong[i][1], wrong[i][2]);
		assert_int_equal(index_page_decode(plain.data, plain.len, &file, 0, entries, &err),
		    -1);
		assert_int_equal(err.code, ERROR_CORRUPT);
		assert_string_equal(err.message, "index page: an entry points outside its frame");
		buffer_clear(&plain);
	}
	page.count = 2;
	put_entry(&plain, 2, 0, 0, 100);
	put_entry(&plain, 1, 0, 0, 100);
	assert_int_equal(index_page_decode(plain.data, plain.len, &file, 0, entries, &err), -1);
	assert_string_equal(err.message, "index page: entries are not in order");
	page.count = 1;
	assert_int_equal(index_page_decode(plain.data, plain.len, &file, 0, entries, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_int_equal(index_page_decode(plain.data, INDEX_ENTRY_SIZE, &file, 0, entries, &err),
	    0);
	assert_int_equal(index_page_decode(plain.data, INDEX_ENTRY_SIZE - 1, &file, 0, entries,
	    &err), -1);
	buffer_done(&plain);
}

/* One file of several is the file that would have been written of all packs. */
static void
joined_files_hold_what_one_of_all_packs_holds(void **state)
{
	struct fixture *f = *state;
	struct index_file *parts[PACKS + 1], *whole, *joined;
	struct index_entry *a = mem_calloc(INDEX_PAGE_ENTRIES, sizeof(*a));
	struct index_entry *b = mem_calloc(INDEX_PAGE_ENTRIES, sizeof(*b));
	struct error err = ERROR_INIT;
	struct object_id id;

	for (unsigned p = 0; p <= PACKS; p++) {
		/* The last covers packs that others cover, too. */
		assert_int_equal(index_write(f->storage, f->keys, p < PACKS ? &f->packs[p] : f->packs,
		    p < PACKS ? 1 : 2, &id, &err), 0);
		assert_int_equal(index_read_header(f->storage, f->keys, &id, &parts[p], &err), 0);
	}
	assert_int_equal(index_join(f->storage, f->keys, parts, PACKS + 1, &id, &err), 0);
	assert_int_equal(index_read_header(f->storage, f->keys, &id, &joined, &err), 0);
	assert_int_equal(index_read_header(f->storage, f->keys, &f->id, &whole, &err), 0);
	assert_int_equal(joined->pack_count, PACKS);
	assert_memory_equal(joined->packs, whole->packs, PACKS * sizeof(*whole->packs));
	assert_int_equal(joined->frame_count, whole->frame_count);
	assert_memory_equal(joined->frames, whole->frames,
	    whole->frame_count * sizeof(*whole->frames));
	assert_int_equal(joined->entry_count, ENTRIES);
	assert_int_equal(joined->page_count, whole->page_count);
	for (size_t page = 0; page < whole->page_count; page++) {
		assert_int_equal(joined->pages[page].first, whole->pages[page].first);
		assert_int_equal(joined->pages[page].count, whole->pages[page].count);
		assert_int_equal(index_read_page(f->storage, f->keys, joined, page, a, &err), 0);
		assert_int_equal(index_read_page(f->storage, f->keys, whole, page, b, &err), 0);
		assert_memory_equal(a, b, whole->pages[page].count * sizeof(*a));
	}
	for (unsigned p = 0; p <= PACKS; p++)
		index_file_free(parts[p]);
	index_file_free(whole);
	index_file_free(joined);
	free(a);
	free(b);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(the_header_names_packs_frames_and_pages),
		CASE(every_blob_is_found_in_the_one_page_that_would_hold_it),
		CASE(an_index_of_no_blobs_has_no_page),
		CASE(an_index_that_was_cut_lengthened_or_renamed_is_refused),
		CASE(an_index_of_another_repository_is_refused),
		CASE(pages_that_swapped_their_places_are_refused),
		CASE(joined_files_hold_what_one_of_all_packs_holds),
		cmocka_unit_test(a_header_with_impossible_counts_is_refused),
		cmocka_unit_test(a_page_that_points_elsewhere_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
