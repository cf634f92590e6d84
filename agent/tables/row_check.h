/*
 * One value from outside against one column: what the column's type takes exactly, in the form
 * in which it goes to the server.  Nothing is rounded, cut off or bent to fit.
 *
 * What only the server can know is left to it: keys, constraints, triggers, character sets that
 * are not named in row_check.c.
 */
#ifndef HOLDFAST_AGENT_TABLES_ROW_CHECK_H
#define HOLDFAST_AGENT_TABLES_ROW_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/tables/row_load.h"
#include "agent/tables/table.h"
#include "shared/error.h"

enum row_kind {
	ROW_KIND_INTEGER,
	ROW_KIND_DECIMAL, /* digits and scale; FLOAT(M,D) and DOUBLE(M,D) too */
	ROW_KIND_FLOAT,
	ROW_KIND_DOUBLE,
	ROW_KIND_DATE,
	ROW_KIND_TIME,
	ROW_KIND_DATETIME,
	ROW_KIND_TIMESTAMP,
	ROW_KIND_YEAR,
	ROW_KIND_CHARACTERS,
	ROW_KIND_BYTES,
	ROW_KIND_ENUM,
	ROW_KIND_SET,
	ROW_KIND_JSON,
	ROW_KIND_UUID,
	ROW_KIND_INET4,
	ROW_KIND_INET6,
	ROW_KIND_OTHER /* nothing but NULL: geometry */
};

/* How the value is bound. */
enum row_bind { ROW_BIND_INT, ROW_BIND_UINT, ROW_BIND_DOUBLE, ROW_BIND_TEXT, ROW_BIND_BYTES };

/* Which characters a column can store. */
enum row_charset {
	ROW_CHARSET_ALL,     /* utf8mb4, utf16, utf32 */
	ROW_CHARSET_BASIC,   /* utf8mb3, ucs2: the basic plane */
	ROW_CHARSET_ASCII,
	ROW_CHARSET_LATIN1,  /* Windows-1252 */
	ROW_CHARSET_OTHER    /* the server knows */
};

struct row_member {
	char *text;
	size_t len;
};

/* What a column takes. */
struct row_rule {
	const struct table_column *column;
	enum row_kind kind;
	enum row_bind bind;
	bool may_be_null;         /* NOT NULL columns that a trigger may fill count, too */
	bool required;            /* cannot be left out */
	bool is_unsigned, is_bool;
	int64_t min;
	uint64_t max;
	unsigned digits, scale;   /* all of them, those behind the point */
	unsigned fraction;        /* digits of a second */
	int64_t last_second;      /* of a TIMESTAMP, since 1970 */
	uint64_t length;          /* bytes or characters */
	bool in_bytes;
	enum row_charset charset;
	bool one_byte, is_utf8;   /* how long a text is as it is stored */
	struct row_member *members;
	size_t member_count;
	bool members_ascii;
};

/* What goes to the server. */
struct row_cell {
	enum { ROW_CELL_LEFT_OUT, ROW_CELL_NULL, ROW_CELL_VALUE } type;
	union {
		int64_t i;
		uint64_t u;
		double d;
	} as;
	const char *data; /* of texts and bytes: the value's own, or in the scratch */
	size_t len;
};

/* As long as any number or time that is written anew. */
#define ROW_SCRATCH_SIZE 128

/*
 * required: the column can be neither left out nor computed by a trigger.  server_version: as
 * mariadb_version().  table and column are lent.
 */
void row_rule_init(struct row_rule *rule, const struct table *table,
    const struct table_column *column, bool required, unsigned long server_version);
void row_rule_done(struct row_rule *rule);

/* -1 with the reason, which names the column; ERROR_BAD_REQUEST. */
int row_check(const struct row_rule *rule, const struct row_value *value,
    char scratch[ROW_SCRATCH_SIZE], struct row_cell *ret, struct error *err);

#endif
