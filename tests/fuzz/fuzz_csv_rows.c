/*
 * A CSV file is read to its end whatever is in it: rows are numbered one by one, those that are
 * good have all their values, and those that are not are bytes of the file.
 * The first byte chooses the delimiter, the header and the word for NULL.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/tables/csv_rows.h"
#include "shared/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look_at(const struct row *row, size_t columns, const uint8_t *data, size_t size)
{
	assert(row->raw_len > 0 && row->raw_len <= size);
	assert(memmem(data, size, row->raw, row->raw_len) != NULL);
	for (size_t i = 0; row->reason == NULL && i < columns; i++) {
		const struct row_value *value = &row->values[i];

		assert(value->type == ROW_NULL || value->type == ROW_TEXT);
		/* Quotes are taken off, never anything put on. */
		assert(value->len <= row->raw_len);
		assert(value->len == 0 ||
		    memchr(row->raw, value->data[0], row->raw_len) != NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char id[] = "id", name[] = "name", people[] = "people";
	struct table_column columns[] = { { .name = id }, { .name = name } };
	const struct table table = { .name = people, .columns = columns, .column_count = 2 };
	struct csv_rows_options options = { .delimiter = ',' };
	struct error err = ERROR_INIT;
	struct csv_rows *csv = NULL;
	struct row_source *source;
	const size_t *places;
	uint64_t rows = 0, line = 0;
	size_t count;
	struct row row;
	int fd, rc;

	if (size == 0)
		return 0;
	options.header = data[0] & 3;
	if (options.header > CSV_HEADER_NO)
		options.header = CSV_HEADER_AUTO;
	options.delimiter = (data[0] & 4) != 0 ? ';' : ',';
	options.null_word = (data[0] & 8) != 0 ? "\\N" : NULL;
	data++;
	size--;
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	if (csv_rows_open(fd, &options, &csv, &err) != 0) {
		assert(err.code == ERROR_BAD_REQUEST);
		goto out;
	}
	source = csv_rows_source(csv);
	if (source->begin(source->arg, &table, &places, &count, &err) != 0) {
		assert(err.code == ERROR_BAD_REQUEST);
		goto out;
	}
	assert(count >= 1 && count <= 2);
	for (size_t i = 0; i < count; i++)
		assert(places[i] < 2);
	while ((rc = source->next(source->arg, &row, &err)) == 1) {
		assert(row.number == ++rows);
		assert(row.line > line);
		line = row.line;
		look_at(&row, count, data, size);
	}
	assert(rc == 0);
out:
	csv_rows_close(csv);
	close(fd);
	return 0;
}
