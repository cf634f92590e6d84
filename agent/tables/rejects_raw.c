/*
 * Rejected rows as they were, and nothing else: to be mended and loaded again.
 */
#include "agent/tables/rejects.h"

#include "shared/buffer.h"

#define FLUSH_BYTES 32768u

struct raw {
	rejects_sink_fn *sink;
	void *arg;
	struct buffer buf;
	bool is_csv;
	uint64_t rows;
	const char *eol;
	struct buffer last; /* the row with the highest number so far */
	uint64_t last_number;
};

static int
flush(struct raw *raw, struct error *err)
{
	int rc = raw->buf.len == 0 ? 0 : raw->sink(raw->arg, raw->buf.data, raw->buf.len, err);

	buffer_clear(&raw->buf);
	return rc;
}

/*
 * The last row of a file may have a quote that is never closed, which would take the rows behind it
 * in: so the one with the highest number comes last, in whatever order they were rejected.
 */
static void
put_csv(struct raw *raw, const struct reject *reject)
{
	struct buffer *to = &raw->last;

	if (raw->last.len > 0 && reject->number < raw->last_number) {
		to = &raw->buf;
	} else {
		buffer_put(&raw->buf, raw->last.data, raw->last.len);
		buffer_clear(&raw->last);
		raw->last_number = reject->number;
	}
	buffer_put(to, reject->raw, reject->raw_len);
	buffer_put_text(to, raw->eol);
}

static void
put_begin(struct raw *raw, const struct rejects_reader *reader)
{
	size_t len = 0;
	bool crlf = false;
	const char *header = rejects_read_header(reader, &len, &crlf);

	raw->eol = crlf ? "\r\n" : "\n";
	if (header == NULL)
		return;
	buffer_put(&raw->buf, header, len);
	buffer_put_text(&raw->buf, raw->eol);
}

static void
put_end(struct raw *raw)
{
	if (raw->is_csv)
		buffer_put(&raw->buf, raw->last.data, raw->last.len);
	else
		buffer_put_text(&raw->buf, raw->rows > 0 ? "\n]\n" : "[]\n");
}

int
rejects_write_raw(struct rejects_reader *reader, rejects_sink_fn *sink, void *arg,
    struct error *err)
{
	struct raw raw = { .sink = sink, .arg = arg, .is_csv = rejects_read_is_csv(reader) };
	struct reject reject;
	int rc;

	put_begin(&raw, reader);
	while ((rc = rejects_read(reader, &reject, err)) == 1) {
		/* The beginning of a row is no row. */
		if (reject.cut)
			continue;
		if (raw.is_csv) {
			put_csv(&raw, &reject);
		} else {
			buffer_put_text(&raw.buf, raw.rows > 0 ? ",\n" : "[\n");
			buffer_put(&raw.buf, reject.raw, reject.raw_len);
		}
		raw.rows++;
		if (raw.buf.len >= FLUSH_BYTES && flush(&raw, err) != 0) {
			rc = -1;
			break;
		}
	}
	if (rc == 0) {
		put_end(&raw);
		rc = flush(&raw, err);
	}
	buffer_done(&raw.buf);
	buffer_done(&raw.last);
	return rc;
}
