#include "agent/http/report_rows.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/csv.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

const char *const report_media_types[REPORT_FORMAT_COUNT] = {
	[REPORT_JSON] = "application/json",
	[REPORT_NDJSON] = "application/x-ndjson",
	[REPORT_CSV] = "text/csv",
	[REPORT_TABLE] = "text/plain",
};

#define FLUSH_BYTES 32768
/* A table's columns are as wide as the widest of its first rows; a later one may stand out. */
#define TABLE_ROWS 1000
#define TABLE_WIDTH_MAX 60

struct writer {
	struct mariadb_result *result;
	size_t columns;
	enum report_format format;
	struct stream *stream;
	struct buffer buf;
	uint64_t rows;
	char **keys;    /* names as JSON strings */
	bool *numeric;
	/* Of a table: its first rows, until the widths are known. */
	char **cells;
	size_t kept;
	size_t *widths;
};

static bool
is_numeric(const struct mariadb_column *column)
{
	switch (column->type) {
	case MYSQL_TYPE_TINY:
	case MYSQL_TYPE_SHORT:
	case MYSQL_TYPE_INT24:
	case MYSQL_TYPE_LONG:
	case MYSQL_TYPE_LONGLONG:
	case MYSQL_TYPE_YEAR:
	case MYSQL_TYPE_FLOAT:
	case MYSQL_TYPE_DOUBLE:
	case MYSQL_TYPE_DECIMAL:
	case MYSQL_TYPE_NEWDECIMAL:
		return true;
	default:
		return false;
	}
}

static char *
json_text(const char *text, size_t len)
{
	json_t *json = json_stringn(text, len);
	char *out = json_dumps(json, JSON_ENCODE_ANY);

	json_decref(json);
	return out;
}

/* Two columns of one name would be one in an object. */
static char *
key_of(const struct mariadb_result *result, size_t i)
{
	const char *name = mariadb_column(result, i)->name;
	char *unique, *key;
	size_t same = 1;

	for (size_t j = 0; j < i; j++)
		same += strcmp(mariadb_column(result, j)->name, name) == 0;
	unique = same == 1 ? mem_strdup(name) : mem_printf("%s_%zu", name, same);
	key = json_text(unique, strlen(unique));
	free(unique);
	return key;
}

/* The server fills some numbers up with zeros, which JSON does not take. */
static void
put_number(struct buffer *buf, const char *text)
{
	if (*text == '-')
		buffer_put_u8(buf, (uint8_t)*text++);
	while (text[0] == '0' && text[1] >= '0' && text[1] <= '9')
		text++;
	buffer_put_text(buf, text);
}

/* Valid UTF-8 whatever is stored; heap. */
static char *
shown(const char *text, size_t len)
{
	if (text_is_utf8(text, len) && memchr(text, '\0', len) == NULL)
		return mem_printf("%.*s", (int)len, text);
	return text_printable(text, len);
}

static void
put_object(struct writer *writer)
{
	struct buffer *buf = &writer->buf;

	buffer_put_u8(buf, '{');
	for (size_t i = 0; i < writer->columns; i++) {
		size_t len = 0;
		const char *text = mariadb_get(writer->result, i, &len);
		char *clean, *json;

		buffer_printf(buf, "%s%s: ", i == 0 ? "" : ", ", writer->keys[i]);
		if (text == NULL) {
			buffer_put_text(buf, "null");
		} else if (writer->numeric[i]) {
			put_number(buf, text);
		} else {
			clean = shown(text, len);
			json = json_text(clean, strlen(clean));
			buffer_put_text(buf, json);
			free(json);
			free(clean);
		}
	}
	buffer_put_u8(buf, '}');
}

static void
put_csv(struct writer *writer)
{
	for (size_t i = 0; i < writer->columns; i++) {
		size_t len = 0;
		const char *text = mariadb_get(writer->result, i, &len);
		char *clean;

		if (i > 0)
			buffer_put_u8(&writer->buf, ',');
		if (text == NULL)
			continue;
		/* A number is no formula, though it may begin with a minus. */
		if (writer->numeric[i]) {
			buffer_put_text(&writer->buf, text);
			continue;
		}
		clean = shown(text, len);
		csv_text(&writer->buf, clean);
		free(clean);
	}
	buffer_put_text(&writer->buf, "\r\n");
}

/* ---- a table */

static size_t
width_of(const char *text)
{
	size_t width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void
put_cells(struct writer *writer, char *const *cells)
{
	struct buffer *buf = &writer->buf;

	for (size_t i = 0; i < writer->columns; i++) {
		size_t width = width_of(cells[i]), fill = 0;
		bool last = i + 1 == writer->columns;

		if (width < writer->widths[i])
			fill = writer->widths[i] - width;
		if (i > 0)
			buffer_put_text(buf, "  ");
		if (writer->numeric[i])
			buffer_printf(buf, "%*s", (int)fill, "");
		buffer_put_text(buf, cells[i]);
		if (!writer->numeric[i] && !last)
			buffer_printf(buf, "%*s", (int)fill, "");
	}
	buffer_put_u8(buf, '\n');
}

/* The widths are known: the names, a line, and the rows that were kept. */
static void
put_kept(struct writer *writer)
{
	char **names = mem_calloc(writer->columns, sizeof(*names));

	for (size_t i = 0; i < writer->columns; i++) {
		names[i] = (char *)(uintptr_t)mariadb_column(writer->result, i)->name;
		writer->widths[i] = width_of(names[i]);
		for (size_t row = 0; row < writer->kept; row++) {
			size_t width = width_of(writer->cells[row * writer->columns + i]);

			if (width > writer->widths[i])
				writer->widths[i] = width;
		}
		if (writer->widths[i] > TABLE_WIDTH_MAX)
			writer->widths[i] = TABLE_WIDTH_MAX;
	}
	put_cells(writer, names);
	free(names);
	for (size_t i = 0; i < writer->columns; i++) {
		if (i > 0)
			buffer_put_text(&writer->buf, "  ");
		for (size_t n = 0; n < writer->widths[i]; n++)
			buffer_put_u8(&writer->buf, '-');
	}
	buffer_put_u8(&writer->buf, '\n');
	for (size_t row = 0; row < writer->kept; row++)
		put_cells(writer, writer->cells + row * writer->columns);
}

static void
put_table_row(struct writer *writer)
{
	char **cells = writer->cells + (writer->kept < TABLE_ROWS ? writer->kept : 0) *
	    writer->columns;

	for (size_t i = 0; i < writer->columns; i++) {
		size_t len = 0;
		const char *text = mariadb_get(writer->result, i, &len);

		free(cells[i]);
		/* It may end on a terminal. */
		cells[i] = text == NULL ? mem_strdup("NULL") : text_printable(text, len);
	}
	if (writer->kept == TABLE_ROWS) {
		put_cells(writer, cells);
		return;
	}
	if (++writer->kept == TABLE_ROWS)
		put_kept(writer);
}

/* ---- all of it */

static void
put_row(struct writer *writer)
{
	switch (writer->format) {
	case REPORT_JSON:
		buffer_put_text(&writer->buf, writer->rows > 0 ? ",\n" : "[\n");
		put_object(writer);
		break;
	case REPORT_NDJSON:
		put_object(writer);
		buffer_put_u8(&writer->buf, '\n');
		break;
	case REPORT_CSV:
		put_csv(writer);
		break;
	default:
		put_table_row(writer);
	}
	writer->rows++;
}

static void
put_end(struct writer *writer)
{
	if (writer->format == REPORT_JSON)
		buffer_put_text(&writer->buf, writer->rows > 0 ? "\n]\n" : "[]\n");
	else if (writer->format == REPORT_TABLE && writer->kept < TABLE_ROWS)
		put_kept(writer);
}

static int
flush(struct writer *writer, struct error *err)
{
	int rc = stream_write(writer->stream, writer->buf.data, writer->buf.len, err);

	buffer_clear(&writer->buf);
	return rc;
}

static void
writer_init(struct writer *writer)
{
	size_t columns = writer->columns;

	writer->keys = mem_calloc(columns + 1, sizeof(*writer->keys));
	writer->numeric = mem_calloc(columns + 1, sizeof(*writer->numeric));
	writer->widths = mem_calloc(columns + 1, sizeof(*writer->widths));
	for (size_t i = 0; i < columns; i++) {
		writer->keys[i] = key_of(writer->result, i);
		writer->numeric[i] = is_numeric(mariadb_column(writer->result, i));
	}
	if (writer->format == REPORT_TABLE)
		writer->cells = mem_calloc(TABLE_ROWS * columns + 1, sizeof(*writer->cells));
	for (size_t i = 0; writer->format == REPORT_CSV && i < columns; i++) {
		if (i > 0)
			buffer_put_u8(&writer->buf, ',');
		csv_text(&writer->buf, mariadb_column(writer->result, i)->name);
	}
	if (writer->format == REPORT_CSV)
		buffer_put_text(&writer->buf, "\r\n");
}

static void
writer_done(struct writer *writer)
{
	for (size_t i = 0; i < writer->columns; i++)
		free(writer->keys[i]);
	for (size_t i = 0; writer->cells != NULL && i < TABLE_ROWS * writer->columns; i++)
		free(writer->cells[i]);
	free(writer->keys);
	free(writer->numeric);
	free(writer->widths);
	free(writer->cells);
	buffer_done(&writer->buf);
}

int
report_rows_write(struct mariadb_result *result, enum report_format format,
    struct stream *stream, struct error *err)
{
	struct writer writer = { .result = result, .columns = mariadb_columns(result),
		.format = format, .stream = stream, .buf = BUFFER_INIT };
	int rc;

	writer_init(&writer);
	while ((rc = mariadb_next(result, err)) == 1) {
		put_row(&writer);
		if (writer.buf.len >= FLUSH_BYTES && (rc = flush(&writer, err)) != 0)
			break;
	}
	if (rc == 0) {
		put_end(&writer);
		rc = flush(&writer, err);
	}
	writer_done(&writer);
	return rc;
}
