/*
 * A CREATE TABLE statement as SHOW CREATE prints it, taken apart: another name, and foreign keys by
 * themselves.
 */
#ifndef HOLDFAST_AGENT_TABLES_DDL_H
#define HOLDFAST_AGENT_TABLES_DDL_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"
#include "shared/error.h"

struct ddl_key {
	char *name;       /* of the constraint */
	char *definition; /* "FOREIGN KEY (`a`) REFERENCES `t` (`b`) ON DELETE CASCADE" */
};

struct ddl {
	char *name;       /* the table's */
	char *body;       /* what follows the name, without foreign keys: "(\n ...) ENGINE=..." */
	struct ddl_key *keys;
	size_t key_count;
};

/* ERROR_UNSUPPORTED: it is no plain CREATE TABLE. */
int ddl_parse(const char *create, struct ddl *ret, struct error *err);
void ddl_done(struct ddl *ddl);
/* The table without foreign keys. */
void ddl_forget_keys(struct ddl *ddl);
/* "CREATE TABLE `database`.`name` (...)", without foreign keys. */
void ddl_put(const struct ddl *ddl, const char *database, const char *name, struct buffer *sql);
/*
 * The key's definition; where it refers to the table from, it refers to the table to.
 *   home  database of other tables that it names alone, or NULL: leave them so
 */
void ddl_put_key(const struct ddl_key *key, const char *from, const char *to, const char *home,
    struct buffer *sql);

/* The name in backticks at p (heap), which is moved past it; NULL: there is none that ends. */
char *ddl_take_name(const char **p);

#endif
