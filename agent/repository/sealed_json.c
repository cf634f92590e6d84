#include "agent/repository/sealed_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/format.h"
#include "shared/mem.h"
#include "shared/text.h"

static const char sealed_magic[8] = { 'H', 'F', 'J', 'S', 'O', 'N', '1', '\n' };

void
sealed_json_name(const char *folder, const struct object_id *id, char out[64])
{
	char text[OBJECT_ID_TEXT_SIZE];

	object_id_text(id, text);
	snprintf(out, 64, "%s/%s", folder, text);
}

int
sealed_json_name_parse(const char *name, const char *folder, struct object_id *ret)
{
	size_t len = strlen(folder);

	if (strncmp(name, folder, len) != 0 || name[len] != '/')
		return -1;
	return object_id_parse(name + len + 1, strlen(name + len + 1), ret);
}

int
sealed_json_write(struct repository *repo, const char *folder, enum seal_type type,
    const struct object_id *id, const json_t *json, bool replace, struct error *err)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	struct buffer out = BUFFER_INIT;
	char name[64];
	size_t len;
	int rc;

	if (text == NULL)
		return error_set(err, ERROR_INTERNAL, "could not write a JSON document");
	len = strlen(text);
	sealed_json_name(folder, id, name);
	buffer_put(&out, sealed_magic, sizeof(sealed_magic));
	buffer_reserve(&out, len + SEAL_OVERHEAD);
	seal(repo->keys, type, id, 0, text, len, out.data + out.len);
	out.len += len + SEAL_OVERHEAD;
	rc = storage_put_whole(repo->storage, name, out.data, out.len, replace, err);
	buffer_done(&out);
	free(text);
	return rc;
}

int
sealed_json_read(struct repository *repo, const char *folder, enum seal_type type,
    const struct object_id *id, json_t **ret, struct error *err)
{
	struct buffer in = BUFFER_INIT;
	json_error_t why;
	uint8_t *plain = NULL;
	unsigned newer = 0;
	char name[64];
	int rc = -1;

	sealed_json_name(folder, id, name);
	if (storage_get_whole(repo->storage, name, SEALED_JSON_MAX, &in, err) != 0)
		goto out;
	if (in.len >= sizeof(sealed_magic))
		newer = format_newer(in.data, sealed_magic);
	if (in.len < sizeof(sealed_magic) + SEAL_OVERHEAD ||
	    (memcmp(in.data, sealed_magic, sizeof(sealed_magic)) != 0 && newer == 0)) {
		error_set(err, ERROR_CORRUPT, "%s: damaged or cut off", name);
		goto out;
	}
	plain = mem_try(in.len, err);
	if (plain == NULL)
		goto out;
	if (unseal(repo->keys, type, id, 0, in.data + sizeof(sealed_magic),
	    in.len - sizeof(sealed_magic), plain) != 0) {
		if (newer != 0)
			format_refuse(name, newer, err);
		else
			error_set(err, ERROR_CORRUPT, "%s: damaged", name);
		goto out;
	}
	/* It opens as what this version writes: only its first bytes are wrong. */
	if (newer != 0) {
		error_set(err, ERROR_CORRUPT, "%s: damaged", name);
		goto out;
	}
	*ret = json_loadb((const char *)plain, in.len - sizeof(sealed_magic) - SEAL_OVERHEAD,
	    JSON_REJECT_DUPLICATES, &why);
	if (*ret == NULL) {
		error_set(err, ERROR_CORRUPT, "%s: %s", name, why.text);
		goto out;
	}
	rc = 0;
out:
	buffer_done(&in);
	free(plain);
	return rc;
}

/* 0 and the time of a member, or -1. */
static int
get_time(const json_t *json, const char *key, struct timespec *ret)
{
	const char *text = json_string_value(json_object_get(json, key));
	struct error ignored = ERROR_INIT;

	return text != NULL ? time_parse(text, false, ret, &ignored) : -1;
}

int64_t
sealed_json_age(json_t *json, const char *key, bool *ret_met)
{
	struct timespec then, now = time_now();
	char text[TIME_TEXT_SIZE];

	*ret_met = false;
	if (get_time(json, key, &then) != 0)
		return -1;
	if (then.tv_sec <= now.tv_sec)
		return now.tv_sec - then.tv_sec;
	if (get_time(json, "seen", &then) == 0 && then.tv_sec <= now.tv_sec)
		return now.tv_sec - then.tv_sec;
	*ret_met = true;
	time_format(now, 0, text);
	json_object_set_new(json, "seen", json_string(text));
	return 0;
}
