/*
 * The passphrase of the repository: where it lies, how it is made, typed and replaced.
 *
 * Its file is config->passphrase_file, else STATE/passphrase.  While a passphrase is replaced the
 * new one lies beside it as FILE.new, so that one of the two opens the repository whenever that
 * is interrupted; opening with the new one finishes the replacement.
 * Passphrases are wiped with mem_free_secret(text, strlen(text)).
 */
#ifndef HOLDFAST_AGENT_COMMANDS_PASSPHRASE_H
#define HOLDFAST_AGENT_COMMANDS_PASSPHRASE_H

#include <stdbool.h>

#include "agent/config.h"
#include "agent/repository/repository.h"
#include "agent/storage/storage.h"
#include "shared/error.h"

/* Longest line that is read as a passphrase. */
#define PASSPHRASE_MAX 4096

void passphrase_free(char *passphrase);

/* The file that holds it, or would; caller frees. */
char *passphrase_path(const struct config *config);

/* First line of a file, without its end; a file open to others is refused. */
int passphrase_read(const char *path, char **ret, struct error *err);

/* Ask on the terminal, without echo, twice if `twice`.  ERROR_USAGE if there is no terminal. */
int passphrase_ask(const char *prompt, bool twice, char **ret, struct error *err);

/* Write a file of mode 0600, durable; an existing one is only replaced if `replace`. */
int passphrase_write(const char *path, const char *passphrase, bool replace, struct error *err);

/*
 * The passphrase for a repository that is about to be made: that of its file, or a new one, which
 * is written there first.  ret_made tells which.
 */
int passphrase_for_new(const struct config *config, char **ret, bool *ret_made,
    struct error *err);

/*
 * Open a repository with the passphrase of its file, or, if there is no file and `ask`, with one
 * that is typed.
 *   ret_passphrase  with which it was opened; caller frees with passphrase_free; may be NULL
 *   ret_path        from where, or NULL if typed; caller frees; may be NULL
 */
int passphrase_open_repository(const struct config *config, struct storage *storage, bool ask,
    struct repository **ret, char **ret_passphrase, char **ret_path, struct error *err);

/* Replace it in the repository, and in its file if path is not NULL. */
int passphrase_change(struct repository *repo, const char *path, const char *passphrase,
    struct error *err);

#endif
