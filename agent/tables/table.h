/*
 * A table of MariaDB as a backup sees it: its columns, in which form each is carried in Avro,
 * its key, and the statements that make it again.
 *
 * A column is carried exactly, or the table is refused with the column's name. Where an Avro type
 * fits but for some values (dates like 2023-00-00, times beyond a day, bytes that are no text),
 * the field is a union with a second branch for those.
 * Source: agent/tables/FORMAT.md, "Fields".
 */
#ifndef HOLDFAST_AGENT_TABLES_TABLE_H
#define HOLDFAST_AGENT_TABLES_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"
#include "shared/error.h"

struct mariadb;

/* In which form a column is carried: word for messages and tests. */
/* clang-format off */
#define CARRIERS(_) \
	_(INT,       "int") \
	_(LONG,      "long") \
	_(DECIMAL,   "decimal")           /* BIGINT UNSIGNED too: precision 20, scale 0 */ \
	_(FLOAT,     "float") \
	_(DOUBLE,    "double") \
	_(DATE,      "date or string") \
	_(TIME,      "time-micros or string") \
	_(DATETIME,  "local-timestamp-micros or string") \
	_(TIMESTAMP, "timestamp-micros or string") \
	_(TEXT,      "string or bytes")   /* the server's bytes are UTF-8 */ \
	_(RECODED,   "string or bytes")   /* of another character set: converted by the server */ \
	_(PLAIN,     "string")            /* what the server prints: UUID, INET4, INET6 */ \
	_(BYTES,     "bytes") \
	_(NUMBER_OF, "int")               /* an ENUM that has an empty member, by its number */
/* clang-format on */

enum carrier {
#define _(name, word) CARRIER_##name,
	CARRIERS(_)
#undef _
	CARRIER_COUNT
};

struct table_column {
	char *name;
	char *field;     /* its name in Avro */
	char *type;      /* as "int(10) unsigned", of COLUMN_TYPE */
	char *data_type; /* as "int", lower case */
	char *charset, *collation; /* or NULL */
	bool nullable;
	bool is_year;
	enum carrier carrier;
	unsigned precision, scale;
	bool is_fixed_point; /* a FLOAT or DOUBLE that is printed with so many decimals */
	bool in_key;
	bool is_auto_increment;
	unsigned select_at;  /* index of its first expression in the select list */
};

enum table_kind { TABLE_BASE, TABLE_SEQUENCE, TABLE_VIEW };

struct table_trigger {
	char *name, *timing, *event, *statement, *definer, *sql_mode, *charset, *collation;
};

struct table {
	char *database, *name;
	enum table_kind kind;
	bool transactional; /* its engine takes part in a consistent snapshot */
	bool versioned;     /* WITH SYSTEM VERSIONING */
	bool history;       /* the rows of the past belong to it, too: table_read_history() */
	char *create;       /* SHOW CREATE */
	char *created;      /* CREATE_TIME, changes when the table is made anew; or NULL */
	struct table_column *columns;
	size_t column_count;
	char **key;         /* columns by which it is read in order; none: as they come */
	size_t key_count;
	char *key_name;     /* the index */
	struct table_trigger *triggers;
	size_t trigger_count;
	uint64_t rows_guess;
	unsigned select_count; /* expressions in the select list */
};

/*
 * Read a table's definition.  ERROR_NOT_FOUND: no such table; ERROR_UNSUPPORTED: a column that
 * cannot be carried, named.
 */
int table_read(struct mariadb *db, const char *database, const char *name, struct table **ret,
    struct error *err);
void table_free(struct table *table);
/*
 * Of a system-versioned table take the rows of the past as well: its two columns that tell when a
 * row came and when it went follow the others.  Where they are no times but numbers of transactions,
 * nothing is done.  A table that is not versioned stays as it is.
 */
int table_read_history(struct mariadb *db, struct table *table, struct error *err);

/* Tables of a restore under way, or interrupted, have names that begin so. */
#define TABLE_SHADOW_PREFIX "_holdfast_"

/* Names of the tables of a database, but for such, sorted; caller frees each and the array. */
int tables_list(struct mariadb *db, const char *database, char ***ret, size_t *ret_count,
    struct error *err);

const char *carrier_word(enum carrier carrier);
/*
 * Decide how a column is carried from its type; name, type, data_type and charset are set.
 * ERROR_UNSUPPORTED with the column's name.
 */
int table_column_carry(struct table_column *column, struct error *err);
/* Give each column its own name as Avro allows it; sets field. */
void table_name_fields(struct table_column *columns, size_t count);

/* The schema of the table's file: a record, one field a column. */
json_t *table_schema(const struct table *table);
/* The statement that reads all rows, in the order of the key; sets select_at and select_count. */
void table_select(struct table *table, struct buffer *sql);
/* The triggers as a JSON array, and back. */
json_t *table_triggers_json(const struct table *table);
int table_triggers_parse(const json_t *json, struct table_trigger **ret, size_t *ret_count,
    struct error *err);
void table_triggers_free(struct table_trigger *triggers, size_t count);

#endif
