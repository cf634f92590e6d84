/*
 * Where a table is restored to: another name, in the same database or another one of the server.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/tables/restore_internal.h"
#include "shared/mem.h"

/* A part of a target: a name in backticks, or all up to a dot.  NULL: it has no end. */
static char *
take_part(const char **p)
{
	const char *begin = *p;
	char *name;
	size_t len;

	if (**p == '`')
		return ddl_take_name(p);
	len = strcspn(begin, ".");
	*p += len;
	name = mem_calloc(1, len + 1);
	memcpy(name, begin, len);
	return name;
}

static bool
belongs_to_server(const char *database)
{
	static const char *const own[] = { "information_schema", "mysql", "performance_schema",
		"sys" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcasecmp(database, own[i]) == 0)
			return true;
	return false;
}

int
tables_restore_target(const char *as, char **ret_database, char **ret_table, struct error *err)
{
	const char *p = as;
	char *database = NULL, *table = take_part(&p);

	if (table != NULL && *p == '.') {
		p++;
		database = table;
		table = take_part(&p);
	}
	if (table == NULL || *p != '\0') {
		error_set(err, ERROR_BAD_REQUEST, "'%.200s' is no NAME and no DATABASE.NAME", as);
		error_hint(err, "a name with a dot is written in backticks: `a.b`");
		goto fail;
	}
	if ((database != NULL && mariadb_check_name("database", database, strlen(database),
	    err) != 0) || mariadb_check_name("table", table, strlen(table), err) != 0)
		goto fail;
	if (strncmp(table, TABLE_SHADOW_PREFIX, strlen(TABLE_SHADOW_PREFIX)) == 0) {
		error_set(err, ERROR_BAD_REQUEST,
		    "names that begin with '" TABLE_SHADOW_PREFIX "' are kept for restores");
		goto fail;
	}
	if (database != NULL && belongs_to_server(database)) {
		error_set(err, ERROR_BAD_REQUEST, "database '%.64s' belongs to the server itself",
		    database);
		goto fail;
	}
	*ret_database = database;
	*ret_table = table;
	return 0;
fail:
	free(database);
	free(table);
	return -1;
}
