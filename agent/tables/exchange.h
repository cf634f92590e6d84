/*
 * Files on the exchange storage, file:///FOLDER: written beside their name and renamed once they
 * are whole, so that whoever looks finds the old file or the new one.
 *
 * Below the folder no symlink is followed.  After a crash a file "NAME.part" may be left; the next
 * write of that name takes its place.
 */
#ifndef HOLDFAST_AGENT_TABLES_EXCHANGE_H
#define HOLDFAST_AGENT_TABLES_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

struct exchange_file;

/* path: "database/t/backup/t.avro"; folders are made as needed.  The file begins at skip. */
int exchange_create(const char *url, const char *path, uint64_t skip, struct exchange_file **ret,
    struct error *err);
int exchange_write(struct exchange_file *file, const void *data, size_t len, struct error *err);
/* Write at the beginning, into what was skipped. */
int exchange_fill(struct exchange_file *file, const void *data, size_t len, struct error *err);
/* Make it durable, give it its name, and free it (also on failure: then it is removed). */
int exchange_publish(struct exchange_file *file, struct error *err);
/* NULL is fine. */
void exchange_abandon(struct exchange_file *file);

/* A descriptor to read from; ERROR_NOT_FOUND. */
int exchange_open(const char *url, const char *path, int *ret_fd, struct error *err);

/* A table's path, as FORMAT.md has it: "PREFIX/{table}/backup/{table}.avro"; caller frees. */
char *exchange_table_path(const char *prefix, const char *table);
/* Of a file to load: "PREFIX/{table}/historic/{table}.csv"; caller frees. */
char *exchange_historic_path(const char *prefix, const char *table);
/* A table's name as one component of a path; caller frees. */
char *exchange_component(const char *table);

#endif
