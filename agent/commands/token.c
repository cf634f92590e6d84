#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "agent/commands/state_folder.h"
#include "agent/http/tokens.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec token_options[] = {
	{ "role",    0, OPTION_VALUE, "ROLE", "add: read, operate or admin; needed" },
	{ "expires", 0, OPTION_VALUE, "DURATION",
	  "add: useless after that, as 90d; default: never" },
	{ "json",    0, OPTION_FLAG,  NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static void
log_token(struct session *session, const char *action_name, const char *name,
    const struct error *failure)
{
	struct action action = { .action = action_name, .parameter = name,
		.failed = failure->code != ERROR_NONE,
		.outcome = failure->code == ERROR_NONE ? "ok" : "failed",
		.message = failure->code == ERROR_NONE ? NULL : failure->message };

	session_log(session, &action);
}

static int
add(struct session *session, struct tokens *tokens, const char *name, struct error *err)
{
	const char *role_text = option_value(&session->line, "role");
	const char *expires = option_value(&session->line, "expires");
	char text[TOKEN_TEXT_SIZE], id[TOKEN_ID_TEXT_SIZE];
	enum role role = ROLE_NONE;
	int64_t expires_s = 0;
	int rc;

	if (role_text == NULL) {
		error_set(err, ERROR_USAGE, "a token needs '--role'");
		return error_hint(
		    err, "read looks, operate backs up, admin restores and deletes too");
	}
	if (role_parse(role_text, &role, err) != 0 ||
	    (expires != NULL && duration_parse(expires, &expires_s, err) != 0)) {
		err->code = ERROR_USAGE;
		return -1;
	}
	if (expires != NULL && expires_s <= 0)
		return error_set(err, ERROR_USAGE, "'--expires' must be more than nothing");
	rc = tokens_add(tokens, name, role, expires_s, text, id, err);
	log_token(session, "TokenAdd", name, rc == 0 ? &(struct error)ERROR_INIT : err);
	if (rc != 0)
		return -1;
	if (session->json) {
		rc = session_print_json(json_pack("{s:s, s:s, s:s, s:s}", "id", id, "name", name,
		    "role", role_text, "token", text), err);
	} else {
		printf("%s\n", text);
		fprintf(stderr, "this is token %s; it is not shown again\n", id);
	}
	explicit_bzero(text, sizeof(text));
	return rc;
}

static int
list(struct session *session, struct tokens *tokens, struct error *err)
{
	json_t *all = NULL, *row;
	size_t i;

	if (tokens_list(tokens, &all, err) != 0)
		return -1;
	if (session->json)
		return session_print_json(all, err);
	printf("%-8s  %-7s  %-20s  %-20s  %s\n", "id", "role", "created", "expires", "name");
	json_array_foreach(all, i, row) {
		const char *name = json_string_value(json_object_get(row, "name"));
		const char *expires = json_string_value(json_object_get(row, "expires"));
		char *printable = text_printable(name, strlen(name));

		printf("%-8s  %-7s  %-20s  %-20s  %s%s\n",
		    json_string_value(json_object_get(row, "id")),
		    json_string_value(json_object_get(row, "role")),
		    json_string_value(json_object_get(row, "created")),
		    expires == NULL ? "never" : expires, printable,
		    json_is_true(json_object_get(row, "expired")) ? "  (expired)" : "");
		free(printable);
	}
	json_decref(all);
	return 0;
}

static int
revoke(struct session *session, struct tokens *tokens, const char *name, struct error *err)
{
	int rc = tokens_revoke(tokens, name, err);

	log_token(session, "TokenRevoke", name, rc == 0 ? &(struct error)ERROR_INIT : err);
	if (rc == 0 && !session->json)
		printf("revoked %s\n", name);
	if (rc == 0 && session->json)
		rc = session_print_json(json_pack("{s:s}", "revoked", name), err);
	return rc;
}

int
token_main(struct session *session, struct error *err)
{
	const char *verb = session->line.arguments[0];
	const char *name = session->line.argument_count > 1 ? session->line.arguments[1] : NULL;
	bool is_list = strcmp(verb, "list") == 0;
	struct tokens *tokens = NULL;
	int rc;

	if (!is_list && strcmp(verb, "add") != 0 && strcmp(verb, "revoke") != 0) {
		error_set(err, ERROR_USAGE, "'token' takes add, list or revoke, not '%.40s'", verb);
		return error_hint(err, "see holdfastd help token");
	}
	if (is_list != (name == NULL)) {
		error_set(err, ERROR_USAGE, is_list ? "'token list' takes no name"
		    : "'token %s' needs a name", verb);
		return error_hint(err, "see holdfastd help token");
	}
	if (state_folder_make(session->config->state, err) != 0 ||
	    tokens_open(session->config->state, &tokens, NULL, err) != 0)
		return -1;
	rc = is_list ? list(session, tokens, err)
	    : strcmp(verb, "add") == 0 ? add(session, tokens, name, err)
	    : revoke(session, tokens, name, err);
	tokens_close(tokens);
	return rc == 0 ? EXIT_OK : -1;
}
