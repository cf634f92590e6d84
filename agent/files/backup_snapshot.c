/*
 * What every way into the repository (a backup, an import) does around the storing itself: the
 * snapshot's description, the one before it, and its publication under a claim.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/backup_internal.h"
#include "shared/mem.h"
#include "shared/text.h"

#ifndef PACKAGE_VERSION
#error "PACKAGE_VERSION comes from configure"
#endif

struct snapshot *
backup_describe(const struct backup_origin *origin, char *const *sources, size_t source_count)
{
	struct snapshot *snapshot = MEM_NEW(struct snapshot);
	char host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	snapshot->time = time_now();
	snapshot->host = mem_strdup(origin->host != NULL ? origin->host : host);
	snapshot->kind = mem_strdup(origin->kind);
	snapshot->job = origin->job != NULL ? mem_strdup(origin->job) : NULL;
	snapshot->run = origin->run != NULL ? mem_strdup(origin->run) : NULL;
	snapshot->program = mem_strdup("holdfast " PACKAGE_VERSION);
	snapshot->sources = mem_calloc(source_count, sizeof(*snapshot->sources));
	for (size_t i = 0; i < source_count; i++)
		snapshot->sources[i] = text_printable(sources[i], strlen(sources[i]));
	snapshot->source_count = source_count;
	snapshot->tags = mem_calloc(origin->tag_count, sizeof(*snapshot->tags));
	for (size_t i = 0; i < origin->tag_count; i++)
		snapshot->tags[i] = mem_strdup(origin->tags[i]);
	snapshot->tag_count = origin->tag_count;
	return snapshot;
}

bool
backup_same_sources(const struct snapshot *a, const struct snapshot *b)
{
	if (a->source_count != b->source_count)
		return false;
	for (size_t i = 0; i < a->source_count; i++)
		if (strcmp(a->sources[i], b->sources[i]) != 0)
			return false;
	return true;
}

int
backup_find_parent(struct repository *repo, const struct snapshot *snapshot, bool other_sources,
    struct snapshot **ret, struct error *err)
{
	struct snapshot **list;
	size_t n, best = SIZE_MAX, fallback = SIZE_MAX;

	if (snapshot_list(repo, &list, &n, NULL, NULL, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i]->host, snapshot->host) != 0 ||
		    strcmp(list[i]->kind, snapshot->kind) != 0)
			continue;
		fallback = i;
		if (backup_same_sources(list[i], snapshot))
			best = i;
	}
	if (best == SIZE_MAX && other_sources)
		best = fallback;
	*ret = NULL;
	for (size_t i = 0; i < n; i++) {
		if (i == best)
			*ret = list[i];
		else
			snapshot_free(list[i]);
	}
	free(list);
	return 0;
}

void
backup_take_losses(struct snapshot *snapshot, struct progress *progress)
{
	pthread_mutex_lock(&progress->lock);
	snapshot->loss_total = progress->losses.total;
	snapshot->warn = snapshot->loss_total > 0;
	snapshot->losses = mem_calloc(progress->losses.count, sizeof(*snapshot->losses));
	for (size_t i = 0; i < progress->losses.count; i++) {
		snapshot->losses[i].path = mem_strdup(progress->losses.list[i].path);
		snapshot->losses[i].reason = mem_strdup(progress->losses.list[i].reason);
		snapshot->loss_count++;
	}
	pthread_mutex_unlock(&progress->lock);
}

void
backup_take_stored(struct snapshot *snapshot, const struct tree_roots *roots,
    const struct writer_totals *totals)
{
	snapshot->roots = roots->parts;
	snapshot->root_count = roots->count;
	snapshot->added_blobs = totals->added_blobs;
	snapshot->added_bytes = totals->added_bytes;
	snapshot->stored_bytes = totals->stored_bytes;
}

int
backup_publish(struct repository *repo, struct claim *claim, struct snapshot *snapshot,
    struct error *err)
{
	snapshot->finished = time_now();
	if (claim_check(claim, err) != 0 || snapshot_publish(repo, snapshot, err) != 0)
		return -1;
	/*
	 * Asked once more: this process may have been stopped between the two. With the claim
	 * still there, whoever removes packs after now has seen the snapshot.
	 */
	if (claim_check(claim, err) != 0) {
		struct error ignored;

		(void)snapshot_withdraw(repo, snapshot, &ignored);
		return -1;
	}
	return 0;
}
