#include <stdio.h>
#include <stdlib.h>

#include "agent/commands/commands.h"
#include "agent/commands/passphrase.h"
#include "agent/commands/session.h"
#include "agent/commands/state_folder.h"
#include "agent/storage/storage.h"

int
init_main(struct session *session, struct error *err)
{
	const struct config *config = session->config;
	char *passphrase = NULL, *path = passphrase_path(config);
	struct action action = { .action = "Init", .parameter = config->repository,
		.outcome = "ok" };
	struct storage *storage = NULL;
	bool made = false;
	int found, rc = -1;

	/* The state folder is needed only for a passphrase that lies there. */
	if (config->passphrase_file == NULL && state_folder_make(config->state, err) != 0)
		goto out;
	if (storage_open(config->repository, true, &storage, err) != 0)
		goto out;
	found = repository_exists(storage, err);
	if (found > 0)
		error_set(err, ERROR_EXISTS, "there is a repository in '%s' already",
		    config->repository);
	if (found != 0)
		goto out;
	if (passphrase_for_new(config, &passphrase, &made, err) != 0 ||
	    repository_init(storage, passphrase, err) != 0)
		goto out;
	printf("made the repository '%s'\n%s passphrase is in '%s'\n"
	    "keep a copy of it elsewhere: without it no backup can ever be read\n",
	    storage_url(storage), made ? "its new" : "its", path);
	session_log(session, &action);
	rc = EXIT_OK;
out:
	storage_close(storage);
	passphrase_free(passphrase);
	free(path);
	return rc;
}
