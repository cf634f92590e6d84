#include "agent/repository/keyfile.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/repository/format.h"
#include "agent/repository/repository_internal.h"
#include "shared/mem.h"

static const char key_magic[8] = { 'H', 'F', 'K', 'E', 'Y', '0', '1', '\n' };

int
keyfile_count(struct storage *storage, size_t *ret, struct error *err)
{
	struct object_names list = { 0 };
	int rc = object_names_read(storage, KEYFILE_FOLDER, &list, err);

	if (rc == 0)
		*ret = list.count;
	object_names_done(&list);
	return rc;
}

int
keyfile_decode(const void *data, size_t len, struct keyfile_header *ret, struct error *err)
{
	struct reader r;
	const uint8_t *p;

	reader_init(&r, data, len, "key file");
	if (reader_get(&r, sizeof(key_magic), &p, err) != 0)
		return -1;
	if (format_newer(p, key_magic) != 0)
		return format_refuse("key file", format_newer(p, key_magic), err);
	if (memcmp(p, key_magic, sizeof(key_magic)) != 0)
		return error_set(err, ERROR_CORRUPT, "key file: not a key file of this version");
	if (reader_get(&r, OBJECT_ID_SIZE, &p, err) != 0)
		return -1;
	memcpy(ret->repository.bytes, p, OBJECT_ID_SIZE);
	if (reader_get(&r, OBJECT_ID_SIZE, &p, err) != 0)
		return -1;
	memcpy(ret->id.bytes, p, OBJECT_ID_SIZE);
	if (reader_get_u32(&r, &ret->cost.passes, err) != 0 ||
	    reader_get_u32(&r, &ret->cost.memory_kib, err) != 0 ||
	    reader_get(&r, sizeof(ret->salt), &p, err) != 0)
		return -1;
	memcpy(ret->salt, p, sizeof(ret->salt));
	if (ret->cost.passes == 0 || ret->cost.passes > KEYFILE_PASSES_MAX ||
	    ret->cost.memory_kib < 8 || ret->cost.memory_kib > KEYFILE_MEMORY_KIB_MAX)
		return error_set(err, ERROR_CORRUPT, "key file: impossible cost (%u passes, %u KiB)",
		    ret->cost.passes, ret->cost.memory_kib);
	ret->sealed_len = reader_left(&r);
	return reader_get(&r, ret->sealed_len, &ret->sealed, err);
}

static void
encode_body(struct buffer *out, const uint8_t master[MASTER_KEY_SIZE],
    const struct chunk_sizes *sizes)
{
	buffer_put(out, master, MASTER_KEY_SIZE);
	buffer_put_varint(out, sizes->min);
	buffer_put_varint(out, sizes->mean);
	buffer_put_varint(out, sizes->max);
}

static int
decode_body(const uint8_t *plain, size_t len, const uint8_t **ret_master,
    struct chunk_sizes *ret_sizes, struct error *err)
{
	uint64_t min, mean, max;
	struct reader r;

	reader_init(&r, plain, len, "key file");
	if (reader_get(&r, MASTER_KEY_SIZE, ret_master, err) != 0 ||
	    reader_get_varint(&r, UINT32_MAX, &min, err) != 0 ||
	    reader_get_varint(&r, UINT32_MAX, &mean, err) != 0 ||
	    reader_get_varint(&r, UINT32_MAX, &max, err) != 0 || reader_finish(&r, err) != 0)
		return -1;
	*ret_sizes = (struct chunk_sizes){ (uint32_t)min, (uint32_t)mean, (uint32_t)max };
	if (chunk_sizes_possible(ret_sizes))
		return 0;
	error_set(err, ERROR_UNSUPPORTED,
	    "repository cuts chunks of %u to %u bytes, %u in the mean, which this version cannot",
	    ret_sizes->min, ret_sizes->max, ret_sizes->mean);
	return error_hint(err, "open it with the version of holdfast that made it, or a newer one");
}

int
keyfile_write(struct storage *storage, const struct object_id *repository,
    const uint8_t master[MASTER_KEY_SIZE], const struct chunk_sizes *sizes,
    const char *passphrase, struct error *err)
{
	struct buffer out = BUFFER_INIT, body = BUFFER_INIT;
	struct object_names old = { 0 };
	struct keys *wrapping = NULL;
	struct kdf_cost cost;
	struct object_id id;
	uint8_t salt[16], kek[MASTER_KEY_SIZE];
	char text[OBJECT_ID_TEXT_SIZE], name[OBJECT_ID_TEXT_SIZE + 16];
	int rc = -1;

	if (passphrase[0] == '\0') {
		error_set(err, ERROR_USAGE, "an empty passphrase protects nothing");
		return error_hint(err, "give one, or let init make one");
	}
	if (object_names_read(storage, KEYFILE_FOLDER, &old, err) != 0)
		goto out;
	kdf_cost_for(passphrase, &cost);
	randombytes_buf(salt, sizeof(salt));
	object_id_random(&id);
	if (kdf_derive(passphrase, salt, &cost, kek, err) != 0)
		goto out;
	wrapping = keys_new(kek, repository);
	buffer_put(&out, key_magic, sizeof(key_magic));
	buffer_put(&out, repository->bytes, OBJECT_ID_SIZE);
	buffer_put(&out, id.bytes, OBJECT_ID_SIZE);
	buffer_put_u32(&out, cost.passes);
	buffer_put_u32(&out, cost.memory_kib);
	buffer_put(&out, salt, sizeof(salt));
	encode_body(&body, master, sizes);
	buffer_reserve(&out, body.len + SEAL_OVERHEAD);
	seal(wrapping, SEAL_KEY, &id, 0, body.data, body.len, out.data + out.len);
	out.len += body.len + SEAL_OVERHEAD;
	object_id_text(&id, text);
	for (char copy = 'a'; copy <= 'b'; copy++) {
		snprintf(name, sizeof(name), KEYFILE_FOLDER "/%s-%c", text, copy);
		if (storage_put_whole(storage, name, out.data, out.len, false, err) != 0)
			goto out;
	}
	/* If interrupted here, the old and the new passphrase both open the repository. */
	for (size_t i = 0; i < old.count; i++)
		if (storage_remove(storage, old.list[i], err) != 0)
			goto out;
	rc = 0;
out:
	if (body.data != NULL)
		explicit_bzero(body.data, body.len);
	buffer_done(&body);
	buffer_done(&out);
	explicit_bzero(kek, sizeof(kek));
	keys_free(wrapping);
	object_names_done(&old);
	return rc;
}

/* 0 and keys if the passphrase opens this file; -1 with ERROR_WRONG_KEY or what is wrong with the
 * file. */
static int
try_file(struct storage *storage, const char *name, const char *passphrase, struct keys **ret,
    struct chunk_sizes *ret_sizes, struct error *err)
{
	struct buffer file = BUFFER_INIT;
	struct keyfile_header header;
	struct keys *wrapping = NULL;
	uint8_t kek[MASTER_KEY_SIZE], plain[KEYFILE_MAX];
	const uint8_t *master;
	int rc = -1;

	if (storage_get_whole(storage, name, KEYFILE_MAX, &file, err) != 0 ||
	    keyfile_decode(file.data, file.len, &header, err) != 0 ||
	    kdf_derive(passphrase, header.salt, &header.cost, kek, err) != 0)
		goto out;
	wrapping = keys_new(kek, &header.repository);
	if (unseal(wrapping, SEAL_KEY, &header.id, 0, header.sealed, header.sealed_len,
	    plain) != 0) {
		error_set(err, ERROR_WRONG_KEY, "the passphrase does not open the repository");
		error_hint(err, "it is in STATE/passphrase of the agent that made the repository, "
		    "or in the copy that was kept elsewhere");
		goto out;
	}
	if (decode_body(plain, header.sealed_len - SEAL_OVERHEAD, &master, ret_sizes, err) != 0)
		goto out;
	*ret = keys_new(master, &header.repository);
	rc = 0;
out:
	explicit_bzero(kek, sizeof(kek));
	explicit_bzero(plain, sizeof(plain));
	keys_free(wrapping);
	buffer_done(&file);
	return rc;
}

int
keyfile_open(struct storage *storage, const char *passphrase, struct keys **ret,
    struct chunk_sizes *ret_sizes, struct error *err)
{
	struct object_names list = { 0 };
	struct error one = ERROR_INIT, best = ERROR_INIT;
	int rc = -1;

	if (object_names_read(storage, KEYFILE_FOLDER, &list, err) != 0)
		goto out;
	error_set(&best, ERROR_NOT_FOUND, "there is no repository at '%s'", storage_url(storage));
	error_hint(&best, "make one with: holdfastd --repository %s init", storage_url(storage));
	for (size_t i = 0; i < list.count && rc != 0; i++) {
		rc = try_file(storage, list.list[i], passphrase, ret, ret_sizes, &one);
		/* "Wrong passphrase" says more than "one copy is damaged". */
		if (rc != 0 && (best.code != ERROR_WRONG_KEY || one.code == ERROR_WRONG_KEY))
			best = one;
	}
	if (rc != 0)
		*err = best;
out:
	object_names_done(&list);
	return rc;
}
