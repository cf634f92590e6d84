/*
 * Sections [notice NAME]: who is told of what becomes of jobs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/jobs/argv.h"
#include "agent/notices/kinds.h"
#include "agent/settings_internal.h"
#include "shared/mem.h"
#include "shared/secret_file.h"

const struct config_notice *
config_notice_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->notice_count; i++)
		if (strcmp(config->notices[i]->name, name) == 0)
			return config->notices[i];
	return NULL;
}

int
config_notice_begin(struct config *config, const char *name, const char *where,
    struct config_notice **ret, struct error *err)
{
	const struct config_notice *there = config_notice_find(config, name);
	struct config_notice *notice;

	if (!config_is_name(name)) {
		error_set(err, ERROR_CONFIG, "%s: '%.60s' is no name of a notice", where, name);
		return error_hint(err,
		    "write [notice ops]: it has 1 to %d letters, digits, '.', '_' and '-'",
		    CONFIG_NAME_MAX);
	}
	if (there != NULL) {
		error_set(err, ERROR_CONFIG, "%s: there is a notice '%s' already, at %s", where,
		    name, there->where);
		return error_hint(
		    err, "give one of them another name, or put both into one section");
	}
	notice = MEM_NEW(struct config_notice);
	notice->name = mem_strdup(name);
	notice->where = mem_strdup(where);
	notice->sources = mem_calloc(notice_settings_count, sizeof(*notice->sources));
	MEM_GROW(config->notices, config->notice_count, config->notice_cap);
	config->notices[config->notice_count++] = notice;
	for (size_t i = 0; i < notice_settings_count; i++) {
		notice->sources[i] = mem_strdup("default");
		if (*notice_settings[i].fallback != '\0' && setting_set(notice,
		    &notice->sources[i], &notice_settings[i], notice_settings[i].fallback,
		    "default", false, err) != 0)
			return -1;
	}
	*ret = notice;
	return 0;
}

void
config_notices_free(struct config *config)
{
	for (size_t i = 0; i < config->notice_count; i++) {
		struct config_notice *notice = config->notices[i];

		for (size_t s = 0; s < notice_settings_count; s++) {
			setting_done(notice, &notice_settings[s]);
			free(notice->sources[s]);
		}
		free(notice->sources);
		free(notice->where);
		free(notice->name);
		free(notice);
	}
	free(config->notices);
}

static const char *
source_of(const struct config_notice *notice, const char *key)
{
	return notice->sources[setting_find("notice", key) - notice_settings];
}

/* ---- what one alone may look like */

static bool
is_plain_http(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0;
}

static int
check_url(const struct config_notice *notice, const char *key, const char *url,
    struct error *err)
{
	const char *host = strstr(url, "://");
	size_t len;

	if (url[strcspn(url, " \t\"<>\\^`{|}#\x7f")] != '\0' ||
	    (!is_plain_http(url) && strncasecmp(url, "https://", 8) != 0)) {
		error_set(err, ERROR_CONFIG, "%s: '%s' of notice '%s' is no address of the web",
		    source_of(notice, key), key, notice->name);
		return error_hint(err, "write it as https://host/path, other characters as %%XX");
	}
	for (const char *p = url; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p > '~')
			return error_set(err, ERROR_CONFIG,
			    "%s: '%s' of notice '%s' has a character that no address has",
			    source_of(notice, key), key, notice->name);
	host += 3;
	len = strcspn(host, "/?");
	if (len == 0)
		return error_set(err, ERROR_CONFIG, "%s: '%s' of notice '%s' names no host",
		    source_of(notice, key), key, notice->name);
	if (memchr(host, '@', len) != NULL) {
		error_set(err, ERROR_CONFIG, "%s: '%s' of notice '%s' has a user or password in it",
		    source_of(notice, key), key, notice->name);
		return error_hint(err, "put a field Authorization into a headers_file");
	}
	/* Loopback is not a network. */
	if (notice->headers_file != NULL && is_plain_http(url) &&
	    strncmp(host, "127.", 4) != 0 && strncmp(host, "[::1]", 5) != 0 &&
	    strncmp(host, "localhost", 9) != 0) {
		error_set(err, ERROR_CONFIG,
		    "%s: the fields of notice '%s' would cross the network readable",
		    source_of(notice, key), notice->name);
		return error_hint(err, "use https://");
	}
	return 0;
}

static int
check_address(const struct config_notice *notice, const char *key, const char *address,
    struct error *err)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789!#$%&'*+/=?^_{|}~.@-";
	const char *at = strchr(address, '@');

	if (address[strspn(address, chars)] == '\0' && *address != '-' && at != address &&
	    (at == NULL || (at[1] != '\0' && strchr(at + 1, '@') == NULL)))
		return 0;
	error_set(err, ERROR_CONFIG, "%s: '%s' of notice '%s' is no mail address: '%s'",
	    source_of(notice, key), key, notice->name, address);
	return error_hint(err, "write it bare, as ops@example.org");
}

static int
check_words(const struct config *config, const struct config_notice *notice, struct error *err)
{
	for (size_t i = 0; i < notice->on_count; i++) {
		if (notice_kind_find(notice->on[i]) < NOTICE_KIND_SETTABLE)
			continue;
		error_set(err, ERROR_CONFIG, "%s: 'on' of notice '%s' takes no '%s'",
		    source_of(notice, "on"), notice->name, notice->on[i]);
		return error_hint(err, "it takes success, warning, failure, cancelled, skipped, "
		    "overdue, recovery, jump, proof, unproven");
	}
	for (size_t i = 0; i < notice->jobs_count; i++) {
		if (config_job_find(config, notice->jobs[i]) != NULL)
			continue;
		error_set(err, ERROR_CONFIG, "%s: there is no job '%s' for notice '%s'",
		    source_of(notice, "jobs"), notice->jobs[i], notice->name);
		return error_hint(err, "'jobs' names sections [job NAME]");
	}
	return 0;
}

static int
check_command(const struct config_notice *notice, struct error *err)
{
	char **argv = NULL;

	if (notice->command == NULL)
		return 0;
	if (argv_parse(notice->command, &argv, err) != 0) {
		err->code = ERROR_CONFIG;
		return error_prefix(err, "%s: 'command' of notice '%s': ",
		    source_of(notice, "command"), notice->name);
	}
	argv_free(argv);
	return 0;
}

/* ---- what goes together */

/* A setting that somebody wrote and that says nothing here was meant otherwise. */
static int
check_together(const struct config_notice *notice, bool pings, struct error *err)
{
	bool web = notice->webhook != NULL || pings, mails = notice->mail_count > 0;
	const struct {
		const char *key;
		bool used;
	} needy[] = {
		{ "on", !pings },
		{ "headers_file", web },
		{ "tls_ca", web },
		{ "mail_from", mails },
		{ "sendmail", mails },
	};
	int ways = (notice->webhook != NULL) + pings + (notice->command != NULL) + mails;

	if (ways != 1) {
		error_set(err, ERROR_CONFIG, "%s: notice '%s' has %s way to tell", notice->where,
		    notice->name, ways == 0 ? "no" : "more than one");
		return error_hint(err,
		    "write one of webhook, ping_..., command and mail; a section for each");
	}
	for (size_t i = 0; i < ARRAY_LEN(needy); i++)
		if (!needy[i].used && strcmp(source_of(notice, needy[i].key), "default") != 0)
			return error_set(err, ERROR_CONFIG,
			    "%s: '%s' says nothing where notice '%s' tells by %s",
			    source_of(notice, needy[i].key), needy[i].key, notice->name,
			    pings ? "ping_..." : notice->webhook != NULL ? "webhook"
			    : mails ? "mail" : "command");
	if (*notice->sendmail != '/')
		return error_set(err, ERROR_CONFIG,
		    "%s: 'sendmail' takes an absolute path, not '%s'",
		    source_of(notice, "sendmail"), notice->sendmail);
	return 0;
}

static int
check_notice(const struct config *config, const struct config_notice *notice,
    struct error *err)
{
	const struct {
		const char *key, *url;
	} urls[] = {
		{ "webhook", notice->webhook },
		{ "ping_start", notice->ping_start },
		{ "ping_success", notice->ping_success },
		{ "ping_fail", notice->ping_fail },
	};
	bool pings = notice->ping_start != NULL || notice->ping_success != NULL ||
	    notice->ping_fail != NULL;

	if (check_together(notice, pings, err) != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++)
		if (urls[i].url != NULL && check_url(notice, urls[i].key, urls[i].url, err) != 0)
			return -1;
	for (size_t i = 0; i < notice->mail_count; i++)
		if (check_address(notice, "mail", notice->mail[i], err) != 0)
			return -1;
	if (notice->mail_from != NULL &&
	    check_address(notice, "mail_from", notice->mail_from, err) != 0)
		return -1;
	if (check_command(notice, err) != 0)
		return -1;
	return check_words(config, notice, err);
}

int
config_check_notices(const struct config *config, struct error *err)
{
	for (size_t i = 0; i < config->notice_count; i++)
		if (check_notice(config, config->notices[i], err) != 0)
			return -1;
	return 0;
}

int
config_verify_notices(const struct config *config, struct error *err)
{
	for (size_t i = 0; i < config->notice_count; i++) {
		const struct config_notice *notice = config->notices[i];

		if (notice->headers_file != NULL && secret_file_check(notice->headers_file,
		    "file of header fields", err) != 0)
			return error_prefix(err, "%s: ", source_of(notice, "headers_file"));
		if (notice->tls_ca != NULL && access(notice->tls_ca, R_OK) != 0)
			return error_sys(err, ERROR_IO, errno,
			    "%s: could not read authorities '%s'", source_of(notice, "tls_ca"),
			    notice->tls_ca);
	}
	return 0;
}

void
config_notices_to_json(const struct config *config, json_t *all)
{
	for (size_t i = 0; i < config->notice_count; i++) {
		const struct config_notice *notice = config->notices[i];
		char *name = mem_printf("notice %s", notice->name);
		json_t *section = json_object();

		for (size_t s = 0; s < notice_settings_count; s++)
			json_object_set_new(section, notice_settings[s].key, json_pack("{s:o, s:s}",
			    "value", setting_to_json(notice, &notice_settings[s]), "source",
			    notice->sources[s]));
		json_object_set_new(all, name, section);
		free(name);
	}
}
