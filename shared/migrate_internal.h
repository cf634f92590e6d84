/*
 * What the files of shared/migrate share.
 */
#ifndef HOLDFAST_SHARED_MIGRATE_INTERNAL_H
#define HOLDFAST_SHARED_MIGRATE_INTERNAL_H

#include "shared/migrate.h"
#include "shared/sql_split.h"

#define MIGRATE_TABLE "holdfast_migrations"

/* A row of the table. */
struct migrate_row {
	uint32_t version;
	char *name, *checksum, *state, *message, *applied_at;
	int64_t duration_ms;
	unsigned done;       /* statements of an unfinished one that are done */
	char *done_checksum; /* SHA-256 of these statements */
};

struct migrate_rows {
	struct migrate_row *list; /* by version */
	size_t count;
};

/* Rows of this set; none where the table is missing. */
int migrate_rows_read(struct mariadb *db, const char *set, struct migrate_rows *ret,
    struct error *err);
void migrate_rows_done(struct migrate_rows *rows);
const struct migrate_row *migrate_row_find(const struct migrate_rows *rows, uint32_t version);
const struct migration *migration_find(const struct migrations *migrations, uint32_t version);

/* Say that we migrate still; ERROR_CONFLICT if somebody else took over. */
int migrate_renew(struct mariadb *db, struct error *err);

/* Run a file's statements and keep its row. */
int migrate_apply(struct mariadb *control, const struct mariadb_settings *settings,
    const struct migrations *migrations, const struct migration *migration,
    const struct migrate_row *row, bool up, json_t *done, struct error *err);

void migrate_checksum(const void *data, size_t len, char out[65]);

#endif
