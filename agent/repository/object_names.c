#include <stdlib.h>

#include "agent/repository/repository_internal.h"
#include "shared/mem.h"

static int
collect(void *arg, const char *name, uint64_t size, struct error *err)
{
	struct object_names *names = arg;

	(void)err;
	if (names->count == names->cap) {
		names->cap = names->cap == 0 ? 64 : 2 * names->cap;
		names->list = mem_realloc(names->list, names->cap, sizeof(*names->list));
		names->sizes = mem_realloc(names->sizes, names->cap, sizeof(*names->sizes));
	}
	names->list[names->count] = mem_strdup(name);
	names->sizes[names->count++] = size;
	return 0;
}

int
object_names_read(struct storage *storage, const char *folder, struct object_names *ret,
    struct error *err)
{
	*ret = (struct object_names){ 0 };
	if (storage_list(storage, folder, collect, ret, err) != 0) {
		object_names_done(ret);
		return -1;
	}
	return 0;
}

void
object_names_done(struct object_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
	free(names->sizes);
	*names = (struct object_names){ 0 };
}
