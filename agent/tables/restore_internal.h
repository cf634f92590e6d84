/*
 * The parts of a table's restore: restore.c (what is done with one), restore_preview.c (what would
 * be done), restore_all.c and order.c (several), source.c (the file), swap.c and swap_place.c (the
 * shadow table and how it takes the table's place).
 */
#ifndef HOLDFAST_AGENT_TABLES_RESTORE_INTERNAL_H
#define HOLDFAST_AGENT_TABLES_RESTORE_INTERNAL_H

#include "agent/repository/content.h"
#include "agent/tables/container.h"
#include "agent/tables/ddl.h"
#include "agent/tables/ocf.h"
#include "agent/tables/restore.h"
#include "agent/tables/table.h"

/* The file, from a snapshot or the exchange storage. */
struct table_source {
	struct content *content;
	const uint8_t *data; /* lent by the content, not taken yet */
	size_t len;
	int fd;
	char snapshot[SNAPSHOT_ID_TEXT_SIZE]; /* "" for the exchange storage */
	uint64_t size;
	struct ocf *file;
};

int source_open(struct repository *repo, const struct tables_restore_options *options,
    struct table_source *ret, struct error *err);
/* The same of one snapshot, if it holds the file: 1, 0 or -1.  path: absolute. */
int source_look(struct repository *repo, const struct snapshot *snapshot, const char *path,
    struct table_source *ret, struct error *err);
void source_close(struct table_source *source);

#define SHADOW_NAME_SIZE 40

/* Seconds that a statement of the swap waits for others at a time. */
#define SWAP_LOCK_WAIT "2"

/* One table that is being put in another's place. */
struct swap {
	struct mariadb *db;
	const struct mariadb_settings *server; /* for a second connection; lent */
	int64_t until_ms;       /* by the monotonic clock: so long others are waited for */
	const char *database, *target;
	char shadow[SHADOW_NAME_SIZE], old[SHADOW_NAME_SIZE];
	bool is_sequence;
	bool renamed;           /* the target has another name or database than the file's table */
	const char *home;       /* database that names in its foreign keys mean */
	struct ddl ddl;
	struct table_trigger *triggers; /* lent */
	size_t trigger_count;
};

void swap_init(struct swap *swap, struct mariadb *db, const struct mariadb_settings *server,
    const char *database, const char *target);
void swap_done(struct swap *swap);
/* One restore of a table at a time; the lock goes with the connection. */
int swap_lock(struct swap *swap, struct error *err);
/* Clear up what an interrupted restore of this table left. */
int swap_recover(struct swap *swap, struct error *err);
/* Make the shadow, empty and without foreign keys: by the statement in ddl. */
int swap_create(struct swap *swap, struct error *err);
/* The shadow is filled: give it foreign keys and triggers, and put it in the target's place. */
int swap_finish(struct swap *swap, struct error *err);
/* The target stays; forget the shadow. */
void swap_abandon(struct swap *swap);
/* 1 if foreign keys of others refer to the target, 0 if not, -1 error. */
int swap_is_referred_to(struct swap *swap, struct error *err);
/* 1 if there is a table of this name, 0 if not, -1 error. */
int swap_exists(struct swap *swap, const char *name, struct error *err);

/* For swap.c and swap_place.c.  From here on statements wait for others by turns. */
int swap_begin_patience(struct swap *swap, struct error *err);
/* After a failure, with a pause: whether it was for others, and may be tried again. */
bool swap_again(const struct swap *swap, struct error *err);
int swap_drop(const struct swap *swap, const char *name, struct error *err);
/* RENAME TABLE a TO b[, c TO d], tried once. */
int swap_rename(const struct swap *swap, const char *a, const char *b, const char *c, const char *d,
    struct error *err);
/* 1 if a foreign key of any table refers to this name, 0 if not, -1 error. */
int swap_is_named(struct swap *swap, const char *name, struct error *err);
/* The shadow into the place of a table that is there. */
int swap_replace(struct swap *swap, struct error *err);
/* Foreign keys of others, which followed the old table, refer to the target again. */
int swap_bring_keys(struct swap *swap, struct error *err);

/* What one restore works with. */
struct restore {
	const struct tables_restore_options *options;
	struct progress *progress;
	struct mariadb *db;
	struct table_source source;
	struct swap swap;
	const char *target;          /* the table's name at the end */
	struct table *present;       /* what is there now, or NULL */
	struct table_trigger *triggers;
	size_t trigger_count;
	bool is_ours;                /* the file has our metadata */
	struct row_sum sum;          /* of the file's rows, as they were read */
	bool verified;               /* the sums were compared */
	uint64_t left_out;           /* rows that do not fulfil the condition */
};

/* A value of the file's metadata, or NULL. */
const char *restore_meta(const struct restore *restore, const char *name);
/* The rows' bytes can be the same only if the columns are. */
bool restore_has_same_columns(const struct restore *restore, const struct table *table);
/* The file against itself: what its head says, and what was read of it. */
int restore_check_file(const struct restore *restore, struct error *err);
/* Compare, and put what was found into json, as tables_restore() tells. */
int restore_preview(struct restore *restore, json_t *json, struct error *err);

/* Several tables, what another one needs first. */
struct restore_step {
	const char *name; /* lent */
	size_t asked;     /* its place among the names as they were given */
	size_t *needs;    /* steps before it */
	size_t need_count;
	/* Of those that may go next the one with the most goes first: what it and the longest chain
	 * of those that need it take, in bytes. */
	uint64_t weight;
};
struct restore_order {
	struct restore_step *steps;
	size_t count;
};
/* Each name once.  ERROR_NOT_FOUND: a file that is not there.  Memory: caller's. */
int restore_order_make(struct repository *repo, const struct tables_restore_options *options,
    const char *const *names, size_t count, struct restore_order *ret, struct error *err);
void restore_order_done(struct restore_order *order);

#endif
