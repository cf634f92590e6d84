#include "tests/lib/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/sealed_json.h"
#include "shared/mem.h"
#include "shared/text.h"

#define FRAME_BYTES (256u << 10)

static void
need(int rc, const char *what, const struct error *err)
{
	if (rc == 0)
		return;
	fprintf(stderr, "hostile: %s: %s\n", what, err->message);
	abort();
}

void
hostile_begin(struct hostile *hostile, struct repository *repo)
{
	struct error err = ERROR_INIT;

	*hostile = (struct hostile){ .repo = repo, .plain = BUFFER_INIT };
	need(pack_begin(repo->storage, repo->keys, PACK_META, &hostile->pack, &err), "begin", &err);
}

static void
write_frame(struct hostile *hostile, const void *payload, size_t len, uint32_t plain_len,
    const struct pack_blob *blobs, size_t count)
{
	uint32_t offset = pack_reserve(hostile->pack, len);
	struct error err = ERROR_INIT;

	need(pack_write_frame(hostile->pack, offset, payload, len, plain_len, blobs, count, &err),
	    "write", &err);
}

static void
flush(struct hostile *hostile)
{
	struct buffer payload = BUFFER_INIT;

	if (hostile->blob_count == 0)
		return;
	buffer_put_u8(&payload, FRAME_STORED);
	buffer_put(&payload, hostile->plain.data, hostile->plain.len);
	write_frame(hostile, payload.data, payload.len, (uint32_t)hostile->plain.len,
	    hostile->blobs, hostile->blob_count);
	buffer_clear(&hostile->plain);
	hostile->blob_count = 0;
	buffer_done(&payload);
}

void
hostile_put_as(struct hostile *hostile, const struct blob_id *name, const void *data, size_t len)
{
	MEM_GROW(hostile->blobs, hostile->blob_count, hostile->blob_cap);
	hostile->blobs[hostile->blob_count++] = (struct pack_blob){ *name, (uint32_t)len };
	buffer_put(&hostile->plain, data, len);
	if (hostile->plain.len >= FRAME_BYTES)
		flush(hostile);
}

void
hostile_put(struct hostile *hostile, enum blob_kind kind, const void *data, size_t len,
    struct blob_id *ret)
{
	blob_hash(hostile->repo->keys, kind, data, len, ret);
	hostile_put_as(hostile, ret, data, len);
}

void
hostile_put_payload(struct hostile *hostile, const struct blob_id *name, const void *payload,
    size_t len, uint32_t plain_len)
{
	struct pack_blob blob = { *name, plain_len };

	flush(hostile);
	write_frame(hostile, payload, len, plain_len, &blob, 1);
}

void
hostile_put_tree(struct hostile *hostile, struct entry *const *entries, size_t count,
    struct blob_id *ret)
{
	struct buffer tree = BUFFER_INIT;

	if (tree_encode(entries, count, &tree) != count)
		abort();
	hostile_put(hostile, BLOB_TREE, tree.data, tree.len, ret);
	buffer_done(&tree);
}

void
hostile_finish(struct hostile *hostile)
{
	struct pack_directory *directory;
	struct error err = ERROR_INIT;
	struct object_id id;

	flush(hostile);
	need(pack_finish(hostile->pack, &directory, &err), "finish", &err);
	need(index_write(hostile->repo->storage, hostile->repo->keys, &directory, 1, &id, &err),
	    "index", &err);
	pack_directory_free(directory);
	buffer_done(&hostile->plain);
	free(hostile->blobs);
}

void
hostile_document(struct repository *repo, const json_t *json, char ret_id[SNAPSHOT_ID_TEXT_SIZE])
{
	struct error err = ERROR_INIT;
	struct object_id id;

	object_id_random(&id);
	need(sealed_json_write(repo, "snapshots", SEAL_SNAPSHOT, &id, json, false, &err),
	    "snapshot", &err);
	object_id_text(&id, ret_id);
}

void
hostile_snapshot(struct repository *repo, const struct blob_id *roots, size_t root_count,
    char ret_id[SNAPSHOT_ID_TEXT_SIZE])
{
	struct snapshot *snapshot = MEM_NEW(struct snapshot);
	json_t *json;

	snapshot->sequence = 1;
	snapshot->time = snapshot->finished = time_now();
	snapshot->host = mem_strdup("test");
	snapshot->kind = mem_strdup("files");
	snapshot->program = mem_strdup("hostile");
	snapshot->sources = mem_calloc(1, sizeof(*snapshot->sources));
	snapshot->sources[0] = mem_strdup("/x");
	snapshot->source_count = 1;
	snapshot->roots = mem_dup(roots, root_count * sizeof(*roots));
	snapshot->root_count = root_count;
	json = snapshot_to_json(snapshot);
	hostile_document(repo, json, ret_id);
	json_decref(json);
	snapshot_free(snapshot);
}

void
hostile_index(struct repository *repo, const void *header, size_t len)
{
	static const char magic[8] = { 'H', 'F', 'I', 'N', 'D', 'X', '1', '\n' };
	struct buffer out = BUFFER_INIT;
	struct error err = ERROR_INIT;
	char name[INDEX_NAME_SIZE];
	struct object_id id;

	object_id_random(&id);
	index_name(&id, name);
	buffer_put(&out, magic, sizeof(magic));
	buffer_put(&out, keys_repository(repo->keys)->bytes, OBJECT_ID_SIZE);
	buffer_put(&out, id.bytes, OBJECT_ID_SIZE);
	buffer_put_u32(&out, (uint32_t)(len + SEAL_OVERHEAD));
	buffer_reserve(&out, len + SEAL_OVERHEAD);
	seal(repo->keys, SEAL_INDEX_HEADER, &id, 0, header, len, out.data + out.len);
	out.len += len + SEAL_OVERHEAD;
	need(storage_put_whole(repo->storage, name, out.data, out.len, false, &err), "index", &err);
	buffer_done(&out);
}
