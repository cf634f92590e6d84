/*
 * Where the file of a table comes from.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/tables/backup.h"
#include "agent/tables/exchange.h"
#include "agent/tables/restore_internal.h"
#include "shared/mem.h"

static int64_t
read_content(void *arg, void *buf, size_t len, struct error *err)
{
	struct table_source *source = arg;
	uint64_t offset;
	int rc;

	while (source->len == 0) {
		rc = content_next(source->content, &offset, &source->data, &source->len, err);
		if (rc <= 0)
			return rc;
	}
	if (len > source->len)
		len = source->len;
	memcpy(buf, source->data, len);
	source->data += len;
	source->len -= len;
	return (int64_t)len;
}

static int64_t
read_file(void *arg, void *buf, size_t len, struct error *err)
{
	struct table_source *source = arg;
	ssize_t n;

	do
		n = read(source->fd, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_sys(err, ERROR_IO, errno,
		    "could not read the file on the exchange storage");
	return n;
}

/* 1 if the snapshot holds the table's file. */
static int
find_in(struct repository *repo, const struct snapshot *snapshot, const char *path,
    struct table_source *source, struct error *err)
{
	struct entry entry;
	int rc;

	entry_init(&entry);
	rc = tree_lookup(repo, snapshot->roots, snapshot->root_count, path, &entry, err);
	if (rc == 1 && entry.kind != ENTRY_FILE)
		rc = 0;
	if (rc == 1) {
		memcpy(source->snapshot, snapshot->id, sizeof(source->snapshot));
		source->size = entry.size;
		rc = content_open(repo, &entry, &source->content, err) == 0 ? 1 : -1;
	}
	entry_done(&entry);
	return rc;
}

static int
find_newest(struct repository *repo, const char *path, struct table_source *source,
    struct error *err)
{
	struct snapshot **list;
	size_t count;
	int rc = 0;

	if (snapshot_list(repo, &list, &count, NULL, NULL, err) != 0)
		return -1;
	for (size_t i = count; i-- > 0 && rc == 0;)
		if (tables_snapshot_has(list[i]))
			rc = find_in(repo, list[i], path, source, err);
	for (size_t i = 0; i < count; i++)
		snapshot_free(list[i]);
	free(list);
	return rc;
}

static int
open_snapshot(struct repository *repo, const struct tables_restore_options *options,
    const char *path, struct table_source *source, struct error *err)
{
	struct snapshot *snapshot = NULL;
	int rc;

	if (options->snapshot == NULL) {
		rc = find_newest(repo, path, source, err);
	} else {
		if (snapshot_find(repo, options->snapshot, &snapshot, err) != 0)
			return -1;
		rc = find_in(repo, snapshot, path, source, err);
		snapshot_free(snapshot);
	}
	if (rc == 0) {
		error_set(err, ERROR_NOT_FOUND, "no backup of table '%.200s'%s", options->table,
		    options->snapshot == NULL ? "" : " in this snapshot");
		error_hint(err, "backups of tables are the snapshots of the kinds \"" TABLES_KIND
		    "\" and \"" TABLES_MIXED_KIND "\"");
	}
	return rc == 1 ? 0 : -1;
}

static void
source_init(struct table_source *source)
{
	memset(source, 0, sizeof(*source));
	source->fd = -1;
}

int
source_look(struct repository *repo, const struct snapshot *snapshot, const char *path,
    struct table_source *ret, struct error *err)
{
	int rc;

	source_init(ret);
	rc = find_in(repo, snapshot, path, ret, err);
	if (rc == 1 && ocf_open(read_content, ret, &ret->file, err) != 0)
		rc = -1;
	if (rc != 1)
		source_close(ret);
	return rc;
}

int
source_open(struct repository *repo, const struct tables_restore_options *options,
    struct table_source *ret, struct error *err)
{
	char *path = exchange_table_path(options->folder, options->table);
	char *absolute = mem_printf("/%s", path);
	int rc;

	source_init(ret);
	if (options->from_exchange)
		rc = exchange_open(options->exchange, path, &ret->fd, err);
	else
		rc = open_snapshot(repo, options, absolute, ret, err);
	free(absolute);
	free(path);
	if (rc == 0 && options->from_exchange)
		ret->size = (uint64_t)lseek(ret->fd, 0, SEEK_END),
		    (void)lseek(ret->fd, 0, SEEK_SET);
	if (rc == 0)
		rc = ocf_open(options->from_exchange ? read_file : read_content, ret, &ret->file,
		    err);
	if (rc != 0)
		source_close(ret);
	return rc;
}

void
source_close(struct table_source *source)
{
	ocf_free(source->file);
	content_close(source->content);
	if (source->fd >= 0)
		close(source->fd);
	source_init(source);
}
