/*
 * A pattern becomes a row of tokens; matching walks the path once with the set of tokens that
 * may come next.  Nothing is tried twice, so no pattern makes a backup slow.
 */
#include "agent/files/exclude.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "shared/text.h"

enum token_kind {
	TOKEN_BYTE,         /* this byte */
	TOKEN_ANY,          /* one byte but a slash */
	TOKEN_CONTINUATION, /* any number of UTF-8 continuation bytes */
	TOKEN_SET,          /* one byte of a set, never a slash */
	TOKEN_STAR,         /* any number of bytes but slashes */
	TOKEN_STAR_STAR,    /* any number of bytes */
	TOKEN_FOLDERS,      /* nothing, or TOKEN_IN_FOLDERS */
	TOKEN_IN_FOLDERS    /* any number of bytes, then a slash */
};

struct token {
	uint8_t kind;
	uint8_t byte;
	uint16_t set; /* index into sets */
};

struct byte_set {
	uint8_t bits[32];
};

struct pattern {
	struct token *tokens;
	size_t token_count, token_cap;
	struct byte_set *sets;
	size_t set_count, set_cap;
	char *literal; /* the whole pattern where it has no wildcard: compared, not run */
	size_t literal_len;
	bool suffix_only; /* "*literal" */
	bool negated, directory_only, anchored;
};

struct exclude {
	struct pattern *patterns;
	size_t count, cap;
};

static void
pattern_done(struct pattern *pattern)
{
	free(pattern->tokens);
	free(pattern->sets);
	free(pattern->literal);
}

void
exclude_free(struct exclude *exclude)
{
	if (exclude == NULL)
		return;
	for (size_t i = 0; i < exclude->count; i++)
		pattern_done(&exclude->patterns[i]);
	free(exclude->patterns);
	free(exclude);
}

static void
pattern_add(struct pattern *pattern, enum token_kind kind, uint8_t byte, size_t set)
{
	struct token token = { (uint8_t)kind, byte, (uint16_t)set };

	MEM_GROW(pattern->tokens, pattern->token_count, pattern->token_cap);
	pattern->tokens[pattern->token_count++] = token;
}

static void
set_add(struct byte_set *set, unsigned byte)
{
	set->bits[byte / 8] |= (uint8_t)(1u << (byte % 8));
}

static bool
set_has(const struct byte_set *set, uint8_t byte)
{
	return (set->bits[byte / 8] >> (byte % 8)) & 1;
}

static const struct {
	const char *name;
	int (*has)(int c);
} classes[] = {
	{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl },
	{ "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
	{ "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
};

/* "[:digit:]" at p: its length after adding it to the set, 0 if there is no such class. */
static size_t
set_add_class(struct byte_set *set, const char *p)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		size_t len = strlen(classes[i].name);

		if (strncmp(p + 2, classes[i].name, len) != 0 || strncmp(p + 2 + len, ":]", 2) != 0)
			continue;
		/* ASCII only: the result must not hang on the locale. */
		for (unsigned c = 0; c < 128; c++)
			if (classes[i].has((int)c))
				set_add(set, c);
		return len + 4;
	}
	return 0;
}

/* One member of a set at *p, quoted or not; -1 at the end of the pattern. */
static int
set_member(const char **p)
{
	const char *at = *p;

	if (*at == '\\')
		at++;
	if (*at == '\0')
		return -1;
	*p = at + 1;
	return (uint8_t)*at;
}

/* "[...]" at *p, which is moved behind it. */
static int
parse_set(struct pattern *pattern, const char **p, struct error *err)
{
	const char *at = *p + 1;
	struct byte_set set = { { 0 } };
	bool negated = *at == '!' || *at == '^';
	bool first = true;
	size_t len;

	at += negated;
	for (; *at != ']' || first; first = false) {
		int low, high;

		if (at[0] == '[' && at[1] == ':') {
			len = set_add_class(&set, at);
			if (len == 0)
				return error_set(err, ERROR_BAD_REQUEST, "unknown class after '['");
			at += len;
			continue;
		}
		low = high = set_member(&at);
		if (low >= 0 && at[0] == '-' && at[1] != ']' && at[1] != '\0') {
			at++;
			high = set_member(&at);
		}
		if (low < 0 || high < 0)
			return error_set(err, ERROR_BAD_REQUEST, "'[' without ']'");
		if (high < low)
			return error_set(err, ERROR_BAD_REQUEST, "range in '[]' is reversed");
		for (int c = low; c <= high; c++)
			set_add(&set, (unsigned)c);
	}
	for (size_t i = 0; negated && i < sizeof(set.bits); i++)
		set.bits[i] = (uint8_t)~set.bits[i];
	set.bits['/' / 8] &= (uint8_t)~(1u << ('/' % 8));
	MEM_GROW(pattern->sets, pattern->set_count, pattern->set_cap);
	pattern->sets[pattern->set_count] = set;
	pattern_add(pattern, TOKEN_SET, 0, pattern->set_count++);
	if (negated)
		pattern_add(pattern, TOKEN_CONTINUATION, 0, 0);
	*p = at + 1;
	return 0;
}

/* One or more '*' at *p, which is moved behind them (and the slash that belongs to them). */
static void
parse_stars(struct pattern *pattern, const char **p, bool at_start)
{
	const char *at = *p;
	size_t stars = strspn(at, "*");

	at += stars;
	if (stars == 1) {
		pattern_add(pattern, TOKEN_STAR, 0, 0);
	} else if (at_start && *at == '/') {
		pattern_add(pattern, TOKEN_FOLDERS, 0, 0);
		pattern_add(pattern, TOKEN_IN_FOLDERS, 0, 0);
		at++;
	} else {
		/* "a/" + "**" means what lies in a, not a itself: at least one byte. */
		if (at_start && *at == '\0')
			pattern_add(pattern, TOKEN_ANY, 0, 0);
		pattern_add(pattern, TOKEN_STAR_STAR, 0, 0);
	}
	*p = at;
}

static int
parse_tokens(struct pattern *pattern, const char *text, struct error *err)
{
	for (const char *p = text; *p != '\0';) {
		bool at_start = p == text || p[-1] == '/';

		switch (*p) {
		case '*':
			parse_stars(pattern, &p, at_start);
			break;
		case '?':
			pattern_add(pattern, TOKEN_ANY, 0, 0);
			pattern_add(pattern, TOKEN_CONTINUATION, 0, 0);
			p++;
			break;
		case '[':
			if (parse_set(pattern, &p, err) < 0)
				return -1;
			break;
		case '\\':
			if (*++p == '\0')
				return error_set(err, ERROR_BAD_REQUEST, "'\\' quotes nothing");
			/* fall through */
		default:
			pattern_add(pattern, TOKEN_BYTE, (uint8_t)*p++, 0);
		}
	}
	return 0;
}

/* Most patterns are a plain name, a plain path or "*.ext": those are only compared. */
static void
find_literal(struct pattern *pattern)
{
	const struct token *tokens = pattern->tokens;
	size_t count = pattern->token_count;
	size_t from = 0;

	if (count > 0 && tokens[0].kind == TOKEN_STAR && !pattern->anchored)
		from = 1;
	for (size_t i = from; i < count; i++)
		if (tokens[i].kind != TOKEN_BYTE)
			return;
	pattern->literal = mem_calloc(count + 1, 1);
	pattern->literal_len = count - from;
	for (size_t i = from; i < count; i++)
		pattern->literal[i - from] = (char)tokens[i].byte;
	pattern->suffix_only = from == 1;
}

/* A backslash quotes the last character if an odd number of them stands before it. */
static bool
last_is_quoted(const char *text, size_t len)
{
	size_t quotes = 0;

	while (quotes + 1 < len && text[len - 2 - quotes] == '\\')
		quotes++;
	return quotes % 2 == 1;
}

static int
pattern_parse(struct pattern *pattern, const char *text, struct error *err)
{
	char *copy = NULL;
	const char *body = NULL;
	size_t len = strlen(text);
	int result = -1;

	if (len > EXCLUDE_PATTERN_MAX)
		return error_set(err, ERROR_BAD_REQUEST, "longer than %d bytes",
		    EXCLUDE_PATTERN_MAX);
	copy = mem_strdup(text);
	body = copy;
	if (*body == '!') {
		pattern->negated = true;
		body++;
		len--;
	}
	while (len > 0 && body[len - 1] == '/' && !last_is_quoted(body, len)) {
		pattern->directory_only = true;
		copy[body - copy + (ptrdiff_t)--len] = '\0';
	}
	pattern->anchored = strchr(body, '/') != NULL;
	while (*body == '/')
		body++;
	if (*body == '\0') {
		error_set(err, ERROR_BAD_REQUEST, "names nothing");
		goto out;
	}
	if (parse_tokens(pattern, body, err) < 0)
		goto out;
	find_literal(pattern);
	result = 0;
out:
	free(copy);
	return result;
}

int
exclude_new(const char *const *patterns, size_t count, struct exclude **ret, struct error *err)
{
	struct exclude *exclude = MEM_NEW(struct exclude);
	struct pattern *pattern;
	char *shown;

	for (size_t i = 0; i < count; i++) {
		if (patterns[i][0] == '\0' || patterns[i][0] == '#')
			continue;
		MEM_GROW(exclude->patterns, exclude->count, exclude->cap);
		pattern = &exclude->patterns[exclude->count++];
		memset(pattern, 0, sizeof(*pattern));
		if (pattern_parse(pattern, patterns[i], err) < 0) {
			shown = text_printable(patterns[i], strlen(patterns[i]));
			error_prefix(err, "exclude pattern '%.200s': ", shown);
			free(shown);
			exclude_free(exclude);
			return -1;
		}
	}
	*ret = exclude;
	return 0;
}

/* Mark token i as one that may come next, and those behind it that may stand for nothing. */
static void
reach(const struct pattern *pattern, uint8_t *set, size_t i)
{
	for (;;) {
		if (set[i])
			return;
		set[i] = 1;
		if (i == pattern->token_count)
			return;
		switch (pattern->tokens[i].kind) {
		case TOKEN_FOLDERS:
			set[i + 1] = 1;
			i += 2;
			break;
		case TOKEN_STAR:
		case TOKEN_STAR_STAR:
		case TOKEN_CONTINUATION:
			i++;
			break;
		default:
			return;
		}
	}
}

static void
step(const struct pattern *pattern, size_t i, uint8_t byte, uint8_t *next)
{
	const struct token *token = &pattern->tokens[i];

	switch (token->kind) {
	case TOKEN_BYTE:
		if (byte == token->byte)
			reach(pattern, next, i + 1);
		break;
	case TOKEN_ANY:
		if (byte != '/')
			reach(pattern, next, i + 1);
		break;
	case TOKEN_SET:
		if (set_has(&pattern->sets[token->set], byte))
			reach(pattern, next, i + 1);
		break;
	case TOKEN_CONTINUATION:
		if ((byte & 0xc0) == 0x80)
			reach(pattern, next, i);
		break;
	case TOKEN_STAR:
		if (byte != '/')
			reach(pattern, next, i);
		break;
	case TOKEN_STAR_STAR:
		reach(pattern, next, i);
		break;
	case TOKEN_IN_FOLDERS:
		next[i] = 1;
		if (byte == '/')
			reach(pattern, next, i + 1);
		break;
	default:
		break;
	}
}

static bool
run(const struct pattern *pattern, const char *text, size_t len)
{
	uint8_t small[2][256];
	uint8_t *memory = NULL;
	uint8_t *now = small[0], *next = small[1], *swap;
	size_t states = pattern->token_count + 1;
	bool any = true, matched;

	if (states > sizeof(small[0])) {
		memory = mem_calloc(2, states);
		now = memory;
		next = memory + states;
	}
	memset(now, 0, states);
	reach(pattern, now, 0);
	for (size_t i = 0; i < len && any; i++) {
		memset(next, 0, states);
		for (size_t k = 0; k < pattern->token_count; k++)
			if (now[k])
				step(pattern, k, (uint8_t)text[i], next);
		any = memchr(next, 1, states) != NULL;
		swap = now;
		now = next;
		next = swap;
	}
	matched = any && now[pattern->token_count];
	free(memory);
	return matched;
}

static bool
pattern_match(const struct pattern *pattern, const char *text, size_t len)
{
	if (pattern->literal == NULL)
		return run(pattern, text, len);
	if (pattern->suffix_only)
		return len >= pattern->literal_len && memcmp(text + len - pattern->literal_len,
		    pattern->literal, pattern->literal_len) == 0;
	return len == pattern->literal_len && memcmp(text, pattern->literal, len) == 0;
}

bool
exclude_match(const struct exclude *exclude, const char *path, size_t len, bool is_directory)
{
	const char *name = NULL;

	if (exclude == NULL || exclude->count == 0)
		return false;
	while (len > 0 && *path == '/') {
		path++;
		len--;
	}
	if (len == 0)
		return false;
	name = memrchr(path, '/', len);
	name = name == NULL ? path : name + 1;
	/* The last that matches decides, so the first that matches from the end does. */
	for (size_t i = exclude->count; i > 0; i--) {
		const struct pattern *pattern = &exclude->patterns[i - 1];

		if (pattern->directory_only && !is_directory)
			continue;
		if (pattern->anchored ? pattern_match(pattern, path, len)
		    : pattern_match(pattern, name, len - (size_t)(name - path)))
			return !pattern->negated;
	}
	return false;
}
