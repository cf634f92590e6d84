#include <stdlib.h>
#include <string.h>

#include "agent/repository/prune_internal.h"
#include "agent/repository/sealed_json.h"
#include "shared/mem.h"
#include "shared/text.h"

#define MARKS_FOLDER "marks"

static int
mark_from_json(json_t *json, struct mark *ret)
{
	const json_t *packs = json_object_get(json, "packs"), *item;
	size_t i;

	ret->age_s = sealed_json_age(json, "time", &ret->met);
	if (ret->age_s < 0 || !json_is_array(packs))
		return -1;
	json_array_foreach(packs, i, item) {
		struct object_id id;

		if (!json_is_string(item) || object_id_parse(json_string_value(item),
		    json_string_length(item), &id) != 0)
			return -1;
		MEM_GROW(ret->packs, ret->pack_count, ret->pack_cap);
		ret->packs[ret->pack_count++] = id;
	}
	return 0;
}

int
marks_read(struct repository *repo, struct marks *ret, struct error *err)
{
	struct object_names names;
	int rc = 0;

	*ret = (struct marks){ NULL, 0, 0 };
	if (object_names_read(repo->storage, MARKS_FOLDER, &names, err) != 0)
		return -1;
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		struct error why = ERROR_INIT;
		struct mark mark = { .pack_count = 0 };
		json_t *json;

		if (sealed_json_name_parse(names.list[i], MARKS_FOLDER, &mark.id) != 0)
			continue;
		if (sealed_json_read(repo, MARKS_FOLDER, SEAL_MARKS, &mark.id, &json, &why) != 0) {
			if (why.code != ERROR_CORRUPT && why.code != ERROR_NOT_FOUND) {
				*err = why;
				rc = -1;
			}
			continue;
		}
		if (mark_from_json(json, &mark) == 0) {
			MEM_GROW(ret->list, ret->count, ret->cap);
			ret->list[ret->count++] = mark;
		} else {
			free(mark.packs);
		}
		json_decref(json);
	}
	object_names_done(&names);
	if (rc != 0)
		marks_done(ret);
	return rc;
}

void
marks_done(struct marks *marks)
{
	for (size_t i = 0; i < marks->count; i++)
		free(marks->list[i].packs);
	free(marks->list);
	*marks = (struct marks){ NULL, 0, 0 };
}

int
mark_write(struct repository *repo, const struct object_id *packs, size_t count,
    struct error *err)
{
	json_t *list = json_array(), *json;
	char text[TIME_TEXT_SIZE];
	struct object_id id;
	int rc;

	for (size_t i = 0; i < count; i++) {
		char pack[OBJECT_ID_TEXT_SIZE];

		object_id_text(&packs[i], pack);
		json_array_append_new(list, json_string(pack));
	}
	time_format(time_now(), 0, text);
	json = json_pack("{s:s, s:o}", "time", text, "packs", list);
	object_id_random(&id);
	rc = sealed_json_write(repo, MARKS_FOLDER, SEAL_MARKS, &id, json, false, err);
	json_decref(json);
	return rc;
}

int
mark_meet(struct repository *repo, const struct object_id *id, struct error *err)
{
	json_t *json;
	bool met;
	int rc = 0;

	if (sealed_json_read(repo, MARKS_FOLDER, SEAL_MARKS, id, &json, err) != 0)
		return err->code == ERROR_NOT_FOUND ? 0 : -1;
	(void)sealed_json_age(json, "time", &met);
	/* If interrupted here, the next prune meets it. */
	if (met)
		rc = sealed_json_write(repo, MARKS_FOLDER, SEAL_MARKS, id, json, true, err);
	json_decref(json);
	return rc;
}

int
mark_remove(struct repository *repo, const struct object_id *id, struct error *err)
{
	char name[64];

	sealed_json_name(MARKS_FOLDER, id, name);
	return storage_remove(repo->storage, name, err);
}

static int
compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, OBJECT_ID_SIZE);
}

int
prune_load_marks(struct repository *repo, struct error *err)
{
	struct object_id *all = NULL;
	size_t count = 0, cap = 0;
	struct marks marks;

	if (marks_read(repo, &marks, err) != 0)
		return -1;
	for (size_t m = 0; m < marks.count; m++)
		for (size_t p = 0; p < marks.list[m].pack_count; p++) {
			MEM_GROW(all, count, cap);
			all[count++] = marks.list[m].packs[p];
		}
	if (count > 0)
		qsort(all, count, sizeof(*all), compare_ids);
	pthread_rwlock_wrlock(&repo->lock);
	for (size_t i = 0; i < repo->pack_count; i++)
		repo->packs[i].marked = count > 0 && bsearch(&repo->packs[i].id, all, count,
		    sizeof(*all), compare_ids) != NULL;
	pthread_rwlock_unlock(&repo->lock);
	free(all);
	marks_done(&marks);
	return 0;
}
