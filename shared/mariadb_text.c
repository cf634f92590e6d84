/*
 * Names and texts in statements, and names of hosts.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/mariadb.h"
#include "shared/mariadb_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

int
mariadb_check_name(const char *what, const char *name, size_t len, struct error *err)
{
	size_t characters = 0;
	const char *why = NULL;
	char *shown;

	if (len == 0)
		return error_set(err, ERROR_BAD_REQUEST, "the %s's name is empty", what);
	for (size_t i = 0; i < len; i++)
		characters += ((unsigned char)name[i] & 0xc0) != 0x80;
	if (memchr(name, '\0', len) != NULL)
		why = "a NUL byte cannot be in it";
	else if (!text_is_utf8(name, len))
		why = "it is not valid UTF-8";
	else if (characters > MARIADB_NAME_MAX)
		why = "it has more than 64 characters";
	else if (name[len - 1] == ' ')
		why = "it ends in a blank";
	for (size_t i = 0; why == NULL && i < len; i++)
		if ((unsigned char)name[i] >= 0xf0)
			why = "it has a character above U+FFFF";
	if (why == NULL)
		return 0;
	shown = text_printable(name, len > 256 ? 256 : len);
	error_set(err, ERROR_BAD_REQUEST, "'%s' cannot be the name of a %s: %s", shown, what, why);
	free(shown);
	return -1;
}

void
mariadb_put_name(struct buffer *sql, const char *name)
{
	buffer_put_u8(sql, '`');
	for (; *name != '\0'; name++) {
		if (*name == '`')
			buffer_put_u8(sql, '`');
		buffer_put_u8(sql, (uint8_t)*name);
	}
	buffer_put_u8(sql, '`');
}

void
mariadb_put_text(struct mariadb *db, struct buffer *sql, const char *text, size_t len)
{
	uint8_t *to;

	buffer_put_u8(sql, '\'');
	to = buffer_reserve(sql, 2 * len + 1);
	/* It knows whether the session takes backslashes for escapes (NO_BACKSLASH_ESCAPES). */
	sql->len += mysql_real_escape_string(db->mysql, (char *)to, text, len);
	buffer_put_u8(sql, '\'');
}

static int
parse_port(const char *text, unsigned *ret)
{
	char *end;
	long port;

	if (*text < '0' || *text > '9' || strlen(text) > 5)
		return -1;
	port = strtol(text, &end, 10);
	if (*end != '\0' || port < 1 || port > 65535)
		return -1;
	*ret = (unsigned)port;
	return 0;
}

int
mariadb_parse_host(const char *text, char **ret_host, char **ret_socket, unsigned *ret_port,
    struct error *err)
{
	const char *end, *port = NULL;
	unsigned number = 0;

	if (*text == '/') {
		/* sun_path holds 108 bytes with its NUL */
		if (strlen(text) > 107)
			goto bad;
		*ret_host = NULL;
		*ret_socket = mem_strdup(text);
		*ret_port = 0;
		return 0;
	}
	if (*text == '[') {
		end = strchr(++text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			goto bad;
		port = end[1] == ':' ? end + 2 : NULL;
	} else {
		end = text + strcspn(text, ":");
		port = *end == ':' ? end + 1 : NULL;
		/* An IPv6 address without brackets: which colon begins the port? */
		if (port != NULL && strchr(port, ':') != NULL)
			goto bad;
	}
	if (end == text || (port != NULL && parse_port(port, &number) != 0))
		goto bad;
	for (const char *p = text; p < end; p++)
		if ((unsigned char)*p <= ' ' || *p == '/' || *p == '@' || *p == '\\')
			goto bad;
	*ret_host = mem_printf("%.*s", (int)(end - text), text);
	*ret_socket = NULL;
	*ret_port = number;
	return 0;
bad:
	error_set(err, ERROR_CONFIG, "'%s' is no address of a MariaDB server", text);
	return error_hint(err, "write db.example.org, db.example.org:3306, [::1]:3306 or "
	    "/run/mysqld/mysqld.sock");
}
