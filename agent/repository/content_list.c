#include "agent/repository/content_list.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

void
content_list_init(struct content_list *list)
{
	memset(list, 0, sizeof(*list));
}

void
content_list_done(struct content_list *list)
{
	for (size_t i = 0; i <= TREE_DEPTH_MAX; i++)
		free(list->levels[i].ids);
	content_list_init(list);
}

/* Names are random, so one in 512 ends its list: about 640 names a list. */
static int
ends_list(size_t count, const struct blob_id *id)
{
	if (count < LIST_MIN)
		return 0;
	return count >= LIST_MAX ||
	    (id->bytes[BLOB_ID_SIZE - 1] == 0 && (id->bytes[BLOB_ID_SIZE - 2] & 1) == 0);
}

static int add_at(struct content_list *list, struct writer *writer, size_t level,
    const struct blob_id *id, struct error *err);

/* Store one level as a list, and name it on the level above. */
static int
close_level(struct content_list *list, struct writer *writer, size_t level, struct error *err)
{
	struct blob_id id;

	if (level == TREE_DEPTH_MAX)
		return error_set(err, ERROR_TOO_LARGE, "a file has too many chunks");
	if (writer_put_meta(writer, BLOB_LIST, list->levels[level].ids,
	    list->levels[level].count * BLOB_ID_SIZE, &id, err) != 0)
		return -1;
	list->levels[level].count = 0;
	return add_at(list, writer, level + 1, &id, err);
}

static int
add_at(struct content_list *list, struct writer *writer, size_t level, const struct blob_id *id,
    struct error *err)
{
	MEM_GROW(list->levels[level].ids, list->levels[level].count, list->levels[level].cap);
	list->levels[level].ids[list->levels[level].count++] = *id;
	if (ends_list(list->levels[level].count, id))
		return close_level(list, writer, level, err);
	return 0;
}

int
content_list_add(struct content_list *list, struct writer *writer, const struct blob_id *id,
    struct error *err)
{
	return add_at(list, writer, 0, id, err);
}

static bool
is_top(const struct content_list *list, size_t level)
{
	for (size_t above = level + 1; above <= TREE_DEPTH_MAX; above++)
		if (list->levels[above].count > 0)
			return false;
	return true;
}

int
content_list_finish(struct content_list *list, struct writer *writer, struct entry *entry,
    struct error *err)
{
	size_t level = 0;

	while (!is_top(list, level) || list->levels[level].count > CONTENT_DIRECT_MAX) {
		if (list->levels[level].count > 0 && close_level(list, writer, level, err) != 0)
			return -1;
		level++;
	}
	free(entry->content);
	entry->content_count = list->levels[level].count;
	entry->content = entry->content_count == 0 ? NULL :
	    mem_dup(list->levels[level].ids, entry->content_count * BLOB_ID_SIZE);
	entry->depth = (unsigned)level;
	list->levels[level].count = 0;
	return 0;
}

int
content_list_prepend(struct writer *writer, const struct entry *head, struct entry *entry,
    struct error *err)
{
	size_t count = head->content_count;
	struct blob_id *ids, id;

	if (head->depth != 0 || entry->content_count + count > TREE_CONTENT_MAX)
		return error_set(err, ERROR_TOO_LARGE, "the head of a file has too many chunks");
	if (count == 0)
		return 0;
	ids = mem_calloc(count + entry->content_count, sizeof(*ids));
	memcpy(ids, head->content, count * sizeof(*ids));
	/* As deep as what comes after: a list of its own on each level. */
	for (unsigned depth = 0; depth < entry->depth; depth++) {
		if (writer_put_meta(writer, BLOB_LIST, ids, count * BLOB_ID_SIZE, &id, err) != 0) {
			free(ids);
			return -1;
		}
		ids[0] = id;
		count = 1;
	}
	if (entry->content_count > 0)
		memcpy(ids + count, entry->content, entry->content_count * sizeof(*ids));
	free(entry->content);
	entry->content = ids;
	entry->content_count += count;
	return 0;
}
