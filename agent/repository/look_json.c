#include "agent/repository/look_json.h"

#include "shared/text.h"

json_t *
diff_change_to_json(enum diff_kind kind, const char *shown, const struct entry *before,
    const struct entry *after)
{
	json_t *json = json_pack("{s:s, s:s, s:s}", "path", shown, "change", diff_kind_word(kind),
	    "kind", entry_kind_word((after != NULL ? after : before)->kind));

	if (before != NULL)
		json_object_set_new(json, "size_before", json_integer((json_int_t)before->size));
	if (after != NULL)
		json_object_set_new(json, "size_after", json_integer((json_int_t)after->size));
	return json;
}

json_t *
diff_totals_to_json(const struct diff_totals *totals)
{
	json_t *json = json_object();

	for (unsigned kind = 0; kind < DIFF_KIND_COUNT; kind++)
		json_object_set_new(json, diff_kind_word(kind),
		    json_integer((json_int_t)totals->count[kind]));
	json_object_set_new(json, "added_bytes", json_integer((json_int_t)totals->added_bytes));
	json_object_set_new(json, "removed_bytes", json_integer((json_int_t)totals->removed_bytes));
	return json;
}

json_t *
find_place_to_json(const struct snapshot *snapshot, const char *shown, const struct entry *entry)
{
	char when[TIME_TEXT_SIZE], mtime[TIME_TEXT_SIZE];
	json_t *json;

	time_format(snapshot->time, 0, when);
	json = json_pack("{s:s, s:s, s:s, s:s}", "snapshot", snapshot->id, "time", when, "host",
	    snapshot->host, "path", shown);
	if (entry == NULL) {
		json_object_set_new(json, "gone", json_true());
		return json;
	}
	time_format(entry->mtime, 9, mtime);
	json_object_set_new(json, "kind", json_string(entry_kind_word(entry->kind)));
	json_object_set_new(json, "size", json_integer((json_int_t)entry->size));
	json_object_set_new(json, "mtime", json_string(mtime));
	return json;
}
