/*
 * SQL text cut into its statements, as the mariadb client cuts it.
 *
 * A statement ends at the delimiter, ";" until a line "DELIMITER //" names another.  Strings
 * ('...', "...", with doubled quotes and backslashes), quoted names (`...`) and comments ("-- "
 * and "#" to the end of the line, slash-star to star-slash) hold no delimiter.  What is only
 * comment is no statement; a comment that the server executes (slash-star-!) is one.
 * The session that runs the statements must not have NO_BACKSLASH_ESCAPES or ANSI_QUOTES.
 */
#ifndef HOLDFAST_SHARED_SQL_SPLIT_H
#define HOLDFAST_SHARED_SQL_SPLIT_H

#include <stddef.h>

#include "shared/error.h"

#define SQL_DELIMITER_MAX 15

struct sql_split {
	const char *p, *end;
	unsigned line; /* of p, from 1 */
	char delimiter[SQL_DELIMITER_MAX + 1];
};

/* A statement, without its delimiter and the blanks and comments around it; lent. */
struct sql_statement {
	const char *text;
	size_t len;
	unsigned line; /* of its first byte */
};

void sql_split_init(struct sql_split *split, const char *text, size_t len);
/*
 * 1 and the next statement; 0 at the end; -1 ERROR_BAD_REQUEST with the line: a string, name or
 * comment without end, a DELIMITER that is none, a NUL byte, text that is no UTF-8.
 */
int sql_split_next(struct sql_split *split, struct sql_statement *ret, struct error *err);

/*
 * The end of what begins at p: a string, quoted name or comment.  p + 1 if none of them begins
 * there, NULL if it has no end.  For others that look through SQL.
 */
const char *sql_skip(const char *p, const char *end);

#endif
