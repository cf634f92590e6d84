/*
 * Reading Avro object container files, ours and those of other programs, row by row.
 *
 * Trust: nothing in a file is believed.  Lengths and counts are bounded by what is there,
 * nesting, inflation and the schema by limits; a breach is ERROR_CORRUPT, a schema or codec that
 * cannot be a table ERROR_UNSUPPORTED.
 * Codecs: null, deflate, snappy, zstandard.  Fields: null, boolean, int, long, float, double, bytes,
 * string, fixed, enum, logical types on them, and unions of these.
 * Memory: one block, read as it arrives, and its inflated form.
 */
#ifndef HOLDFAST_AGENT_TABLES_OCF_H
#define HOLDFAST_AGENT_TABLES_OCF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

#define OCF_HEAD_MAX (64u << 20)      /* metadata, bytes */
#define OCF_FIELDS_MAX 4096
#define OCF_BRANCHES_MAX 32
#define OCF_SYMBOLS_MAX 70000
#define OCF_BLOCK_MAX (UINT64_C(1100) << 20) /* a row of the largest packet, and more */
#define OCF_INFLATED_MAX (256u << 20)
#define OCF_FIXED_MAX (1u << 20)

enum ocf_kind {
	OCF_NULL, OCF_BOOLEAN, OCF_INT, OCF_LONG, OCF_FLOAT,
	OCF_DOUBLE, OCF_BYTES, OCF_STRING, OCF_FIXED, OCF_ENUM,
	OCF_UNION
};

enum ocf_logical {
	OCF_PLAIN, OCF_DECIMAL, OCF_DATE, OCF_TIME_MILLIS, OCF_TIME_MICROS,
	OCF_TIMESTAMP_MILLIS, OCF_TIMESTAMP_MICROS, OCF_UUID
};

struct ocf_type {
	enum ocf_kind kind;
	enum ocf_logical logical;
	unsigned precision, scale;
	size_t size;                 /* of a fixed */
	char **symbols;
	size_t symbol_count;
	struct ocf_type *branches;  /* of a union, none of them a union */
	size_t branch_count;
};

struct ocf_field {
	char *name;
	char *column; /* our property, or NULL */
	struct ocf_type type;
};

struct ocf_schema {
	char *name;
	struct ocf_field *fields;
	size_t field_count;
};

int ocf_schema_parse(const char *text, size_t len, struct ocf_schema **ret,
    struct error *err);
void ocf_schema_free(struct ocf_schema *schema);

/* A decoded value: the branch's type (never a union) and what it holds. Bytes are lent. */
struct ocf_value {
	const struct ocf_type *type;
	int64_t i;           /* boolean, int, long, the number of an enum's symbol */
	double d;            /* float, double */
	const uint8_t *data; /* bytes, string, fixed */
	size_t len;
};

/* Decode one row; values: field_count of them.  *p moves to what follows it. */
int ocf_decode_row(const struct ocf_schema *schema, const uint8_t **p, const uint8_t *end,
    struct ocf_value *values, struct error *err);

/* Gives up to len bytes: how many, 0 at the end, -1 error. */
typedef int64_t ocf_source_fn(void *arg, void *buf, size_t len, struct error *err);

struct ocf;

int ocf_open(ocf_source_fn *source, void *arg, struct ocf **ret, struct error *err);
void ocf_free(struct ocf *file);
const struct ocf_schema *ocf_schema(const struct ocf *file);
/* The schema as it stands in the file. */
const char *ocf_schema_text(const struct ocf *file);
/* A value of the metadata, NUL-terminated; NULL if there is none of that name. */
const char *ocf_meta(const struct ocf *file, const char *name, size_t *ret_len);

/*
 * The next row: 1 with its values and its encoded bytes, both lent until the next call; 0 at the
 * end; -1 error.
 */
int ocf_next(struct ocf *file, const struct ocf_value **ret, const uint8_t **ret_row,
    size_t *ret_len, struct error *err);
/* Bytes read so far. */
uint64_t ocf_bytes(const struct ocf *file);

#endif
