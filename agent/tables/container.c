#include "agent/tables/container.h"

#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shared/mem.h"

struct container {
	const struct table *table;
	container_sink_fn *sink;
	void *arg;
	bool has_key;
	struct encoder *encoder;
	uint8_t sync[AVRO_SYNC_SIZE];
	struct row_sum sum;
	uint64_t bytes;
	struct buffer block, frame;
	size_t row_at; /* where the row under way begins in the block */
	uint64_t block_rows;
};

void
container_sync(const char *schema, size_t len, uint8_t out[AVRO_SYNC_SIZE])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(schema, len));
	memcpy(out, canonical.digest, AVRO_SYNC_SIZE);
}

static char *
schema_text(const struct table *table)
{
	json_t *schema = table_schema(table);
	char *text = json_dumps(schema, JSON_COMPACT);

	json_decref(schema);
	return text;
}

struct container *
container_begin(const struct table *table, container_sink_fn *sink, void *arg)
{
	struct container *container = MEM_NEW(struct container);
	char *schema = schema_text(table);

	container->table = table;
	container->sink = sink;
	container->arg = arg;
	container_sync(schema, strlen(schema), container->sync);
	free(schema);
	container->encoder = encoder_new(table);
	for (size_t i = 0; i < table->column_count; i++)
		container->has_key = container->has_key || table->columns[i].in_key;
	return container;
}

void
container_free(struct container *container)
{
	if (container == NULL)
		return;
	buffer_done(&container->block);
	buffer_done(&container->frame);
	encoder_free(container->encoder);
	free(container);
}

/* Avro's long: zigzag, then seven bits a byte. */
static void
put_long(struct buffer *out, int64_t value)
{
	buffer_put_signed(out, value);
}

static int
end_block(struct container *container, struct error *err)
{
	struct buffer *frame = &container->frame;

	if (container->block_rows == 0)
		return 0;
	buffer_clear(frame);
	put_long(frame, (int64_t)container->block_rows);
	put_long(frame, (int64_t)container->block.len);
	container->bytes += frame->len + container->block.len + AVRO_SYNC_SIZE;
	container->block_rows = 0;
	container->row_at = 0;
	if (container->sink != NULL &&
	    (container->sink(container->arg, frame->data, frame->len, err) != 0 ||
	    container->sink(container->arg, container->block.data, container->block.len,
	    err) != 0 || container->sink(container->arg, container->sync, AVRO_SYNC_SIZE,
	    err) != 0))
		return -1;
	/* One huge row should not keep its memory for the rest of the table. */
	if (container->block.cap > 8u * CONTAINER_BLOCK_MAX)
		buffer_done(&container->block);
	else
		buffer_clear(&container->block);
	return 0;
}

int
container_describe(struct container *container, const MYSQL_FIELD *fields, size_t count,
    struct error *err)
{
	return encoder_describe(container->encoder, fields, count, err);
}

void
container_value(struct container *container, size_t i, uint8_t **value, const uint8_t *end)
{
	encoder_value(container->encoder, i, value, end, &container->block);
}

int
container_row(struct container *container, struct error *err)
{
	const uint8_t *row = container->block.data + container->row_at;
	size_t len = container->block.len - container->row_at;
	uint64_t hash;

	if (encoder_end_row(container->encoder, &hash, err) != 0) {
		container->block.len = container->row_at;
		return -1;
	}
	container->row_at = container->block.len;
	row_sum_add(&container->sum, row, len);
	container->block_rows++;
	/* What identifies the row is its key, or all of it. */
	if (!container->has_key)
		hash = XXH3_64bits(row, len);
	hash >>= 32;
	/* A row of n bytes ends its block with a chance of n in the target, so blocks are as long
	 * as the target on average, whatever the size of rows. */
	if (len < CONTAINER_BLOCK_TARGET &&
	    hash * CONTAINER_BLOCK_TARGET >= (uint64_t)len << 32 &&
	    container->block.len < CONTAINER_BLOCK_MAX)
		return 0;
	return end_block(container, err);
}

int
container_end(struct container *container, struct error *err)
{
	return end_block(container, err);
}

const struct row_sum *
container_sum(const struct container *container)
{
	return &container->sum;
}

uint64_t
container_bytes(const struct container *container)
{
	return container->bytes;
}

static void
put_entry(struct buffer *out, const char *name, const char *value)
{
	put_long(out, (int64_t)strlen(name));
	buffer_put_text(out, name);
	put_long(out, (int64_t)strlen(value));
	buffer_put_text(out, value);
}

void
container_head(const struct table *table, const struct row_sum *sum, const char *server,
    struct buffer *out)
{
	static const char *const kinds[] = { "table", "sequence", "view" };
	json_t *triggers_json = table_triggers_json(table);
	char *triggers = json_dumps(triggers_json, JSON_COMPACT);
	char *schema = schema_text(table);
	char rows[24], checksum[ROW_SUM_TEXT_SIZE];
	uint8_t sync[AVRO_SYNC_SIZE];

	/* Both as long as they can be, so that the head's length does not depend on them. */
	snprintf(rows, sizeof(rows), "%020llu", (unsigned long long)sum->rows);
	row_sum_text(sum, checksum);
	buffer_put(out, AVRO_MAGIC, 4);
	put_long(out, table->history ? 12 : 11);
	put_entry(out, "avro.schema", schema);
	put_entry(out, "avro.codec", "null");
	put_entry(out, CONTAINER_PREFIX "format", CONTAINER_FORMAT);
	put_entry(out, CONTAINER_PREFIX "rows", rows);
	put_entry(out, CONTAINER_PREFIX "checksum", checksum);
	put_entry(out, CONTAINER_PREFIX "kind", kinds[table->kind]);
	put_entry(out, CONTAINER_PREFIX "database", table->database);
	put_entry(out, CONTAINER_PREFIX "table", table->name);
	put_entry(out, CONTAINER_PREFIX "server", server);
	put_entry(out, CONTAINER_PREFIX "create", table->create);
	put_entry(out, CONTAINER_PREFIX "triggers", triggers);
	if (table->history)
		put_entry(out, CONTAINER_PREFIX "history", "1");
	put_long(out, 0);
	container_sync(schema, strlen(schema), sync);
	buffer_put(out, sync, AVRO_SYNC_SIZE);
	free(schema);
	free(triggers);
	json_decref(triggers_json);
}
