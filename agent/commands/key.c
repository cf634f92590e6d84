#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/passphrase.h"
#include "agent/commands/session.h"

/* clang-format off */
const struct option_spec key_options[] = {
	{ "new-passphrase-file", 0, OPTION_VALUE, "FILE",
	  "change: take the new passphrase from there; default: a new random one" },
	{ .name = NULL }
};
/* clang-format on */

static int
new_passphrase(struct session *session, char **ret, struct error *err)
{
	const char *file = option_value(&session->line, "new-passphrase-file");
	char made[PASSPHRASE_MADE_SIZE];

	if (file != NULL)
		return passphrase_read(file, ret, err);
	/* Whoever types the old one types the new one. */
	if (session->passphrase_path == NULL)
		return passphrase_ask("new passphrase", true, ret, err);
	passphrase_make(made);
	*ret = strdup(made);
	explicit_bzero(made, sizeof(made));
	if (*ret == NULL)
		return error_set(err, ERROR_INTERNAL, "out of memory");
	return 0;
}

static int
change(struct session *session, struct error *err)
{
	struct action action = { .action = "KeyChange", .outcome = "ok",
		.parameter = session->config->repository };
	char *passphrase = NULL;
	int rc;

	if (new_passphrase(session, &passphrase, err) != 0)
		return -1;
	rc = passphrase_change(session->repo, session->passphrase_path, passphrase, err);
	passphrase_free(passphrase);
	if (rc != 0) {
		action.failed = true;
		action.outcome = "failed";
		action.message = err->message;
	}
	session_log(session, &action);
	if (rc != 0)
		return -1;
	if (session->passphrase_path != NULL)
		printf("the new passphrase is in '%s'\n", session->passphrase_path);
	printf("the old passphrase opens nothing any more; keep a copy of the new one elsewhere\n");
	return EXIT_OK;
}

int
key_main(struct session *session, struct error *err)
{
	const char *verb = session->line.arguments[0];

	if (strcmp(verb, "show") != 0 && strcmp(verb, "change") != 0) {
		error_set(err, ERROR_USAGE, "'key' takes show or change, not '%.40s'", verb);
		return error_hint(err, "see holdfastd help key");
	}
	/* Also for show: a passphrase that opens nothing is no help. */
	if (session_open_repository(session, err) != 0)
		return -1;
	if (strcmp(verb, "change") == 0)
		return change(session, err);
	printf("%s\n", session->passphrase);
	return EXIT_OK;
}
