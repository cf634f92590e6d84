/*
 * Configuration files: inih reads lines, this file knows where each came from.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <ini.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/settings_internal.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

/* Longest line of a file: a path, its key and some room. */
#define LINE_MAX_BYTES (SETTING_TEXT_MAX + 128)

struct parse {
	struct config *config;
	FILE *file;
	const char *path;
	unsigned line;
	bool indented;   /* the present line starts with a blank */
	/* By setting: this file has set it already.  Those of [database NAME] follow all others. */
	bool *given;
	struct config_job *job; /* whose section we are in, or NULL */
	struct config_notice *notice; /* the same of [notice NAME] */
	struct config_database *database; /* the same of [database NAME] */
	bool failed;
	struct error *err;
};

static int
fail_at(struct parse *parse, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
fail_at(struct parse *parse, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	parse->failed = true;
	return error_set(parse->err, ERROR_CONFIG, "%s:%u: %s", parse->path, parse->line, text);
}

/* NAME of "job NAME"; NULL if this is another section. */
static const char *
section_name(const char *section, const char *kind)
{
	size_t len = strlen(kind);

	if (strncmp(section, kind, len) != 0 || (section[len] != '\0' && section[len] != ' ' &&
	    section[len] != '\t'))
		return NULL;
	section += len;
	return section + strspn(section, " \t");
}

static const char *
job_name(const char *section)
{
	return section_name(section, "job");
}

static const char *
notice_name(const char *section)
{
	return section_name(section, "notice");
}

/* [database] itself is as any other section. */
static const char *
database_name(const char *section)
{
	const char *name = section_name(section, "database");

	return name == NULL || *name == '\0' ? NULL : name;
}

static int
begin_job(struct parse *parse, const char *name)
{
	char *where = mem_printf("%s:%u", parse->path, parse->line);
	int rc = config_job_begin(parse->config, name, where, &parse->job, parse->err);

	parse->failed = parse->failed || rc != 0;
	memset(parse->given + settings_count, 0, job_settings_count * sizeof(*parse->given));
	free(where);
	return rc;
}

static int
begin_notice(struct parse *parse, const char *name)
{
	char *where = mem_printf("%s:%u", parse->path, parse->line);
	int rc = config_notice_begin(parse->config, name, where, &parse->notice, parse->err);

	parse->failed = parse->failed || rc != 0;
	memset(parse->given + (notice_settings - settings_table), 0,
	    notice_settings_count * sizeof(*parse->given));
	free(where);
	return rc;
}

static int
begin_database(struct parse *parse, const char *name)
{
	char *where = mem_printf("%s:%u", parse->path, parse->line);
	int rc = config_database_begin(parse->config, name, where, &parse->database, parse->err);

	parse->failed = parse->failed || rc != 0;
	memset(parse->given + settings_all_count, 0, settings_count * sizeof(*parse->given));
	free(where);
	return rc;
}

/* inih tells of a section only with its first setting: one without any, or given twice, would go
 * unnoticed. */
static int
begin_section(struct parse *parse, const char *line)
{
	size_t len = strcspn(line + 1, "]\r\n");
	const char *job, *database, *notice;
	char *section;
	int rc = 0;

	parse->job = NULL;
	parse->notice = NULL;
	parse->database = NULL;
	if (line[1 + len] != ']')
		return 0; /* inih complains */
	section = mem_printf("%.*s", (int)len, line + 1);
	job = job_name(section);
	database = database_name(section);
	notice = notice_name(section);
	if (job != NULL)
		rc = begin_job(parse, job);
	else if (notice != NULL)
		rc = begin_notice(parse, notice);
	else if (database != NULL)
		rc = begin_database(parse, database);
	free(section);
	return rc;
}

/* inih's reader, fgets-like; counts lines, and refuses what inih would cut in two. */
static char *
next_line(char *text, int size, void *stream)
{
	struct parse *parse = stream;
	size_t len;

	if (parse->failed || fgets(text, size, parse->file) == NULL)
		return NULL;
	parse->line++;
	len = strlen(text);
	if (len + 1 == (size_t)size && text[len - 1] != '\n') {
		fail_at(parse, "line is longer than %d bytes", LINE_MAX_BYTES);
		return NULL;
	}
	parse->indented = *text == ' ' || *text == '\t';
	if (*text == '[' && begin_section(parse, text) != 0)
		return NULL;
	return text;
}

/* "[agent], [log], ...": rows of a section stand together in the table. */
static char *
section_list(void)
{
	struct buffer text = BUFFER_INIT;

	for (size_t i = 0; i < settings_count; i++) {
		const char *section = settings_table[i].section;

		if (i == 0 || strcmp(settings_table[i - 1].section, section) != 0)
			buffer_printf(&text, "%s[%s]", i == 0 ? "" : ", ", section);
	}
	buffer_put_text(&text, ", [database NAME], [job NAME], [notice NAME]");
	return buffer_take(&text);
}

static int
unknown(struct parse *parse, const char *section, const char *key)
{
	const char *near;
	char *sections;

	if (*section == '\0') {
		fail_at(parse, "setting '%s' stands before any [section]", key);
		return error_hint(parse->err, "write [agent] or [repository] above it");
	}
	near = setting_nearest_key(section, key);
	for (size_t i = 0; i < settings_all_count; i++) {
		if (strcmp(settings_table[i].section, section) != 0)
			continue;
		fail_at(parse, "unknown setting '%s' in section [%s]", key, section);
		if (near != NULL)
			return error_hint(parse->err, "did you mean '%s'?", near);
		return error_hint(parse->err, "`holdfastd config show` lists all settings");
	}
	fail_at(parse, "unknown section [%s]", section);
	near = setting_nearest_section(section);
	if (near != NULL)
		return error_hint(parse->err, "did you mean [%s]?",
		    strcmp(near, "job") == 0 ? "job NAME"
		    : strcmp(near, "notice") == 0 ? "notice NAME" : near);
	sections = section_list();
	error_hint(parse->err, "there are %s", sections);
	free(sections);
	return -1;
}

/* A password that anybody can read is none. */
static int
refuse_readable(struct parse *parse, const char *key)
{
	struct stat st;

	if (fstat(fileno(parse->file), &st) != 0)
		return fail_at(parse, "could not look at the file: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & S_IRWXO) == 0)
		return 0;
	fail_at(parse, "'%s' stands in a file that others can read (mode %04o)", key,
	    (unsigned)(st.st_mode & 07777));
	return error_hint(parse->err, "chmod 640 '%s', or name a password_file", parse->path);
}

static int
set_value(struct parse *parse, const struct setting *setting, const char *value)
{
	size_t index = (size_t)(setting - settings_table);
	struct setting own = *setting;
	struct config *config = parse->config;
	bool *given = &parse->given[index];
	char *source;
	int rc;

	if (parse->database != NULL) {
		own = config_database_setting(setting);
		given = &parse->given[settings_all_count + index];
	}
	if (*given && setting->type != SETTING_LIST) {
		fail_at(parse, "'%s' is given twice in this %s", setting->key,
		    parse->job != NULL ? "job"
		    : parse->database != NULL || parse->notice != NULL ? "section" : "file");
		if (parse->indented)
			error_hint(parse->err,
			    "the line starts with a blank, so it continues '%s': "
			    "remove the blank",
			    setting->key);
		return -1;
	}
	source = mem_printf("%s:%u", parse->path, parse->line);
	if (parse->job != NULL)
		rc = setting_set(parse->job, &parse->job->sources[index - settings_count], setting,
		    value, source, *given, parse->err);
	else if (parse->notice != NULL)
		rc = setting_set(parse->notice,
		    &parse->notice->sources[setting - notice_settings], setting, value, source,
		    *given, parse->err);
	else if (parse->database != NULL)
		rc = setting_set(parse->database, &parse->database->sources[index], &own, value,
		    source, *given, parse->err);
	else
		rc = setting_set(config, &config->sources[index], setting, value, source, *given,
		    parse->err);
	free(source);
	*given = true;
	parse->failed = parse->failed || rc != 0;
	return rc;
}

/* inih's handler; 0 means error, 1 goes on. */
static int
handle(void *arg, const char *section, const char *key, const char *value)
{
	struct parse *parse = arg;
	const struct setting *setting;
	const char *job = job_name(section), *database = database_name(section);
	const char *notice = notice_name(section);
	const char *kind = job != NULL ? "job" : notice != NULL ? "notice"
	    : database != NULL ? "database" : section;

	if (parse->failed)
		return 0;
	/* An indented [job NAME] is a section for inih, too. */
	if (job == NULL)
		parse->job = NULL;
	else if ((parse->job == NULL || strcmp(parse->job->name, job) != 0) &&
	    begin_job(parse, job) != 0)
		return 0;
	if (notice == NULL)
		parse->notice = NULL;
	else if ((parse->notice == NULL || strcmp(parse->notice->name, notice) != 0) &&
	    begin_notice(parse, notice) != 0)
		return 0;
	if (database == NULL)
		parse->database = NULL;
	else if ((parse->database == NULL || strcmp(parse->database->name, database) != 0) &&
	    begin_database(parse, database) != 0)
		return 0;
	setting = setting_find(kind, key);
	if (setting == NULL)
		return unknown(parse, kind, key), 0;
	if (setting->type == SETTING_SECRET && refuse_readable(parse, key) != 0)
		return 0;
	return set_value(parse, setting, value) == 0;
}

/* Who may write our settings may make us do anything. */
static int
check_not_writable_by_others(const char *path, FILE *file, struct error *err)
{
	struct stat st;

	if (fstat(fileno(file), &st) != 0)
		return error_sys(err, ERROR_IO, errno, "could not look at '%s'", path);
	if (S_ISDIR(st.st_mode))
		return error_set(err, ERROR_CONFIG, "'%s' is a folder, not a file", path);
	/* /dev/null, for "no file at all", is open to everybody by design. */
	if (S_ISREG(st.st_mode) && (st.st_mode & S_IWOTH) != 0) {
		error_set(err, ERROR_CONFIG, "'%s' can be written by everybody", path);
		return error_hint(err, "chmod o-w '%s'", path);
	}
	return 0;
}

static int
read_file(struct config *config, const char *path, struct error *err)
{
	struct parse parse = { .config = config, .path = path, .err = err };
	int line, rc = -1;

	parse.file = fopen(path, "re");
	if (parse.file == NULL)
		return error_sys(
		    err, ERROR_IO, errno, "could not open configuration file '%s'", path);
	parse.given = mem_calloc(settings_all_count + settings_count, sizeof(*parse.given));
	if (check_not_writable_by_others(path, parse.file, err) != 0)
		goto out;
	/* A value is the rest of its line: no comment behind it, which would cut patterns. */
	ini_allow_inline_comments = false;
	ini_allow_multiline = true;
	ini_stop_on_first_error = true;
	ini_max_line = LINE_MAX_BYTES + 2;
	line = ini_parse_stream(next_line, &parse, handle, &parse);
	if (parse.failed)
		goto out;
	if (ferror(parse.file) != 0) {
		error_sys(err, ERROR_IO, errno, "could not read configuration file '%s'", path);
		goto out;
	}
	if (line != 0) {
		error_set(err, ERROR_CONFIG, "%s:%d: expected '[section]' or 'key = value'", path,
		    line);
		goto out;
	}
	rc = 0;
out:
	free(parse.given);
	fclose(parse.file);
	return rc;
}

static int
is_conf(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && fnmatch("*.conf", entry->d_name, 0) == 0;
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
read_folder(struct config *config, const char *folder, struct error *err)
{
	struct dirent **list = NULL;
	int count, rc = 0;

	count = scandir(folder, &list, is_conf, by_bytes);
	if (count < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		return error_sys(err, ERROR_IO, errno, "could not read folder '%s'", folder);
	}
	for (int i = 0; i < count; i++) {
		if (rc == 0) {
			char *path = mem_printf("%s/%s", folder, list[i]->d_name);

			rc = read_file(config, path, err);
			free(path);
		}
		free(list[i]);
	}
	free(list);
	return rc;
}

int
config_read_files(struct config *config, const char *file, struct error *err)
{
	const char *path = file != NULL ? file : CONFIG_FILE_DEFAULT;
	char *copy = mem_strdup(path), *folder = mem_printf("%s/conf.d", dirname(copy));
	struct stat st;
	int rc = -1;

	/* The default file may be absent; one that was named may not. */
	if (file != NULL || stat(path, &st) == 0 || errno != ENOENT)
		if (read_file(config, path, err) != 0)
			goto out;
	rc = read_folder(config, folder, err);
out:
	free(folder);
	free(copy);
	return rc;
}
