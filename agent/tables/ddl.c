#include "agent/tables/ddl.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mariadb.h"
#include "shared/mem.h"

#define CREATE_TABLE "CREATE TABLE "

static int
not_plain(struct error *err)
{
	return error_set(err, ERROR_UNSUPPORTED,
	    "the statement that makes the table is not one of SHOW CREATE TABLE");
}

/*
 * Past a quoted text that begins at p: the quote doubled stands for itself, and in texts (not in
 * names) so does what follows a backslash.  NULL if it does not end.
 */
static const char *
skip_quoted(const char *p)
{
	char quote = *p++;

	for (; *p != '\0'; p++) {
		if (*p == '\\' && quote != '`' && p[1] != '\0')
			p++;
		else if (*p == quote && p[1] == quote)
			p++;
		else if (*p == quote)
			return p + 1;
	}
	return NULL;
}

char *
ddl_take_name(const char **p)
{
	struct buffer name = BUFFER_INIT;
	const char *end = **p == '`' ? skip_quoted(*p) : NULL;

	if (end == NULL)
		return NULL;
	for (const char *q = *p + 1; q < end - 1; q++) {
		if (*q == '`')
			q++;
		buffer_put_u8(&name, (uint8_t)*q);
	}
	*p = end;
	return buffer_take(&name);
}

/* Up to the comma or the parenthesis that ends a definition; NULL if there is none. */
static const char *
definition_end(const char *p)
{
	unsigned depth = 0;

	while (*p != '\0') {
		if (*p == '`' || *p == '\'' || *p == '"') {
			p = skip_quoted(p);
			if (p == NULL)
				return NULL;
			continue;
		}
		if (depth == 0 && (*p == ',' || *p == ')'))
			return p;
		if (*p == '(')
			depth++;
		if (*p == ')')
			depth--;
		p++;
	}
	return NULL;
}

/* 1 if the definition is a foreign key, and then it is added; 0 if not. */
static int
take_key(struct ddl *ddl, const char *p, const char *end)
{
	static const char word[] = "CONSTRAINT ", foreign[] = " FOREIGN KEY ";
	struct ddl_key *key;
	char *name;

	while (p < end && (*p == ' ' || *p == '\n'))
		p++;
	if (strncmp(p, word, strlen(word)) != 0)
		return 0;
	p += strlen(word);
	name = ddl_take_name(&p);
	if (name == NULL || strncmp(p, foreign, strlen(foreign)) != 0) {
		free(name);
		return 0;
	}
	ddl->keys = mem_realloc(ddl->keys, ddl->key_count + 1, sizeof(*ddl->keys));
	key = &ddl->keys[ddl->key_count++];
	key->name = name;
	key->definition = mem_calloc(1, (size_t)(end - p));
	memcpy(key->definition, p + 1, (size_t)(end - p) - 1);
	return 1;
}

int
ddl_parse(const char *create, struct ddl *ret, struct error *err)
{
	struct buffer body = BUFFER_INIT;
	struct ddl ddl = { NULL, NULL, NULL, 0 };
	const char *p = create, *end;
	bool first = true;

	if (strncmp(p, CREATE_TABLE, strlen(CREATE_TABLE)) != 0)
		return not_plain(err);
	p += strlen(CREATE_TABLE);
	ddl.name = ddl_take_name(&p);
	if (ddl.name == NULL || strncmp(p, " (", 2) != 0)
		goto fail;
	p += 2;
	buffer_put_u8(&body, '(');
	for (;;) {
		end = definition_end(p);
		if (end == NULL)
			goto fail;
		if (take_key(&ddl, p, end) == 0) {
			if (!first)
				buffer_put_u8(&body, ',');
			first = false;
			buffer_put(&body, p, (size_t)(end - p));
		}
		p = end + 1;
		if (*end == ')')
			break;
	}
	buffer_put_u8(&body, ')');
	buffer_put_text(&body, p);
	ddl.body = buffer_take(&body);
	*ret = ddl;
	return 0;
fail:
	buffer_done(&body);
	ddl_done(&ddl);
	return not_plain(err);
}

void
ddl_forget_keys(struct ddl *ddl)
{
	for (size_t i = 0; i < ddl->key_count; i++) {
		free(ddl->keys[i].name);
		free(ddl->keys[i].definition);
	}
	free(ddl->keys);
	ddl->keys = NULL;
	ddl->key_count = 0;
}

void
ddl_done(struct ddl *ddl)
{
	ddl_forget_keys(ddl);
	free(ddl->name);
	free(ddl->body);
	memset(ddl, 0, sizeof(*ddl));
}

void
ddl_put(const struct ddl *ddl, const char *database, const char *name, struct buffer *sql)
{
	buffer_put_text(sql, CREATE_TABLE);
	mariadb_put_name(sql, database);
	buffer_put_u8(sql, '.');
	mariadb_put_name(sql, name);
	buffer_put_u8(sql, ' ');
	buffer_put_text(sql, ddl->body);
}

/* Where the key says which table it refers to; NULL if it does not. */
static const char *
find_reference(const char *definition)
{
	static const char word[] = " REFERENCES ";
	const char *p = definition;

	while (p != NULL && *p != '\0') {
		if (strncmp(p, word, strlen(word)) == 0)
			return p + strlen(word);
		p = *p == '`' ? skip_quoted(p) : p + 1;
	}
	return NULL;
}

void
ddl_put_key(const struct ddl_key *key, const char *from, const char *to, const char *home,
    struct buffer *sql)
{
	const char *at = find_reference(key->definition), *after = at;
	char *name = at == NULL ? NULL : ddl_take_name(&after);

	/* "`database`.`table`" is another database's: that is not the table from. */
	if (name == NULL || *after == '.' || (strcmp(name, from) != 0 && home == NULL)) {
		buffer_put_text(sql, key->definition);
	} else {
		bool itself = strcmp(name, from) == 0;

		buffer_put(sql, key->definition, (size_t)(at - key->definition));
		if (!itself) {
			mariadb_put_name(sql, home);
			buffer_put_u8(sql, '.');
		}
		mariadb_put_name(sql, itself ? to : name);
		buffer_put_text(sql, after);
	}
	free(name);
}
