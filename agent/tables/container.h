/*
 * Writing an Avro object container file whose bytes change little when the table changes little.
 *
 * The sync marker comes from the schema, and a block ends after a row whose key's hash says so, so
 * an insert or a delete moves no other boundary.  Blocks are not compressed: the repository does
 * that, and finds what it has already.
 * The head, which holds the count of rows and their sum, has a length of its own whatever those
 * are: it can be made last and written first.
 * Source: agent/tables/FORMAT.md.
 */
#ifndef HOLDFAST_AGENT_TABLES_CONTAINER_H
#define HOLDFAST_AGENT_TABLES_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

#include "agent/tables/encode.h"
#include "agent/tables/table.h"
#include "shared/buffer.h"
#include "shared/error.h"

/* A block is about so long (bytes), and at most as long as the second and one row. */
#define CONTAINER_BLOCK_TARGET (32u << 10)
#define CONTAINER_BLOCK_MAX (512u << 10)

#define AVRO_SYNC_SIZE 16
#define AVRO_MAGIC "Obj\1"

/* What a file says of itself besides its schema; names of its metadata begin with this. */
#define CONTAINER_PREFIX "holdfast."
#define CONTAINER_FORMAT "1"

/* Takes all bytes, or fails. */
typedef int container_sink_fn(void *arg, const void *data, size_t len, struct error *err);

struct container;

/* table, with table_select() made, must live as long; it names columns and key.  sink may be NULL:
 * rows are only counted and summed. */
struct container *container_begin(const struct table *table, container_sink_fn *sink, void *arg);
/* How the server sends the values: encoder_describe(). */
int container_describe(struct container *container, const MYSQL_FIELD *fields, size_t count,
    struct error *err);
/* The next value of a row: encoder_value(). */
void container_value(struct container *container, size_t i, uint8_t **value, const uint8_t *end);
/* All values of the row have come. */
int container_row(struct container *container, struct error *err);
/* The last block. */
int container_end(struct container *container, struct error *err);
const struct row_sum *container_sum(const struct container *container);
/* Bytes of all blocks so far. */
uint64_t container_bytes(const struct container *container);
void container_free(struct container *container);

/* The head: magic, metadata, marker; the sum may be that of no rows to learn its length.
 * server: "10.11.6-MariaDB". */
void container_head(const struct table *table, const struct row_sum *sum, const char *server,
    struct buffer *out);

/* The marker that a schema's text gives. */
void container_sync(const char *schema, size_t len, uint8_t out[AVRO_SYNC_SIZE]);

#endif
