#include "agent/files/entry_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/text.h"

static json_t *
printable(const char *data, size_t len)
{
	char *text = text_printable(data, len);
	json_t *json = json_string(text);

	free(text);
	return json;
}

static json_t *
text_or_null(const char *text)
{
	return text == NULL ? json_null() : printable(text, strlen(text));
}

json_t *
entry_to_json(const struct entry *entry)
{
	char mtime[TIME_TEXT_SIZE], mode[8];
	json_t *json;

	time_format(entry->mtime, 9, mtime);
	snprintf(mode, sizeof(mode), "%04o", entry->mode & 07777u);
	json = json_pack("{s:o, s:s, s:I, s:s, s:I, s:I, s:o, s:o, s:s}", "name",
	    printable(entry->name != NULL ? entry->name : "", entry->name_len), "kind",
	    entry_kind_word(entry->kind), "size",
	    (json_int_t)(entry->kind == ENTRY_FILE ? entry->size : 0), "mode", mode, "uid",
	    (json_int_t)entry->uid, "gid", (json_int_t)entry->gid, "owner",
	    text_or_null(entry->user), "group", text_or_null(entry->group), "mtime", mtime);
	if (entry->kind == ENTRY_SYMLINK)
		json_object_set_new(json, "target", printable(entry->target, entry->target_len));
	if (entry->kind == ENTRY_CHARACTER || entry->kind == ENTRY_BLOCK)
		json_object_set_new(json, "device", json_pack("[I, I]",
		    (json_int_t)entry->device_major, (json_int_t)entry->device_minor));
	if (entry->nlink > 1)
		json_object_set_new(json, "links", json_integer(entry->nlink));
	if (entry->sparse)
		json_object_set_new(json, "sparse", json_true());
	return json;
}
