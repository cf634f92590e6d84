#include "agent/reports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/shipped.h"
#include "shared/sql_split.h"
#include "shared/text.h"

#define FILE_MAX (1u << 20)
#define SHIPPED_FOLDER "reports/"
#define NAME_BYTES "abcdefghijklmnopqrstuvwxyz0123456789_"

static const char *const type_words[] = { "integer", "decimal", "date", "text" };

const char *
report_type_word(enum report_type type)
{
	return type_words[type];
}

void
report_free(struct report *report)
{
	if (report == NULL)
		return;
	free(report->name);
	free(report->title);
	free(report->source);
	free(report->sql);
	free(report);
}

/* ---- the head */

static int
parse_number(const char *text, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (*text == '\0' || strchr("+ \t", *text) != NULL || *end != '\0' || errno != 0)
		return -1;
	return 0;
}

/* "year integer 1000 9999"; words is cut up. */
static int
parse_parameter(struct report *report, char *words, struct error *err)
{
	struct report_parameter *parameter;
	char *rest = NULL, *name, *type, *min, *max;
	size_t i;

	name = strtok_r(words, " \t\r", &rest);
	type = strtok_r(NULL, " \t\r", &rest);
	min = strtok_r(NULL, " \t\r", &rest);
	max = strtok_r(NULL, " \t\r", &rest);
	if (report->parameter_count == REPORT_PARAMETERS_MAX)
		return error_set(
		    err, ERROR_CONFIG, "more than %d parameters", REPORT_PARAMETERS_MAX);
	parameter = &report->parameters[report->parameter_count];
	if (name == NULL || type == NULL || strtok_r(NULL, " \t\r", &rest) != NULL)
		return error_set(
		    err, ERROR_CONFIG, "a parameter is NAME TYPE, or NAME integer MIN MAX");
	if (strlen(name) > REPORT_NAME_MAX || strspn(name, NAME_BYTES) != strlen(name) ||
	    (*name >= '0' && *name <= '9'))
		return error_set(err, ERROR_CONFIG,
		    "a parameter's name has small letters, digits and '_', not '%.80s'", name);
	for (i = 0; i < report->parameter_count; i++)
		if (strcmp(report->parameters[i].name, name) == 0)
			return error_set(err, ERROR_CONFIG, "parameter '%s' is there twice", name);
	for (i = 0; i < ARRAY_LEN(type_words) && strcmp(type_words[i], type) != 0; i++)
		continue;
	if (i == ARRAY_LEN(type_words))
		return error_set(err, ERROR_CONFIG,
		    "'%.40s' is none of the types integer, decimal, date and text", type);
	*parameter = (struct report_parameter){ .type = (enum report_type)i, .min = INT64_MIN,
		.max = INT64_MAX };
	memcpy(parameter->name, name, strlen(name) + 1);
	if (min != NULL && (i != REPORT_INTEGER || max == NULL ||
	    parse_number(min, &parameter->min) != 0 || parse_number(max, &parameter->max) != 0 ||
	    parameter->min > parameter->max))
		return error_set(err, ERROR_CONFIG, "only an integer has bounds, MIN and MAX");
	report->parameter_count++;
	return 0;
}

/* One comment line of the head, without its dashes. */
static int
parse_head_line(struct report *report, char *line, struct error *err)
{
	static const char title[] = "report:", parameter[] = "parameter:";

	line += strspn(line, " \t");
	if (strncmp(line, parameter, strlen(parameter)) == 0)
		return parse_parameter(report, line + strlen(parameter), err);
	if (strncmp(line, title, strlen(title)) != 0)
		return 0;
	if (report->title != NULL)
		return error_set(err, ERROR_CONFIG, "'report:' is there twice");
	line += strlen(title);
	line += strspn(line, " \t");
	line[strcspn(line, "\r")] = '\0';
	report->title = text_printable(line, strlen(line));
	return 0;
}

/* Two dashes are a comment only before a blank. */
static bool
is_head_line(const char *p, const char *end)
{
	return end - p >= 2 && p[0] == '-' && p[1] == '-' &&
	    (end - p == 2 || (unsigned char)p[2] <= ' ');
}

static int
parse_head(struct report *report, const char *text, size_t len, struct error *err)
{
	const char *p = text, *end = text + len, *stop;
	unsigned number = 1;
	char *line;
	int rc = 0;

	for (; rc == 0 && is_head_line(p, end); p = stop + (stop < end)) {
		stop = memchr(p, '\n', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		line = mem_printf("%.*s", (int)(stop - p - 2), p + 2);
		rc = parse_head_line(report, line, err);
		free(line);
		if (rc != 0)
			error_prefix(err, "line %u: ", number);
		number++;
	}
	if (rc == 0 && (report->title == NULL || *report->title == '\0'))
		rc = error_set(
		    err, ERROR_CONFIG, "it does not begin with '-- report: WHAT IT TELLS'");
	return rc;
}

/* ---- the statement */

static bool
is_name_byte(char c)
{
	return c != '\0' && strchr(NAME_BYTES, c) != NULL;
}

static bool
is_word_byte(char c)
{
	return is_name_byte(c) || (c >= 'A' && c <= 'Z') || c == '$' || (unsigned char)c >= 0x80;
}

/* ":name" at p: its parameter's place is noted. */
static int
take_place(struct report *report, const char *p, const char *end, size_t *ret_len,
    struct error *err)
{
	size_t len = 0, i;

	while (p + 1 + len < end && is_name_byte(p[1 + len]))
		len++;
	for (i = 0; i < report->parameter_count; i++)
		if (strlen(report->parameters[i].name) == len &&
		    memcmp(report->parameters[i].name, p + 1, len) == 0)
			break;
	if (i == report->parameter_count)
		return error_set(err, ERROR_CONFIG, "':%.*s' is not declared as a parameter",
		    (int)(len > 80 ? 80 : len), p + 1);
	if (report->place_count == REPORT_VALUES_MAX)
		return error_set(err, ERROR_CONFIG, "parameters stand at more than %d places",
		    REPORT_VALUES_MAX);
	report->places[report->place_count++] = (unsigned char)i;
	*ret_len = len + 1;
	return 0;
}

static int
compile(struct report *report, const struct sql_statement *statement, struct error *err)
{
	const char *p = statement->text, *end = p + statement->len, *next;
	struct buffer sql = BUFFER_INIT;
	size_t len = 0;

	for (; p < end; p = next) {
		next = sql_skip(p, end);
		if (next == NULL)
			next = end;
		if (*p == '?') {
			buffer_done(&sql);
			return error_set(err, ERROR_CONFIG, "'?' is for the program: write :NAME");
		}
		if (next != p + 1 || *p != ':' || p + 1 == end || !is_name_byte(p[1]) ||
		    (p > statement->text && (is_word_byte(p[-1]) || p[-1] == ':'))) {
			buffer_put(&sql, p, (size_t)(next - p));
			continue;
		}
		if (take_place(report, p, end, &len, err) != 0) {
			buffer_done(&sql);
			return -1;
		}
		buffer_put_u8(&sql, '?');
		next = p + len;
	}
	report->sql = buffer_take(&sql);
	return 0;
}

static bool
is_query(const struct sql_statement *statement)
{
	static const char *const words[] = { "SELECT", "WITH" };
	const char *p = statement->text, *end = p + statement->len;

	while (p < end && *p == '(')
		p++;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(end - p) > len && strncasecmp(p, words[i], len) == 0 &&
		    !is_word_byte(p[len]))
			return true;
	}
	return false;
}

static int
parse_statement(struct report *report, const char *text, size_t len, struct error *err)
{
	struct sql_statement statement, more;
	struct sql_split split;
	int rc;

	sql_split_init(&split, text, len);
	rc = sql_split_next(&split, &statement, err);
	if (rc == 0)
		return error_set(err, ERROR_CONFIG, "it holds no statement");
	if (rc == 1)
		rc = sql_split_next(&split, &more, err);
	if (rc < 0) {
		err->code = ERROR_CONFIG;
		return -1;
	}
	if (rc == 1)
		return error_set(err, ERROR_CONFIG, "line %u: a second statement", more.line);
	if (!is_query(&statement))
		return error_set(
		    err, ERROR_CONFIG, "line %u: the statement is no SELECT", statement.line);
	return compile(report, &statement, err);
}

int
report_parse(const char *name, const char *source, const char *text, size_t len,
    struct report **ret, struct error *err)
{
	struct report *report = MEM_NEW(struct report);

	report->name = mem_strdup(name);
	report->source = mem_strdup(source);
	if (parse_head(report, text, len, err) != 0 ||
	    parse_statement(report, text, len, err) != 0) {
		error_prefix(err, "report '%s': ", source);
		report_free(report);
		return -1;
	}
	*ret = report;
	return 0;
}

/* ---- where they are */

static bool
is_report_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_name_byte(name[i]) && name[i] != '-')
			return false;
	return len > 0 && len <= REPORT_NAME_MAX && name[0] != '-';
}

/* 1: read, 0: there is none. */
static int
find_in_folder(const char *folder, const char *name, struct report **ret, struct error *err)
{
	char *path = mem_printf("%s/%s.sql", folder, name);
	struct buffer text = BUFFER_INIT;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -1;
	ssize_t n;

	if (fd < 0 && errno == ENOENT) {
		rc = 0;
		goto out;
	}
	if (fd < 0) {
		error_sys(err, ERROR_CONFIG, errno, "could not open report '%s'", path);
		goto out;
	}
	while ((n = read(fd, buffer_reserve(&text, 65536), 65536)) > 0 && text.len <= FILE_MAX)
		text.len += (size_t)n;
	if (n < 0)
		error_sys(err, ERROR_CONFIG, errno, "could not read report '%s'", path);
	else if (text.len > FILE_MAX)
		error_set(err, ERROR_CONFIG, "report '%s' is larger than 1 MiB", path);
	else if (report_parse(name, path, (const char *)text.data, text.len, ret, err) == 0)
		rc = 1;
out:
	if (fd >= 0)
		close(fd);
	buffer_done(&text);
	free(path);
	return rc;
}

/* The name of a shipped report's file, or NULL; its length without ".sql". */
static const char *
shipped_name(size_t i, size_t *ret_len)
{
	const char *name = shipped_files[i].name;

	if (strncmp(name, SHIPPED_FOLDER, strlen(SHIPPED_FOLDER)) != 0)
		return NULL;
	name += strlen(SHIPPED_FOLDER);
	*ret_len = strlen(name) - strlen(".sql");
	return name;
}

int
report_find(const char *folder, const char *name, struct report **ret, struct error *err)
{
	size_t len;
	int rc;

	if (!is_report_name(name, strlen(name)))
		goto absent;
	if (folder != NULL) {
		rc = find_in_folder(folder, name, ret, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	for (size_t i = 0; i < shipped_count; i++) {
		const char *file = shipped_name(i, &len);

		if (file == NULL || len != strlen(name) || memcmp(file, name, len) != 0)
			continue;
		return report_parse(name, shipped_files[i].name, shipped_files[i].text,
		    strlen(shipped_files[i].text), ret, err);
	}
absent:
	error_set(err, ERROR_NOT_FOUND, "there is no report '%.80s'", name);
	return error_hint(err, "GET /v1/reports lists them");
}

static json_t *
describe(const struct report *report)
{
	json_t *parameters = json_array();

	for (size_t i = 0; i < report->parameter_count; i++) {
		const struct report_parameter *parameter = &report->parameters[i];
		json_t *json = json_pack("{s:s, s:s}", "name", parameter->name, "type",
		    report_type_word(parameter->type));

		if (parameter->type == REPORT_INTEGER && parameter->min != INT64_MIN) {
			json_object_set_new(json, "min", json_integer(parameter->min));
			json_object_set_new(json, "max", json_integer(parameter->max));
		}
		json_array_append_new(parameters, json);
	}
	return json_pack("{s:s, s:s, s:o}", "name", report->name, "title", report->title,
	    "parameters", parameters);
}

/* By name, each once. */
static void
add_name(json_t *names, const char *name, size_t len)
{
	char *text = mem_printf("%.*s", (int)len, name);

	json_object_set_new(names, text, json_true());
	free(text);
}

static int
add_folder(json_t *names, const char *folder, struct error *err)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (dir == NULL)
		return error_sys(
		    err, ERROR_CONFIG, errno, "could not open the reports' folder '%s'", folder);
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len > 4 && strcmp(entry->d_name + len - 4, ".sql") == 0 &&
		    is_report_name(entry->d_name, len - 4))
			add_name(names, entry->d_name, len - 4);
	}
	closedir(dir);
	return 0;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
report_list(const char *folder, json_t **ret, struct error *err)
{
	json_t *names = json_object(), *unused;
	const char **sorted, *name;
	size_t count = 0, len;

	if (folder != NULL && add_folder(names, folder, err) != 0) {
		json_decref(names);
		return -1;
	}
	for (size_t i = 0; i < shipped_count; i++)
		if ((name = shipped_name(i, &len)) != NULL)
			add_name(names, name, len);
	sorted = mem_calloc(json_object_size(names) + 1, sizeof(*sorted));
	json_object_foreach(names, name, unused)
		sorted[count++] = name;
	qsort(sorted, count, sizeof(*sorted), by_text);
	*ret = json_array();
	for (size_t i = 0; i < count; i++) {
		struct report *report = NULL;
		struct error why = ERROR_INIT;

		/* One that is broken does not hide the others. */
		if (report_find(folder, sorted[i], &report, &why) == 0)
			json_array_append_new(*ret, describe(report));
		else
			json_array_append_new(*ret, json_pack("{s:s, s:s}", "name", sorted[i],
			    "error", why.message));
		report_free(report);
	}
	free(sorted);
	json_decref(names);
	return 0;
}

/* ---- values */

/* 12, -0.5; of at most 65 digits, as DECIMAL has. */
static bool
is_decimal(const char *text)
{
	size_t whole, part = 0;

	text += *text == '-';
	whole = strspn(text, "0123456789");
	text += whole;
	if (*text == '.') {
		part = strspn(text + 1, "0123456789");
		text += 1 + part;
		if (part == 0)
			return false;
	}
	return *text == '\0' && whole > 0 && whole + part <= 65;
}

int
report_value(const struct report_parameter *parameter, const char *text,
    struct mariadb_param *ret, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct timespec day;
	int64_t number;

	*ret = mariadb_text(text);
	switch (parameter->type) {
	case REPORT_INTEGER:
		if (parse_number(text, &number) != 0)
			break;
		if (number < parameter->min || number > parameter->max)
			return error_set(err, ERROR_BAD_REQUEST,
			    "'%s' is from %lld to %lld, not %lld", parameter->name,
			    (long long)parameter->min, (long long)parameter->max,
			    (long long)number);
		*ret = mariadb_int(number);
		return 0;
	case REPORT_DECIMAL:
		if (is_decimal(text))
			return 0;
		break;
	case REPORT_DATE:
		if (strlen(text) == 10 && time_parse(text, false, &day, &ignored) == 0)
			return 0;
		break;
	case REPORT_TEXT:
		return 0;
	}
	return error_set(err, ERROR_BAD_REQUEST, "'%s' takes %s %s, not '%.80s'", parameter->name,
	    parameter->type == REPORT_INTEGER ? "an" : "a", report_type_word(parameter->type),
	    text);
}
