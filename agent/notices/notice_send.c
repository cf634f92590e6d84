#include "agent/notices/notice_send.h"

#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/jobs/argv.h"
#include "agent/jobs/command.h"
#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/secret_file.h"
#include "shared/text.h"

/* The program that speaks HTTP, and how much longer than its request it may take in all. */
#define POST_PROGRAM "holdfast-post"
#define POST_EXTRA_MS 5000

#define HEADERS_FILE_MAX 16384

/* One encoded word of a header field may have 75 characters, 63 of them content. */
#define ENCODED_BYTES 45
/* A line of base64 has 76 characters. */
#define MAIL_LINE_BYTES 57

static char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static char lang_variable[] = "LANG=C.UTF-8";

/* ---- HTTP */

/* Beside this program, or where it is installed. */
static char *
post_program(void)
{
	char here[4096], *program, *slash;
	ssize_t len = readlink("/proc/self/exe", here, sizeof(here) - 1);

	if (len > 0) {
		here[len] = '\0';
		slash = strrchr(here, '/');
		if (slash != NULL)
			*slash = '\0';
		program = mem_printf("%s/" POST_PROGRAM, here);
		if (access(program, X_OK) == 0)
			return program;
		free(program);
	}
	return mem_strdup(HOLDFAST_LIBEXEC "/" POST_PROGRAM);
}

static bool
is_field(const char *line)
{
	static const char name_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789!#$%&'*+-.^_`|~";
	size_t len = strspn(line, name_chars);

	if (len == 0 || line[len] != ':')
		return false;
	for (const char *p = line + len; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			return false;
	return text_is_utf8(line, strlen(line));
}

static int
add_fields(const char *path, char *text, json_t *fields, struct error *err)
{
	char *rest = NULL;
	unsigned number = 0;

	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		number++;
		line[strcspn(line, "\r")] = '\0';
		if (*line == '\0' || *line == '#')
			continue;
		if (!is_field(line)) {
			error_set(err, ERROR_CONFIG, "line %u of '%s' is no header field", number,
			    path);
			return error_hint(err, "write it as Authorization: Bearer TOKEN");
		}
		json_array_append_new(fields, json_string(line));
	}
	return 0;
}

/* Read for each try: a token that was changed is taken up at once. */
static int
read_fields(const char *path, json_t *fields, struct error *err)
{
	char *text;
	ssize_t n;
	int fd, rc = -1;

	if (path == NULL)
		return 0;
	if (secret_file_check(path, "file of header fields", err) != 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	text = mem_calloc(1, HEADERS_FILE_MAX + 1);
	n = fd < 0 ? -1 : read(fd, text, HEADERS_FILE_MAX);
	if (n < 0)
		error_set(err, ERROR_IO, "could not read '%s'", path);
	else if (n == HEADERS_FILE_MAX || strlen(text) != (size_t)n)
		error_set(err, ERROR_CONFIG, "'%s' is no short text", path);
	else
		rc = add_fields(path, text, fields, err);
	if (fd >= 0)
		close(fd);
	mem_free_secret(text, HEADERS_FILE_MAX);
	return rc;
}

static char *
request_text(const struct config_notice *target, const char *url, const char *body,
    struct error *err)
{
	json_t *fields = json_array(), *request;
	char *text = NULL;

	if (body != NULL)
		json_array_append_new(fields, json_string("Content-Type: application/json"));
	if (read_fields(target->headers_file, fields, err) == 0) {
		request = json_pack("{s:s, s:s, s:O, s:s?, s:s?, s:I}", "url", url, "method",
		    body == NULL ? "GET" : "POST", "fields", fields, "body", body, "ca",
		    target->tls_ca, "timeout_ms", (json_int_t)target->timeout_s * 1000);
		text = json_dumps(request, JSON_COMPACT);
		json_decref(request);
	}
	json_decref(fields);
	return text;
}

/* What the helper found out. */
static int
judge(const struct command_result *result, const char *url, struct notice_answer *ret,
    struct error *err)
{
	json_t *answer = json_loadb(result->output, result->output_len, 0, NULL);
	const char *why = json_string_value(json_object_get(answer, "error"));
	const char *said = json_string_value(json_object_get(answer, "said"));
	json_int_t status = json_integer_value(json_object_get(answer, "status"));
	size_t host = strcspn(strstr(url, "://") + 3, "/?");
	const char *at = strstr(url, "://") + 3;
	int rc = -1;

	ret->retry_after_s = json_integer_value(json_object_get(answer, "retry_after_s"));
	if (answer == NULL) {
		error_set(err, ERROR_INTERNAL, POST_PROGRAM " gave no answer");
	} else if (why != NULL) {
		ret->away = json_is_true(json_object_get(answer, "away"));
		error_set(err, ret->away ? ERROR_UNAVAILABLE : ERROR_IO, "'%.*s': %s",
		    (int)(host > 200 ? 200 : host), at, why);
	} else if (status >= 200 && status < 300) {
		snprintf(ret->said, sizeof(ret->said), "HTTP %lld%s%.400s", (long long)status,
		    said == NULL || *said == '\0' ? "" : ": ", said == NULL ? "" : said);
		rc = 0;
	} else {
		ret->away = status >= 500 || status == 408 || status == 429;
		error_set(err, ret->away ? ERROR_UNAVAILABLE : ERROR_IO,
		    "'%.*s' answered HTTP %lld%s%.200s", (int)(host > 200 ? 200 : host), at,
		    (long long)status, said == NULL || *said == '\0' ? "" : ": ",
		    said == NULL ? "" : said);
		if (status >= 300 && status < 400)
			error_hint(err, "write the address that it leads to");
	}
	json_decref(answer);
	return rc;
}

static int
send_http(const struct config_notice *target, const struct notice *notice, const char *url,
    const char *body, struct notice_answer *ret, struct error *err)
{
	char *program = post_program(), *input = request_text(target, url, body, err);
	char *argv[] = { program, NULL }, *environment[] = { path_variable, lang_variable, NULL };
	struct command command = { .argv = argv, .environment = environment, .input = input,
		.timeout_ms = target->timeout_s * 1000 + POST_EXTRA_MS,
		.cancelled = notice->cancelled, .arg = notice->arg };
	struct command_result result = { .output = NULL };
	int rc = -1;

	if (input == NULL)
		goto out;
	command.input_len = strlen(input);
	if (command_run(&command, &result, err) == 0 &&
	    command_check(&command, &result, err) == 0)
		rc = judge(&result, url, ret, err);
out:
	command_result_done(&result);
	mem_free_secret(input, input == NULL ? 0 : strlen(input));
	free(program);
	return rc;
}

const char *
notice_ping_url(const struct config_notice *target, enum notice_kind kind)
{
	switch (notice_kind_ping(kind)) {
	case NOTICE_PING_START:
		return target->ping_start;
	case NOTICE_PING_SUCCESS:
		return target->ping_success;
	case NOTICE_PING_FAIL:
		return target->ping_fail;
	case NOTICE_NO_PING:
		break;
	}
	return NULL;
}

static int
send_ping(const struct config_notice *target, const struct notice *notice,
    struct notice_answer *ret, struct error *err)
{
	const char *url = notice_ping_url(target, notice->kind);

	/* A section that was changed while this one waited; or a test where there is no success. */
	if (url != NULL)
		return send_http(target, notice, url, NULL, ret, err);
	snprintf(ret->said, sizeof(ret->said), "there is no URL for '%s'",
	    notice_kind_word(notice->kind));
	return 0;
}

/* ---- programs */

static int
run(const struct config_notice *target, const struct notice *notice, char *const *argv,
    char *const *environment, const char *input, struct notice_answer *ret, struct error *err)
{
	struct command command = { .argv = argv, .environment = environment, .input = input,
		.input_len = strlen(input), .timeout_ms = target->timeout_s * 1000,
		.cancelled = notice->cancelled, .arg = notice->arg };
	struct command_result result;
	char *said;
	int rc;

	if (command_run(&command, &result, err) != 0)
		return -1;
	rc = command_check(&command, &result, err);
	if (rc == 0) {
		said = command_last_lines(&result, 5, sizeof(ret->said) - 1);
		snprintf(ret->said, sizeof(ret->said), "%s", said);
		free(said);
	}
	command_result_done(&result);
	return rc;
}

static int
send_command(const struct config_notice *target, const struct notice *notice,
    struct notice_answer *ret, struct error *err)
{
	char *name = mem_printf("HOLDFAST_NOTICE=%s", target->name);
	char *kind = mem_printf("HOLDFAST_KIND=%s", notice_kind_word(notice->kind));
	char *job = mem_printf("HOLDFAST_JOB=%s", notice->job);
	char *text = mem_printf("HOLDFAST_TEXT=%s", notice->text);
	char *environment[] = { path_variable, lang_variable, name, kind, job, text, NULL };
	char **argv = NULL;
	int rc = argv_parse(target->command, &argv, err);

	if (rc == 0)
		rc = run(target, notice, argv, environment, notice->document, ret, err);
	argv_free(argv);
	free(text);
	free(job);
	free(kind);
	free(name);
	return rc;
}

/* ---- mail */

static void
put_base64(struct buffer *mail, const char *data, size_t len)
{
	char text[sodium_base64_ENCODED_LEN(MAIL_LINE_BYTES, sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2base64(text, sizeof(text), (const unsigned char *)data, len,
	    sodium_base64_VARIANT_ORIGINAL);
	buffer_put_text(mail, text);
}

/* A subject of any characters: encoded words (RFC 2047), none of which cuts a character. */
static void
put_subject(struct buffer *mail, const char *text)
{
	size_t left = strlen(text);
	bool plain = left < 200;

	for (const char *p = text; *p != '\0'; p++)
		plain &= *p >= ' ' && *p <= '~';
	buffer_put_text(mail, "Subject: ");
	if (plain) {
		buffer_put_text(mail, text);
		left = 0;
	}
	for (size_t n; left > 0; left -= n, text += n) {
		n = left < ENCODED_BYTES ? left : ENCODED_BYTES;
		while (n < left && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		buffer_put_text(mail, "=?UTF-8?B?");
		put_base64(mail, text, n);
		buffer_put_text(mail, n < left ? "?=\n " : "?=");
	}
	buffer_put_text(mail, "\n");
}

/* Nothing on its way changes lines of base64. */
static void
put_body(struct buffer *mail, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += MAIL_LINE_BYTES) {
		put_base64(mail, text + i, len - i < MAIL_LINE_BYTES ? len - i : MAIL_LINE_BYTES);
		buffer_put_text(mail, "\n");
	}
}

char *
notice_mail(const struct config_notice *target, const struct notice *notice)
{
	json_t *document = json_loads(notice->document, 0, NULL);
	char *pretty = json_dumps(document, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	char *subject = text_printable(notice->text, strlen(notice->text)), *body;
	struct buffer mail = BUFFER_INIT;

	buffer_put_text(&mail, "To: ");
	for (size_t i = 0; i < target->mail_count; i++)
		buffer_printf(&mail, "%s%s", i == 0 ? "" : ",\n ", target->mail[i]);
	buffer_put_text(&mail, "\n");
	if (target->mail_from != NULL)
		buffer_printf(&mail, "From: %s\n", target->mail_from);
	put_subject(&mail, subject);
	buffer_put_text(&mail, "Auto-Submitted: auto-generated\nPrecedence: bulk\n"
	    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: base64\n\n");
	body = mem_printf("%s\n\n%s\n", subject, pretty == NULL ? "" : pretty);
	put_body(&mail, body);
	free(body);
	free(subject);
	free(pretty);
	json_decref(document);
	return buffer_take(&mail);
}

static int
send_mail(const struct config_notice *target, const struct notice *notice,
    struct notice_answer *ret, struct error *err)
{
	char from_headers[] = "-t", no_dots[] = "-i";
	char *argv[] = { target->sendmail, from_headers, no_dots, NULL };
	char *environment[] = { path_variable, lang_variable, NULL };
	char *mail = notice_mail(target, notice);
	int rc = run(target, notice, argv, environment, mail, ret, err);

	free(mail);
	return rc;
}

int
notice_send(const struct config_notice *target, const struct notice *notice,
    struct notice_answer *ret, struct error *err)
{
	*ret = (struct notice_answer){ .away = false };
	if (target->webhook != NULL)
		return send_http(target, notice, target->webhook, notice->document, ret, err);
	if (target->command != NULL)
		return send_command(target, notice, ret, err);
	if (target->mail_count > 0)
		return send_mail(target, notice, ret, err);
	return send_ping(target, notice, ret, err);
}

char *
notice_target_text(const struct config_notice *target)
{
	const char *url = target->webhook != NULL ? target->webhook
	    : target->ping_success != NULL ? target->ping_success
	    : target->ping_fail != NULL ? target->ping_fail : target->ping_start;
	size_t len;

	if (target->command != NULL)
		return mem_printf("command %.*s", (int)strcspn(target->command, " \t"),
		    target->command);
	if (target->mail_count > 0)
		return mem_printf("mail %s%s", target->mail[0],
		    target->mail_count > 1 ? " and others" : "");
	/* What follows the host is a secret with many services. */
	len = (size_t)(strstr(url, "://") + 3 - url);
	len += strcspn(url + len, "/?");
	return mem_printf("%s %.*s", target->webhook != NULL ? "webhook" : "ping", (int)len, url);
}
