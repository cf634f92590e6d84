/*
 * Files that hold one secret in their first line: passphrases, passwords.
 */
#ifndef HOLDFAST_SHARED_SECRET_FILE_H
#define HOLDFAST_SHARED_SECRET_FILE_H

#include <stddef.h>

#include "shared/error.h"

/*
 * Refuse a secret's file unless it belongs to us or root and gives others no access and its
 * group none but reading.  what: "passphrase file", for the message.
 */
int secret_file_check(const char *path, const char *what, struct error *err);

/*
 * The first line of such a file, of at most max bytes, without its line end; it may be empty.
 * Heap: mem_free_secret().
 */
int secret_file_read(const char *path, const char *what, size_t max, char **ret,
    struct error *err);

#endif
