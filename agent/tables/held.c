#include "agent/tables/held.h"

#include <stdlib.h>
#include <string.h>

#include "agent/tables/backup.h"
#include "agent/tables/container.h"
#include "agent/tables/exchange.h"
#include "agent/tables/restore_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

struct held {
	struct repository *repo;
	struct snapshot **list; /* oldest first */
	size_t count;
};

int
held_begin(struct repository *repo,
    void (*bad)(void *arg, const char *id, const struct error *why), void *bad_arg,
    struct held **ret, struct error *err)
{
	struct held *held = MEM_NEW(struct held);

	held->repo = repo;
	if (snapshot_list(repo, &held->list, &held->count, bad, bad_arg, err) != 0) {
		free(held);
		return -1;
	}
	*ret = held;
	return 0;
}

void
held_free(struct held *held)
{
	if (held == NULL)
		return;
	for (size_t i = 0; i < held->count; i++)
		snapshot_free(held->list[i]);
	free(held->list);
	free(held);
}

size_t
held_first(const struct held *held)
{
	return held->count;
}

size_t
held_after(const struct held *held, const char *id)
{
	for (size_t i = 0; i < held->count; i++)
		if (strcmp(held->list[i]->id, id) == 0)
			return i;
	return HELD_NONE;
}

/* Whether it is a backup of this table or of all: others need not be looked at. */
static bool
may_hold(const struct snapshot *snapshot, const char *all, const char *one)
{
	if (!tables_snapshot_has(snapshot))
		return false;
	for (size_t i = 0; i < snapshot->source_count; i++)
		if (strcmp(snapshot->sources[i], all) == 0 ||
		    strcmp(snapshot->sources[i], one) == 0)
			return true;
	return false;
}

static json_t *
to_json(const struct snapshot *snapshot)
{
	char time[TIME_TEXT_SIZE];

	time_format(snapshot->time, 3, time);
	return json_pack("{s:s, s:s, s:n, s:n}", "snapshot", snapshot->id, "time", time, "rows",
	    "bytes");
}

/* 1 if it holds the file, or that cannot be known, which is told. */
static int
look(struct held *held, const struct snapshot *snapshot, const char *path, json_t **ret)
{
	struct table_source source;
	struct error why = ERROR_INIT;
	const char *rows, *kind;
	json_t *json;
	int rc = source_look(held->repo, snapshot, path, &source, &why);

	if (rc == 0)
		return 0;
	json = to_json(snapshot);
	if (rc < 0) {
		json_object_set_new(json, "error", json_string(why.message));
		*ret = json;
		return 1;
	}
	rows = ocf_meta(source.file, CONTAINER_PREFIX "rows", NULL);
	kind = ocf_meta(source.file, CONTAINER_PREFIX "kind", NULL);
	json_object_set_new(json, "bytes", json_integer((json_int_t)source.size));
	if (rows != NULL && (kind == NULL || strcmp(kind, "view") != 0))
		json_object_set_new(json, "rows",
		    json_integer((json_int_t)strtoull(rows, NULL, 10)));
	source_close(&source);
	*ret = json;
	return 1;
}

int
held_next(struct held *held, const char *folder, const char *table, struct progress *progress,
    size_t *at, json_t **ret, struct error *err)
{
	char *component = exchange_component(table), *file = exchange_table_path(folder, table);
	char *path = mem_printf("/%s", file), *all = mem_printf("/%s", folder);
	char *plain = mem_printf("/%s/%s", folder, component);
	char *one = text_printable(plain, strlen(plain));
	int rc = 0;

	while (rc == 0 && *at > 0) {
		const struct snapshot *snapshot = held->list[--*at];

		if (!may_hold(snapshot, all, one))
			continue;
		rc = progress_check(progress, err);
		if (rc == 0)
			rc = look(held, snapshot, path, ret);
	}
	free(one);
	free(plain);
	free(all);
	free(path);
	free(file);
	free(component);
	return rc;
}
