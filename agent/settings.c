#include "agent/settings_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/mem.h"
#include "shared/text.h"

/* A list keeps its count beside it; the other types have none. */
#define COUNT_TEXT(base, field) 0
#define COUNT_LIST(base, field) offsetof(struct base, field##_count)
#define COUNT_BOOL(base, field) 0
#define COUNT_INTEGER(base, field) 0
#define COUNT_SIZE(base, field) 0
#define COUNT_DURATION(base, field) 0
#define COUNT_SECRET(base, field) 0

const struct setting settings_table[] = {
#define ROW(base, section, key, type, field, fallback, min, max, environment, sentence) \
	{ section, key, SETTING_##type, offsetof(struct base, field), COUNT_##type(base, field), \
	    fallback, min, max, environment, sentence }
#define _(...) ROW(config, __VA_ARGS__),
	SETTINGS(_)
#undef _
#define _(...) ROW(config_job, __VA_ARGS__),
	JOB_SETTINGS(_)
#undef _
#define _(...) ROW(config_notice, __VA_ARGS__),
	NOTICE_SETTINGS(_)
#undef _
#undef ROW
};
enum {
#define _(...) +1
	OWN_COUNT = 0 SETTINGS(_),
	JOB_COUNT = 0 JOB_SETTINGS(_),
	NOTICE_COUNT = 0 NOTICE_SETTINGS(_),
#undef _
};
const size_t settings_count = OWN_COUNT;
const struct setting *const job_settings = settings_table + OWN_COUNT;
const size_t job_settings_count = JOB_COUNT;
const struct setting *const notice_settings = settings_table + OWN_COUNT + JOB_COUNT;
const size_t notice_settings_count = NOTICE_COUNT;
const size_t settings_all_count = ARRAY_LEN(settings_table);

const char *
setting_type_word(enum setting_type type)
{
	static const char *const words[] = { "text", "list", "yes or no", "number", "size",
		"duration", "secret" };

	return words[type];
}

static void *
value_of(const void *base, size_t offset)
{
	return (char *)(uintptr_t)base + offset;
}

const struct setting *
setting_find(const char *section, const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(settings_table); i++)
		if (strcmp(settings_table[i].section, section) == 0 &&
		    strcmp(settings_table[i].key, key) == 0)
			return &settings_table[i];
	return NULL;
}

/* Edits (insert, delete, replace) between two short words; 99 for words that are too long. */
static unsigned
distance(const char *a, const char *b)
{
	enum { WORD_MAX = 40 };
	unsigned row[WORD_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return 99;
	for (unsigned j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_len];
}

/* Two edits are a slip of the fingers; more would be guessing. */
#define NEAR 2

const char *
setting_nearest_key(const char *section, const char *key)
{
	const char *best = NULL;
	unsigned best_distance = NEAR + 1;

	for (size_t i = 0; i < ARRAY_LEN(settings_table); i++) {
		unsigned d;

		if (strcmp(settings_table[i].section, section) != 0)
			continue;
		d = distance(key, settings_table[i].key);
		if (d < best_distance) {
			best_distance = d;
			best = settings_table[i].key;
		}
	}
	return best;
}

const char *
setting_nearest_section(const char *section)
{
	const char *best = NULL;
	unsigned best_distance = NEAR + 1;

	for (size_t i = 0; i < ARRAY_LEN(settings_table); i++) {
		unsigned d = distance(section, settings_table[i].section);

		if (d < best_distance) {
			best_distance = d;
			best = settings_table[i].section;
		}
	}
	return best;
}

static void
list_clear(char ***list, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		free((*list)[i]);
	free(*list);
	*list = NULL;
	*count = 0;
}

static int
check_length(const struct setting *setting, const char *text, const char *source,
    struct error *err)
{
	if ((int64_t)strlen(text) < setting->min)
		return error_set(err, ERROR_CONFIG, "%s: '%s' must not be empty", source,
		    setting->key);
	if ((int64_t)strlen(text) > setting->max)
		return error_set(err, ERROR_CONFIG, "%s: '%s' is longer than %lld bytes", source,
		    setting->key, (long long)setting->max);
	if (!text_is_utf8(text, strlen(text)))
		return error_set(err, ERROR_CONFIG, "%s: '%s' is not valid UTF-8", source,
		    setting->key);
	return 0;
}

static char *
trimmed(const char *from, size_t len)
{
	char *item;

	while (len > 0 && strchr(" \t\r\n", *from) != NULL) {
		from++;
		len--;
	}
	while (len > 0 && strchr(" \t\r\n", from[len - 1]) != NULL)
		len--;
	item = mem_calloc(1, len + 1);
	memcpy(item, from, len);
	return item;
}

/* Items between commas and line ends; "\," is a comma within an item; empty items are dropped. */
static int
set_list(void *base, const struct setting *setting, const char *text,
    const char *source, bool append, struct error *err)
{
	char ***list = value_of(base, setting->offset);
	size_t *count = value_of(base, setting->count_offset);
	char *part = mem_calloc(1, strlen(text) + 1);
	size_t used = 0;
	int rc = 0;

	if (!append)
		list_clear(list, count);
	for (const char *p = text;; p++) {
		char *item;

		if (*p == '\\' && p[1] == ',') {
			part[used++] = *++p;
			continue;
		}
		if (*p != ',' && *p != '\n' && *p != '\0') {
			part[used++] = *p;
			continue;
		}
		item = trimmed(part, used);
		used = 0;
		if (*item == '\0') {
			free(item);
		} else if ((rc = check_length(setting, item, source, err)) != 0) {
			free(item);
			break;
		} else {
			*list = mem_realloc(*list, *count + 1, sizeof(**list));
			(*list)[(*count)++] = item;
		}
		if (*p == '\0')
			break;
	}
	free(part);
	return rc;
}

static int
parse_bool(const char *text, bool *ret)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0) {
			*ret = true;
			return 0;
		}
		if (strcasecmp(text, no[i]) == 0) {
			*ret = false;
			return 0;
		}
	}
	return -1;
}

static int
parse_integer(const char *text, int64_t *ret)
{
	char *end;
	long long v;

	if (*text == '\0' || strspn(text, "+-0123456789") != strlen(text) || strlen(text) > 18)
		return -1;
	v = strtoll(text, &end, 10);
	if (*end != '\0')
		return -1;
	*ret = v;
	return 0;
}

static int
set_number(void *base, const struct setting *setting, const char *text,
    const char *source, struct error *err)
{
	struct error why = ERROR_INIT;
	int64_t v = 0;
	uint64_t size = 0;
	int rc = -1;

	switch (setting->type) {
	case SETTING_INTEGER:
		if ((rc = parse_integer(text, &v)) != 0)
			error_set(&why, ERROR_CONFIG, "not a whole number");
		break;
	case SETTING_SIZE:
		if ((rc = size_parse(text, &size, &why)) == 0)
			v = size > INT64_MAX ? INT64_MAX : (int64_t)size;
		break;
	case SETTING_DURATION:
		rc = duration_parse(text, &v, &why);
		break;
	case SETTING_TEXT:
	case SETTING_LIST:
	case SETTING_BOOL:
	case SETTING_SECRET:
		break;
	}
	if (rc != 0) {
		error_set(err, ERROR_CONFIG, "%s: '%s' takes a %s, not '%s'", source, setting->key,
		    setting_type_word(setting->type), text);
		return error_hint(err, "%s%s", why.message,
		    setting->type == SETTING_SIZE ? "; write it as 64M or 4096"
		    : setting->type == SETTING_DURATION ? "; write it as 90s, 15m, 24h or 7d" : "");
	}
	if (v < setting->min || v > setting->max) {
		return error_set(err, ERROR_CONFIG,
		    "%s: '%s' must be between %lld and %lld%s, not '%s'", source, setting->key,
		    (long long)setting->min, (long long)setting->max,
		    setting->type == SETTING_DURATION ? " seconds"
		    : setting->type == SETTING_SIZE ? " bytes" : "", text);
	}
	/* All numbers of struct config are 64 bits wide, and none is negative where unsigned. */
	memcpy(value_of(base, setting->offset), &v, sizeof(v));
	return 0;
}

static int
set_bool(void *base, const struct setting *setting, const char *text,
    const char *source, struct error *err)
{
	if (parse_bool(text, value_of(base, setting->offset)) == 0)
		return 0;
	return error_set(err, ERROR_CONFIG, "%s: '%s' takes yes or no, not '%s'", source,
	    setting->key, text);
}

static int
set_text(void *base, const struct setting *setting, const char *text,
    const char *source, struct error *err)
{
	char **value = value_of(base, setting->offset);

	if (check_length(setting, text, source, err) != 0)
		return -1;
	free(*value);
	*value = mem_strdup(text);
	return 0;
}

int
setting_set(void *base, char **ret_source, const struct setting *setting, const char *text,
    const char *source, bool append, struct error *err)
{
	int rc;

	switch (setting->type) {
	case SETTING_TEXT:
	case SETTING_SECRET:
		rc = set_text(base, setting, text, source, err);
		break;
	case SETTING_LIST:
		rc = set_list(base, setting, text, source, append, err);
		break;
	case SETTING_BOOL:
		rc = set_bool(base, setting, text, source, err);
		break;
	default:
		rc = set_number(base, setting, text, source, err);
	}
	if (rc != 0)
		return -1;
	free(*ret_source);
	*ret_source = mem_strdup(source);
	return 0;
}

json_t *
setting_to_json(const void *base, const struct setting *setting)
{
	const void *value = value_of(base, setting->offset);
	const char *text;
	json_t *array;
	size_t count;
	int64_t v;

	switch (setting->type) {
	case SETTING_TEXT:
		text = *(char *const *)value;
		return text == NULL ? json_null() : json_string(text);
	case SETTING_SECRET:
		return *(char *const *)value == NULL ? json_null() : json_string("(not shown)");
	case SETTING_LIST:
		array = json_array();
		count = *(const size_t *)value_of(base, setting->count_offset);
		for (size_t i = 0; i < count; i++)
			json_array_append_new(array, json_string((*(char **const *)value)[i]));
		return array;
	case SETTING_BOOL:
		return json_boolean(*(const bool *)value);
	default:
		memcpy(&v, value, sizeof(v));
		return json_integer(v);
	}
}

void
setting_done(void *base, const struct setting *setting)
{
	char *text;

	if (setting->type == SETTING_TEXT || setting->type == SETTING_SECRET) {
		text = *(char **)value_of(base, setting->offset);
		mem_free_secret(text, text == NULL ? 0 : strlen(text));
	} else if (setting->type == SETTING_LIST) {
		list_clear(value_of(base, setting->offset),
		    value_of(base, setting->count_offset));
	}
}
