#include "shared/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

void
buffer_done(struct buffer *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->cap = 0;
}

void
buffer_clear(struct buffer *buf)
{
	buf->len = 0;
}

uint8_t *
buffer_reserve(struct buffer *buf, size_t more)
{
	size_t need = buf->len + more;

	/* Never NULL, also for nothing: a pointer past it is taken. */
	if (need > buf->cap || buf->data == NULL) {
		size_t cap = buf->cap + buf->cap / 2;

		buf->cap = cap > need ? cap : need + 64;
		buf->data = mem_realloc(buf->data, buf->cap, 1);
	}
	return buf->data + buf->len;
}

void
buffer_put(struct buffer *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(buffer_reserve(buf, len), data, len);
	buf->len += len;
}

void
buffer_put_u8(struct buffer *buf, uint8_t v)
{
	*buffer_reserve(buf, 1) = v;
	buf->len++;
}

static void
put_little_endian(struct buffer *buf, uint64_t v, size_t width)
{
	uint8_t *p = buffer_reserve(buf, width);

	for (size_t i = 0; i < width; i++)
		p[i] = (uint8_t)(v >> (8 * i));
	buf->len += width;
}

void
buffer_put_u16(struct buffer *buf, uint16_t v)
{
	put_little_endian(buf, v, 2);
}

void
buffer_put_u32(struct buffer *buf, uint32_t v)
{
	put_little_endian(buf, v, 4);
}

void
buffer_put_u64(struct buffer *buf, uint64_t v)
{
	put_little_endian(buf, v, 8);
}

void
buffer_put_varint(struct buffer *buf, uint64_t v)
{
	uint8_t *p = buffer_reserve(buf, 10);
	size_t n = 0;

	while (v >= 0x80) {
		p[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	p[n++] = (uint8_t)v;
	buf->len += n;
}

void
buffer_put_signed(struct buffer *buf, int64_t v)
{
	buffer_put_varint(buf, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

void
buffer_put_bytes(struct buffer *buf, const void *data, size_t len)
{
	buffer_put_varint(buf, len);
	buffer_put(buf, data, len);
}

void
buffer_put_text(struct buffer *buf, const char *text)
{
	buffer_put(buf, text, strlen(text));
}

void
buffer_printf(struct buffer *buf, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len > 0)
		buffer_put(buf, text, (size_t)len);
	free(text);
}

const char *
buffer_text(struct buffer *buf)
{
	*buffer_reserve(buf, 1) = '\0';
	return (const char *)buf->data;
}

char *
buffer_take(struct buffer *buf)
{
	char *text;

	buffer_text(buf);
	text = (char *)buf->data;
	buf->data = NULL;
	buf->len = buf->cap = 0;
	return text;
}

void
reader_init(struct reader *r, const void *data, size_t len, const char *what)
{
	r->p = data;
	r->end = len == 0 ? r->p : r->p + len;
	r->what = what;
}

size_t
reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->p);
}

int
reader_get(struct reader *r, size_t len, const uint8_t **ret, struct error *err)
{
	if (len > reader_left(r))
		return error_set(err, ERROR_CORRUPT, "%s: ends too early (%zu bytes wanted, %zu left)",
		    r->what, len, reader_left(r));
	*ret = r->p;
	r->p += len;
	return 0;
}

static int
get_little_endian(struct reader *r, size_t width, uint64_t *ret, struct error *err)
{
	const uint8_t *p = NULL;
	uint64_t v = 0;

	if (reader_get(r, width, &p, err) != 0)
		return -1;
	for (size_t i = 0; i < width; i++)
		v |= (uint64_t)p[i] << (8 * i);
	*ret = v;
	return 0;
}

int
reader_get_u8(struct reader *r, uint8_t *ret, struct error *err)
{
	uint64_t v;

	if (get_little_endian(r, 1, &v, err) != 0)
		return -1;
	*ret = (uint8_t)v;
	return 0;
}

int
reader_get_u16(struct reader *r, uint16_t *ret, struct error *err)
{
	uint64_t v;

	if (get_little_endian(r, 2, &v, err) != 0)
		return -1;
	*ret = (uint16_t)v;
	return 0;
}

int
reader_get_u32(struct reader *r, uint32_t *ret, struct error *err)
{
	uint64_t v;

	if (get_little_endian(r, 4, &v, err) != 0)
		return -1;
	*ret = (uint32_t)v;
	return 0;
}

int
reader_get_u64(struct reader *r, uint64_t *ret, struct error *err)
{
	return get_little_endian(r, 8, ret, err);
}

int
reader_get_varint(struct reader *r, uint64_t max, uint64_t *ret, struct error *err)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte;

		if (r->p == r->end)
			return error_set(err, ERROR_CORRUPT, "%s: ends within a number", r->what);
		byte = *r->p++;
		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) != 0)
			continue;
		if (v > max)
			return error_set(err, ERROR_CORRUPT, "%s: number %llu is above its limit %llu",
			    r->what, (unsigned long long)v, (unsigned long long)max);
		*ret = v;
		return 0;
	}
	return error_set(err, ERROR_CORRUPT, "%s: number has more than 64 bits", r->what);
}

int
reader_get_signed(struct reader *r, int64_t *ret, struct error *err)
{
	uint64_t v;

	if (reader_get_varint(r, UINT64_MAX, &v, err) != 0)
		return -1;
	*ret = (int64_t)((v >> 1) ^ (~(v & 1) + 1));
	return 0;
}

int
reader_get_bytes(struct reader *r, size_t max, const uint8_t **ret, size_t *ret_len,
    struct error *err)
{
	uint64_t len;

	if (reader_get_varint(r, max, &len, err) != 0 ||
	    reader_get(r, (size_t)len, ret, err) != 0)
		return -1;
	*ret_len = (size_t)len;
	return 0;
}

int
reader_finish(const struct reader *r, struct error *err)
{
	if (r->p != r->end)
		return error_set(err, ERROR_CORRUPT, "%s: %zu bytes too many", r->what,
		    reader_left(r));
	return 0;
}
