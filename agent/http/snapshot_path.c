#include "agent/http/snapshot_path.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "shared/text.h"

static int
lookup(struct repository *repo, const struct snapshot *snapshot, const char *path,
    struct entry *ret, struct error *err)
{
	return tree_lookup(repo, snapshot->roots, snapshot->root_count, path, ret, err);
}

/* 1 found, 0 not, -1 error; ret_path is set if found. */
static int
lookup_either_form(struct repository *repo, const struct snapshot *snapshot, const char *path,
    struct entry *ret, char **ret_path, struct error *err)
{
	struct error ignored = ERROR_INIT;
	char *bytes = NULL;
	size_t len;
	int rc = 0;

	/* A broken escape only means that the path is not in the printable form. */
	if (text_unprintable(path, &ignored, &bytes, &len) == 0 && strlen(bytes) == len) {
		rc = lookup(repo, snapshot, bytes, ret, err);
		if (rc == 1)
			*ret_path = text_printable(bytes, len);
	}
	free(bytes);
	if (rc != 0 || strchr(path, '\\') == NULL)
		return rc;
	rc = lookup(repo, snapshot, path, ret, err);
	if (rc == 1)
		*ret_path = text_printable(path, strlen(path));
	return rc;
}

int
snapshot_path_find(const struct request *request, struct snapshot **ret_snapshot,
    struct entry *ret_entry, char **ret_path, struct error *err)
{
	struct repository *repo = request->services->repo;
	const char *path = params_get(&request->params, "path");
	struct snapshot *snapshot = NULL;
	int rc;

	if (path == NULL)
		path = "/";
	if (path[0] != '/') {
		error_set(err, ERROR_BAD_REQUEST, "the path '%.128s' is not absolute", path);
		return error_hint(err, "paths in a snapshot begin with '/'");
	}
	if (snapshot_find(repo, request->id, &snapshot, err) != 0)
		return -1;
	entry_init(ret_entry);
	rc = lookup_either_form(repo, snapshot, path, ret_entry, ret_path, err);
	if (rc == 1) {
		*ret_snapshot = snapshot;
		return 0;
	}
	if (rc == 0) {
		error_set(err, ERROR_NOT_FOUND, "there is no '%.200s' in snapshot '%s'", path,
		    snapshot->id);
		error_hint(err, "GET /v1/snapshots/%s/tree?path=/ shows what there is",
		    snapshot->id);
	}
	entry_done(ret_entry);
	snapshot_free(snapshot);
	return -1;
}

void
disposition_header(struct response *response, const char *name, size_t len, const char *suffix)
{
	static const char digits[] = "0123456789ABCDEF";
	struct buffer plain = BUFFER_INIT, encoded = BUFFER_INIT;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || (c != '\0' && strchr("-._~", c) != NULL);

		buffer_put_u8(&plain, word || c == ' ' ? c : '_');
		if (word) {
			buffer_put_u8(&encoded, c);
		} else {
			buffer_put_u8(&encoded, '%');
			buffer_put_u8(&encoded, (uint8_t)digits[c >> 4]);
			buffer_put_u8(&encoded, (uint8_t)digits[c & 15]);
		}
	}
	/* A name has at most 255 bytes, so the encoded one fits a header with ease. */
	response_header(response, "Content-Disposition",
	    "attachment; filename=\"%s%s\"; filename*=UTF-8''%s%s", buffer_text(&plain), suffix,
	    buffer_text(&encoded), suffix);
	buffer_done(&plain);
	buffer_done(&encoded);
}

void
etag_make(const void *data, size_t len, char out[ETAG_SIZE])
{
	uint8_t hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, data, len);
	out[0] = '"';
	hex_encode(hash, 16, out + 1);
	strcpy(out + 33, "\"");
}
