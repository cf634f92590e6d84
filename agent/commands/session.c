#include "agent/commands/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/commands/commands.h"
#include "agent/commands/passphrase.h"
#include "shared/mem.h"
#include "shared/text.h"

void
session_done(struct session *session)
{
	repository_close(session->repo);
	passphrase_free(session->passphrase);
	free(session->passphrase_path);
	config_free(session->config);
	command_line_done(&session->line);
	memset(session, 0, sizeof(*session));
}

static void
tell_healed(void *arg, const char *pack)
{
	struct error note = ERROR_INIT;

	(void)arg;
	error_set(&note, ERROR_CORRUPT, "%s is damaged; healed while reading", pack);
	error_hint(&note, HEALED_HINT);
	session_complain(&note);
}

int
session_open_repository(struct session *session, struct error *err)
{
	struct storage *storage = NULL;
	int found;

	if (session->repo != NULL)
		return 0;
	if (storage_open(session->config->repository, false, &storage, err) != 0)
		return -1;
	found = repository_exists(storage, err);
	if (found == 0) {
		error_set(err, ERROR_NOT_FOUND, "there is no repository in '%s'",
		    session->config->repository);
		error_hint(err, "name it with --repository, or make one with holdfastd init");
	}
	if (found != 1 || passphrase_open_repository(session->config, storage, true,
	    &session->repo, &session->passphrase, &session->passphrase_path, err) != 0) {
		storage_close(storage);
		return -1;
	}
	repository_on_healed(session->repo, tell_healed, NULL);
	return 0;
}

int
session_snapshot(struct session *session, size_t n, struct snapshot **ret, struct error *err)
{
	if (session_open_repository(session, err) != 0)
		return -1;
	return snapshot_find(session->repo, session->line.arguments[n], ret, err);
}

int
session_entry(struct session *session, const struct snapshot *snapshot, const char *path,
    struct entry *ret, struct error *err)
{
	char *bytes;
	size_t len;
	int rc = 0;

	if (text_unprintable(path, err, &bytes, &len) != 0)
		return -1;
	/* No path holds a NUL. */
	if (strlen(bytes) == len)
		rc = tree_lookup(session->repo, snapshot->roots, snapshot->root_count, bytes, ret,
		    err);
	free(bytes);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	error_set(err, ERROR_NOT_FOUND, "snapshot '%.8s' has no '%s'", snapshot->id, path);
	return error_hint(err, "holdfastd ls %.8s shows what it has", snapshot->id);
}

void
session_log(struct session *session, struct action *action)
{
	char *command, *origin;
	struct error err = ERROR_INIT;
	struct stat st;
	bool has_verb;

	/* On a machine that only restores there is no state folder, and no log. */
	if (stat(session->config->state, &st) != 0 || !S_ISDIR(st.st_mode))
		return;
	/* "token add": the verb says what was done. */
	has_verb = session->line.argument_count > 0 &&
	    strchr(session->line.command->arguments, '|') != NULL;
	command = mem_printf("holdfastd %s%s%s", session->line.command->name, has_verb ? " " : "",
	    has_verb ? session->line.arguments[0] : "");
	origin = mem_printf("cli uid:%u", (unsigned)getuid());
	action->command = command;
	action->origin = origin;
	if (actionlog_spool(session->config->state, session->config->name, action, &err) != 0)
		session_complain(&err);
	free(origin);
	free(command);
}

void
session_complain(const struct error *why)
{
	char *message = text_printable(why->message, strlen(why->message));
	char *hint = text_printable(why->hint, strlen(why->hint));

	fprintf(stderr, "holdfastd: %s\n", message);
	if (*hint != '\0')
		fprintf(stderr, "           %s\n", hint);
	free(hint);
	free(message);
}

int
session_print_json(json_t *json, struct error *err)
{
	int rc = 0;

	if (json == NULL)
		return error_set(err, ERROR_INTERNAL, "the result is not valid text");
	if (json_dumpf(json, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF ||
	    fflush(stdout) != 0)
		rc = error_sys(err, ERROR_IO, errno, "could not write to the standard output");
	json_decref(json);
	return rc;
}
