/*
 * From the names of a content's blobs, in order, to what an entry holds: few names directly, many
 * as lists of lists. Lists are cut by content, so inserting a chunk changes one list on each
 * level.
 * Source: agent/repository/FORMAT.md, "Content".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_CONTENT_LIST_H
#define HOLDFAST_AGENT_REPOSITORY_CONTENT_LIST_H

#include "agent/repository/tree.h"
#include "agent/repository/writer.h"

/* So many names stand in the entry itself. */
#define CONTENT_DIRECT_MAX 64
#define LIST_MIN 128
#define LIST_MAX 2048

struct content_list {
	struct {
		struct blob_id *ids;
		size_t count, cap;
	} levels[TREE_DEPTH_MAX + 1];
};

void content_list_init(struct content_list *list);
void content_list_done(struct content_list *list);
int content_list_add(struct content_list *list, struct writer *writer, const struct blob_id *id,
    struct error *err);
/* Fill content, content_count and depth of the entry; the list is empty afterwards. */
int content_list_finish(struct content_list *list, struct writer *writer, struct entry *entry,
    struct error *err);

/*
 * Put the content of a small file (depth 0) before that of another, as if both had been one: for a
 * head that can only be made when the rest is known.
 */
int content_list_prepend(struct writer *writer, const struct entry *head, struct entry *entry,
    struct error *err);

#endif
