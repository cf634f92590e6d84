#include "agent/http/refusal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/response.h"

void
refusal_text(const struct error *err, char out[REFUSAL_TEXT_SIZE])
{
	json_t *json = problem_json(err, NULL);
	char *body = json_dumps(json, JSON_COMPACT);

	snprintf(out, REFUSAL_TEXT_SIZE,
	    "HTTP/1.1 %d %s\r\n"
	    "Content-Type: application/problem+json\r\n"
	    "Content-Length: %zu\r\n"
	    "Connection: close\r\n"
	    "\r\n"
	    "%s",
	    error_http_status(err->code), error_title(err->code), body == NULL ? 0 : strlen(body),
	    body == NULL ? "" : body);
	free(body);
	json_decref(json);
}
