/*
 * holdfast-post: one request of HTTP.
 *
 * A program of its own, which the agent starts for each try: so libcurl and all that it brings are
 * in memory only then, and what a server answers never meets the agent's own.
 *
 * Standard input:  {"url", "method": "GET|POST", "fields": ["Name: value"], "body": text or null,
 *                   "ca": file or null, "timeout_ms"}; nothing of it stands in an argument
 * Standard output: {"status": of the answer, or 0, "error": text or null, "away": the server could
 *                   not be reached, "retry_after_s", "said": the beginning of the answer}
 * The exit status is 0 if there is an output.
 */
#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enough for a server's reason. */
#define SAID_MAX 500
/* An answer that goes on for longer is given up: it was received, and that is all we want. */
#define ANSWER_MAX (1u << 20)

struct answer {
	char said[SAID_MAX + 1];
	size_t said_len, total;
};

static size_t
take_answer(char *data, size_t size, size_t count, void *arg)
{
	struct answer *answer = arg;
	size_t len = size * count, n = SAID_MAX - answer->said_len;

	if (n > len)
		n = len;
	memcpy(answer->said + answer->said_len, data, n);
	answer->said_len += n;
	answer->total += len;
	return answer->total > ANSWER_MAX ? 0 : len;
}

/* ASCII alone: the agent makes a text of it, and a cut character would be none. */
static void
make_plain(struct answer *answer)
{
	for (size_t i = 0; i < answer->said_len; i++)
		if (answer->said[i] < ' ' || answer->said[i] > '~')
			answer->said[i] = ' ';
	answer->said[answer->said_len] = '\0';
}

static struct curl_slist *
fields_of(const json_t *request)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");
	const json_t *field;
	size_t i;

	json_array_foreach(json_object_get(request, "fields"), i, field)
		list = curl_slist_append(list, json_string_value(field));
	return list;
}

static void
set_up(CURL *curl, const json_t *request, struct curl_slist *fields, struct answer *answer,
    char reason[CURL_ERROR_SIZE])
{
	const char *body = json_string_value(json_object_get(request, "body"));
	const char *method = json_string_value(json_object_get(request, "method"));
	const char *ca = json_string_value(json_object_get(request, "ca"));
	long timeout = (long)json_integer_value(json_object_get(request, "timeout_ms"));

	curl_easy_setopt(curl, CURLOPT_URL, json_string_value(json_object_get(request, "url")));
	/* No redirection: what is meant for one server is nothing for another. */
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	if (ca != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, timeout);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "holdfast/" PACKAGE_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
	if (method != NULL && strcmp(method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE,
		    (long)(body == NULL ? 0 : strlen(body)));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body == NULL ? "" : body);
	}
}

/* A server that does not show itself as who it should be is not away: somebody must mend that. */
static bool
is_away(CURLcode code)
{
	return code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_SSL_CACERT_BADFILE &&
	    code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_URL_MALFORMAT;
}

static json_t *
ask(CURL *curl, const json_t *request)
{
	char reason[CURL_ERROR_SIZE] = "";
	struct answer answer = { .said_len = 0 };
	struct curl_slist *fields = fields_of(request);
	curl_off_t retry_after = 0;
	long status = 0;
	json_t *result;
	CURLcode code;

	set_up(curl, request, fields, &answer, reason);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
	if (code == CURLE_WRITE_ERROR && answer.total > ANSWER_MAX)
		code = CURLE_OK;
	make_plain(&answer);
	result = json_pack("{s:I, s:s?, s:b, s:I, s:s}", "status",
	    (json_int_t)(code == CURLE_OK ? status : 0), "error",
	    code == CURLE_OK ? NULL : *reason != '\0' ? reason : curl_easy_strerror(code),
	    "away", code != CURLE_OK && is_away(code), "retry_after_s", (json_int_t)retry_after,
	    "said", answer.said);
	curl_slist_free_all(fields);
	return result;
}

int
main(void)
{
	json_t *request = json_loadf(stdin, JSON_REJECT_DUPLICATES, NULL), *result = NULL;
	CURL *curl = NULL;
	int status = EXIT_FAILURE;

	if (!json_is_object(request) ||
	    !json_is_string(json_object_get(request, "url"))) {
		fputs("holdfast-post is called by holdfastd, with a request on standard input\n",
		    stderr);
		goto out;
	}
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (curl = curl_easy_init()) == NULL) {
		fputs("libcurl does not start\n", stderr);
		goto out;
	}
	result = ask(curl, request);
	if (result == NULL || json_dumpf(result, stdout, JSON_COMPACT) != 0 || fflush(stdout) != 0)
		goto out;
	status = EXIT_SUCCESS;
out:
	curl_easy_cleanup(curl);
	json_decref(result);
	json_decref(request);
	return status;
}
