/* A CSV file as rows: headers, quotes, line ends, and what is no row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/tables/csv_rows.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

/* A table of three columns. */
static struct table_column columns[] = {
	{ .name = (char *)(uintptr_t)"id" },
	{ .name = (char *)(uintptr_t)"Name" },
	{ .name = (char *)(uintptr_t)"at" },
};
static const struct table table = { .name = (char *)(uintptr_t)"people", .columns = columns,
	.column_count = 3 };
static const struct table narrow = { .name = (char *)(uintptr_t)"words", .columns = columns + 1,
	.column_count = 1 };

static int
file_of(const void *data, size_t len)
{
	int fd = memfd_create("csv", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

struct reading {
	int fd;
	struct csv_rows *csv;
	struct row_source *source;
	const size_t *columns;
	size_t column_count;
	struct error err;
	int rc;
};

static void
begin(struct reading *r, const struct table *of, const void *data, size_t len,
    const struct csv_rows_options *options)
{
	static const struct csv_rows_options plain = { .delimiter = ',' };

	memset(r, 0, sizeof(*r));
	r->fd = file_of(data, len);
	r->rc = csv_rows_open(r->fd, options == NULL ? &plain : options, &r->csv, &r->err);
	if (r->rc != 0)
		return;
	r->source = csv_rows_source(r->csv);
	r->rc = r->source->begin(r->source->arg, of, &r->columns, &r->column_count, &r->err);
}

static void
end(struct reading *r)
{
	csv_rows_close(r->csv);
	close(r->fd);
}

/* "id=[1] Name=NULL", or what is wrong with it: "!2:3 reason {raw}"; NUL-terminated. */
static void
put_row(struct buffer *out, const struct reading *r, const struct row *row)
{
	if (row->reason != NULL) {
		buffer_printf(out, "!%llu:%llu %s {%.*s}", (unsigned long long)row->number,
		    (unsigned long long)row->line, row->reason, (int)row->raw_len, row->raw);
	} else {
		buffer_printf(out, "%llu:%llu", (unsigned long long)row->number,
		    (unsigned long long)row->line);
		for (size_t i = 0; i < r->column_count; i++) {
			const struct row_value *value = &row->values[i];

			assert_true(value->type == ROW_NULL || value->type == ROW_TEXT);
			if (value->type == ROW_NULL)
				buffer_printf(out, " %zu=NULL", r->columns[i]);
			else
				buffer_printf(out, " %zu=[%.*s]", r->columns[i], (int)value->len,
				    value->data);
		}
	}
	buffer_put_u8(out, '\n');
}

static void
expect_bytes(const struct table *of, const void *data, size_t len,
    const struct csv_rows_options *options, const char *expected)
{
	struct buffer out = BUFFER_INIT;
	struct reading r;
	struct row row;
	int rc;

	begin(&r, of, data, len, options);
	if (r.rc != 0)
		fail_msg("%s", r.err.message);
	while ((rc = r.source->next(r.source->arg, &row, &r.err)) == 1)
		put_row(&out, &r, &row);
	assert_int_equal(rc, 0);
	assert_int_equal(r.source->next(r.source->arg, &row, &r.err), 0);
	assert_string_equal(buffer_text(&out), expected);
	buffer_done(&out);
	end(&r);
}

static void
expect(const char *text, const struct csv_rows_options *options, const char *expected)
{
	expect_bytes(&table, text, strlen(text), options, expected);
}

static void
refuse(const void *data, size_t len, enum csv_header header, const char *message,
    const char *hint)
{
	struct csv_rows_options options = { .header = header, .delimiter = ',' };
	struct reading r;

	begin(&r, &table, data, len, &options);
	assert_int_equal(r.rc, -1);
	assert_int_equal(r.err.code, ERROR_BAD_REQUEST);
	assert_string_equal(r.err.message, message);
	assert_string_equal(r.err.hint, hint);
	end(&r);
}

static void
without_a_header_the_columns_are_those_of_the_table(void **state)
{
	(void)state;
	expect("1,a,x\n2,b,y\n", NULL, "1:1 0=[1] 1=[a] 2=[x]\n2:2 0=[2] 1=[b] 2=[y]\n");
	expect("1,a,x\n2,b,y", NULL, "1:1 0=[1] 1=[a] 2=[x]\n2:2 0=[2] 1=[b] 2=[y]\n");
	expect("", NULL, "");
	expect("\n\r\n\n", NULL, "");
}

static void
a_header_is_recognised_by_the_names_of_columns(void **state)
{
	(void)state;
	expect("ID,name,At\n1,a,x\n", NULL, "1:2 0=[1] 1=[a] 2=[x]\n");
	/* Some of them, in any order, quoted, with spaces around. */
	expect("\n at ,\"id\"\n1,2\n", NULL, "1:3 2=[1] 0=[2]\n");
	expect("name\n", NULL, "");
	/* Not all fields are names: data. */
	expect("id,name,when\n", NULL, "1:1 0=[id] 1=[name] 2=[when]\n");
	/* More names than columns. */
	expect("id,name,at,id\n", NULL,
	    "!1:1 the row has 4 fields, 3 are expected {id,name,at,id}\n");
}

static void
a_header_is_there_or_not_as_it_is_said(void **state)
{
	struct csv_rows_options no = { .header = CSV_HEADER_NO, .delimiter = ',' };
	struct csv_rows_options yes = { .header = CSV_HEADER_YES, .delimiter = ',' };

	(void)state;
	expect("id,name,at\n", &no, "1:1 0=[id] 1=[name] 2=[at]\n");
	expect("at\nx\n", &yes, "1:2 2=[x]\n");
	expect("", &yes, "");
}

static void
a_header_that_does_not_fit_is_refused(void **state)
{
	(void)state;
#define TEXT(text) text, strlen(text)
	refuse(TEXT("id,n\033ame,at\n"), CSV_HEADER_YES,
	    "the header line names 'n\\x1bame', which is no column of table 'people' that can be loaded", "they are: id, Name, at");
	refuse(TEXT("id,at,ID\n"), CSV_HEADER_YES, "the header line names column 'id' twice", "");
	refuse(TEXT("id,at,ID\n"), CSV_HEADER_AUTO, "the header line names column 'id' twice", "");
	refuse(TEXT("id,,at\n"), CSV_HEADER_YES, "the header line names '', which is no "
	    "column of table 'people' that can be loaded", "they are: id, Name, at");
	refuse(TEXT("id,at,name,x\n"), CSV_HEADER_YES,
	    "the header line names 4 columns, table 'people' has 3", "");
	refuse(TEXT("id,\"at\n"), CSV_HEADER_YES,
	    "the header line: the quote that opens in line 1 is never closed", "");
}

static void
utf_16_is_refused_and_a_mark_of_utf_8_is_passed_over(void **state)
{
	const char *hint = "make it UTF-8: iconv -f UTF-16 -t UTF-8 FILE";

	(void)state;
	refuse("\xff\xfe" "1\0,\0", 6, CSV_HEADER_AUTO, "the CSV file is UTF-16", hint);
	refuse("\xfe\xff\0" "1\0,", 6, CSV_HEADER_AUTO, "the CSV file is UTF-16", hint);
	expect("\xef\xbb\xbfid,at\n1,\xc3\xa9\n", NULL, "1:2 0=[1] 2=[\xc3\xa9]\n");
	expect("\xef\xbb\xbf" "1,2,3\n", NULL, "1:1 0=[1] 1=[2] 2=[3]\n");
	expect("\xef\xbb\xbf", NULL, "");
}

static void
fields_in_quotes_hold_anything(void **state)
{
	(void)state;
	expect("1,\"a,b\",\"\"\"\"\n2,\"x\ny\",\"\r\n\"\r\n3,\"\n\n\",z\n", NULL,
	    "1:1 0=[1] 1=[a,b] 2=[\"]\n2:2 0=[2] 1=[x\ny] 2=[\r\n]\n"
	    "3:5 0=[3] 1=[\n\n] 2=[z]\n");
	/* Spaces belong to a field. */
	expect(" 1 ,a b ,\" \"\n", NULL, "1:1 0=[ 1 ] 1=[a b ] 2=[ ]\n");
}

static void
lines_end_with_lf_crlf_or_cr(void **state)
{
	(void)state;
	expect("1,2,3\r\n\r\n4,5,6\r7,8,9\n\r1,1,1\r", NULL,
	    "1:1 0=[1] 1=[2] 2=[3]\n2:3 0=[4] 1=[5] 2=[6]\n3:4 0=[7] 1=[8] 2=[9]\n"
	    "4:6 0=[1] 1=[1] 2=[1]\n");
}

static void
an_empty_field_is_null_unless_it_is_quoted(void **state)
{
	struct csv_rows_options word = { .delimiter = ',', .null_word = "\\N" };

	(void)state;
	expect(",\"\",\n", NULL, "1:1 0=NULL 1=[] 2=NULL\n");
	expect(",\\N,\"\\N\"\n", &word, "1:1 0=[] 1=NULL 2=NULL\n");
	expect_bytes(&narrow, "\"\"\n\na\n", 6, NULL, "1:1 0=[]\n2:3 0=[a]\n");
}

static void
another_delimiter(void **state)
{
	struct csv_rows_options options = { .delimiter = '\t' };
	struct error err = ERROR_INIT;
	const char *const bad[] = { "", "ab", "\"", "\n", "\xc3\xa9", "\\n", "\xff" };

	(void)state;
	expect("1\t,\t\"\t\"\n", &options, "1:1 0=[1] 1=[,] 2=[\t]\n");
	assert_int_equal(csv_delimiter_parse("\\t", &options.delimiter, &err), 0);
	assert_int_equal(options.delimiter, '\t');
	assert_int_equal(csv_delimiter_parse(";", &options.delimiter, &err), 0);
	assert_int_equal(options.delimiter, ';');
	expect("1;,;\n", &options, "1:1 0=[1] 1=[,] 2=NULL\n");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(csv_delimiter_parse(bad[i], &options.delimiter, &err), -1);
		assert_int_equal(err.code, ERROR_BAD_REQUEST);
	}
}

static void
ragged_rows_are_told_apart(void **state)
{
	(void)state;
	expect("1,2\n1,2,3\n1,2,3,4\n7\n", NULL, "!1:1 the row has 2 fields, 3 are expected {1,2}\n"
	    "2:2 0=[1] 1=[2] 2=[3]\n!3:3 the row has 4 fields, 3 are expected {1,2,3,4}\n"
	    "!4:4 the row has 1 field, 3 are expected {7}\n");
	expect("at\n1\n1,2\n", NULL, "1:2 2=[1]\n!2:3 the row has 2 fields, 1 is expected {1,2}\n");
}

static void
a_misplaced_quote_costs_its_line(void **state)
{
	(void)state;
	expect("1,a\"b,3\n1,2,3\n\"1\"x,2,3\r\n1,\"x\ny\"z,3\n1,2,3\n1,\"a\"b\"", NULL,
	    "!1:1 field 2 holds a quote but does not begin with one (line 1) {1,a\"b,3}\n"
	    "2:2 0=[1] 1=[2] 2=[3]\n"
	    "!3:3 field 1 goes on after its closing quote (line 3) {\"1\"x,2,3}\n"
	    "!4:4 field 2 goes on after its closing quote (line 5) {1,\"x\ny\"z,3}\n"
	    "5:6 0=[1] 1=[2] 2=[3]\n"
	    "!6:7 field 2 goes on after its closing quote (line 7) {1,\"a\"b\"}\n");
}

static void
a_quote_that_is_never_closed_is_told_by_its_line(void **state)
{
	(void)state;
	expect("1,2,3\n1,\"a\nb\",\"c\n4,5,6\n", NULL, "1:1 0=[1] 1=[2] 2=[3]\n"
	    "!2:2 the quote that opens in line 3 is never closed {1,\"a\nb\",\"c\n4,5,6\n}\n");
	expect("\"", NULL, "!1:1 the quote that opens in line 1 is never closed {\"}\n");
}

static void
a_nul_byte_costs_its_row(void **state)
{
	struct reading r;
	struct row row;

	(void)state;
	begin(&r, &table, "1,a\0b,3\n1,2,3\n", 14, NULL);
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.source->next(r.source->arg, &row, &r.err), 1);
	assert_string_equal(row.reason, "there is a NUL byte in the row (line 1)");
	assert_int_equal(row.raw_len, 7);
	assert_memory_equal(row.raw, "1,a\0b,3", 7);
	assert_int_equal(r.source->next(r.source->arg, &row, &r.err), 1);
	assert_null(row.reason);
	assert_int_equal(row.number, 2);
	end(&r);
}

/* Rows around one whose field has so many bytes. */
static char *
with_large(size_t bytes, const char *open, const char *close, size_t *ret_len)
{
	struct buffer text = BUFFER_INIT;

	buffer_printf(&text, "1,a,x\n2,%s", open);
	memset(buffer_reserve(&text, bytes), 'l', bytes);
	text.len += bytes;
	buffer_printf(&text, "%s,y\n3,c,z\n", close);
	*ret_len = text.len;
	return buffer_take(&text);
}

static void
read_large(size_t bytes, const char *open, const char *close, bool fits)
{
	struct reading r;
	struct row row;
	size_t len;
	char *text = with_large(bytes, open, close, &len);

	begin(&r, &table, text, len, NULL);
	assert_int_equal(r.rc, 0);
	assert_int_equal(r.source->next(r.source->arg, &row, &r.err), 1);
	assert_int_equal(r.source->next(r.source->arg, &row, &r.err), 1);
	assert_int_equal(row.number, 2);
	if (fits) {
		assert_null(row.reason);
		assert_int_equal(row.values[1].len, bytes);
		assert_true(row.raw_len == REJECT_RAW_MAX + 1 || bytes < REJECT_RAW_MAX);
	} else {
		assert_string_equal(row.reason, "the row has more than 16 MiB");
		assert_int_equal(row.raw_len, REJECT_RAW_MAX + 1);
		assert_memory_equal(row.raw, text + 6, row.raw_len);
	}
	assert_int_equal(r.source->next(r.source->arg, &row, &r.err), 1);
	assert_null(row.reason);
	assert_int_equal(row.line, strchr(open, '\n') != NULL ? 4 : 3);
	assert_int_equal(row.values[1].len, 1);
	assert_memory_equal(row.values[1].data, "c", 1);
	assert_int_equal(r.source->next(r.source->arg, &row, &r.err), 0);
	end(&r);
	free(text);
}

static void
a_row_of_more_than_16_mib_is_none_and_the_next_one_is_read(void **state)
{
	const char *const opens[] = { "", "\"", "\"\n\"\"" };
	const char *const closes[] = { "", "\"", "\"\"\"" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opens); i++) {
		read_large(CSV_ROW_MAX, opens[i], closes[i], false);
		read_large((size_t)40 << 20, opens[i], closes[i], false);
	}
	read_large(CSV_ROW_MAX - 7, "\"", "\"", true);
	read_large(100000, "", "", true);
}

/* Whatever falls onto the end of a block is read as if it did not. */
static void
the_end_of_a_block_changes_nothing(void **state)
{
	const char *tail = "\",x\r\n2,\"\r\n\"\"\",\r\n3,a\"\r\n\r\n4,b,y\r\n";

	(void)state;
	for (size_t shift = 0; shift < strlen(tail) + 2; shift++) {
		size_t fill = ((size_t)256 << 10) - shift - 3, len = 3 + fill + strlen(tail);
		char *text = mem_calloc(len + 1, 1);
		struct buffer out = BUFFER_INIT;
		struct reading r;
		struct row row;

		memcpy(text, "1,\"", 3);
		memset(text + 3, 'f', fill);
		memcpy(text + 3 + fill, tail, strlen(tail));
		begin(&r, &table, text, len, NULL);
		assert_int_equal(r.rc, 0);
		assert_int_equal(r.source->next(r.source->arg, &row, &r.err), 1);
		assert_null(row.reason);
		assert_int_equal(row.values[1].len, fill);
		assert_int_equal(row.raw_len, 3 + fill + 3);
		while (r.source->next(r.source->arg, &row, &r.err) == 1)
			put_row(&out, &r, &row);
		assert_string_equal(buffer_text(&out), "2:2 0=[2] 1=[\r\n\"] 2=NULL\n"
		    "!3:4 field 2 holds a quote but does not begin with one (line 4) {3,a\"}\n"
		    "4:6 0=[4] 1=[b] 2=[y]\n");
		buffer_done(&out);
		end(&r);
		free(text);
	}
}

static void
the_rejects_learn_the_header(void **state)
{
	struct csv_rows_options options = { .delimiter = ',' };
	struct rejects_reader *reader = NULL;
	struct error err = ERROR_INIT;
	char *folder = test_folder_new();
	struct reading r;
	size_t len;
	bool crlf;

	(void)state;
	assert_int_equal(rejects_open(folder, "r", &options.rejects, &err), 0);
	begin(&r, &table, "\xef\xbb\xbfid,\"At\" \r\n", 13, &options);
	/* A space after the quote is no CSV: data. */
	assert_int_equal(r.column_count, 3);
	end(&r);
	begin(&r, &table, "\xef\xbb\xbfid,\"At\"\r\n", 12, &options);
	assert_int_equal(r.column_count, 2);
	end(&r);
	assert_int_equal(rejects_add(options.rejects, 1, 2, NULL, "no", "x", 1, &err), 0);
	assert_int_equal(rejects_close(options.rejects, &err), 0);
	assert_int_equal(rejects_read_open(folder, "r", &reader, &err), 1);
	assert_string_equal(rejects_read_header(reader, &len, &crlf), "id,\"At\"");
	assert_int_equal(len, 7);
	assert_true(crlf);
	rejects_read_close(reader);
	test_folder_remove(folder);
}

static void
a_cancelled_load_reads_no_further(void **state)
{
	struct progress progress;
	struct csv_rows_options options = { .delimiter = ',', .progress = &progress };
	size_t len = (size_t)1 << 20;
	char *text = mem_calloc(len, 1);
	struct reading r;
	struct row row;
	int rc;

	(void)state;
	memset(text, '\n', len);
	progress_init(&progress);
	memcpy(text, "1,2,3", 5);
	begin(&r, &table, text, len, &options);
	assert_int_equal(r.rc, 0);
	assert_int_equal(atomic_load(&progress.bytes), 256 << 10);
	progress_cancel(&progress);
	while ((rc = r.source->next(r.source->arg, &row, &r.err)) == 1)
		;
	assert_int_equal(rc, -1);
	assert_int_equal(r.err.code, ERROR_CANCELLED);
	end(&r);
	progress_done(&progress);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_header_the_columns_are_those_of_the_table),
		cmocka_unit_test(a_header_is_recognised_by_the_names_of_columns),
		cmocka_unit_test(a_header_is_there_or_not_as_it_is_said),
		cmocka_unit_test(a_header_that_does_not_fit_is_refused),
		cmocka_unit_test(utf_16_is_refused_and_a_mark_of_utf_8_is_passed_over),
		cmocka_unit_test(fields_in_quotes_hold_anything),
		cmocka_unit_test(lines_end_with_lf_crlf_or_cr),
		cmocka_unit_test(an_empty_field_is_null_unless_it_is_quoted),
		cmocka_unit_test(another_delimiter),
		cmocka_unit_test(ragged_rows_are_told_apart),
		cmocka_unit_test(a_misplaced_quote_costs_its_line),
		cmocka_unit_test(a_quote_that_is_never_closed_is_told_by_its_line),
		cmocka_unit_test(a_nul_byte_costs_its_row),
		cmocka_unit_test(a_row_of_more_than_16_mib_is_none_and_the_next_one_is_read),
		cmocka_unit_test(the_end_of_a_block_changes_nothing),
		cmocka_unit_test(the_rejects_learn_the_header),
		cmocka_unit_test(a_cancelled_load_reads_no_further),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
