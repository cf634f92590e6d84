/*
 * libcsv tells where fields and rows end, but not where in the file that was.  So it is given one
 * line at a time: a row that ends, ends with a line that was given.
 */
#include "agent/tables/csv_rows.h"

#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define BLOCK_BYTES ((size_t)256 << 10)
/* libcsv's buffer for a field grows by so much. */
#define FIELD_GROWTH ((size_t)64 << 10)

struct field {
	size_t at, len; /* in csv->content */
	bool is_null;   /* empty and without quotes */
};

struct csv_rows {
	int fd;
	struct csv_rows_options options;
	struct row_source source;
	struct csv_parser parser;

	char *block;
	size_t at, len;
	bool ended, after_cr;   /* the file; its last byte but for what is to come was a CR */
	bool seen_line, crlf;   /* how the first line ends */
	uint64_t line;          /* the one that is being read */

	/* The row that is being read. */
	struct buffer raw;      /* its first bytes, so many as the rejects keep, and one more */
	size_t bytes;
	uint64_t row_line, quote_line;
	struct field *fields;
	size_t field_max, field_count; /* kept, found */
	struct buffer content;
	bool complete, skipping; /* skipping: to the end of the line */
	char reason[256];       /* "" if nothing is wrong with it */

	const struct table *table;
	size_t *columns;        /* of the source: indexes into table->columns */
	size_t column_count;
	struct row_value *values;
	bool has_first;         /* the first row was read to see whether it is a header */
	uint64_t number;
};

int
csv_header_parse(const char *word, enum csv_header *ret, struct error *err)
{
	static const char *const words[] = { "auto", "yes", "no" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum csv_header)i;
			return 0;
		}
	return error_set(err, ERROR_BAD_REQUEST, "'header' is auto, yes or no, not '%.100s'", word);
}

int
csv_delimiter_parse(const char *text, char *ret, struct error *err)
{
	char c = strcmp(text, "\\t") == 0 ? '\t' : text[0];

	if ((strcmp(text, "\\t") != 0 && (text[0] == '\0' || text[1] != '\0')) || c == '"' ||
	    c == '\r' || c == '\n' || (c & 0x80) != 0) {
		error_set(err, ERROR_BAD_REQUEST, "'%.100s' is no delimiter", text);
		return error_hint(err, "it is one character, as ';', or \\t; "
		    "no quote and no line break");
	}
	*ret = c;
	return 0;
}

/* ---- libcsv */

/* Spaces around a field are a part of it. */
static int
is_no_space(unsigned char c)
{
	(void)c;
	return 0;
}

static int
start_parser(struct csv_rows *csv, struct error *err)
{
	if (csv_init(&csv->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_EMPTY_IS_NULL) != 0)
		return error_set(err, ERROR_INTERNAL, "could not start a reader of CSV");
	csv_set_space_func(&csv->parser, is_no_space);
	csv_set_delim(&csv->parser, (unsigned char)csv->options.delimiter);
	csv_set_blk_size(&csv->parser, FIELD_GROWTH);
	return 0;
}

static int
restart_parser(struct csv_rows *csv, struct error *err)
{
	csv_free(&csv->parser);
	return start_parser(csv, err);
}

static void
take_field(void *data, size_t len, void *arg)
{
	struct csv_rows *csv = arg;

	if (csv->field_count < csv->field_max && csv->reason[0] == '\0') {
		csv->fields[csv->field_count] = (struct field){ csv->content.len, len,
			data == NULL };
		if (len > 0)
			buffer_put(&csv->content, data, len);
	}
	csv->field_count++;
}

static void
take_row(int terminator, void *arg)
{
	struct csv_rows *csv = arg;

	(void)terminator;
	csv->complete = true;
}

/* ---- a row */

static void
begin_row(struct csv_rows *csv)
{
	buffer_clear(&csv->raw);
	buffer_clear(&csv->content);
	/* So that fields can point into it, empty ones too. */
	buffer_reserve(&csv->content, 1);
	csv->bytes = 0;
	csv->field_count = 0;
	csv->row_line = csv->quote_line = csv->line;
	csv->complete = csv->skipping = false;
	csv->reason[0] = '\0';
}

/* The first reason is kept: what comes later follows from it. */
#define set_reason(csv, ...) do { \
	if ((csv)->reason[0] == '\0') \
		snprintf((csv)->reason, sizeof((csv)->reason), __VA_ARGS__); \
} while (0)

/* What libcsv did not take: the quote at this place of the present field. */
static int
misplaced_quote(struct csv_rows *csv, struct error *err)
{
	if (csv_error(&csv->parser) != CSV_EPARSE)
		return error_set(err, ERROR_TOO_LARGE, "a field of CSV: %s",
		    csv_strerror(csv_error(&csv->parser)));
	if (csv->parser.quoted)
		set_reason(csv, "field %zu goes on after its closing quote (line %llu)",
		    csv->field_count + 1, (unsigned long long)csv->line);
	else
		set_reason(csv, "field %zu holds a quote but does not begin with one (line %llu)",
		    csv->field_count + 1, (unsigned long long)csv->line);
	csv->skipping = true;
	return restart_parser(csv, err);
}

/* A row that nobody will look at any more takes no more memory. */
static void
check_size(struct csv_rows *csv)
{
	if (csv->bytes <= CSV_ROW_MAX)
		return;
	set_reason(csv, "the row has more than %zu MiB", CSV_ROW_MAX >> 20);
	buffer_done(&csv->content);
	/* libcsv takes the closing quote off again: something has to be there. */
	if (csv->parser.entry_pos > 2)
		csv->parser.entry_pos = 2;
}

/* A line, or as much of it as is in the block; eol: bytes at its end that end it. */
static int
take_piece(struct csv_rows *csv, const char *piece, size_t len, size_t eol, struct error *err)
{
	size_t fields = csv->field_count, keep = REJECT_RAW_MAX + 1 - csv->raw.len;

	csv->bytes += len;
	buffer_put(&csv->raw, piece, len < keep ? len : keep);
	check_size(csv);
	if (memchr(piece, '\0', len) != NULL)
		set_reason(csv, "there is a NUL byte in the row (line %llu)",
		    (unsigned long long)csv->line);
	if (!csv->skipping &&
	    csv_parse(&csv->parser, piece, len, take_field, take_row, csv) != len &&
	    misplaced_quote(csv, err) != 0)
		return -1;
	if (csv->skipping && eol > 0)
		csv->complete = true;
	/* A field that is open now has been so since this line. */
	if (csv->field_count != fields)
		csv->quote_line = csv->line;
	if (csv->complete) {
		csv->bytes -= eol;
		if (csv->raw.len > csv->bytes)
			csv->raw.len = csv->bytes;
	}
	return 0;
}

static int
fill(struct csv_rows *csv, struct error *err)
{
	ssize_t n;

	if (csv->options.progress != NULL && progress_check(csv->options.progress, err) != 0)
		return -1;
	csv->at = csv->len = 0;
	while (!csv->ended && csv->len < BLOCK_BYTES) {
		n = read(csv->fd, csv->block + csv->len, BLOCK_BYTES - csv->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, ERROR_IO, errno, "could not read the CSV file");
		csv->len += (size_t)n;
		csv->ended = n == 0;
	}
	if (csv->options.progress != NULL)
		atomic_fetch_add(&csv->options.progress->bytes, csv->len);
	return 0;
}

/* The next line's end in the block: how long the piece is, and how much of it is its end. */
static size_t
find_piece(const char *text, size_t len, size_t *ret_eol)
{
	const char *lf = memchr(text, '\n', len);
	const char *cr = memchr(text, '\r', lf == NULL ? len : (size_t)(lf - text));

	*ret_eol = 0;
	if (cr != NULL) {
		*ret_eol = lf == cr + 1 ? 2 : 1;
		return (size_t)(cr - text) + *ret_eol;
	}
	if (lf == NULL)
		return len;
	*ret_eol = 1;
	return (size_t)(lf - text) + 1;
}

/* The file's end: a row without a line's end is one, too. */
static int
end_file(struct csv_rows *csv, struct error *err)
{
	if (csv->bytes == 0)
		return 0;
	if (!csv->skipping &&
	    csv_fini(&csv->parser, take_field, take_row, csv) != 0) {
		csv->reason[0] = '\0';
		set_reason(csv, "the quote that opens in line %llu is never closed",
		    (unsigned long long)csv->quote_line);
		if (restart_parser(csv, err) != 0)
			return -1;
	}
	return 1;
}

/* What the block has of the present line, and no more than that line. */
static int
take_line(struct csv_rows *csv, struct error *err)
{
	const char *piece = csv->block + csv->at;
	bool goes_on = csv->after_cr && *piece == '\n';
	size_t eol = 0, len = 1;

	/* Of a CR LF that the block's end cut in two, the CR was the line's end already. */
	if (!goes_on)
		len = find_piece(piece, csv->len - csv->at, &eol);
	csv->at += len;
	csv->after_cr = eol == 1 && piece[len - 1] == '\r' && csv->at == csv->len;
	if (!csv->seen_line && eol > 0) {
		csv->seen_line = true;
		csv->crlf = eol == 2;
	}
	/* A blank line is no row, but it may be within one. */
	if ((csv->bytes > 0 || (len > eol && !goes_on)) &&
	    take_piece(csv, piece, len, eol, err) != 0)
		return -1;
	csv->line += eol > 0;
	if (csv->bytes == 0 && !csv->complete)
		csv->row_line = csv->quote_line = csv->line;
	return 0;
}

/* 1 a row (or something with a reason why it is none), 0 the end, -1. */
static int
read_row(struct csv_rows *csv, struct error *err)
{
	begin_row(csv);
	while (!csv->complete) {
		if (csv->at == csv->len && !csv->ended && fill(csv, err) != 0)
			return -1;
		if (csv->at == csv->len)
			return end_file(csv, err);
		if (take_line(csv, err) != 0)
			return -1;
	}
	/* What it took for a very large row is not kept. */
	if (csv->bytes > CSV_ROW_MAX && restart_parser(csv, err) != 0)
		return -1;
	return 1;
}

/* ---- the header */

static bool
field_is(const struct csv_rows *csv, size_t i, const char *name)
{
	const struct field *field = &csv->fields[i];
	const char *text = (const char *)csv->content.data + field->at;
	size_t len = field->len;

	while (len > 0 && text[0] == ' ') {
		text++;
		len--;
	}
	while (len > 0 && text[len - 1] == ' ')
		len--;
	return strlen(name) == len && strncasecmp(text, name, len) == 0;
}

/* 1 and the columns if the row names columns only; 0 and the first field that does not. */
static int
match_header(struct csv_rows *csv, size_t *ret_unknown)
{
	for (size_t i = 0; i < csv->field_count; i++) {
		size_t c = 0;

		if (i == csv->field_max) {
			*ret_unknown = i;
			return 0;
		}
		while (c < csv->table->column_count &&
		    !field_is(csv, i, csv->table->columns[c].name))
			c++;
		if (c == csv->table->column_count) {
			*ret_unknown = i;
			return 0;
		}
		csv->columns[i] = c;
	}
	return 1;
}

static int
refuse_unknown(const struct csv_rows *csv, size_t i, struct error *err)
{
	struct buffer names = BUFFER_INIT;
	char *shown;

	if (i == csv->field_max)
		return error_set(err, ERROR_BAD_REQUEST, "the header line names %zu columns, "
		    "table '%.200s' has %zu", csv->field_count, csv->table->name,
		    csv->table->column_count);
	shown = text_printable(csv->content.data + csv->fields[i].at, csv->fields[i].len);
	error_set(err, ERROR_BAD_REQUEST, "the header line names '%.100s', which is no column of "
	    "table '%.200s' that can be loaded", shown, csv->table->name);
	free(shown);
	for (size_t c = 0; c < csv->table->column_count; c++)
		buffer_printf(&names, "%s%s", c == 0 ? "" : ", ", csv->table->columns[c].name);
	error_hint(err, "they are: %.200s", buffer_text(&names));
	buffer_done(&names);
	return -1;
}

/* 1 it is a header and its columns are taken, 0 it is not. */
static int
take_header(struct csv_rows *csv, struct error *err)
{
	bool asked = csv->options.header == CSV_HEADER_YES;
	size_t unknown = 0;

	if (csv->options.header == CSV_HEADER_NO)
		return 0;
	if (csv->reason[0] != '\0')
		return asked ? error_set(err, ERROR_BAD_REQUEST, "the header line: %s", csv->reason)
		    : 0;
	if (match_header(csv, &unknown) == 0)
		return asked ? refuse_unknown(csv, unknown, err) : 0;
	csv->column_count = csv->field_count;
	for (size_t i = 0; i < csv->column_count; i++)
		for (size_t j = 0; j < i; j++)
			if (csv->columns[i] == csv->columns[j])
				return error_set(err, ERROR_BAD_REQUEST,
				    "the header line names column '%.200s' twice",
				    csv->table->columns[csv->columns[i]].name);
	return 1;
}

static int
source_begin(void *arg, const struct table *table, const size_t **ret_columns, size_t *ret_count,
    struct error *err)
{
	struct csv_rows *csv = arg;
	int rc, is_header = 0;

	csv->table = table;
	csv->field_max = csv->column_count = table->column_count;
	csv->fields = mem_calloc(table->column_count, sizeof(*csv->fields));
	csv->columns = mem_calloc(table->column_count, sizeof(*csv->columns));
	csv->values = mem_calloc(table->column_count, sizeof(*csv->values));
	rc = read_row(csv, err);
	if (rc > 0)
		is_header = take_header(csv, err);
	if (rc < 0 || is_header < 0)
		return -1;
	csv->has_first = rc > 0 && is_header == 0;
	for (size_t i = 0; is_header == 0 && i < table->column_count; i++)
		csv->columns[i] = i;
	if (csv->options.rejects != NULL)
		rejects_set_header(csv->options.rejects,
		    is_header != 0 ? (const char *)csv->raw.data : NULL, csv->raw.len, csv->crlf);
	*ret_columns = csv->columns;
	*ret_count = csv->column_count;
	return 0;
}

/* ---- rows for the load */

static bool
is_null(const struct csv_rows *csv, const struct field *field)
{
	const char *word = csv->options.null_word;

	if (word == NULL)
		return field->is_null;
	return strlen(word) == field->len &&
	    memcmp(csv->content.data + field->at, word, field->len) == 0;
}

static int
source_next(void *arg, struct row *ret, struct error *err)
{
	struct csv_rows *csv = arg;
	int rc = 1;

	if (!csv->has_first)
		rc = read_row(csv, err);
	csv->has_first = false;
	if (rc != 1)
		return rc;
	if (csv->field_count != csv->column_count)
		set_reason(csv, "the row has %zu field%s, %zu %s expected", csv->field_count,
		    csv->field_count == 1 ? "" : "s", csv->column_count,
		    csv->column_count == 1 ? "is" : "are");
	*ret = (struct row){ .number = ++csv->number,
		.line = csv->row_line,
		.values = csv->values,
		.raw = (const char *)csv->raw.data,
		.raw_len = csv->raw.len,
		.reason = csv->reason[0] != '\0' ? csv->reason : NULL };
	for (size_t i = 0; ret->reason == NULL && i < csv->column_count; i++) {
		const struct field *field = &csv->fields[i];

		csv->values[i].type = is_null(csv, field) ? ROW_NULL : ROW_TEXT;
		csv->values[i].data = (const char *)csv->content.data + field->at;
		csv->values[i].len = field->len;
	}
	return 1;
}

/* ---- the file */

static int
skip_mark(struct csv_rows *csv, struct error *err)
{
	const unsigned char *p = (const unsigned char *)csv->block;

	if (csv->len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		csv->at = 3;
	if (csv->len >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))) {
		error_set(err, ERROR_BAD_REQUEST, "the CSV file is UTF-16");
		return error_hint(err, "make it UTF-8: iconv -f UTF-16 -t UTF-8 FILE");
	}
	return 0;
}

int
csv_rows_open(int fd, const struct csv_rows_options *options, struct csv_rows **ret,
    struct error *err)
{
	struct csv_rows *csv = MEM_NEW(struct csv_rows);

	csv->fd = fd;
	csv->options = *options;
	csv->source = (struct row_source){ source_begin, source_next, csv };
	csv->block = mem_calloc(BLOCK_BYTES, 1);
	csv->line = 1;
	if (start_parser(csv, err) != 0 || fill(csv, err) != 0 || skip_mark(csv, err) != 0) {
		csv_rows_close(csv);
		return -1;
	}
	*ret = csv;
	return 0;
}

struct row_source *
csv_rows_source(struct csv_rows *csv)
{
	return &csv->source;
}

void
csv_rows_close(struct csv_rows *csv)
{
	if (csv == NULL)
		return;
	csv_free(&csv->parser);
	buffer_done(&csv->raw);
	buffer_done(&csv->content);
	free(csv->block);
	free(csv->fields);
	free(csv->columns);
	free(csv->values);
	free(csv);
}
