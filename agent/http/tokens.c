#include "agent/http/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/mem.h"
#include "shared/text.h"

#define TOKENS_FILE "tokens.json"
#define TOKENS_LOCK "tokens.lock"
#define FIRST_TOKEN_FILE "token"

/* Far more than anybody keeps; bounds what a broken file can make us allocate. */
#define TOKENS_MAX 10000
#define TOKENS_FILE_MAX (4u << 20)

#define TOKEN_SECRET_SIZE 32

struct token {
	struct token_holder holder;
	uint8_t hash[crypto_hash_sha256_BYTES];
	struct timespec created;
	struct timespec expires; /* all zero: never */
};

struct tokens {
	int folder; /* the state folder */
	pthread_mutex_t lock;
	struct token *list;
	size_t count, cap;
	/* What the list was read from; another file under the name means: read it again. */
	bool loaded;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec mtime, ctime;
};

static const char *const role_words[ROLE_COUNT] = {
	[ROLE_NONE] = "none",
	[ROLE_READ] = "read",
	[ROLE_OPERATE] = "operate",
	[ROLE_ADMIN] = "admin",
};

const char *
role_word(enum role role)
{
	return role_words[role];
}

int
role_parse(const char *word, enum role *ret, struct error *err)
{
	int role;

	for (role = ROLE_READ; role < ROLE_COUNT; role++) {
		if (strcmp(word, role_words[role]) == 0) {
			*ret = (enum role)role;
			return 0;
		}
	}
	error_set(err, ERROR_BAD_REQUEST, "there is no role '%s'", word);
	return error_hint(err, "roles are read, operate and admin");
}

/*
 * Reading the file.
 */

static int
time_from_json(const json_t *json, struct timespec *ret, struct error *err)
{
	if (json == NULL || json_is_null(json)) {
		memset(ret, 0, sizeof(*ret));
		return 0;
	}
	if (!json_is_string(json))
		return error_set(err, ERROR_CORRUPT, "a time is not a text");
	return time_parse(json_string_value(json), false, ret, err);
}

static int
token_from_json(json_t *json, struct token *ret, struct error *err)
{
	const char *id, *name, *role, *hash;
	json_t *created, *expires = NULL;

	memset(ret, 0, sizeof(*ret));
	if (json_unpack(json, "{s:s, s:s, s:s, s:s, s:o, s?o}", "id", &id, "name", &name, "role",
	    &role, "sha256", &hash, "created", &created, "expires", &expires) != 0)
		return error_set(err, ERROR_CORRUPT, "a token lacks a field");
	if (strlen(id) >= sizeof(ret->holder.id) || strlen(name) >= sizeof(ret->holder.name) ||
	    hex_decode(hash, strlen(hash), ret->hash, sizeof(ret->hash)) != 0)
		return error_set(err, ERROR_CORRUPT, "a token's field has the wrong size");
	strcpy(ret->holder.id, id);
	strcpy(ret->holder.name, name);
	if (role_parse(role, &ret->holder.role, err) != 0 ||
	    time_from_json(created, &ret->created, err) != 0 ||
	    time_from_json(expires, &ret->expires, err) != 0)
		return -1;
	return 0;
}

static int
tokens_from_json(struct tokens *tokens, json_t *root, struct error *err)
{
	struct token *list = NULL;
	json_t *array = json_object_get(root, "tokens");
	size_t count, i;

	count = json_array_size(array);
	if (!json_is_array(array) || count > TOKENS_MAX)
		return error_set(err, ERROR_CORRUPT, "'" TOKENS_FILE "' holds no list of tokens");
	list = mem_calloc(count + 1, sizeof(*list));
	for (i = 0; i < count; i++) {
		if (token_from_json(json_array_get(array, i), &list[i], err) != 0) {
			err->code = ERROR_CORRUPT;
			free(list);
			return error_prefix(err, "'" TOKENS_FILE "', token %zu: ", i + 1);
		}
	}
	free(tokens->list);
	tokens->list = list;
	tokens->count = count;
	tokens->cap = count + 1;
	return 0;
}

static int
read_whole(int fd, char *buf, size_t len, size_t *ret_len, struct error *err)
{
	size_t got = 0;
	ssize_t n;

	while (got < len) {
		n = read(fd, buf + got, len - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, ERROR_IO, errno, "could not read '" TOKENS_FILE "'");
		if (n == 0)
			break;
		got += (size_t)n;
	}
	*ret_len = got;
	return 0;
}

/* Whatever goes wrong, no token of an earlier reading stays valid. */
static int
tokens_load(struct tokens *tokens, struct error *err)
{
	json_error_t json_err;
	json_t *root = NULL;
	char *text = NULL;
	struct stat st;
	size_t len = 0;
	int fd, rc = -1;

	tokens->loaded = false;
	tokens->count = 0;
	fd = openat(tokens->folder, TOKENS_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not open '" TOKENS_FILE "'");
	if (fstat(fd, &st) != 0) {
		error_sys(err, ERROR_IO, errno, "could not read '" TOKENS_FILE "'");
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)TOKENS_FILE_MAX) {
		error_set(err, ERROR_CORRUPT, "'" TOKENS_FILE "' is no file of tokens");
		goto out;
	}
	text = mem_try((size_t)st.st_size + 1, err);
	if (text == NULL || read_whole(fd, text, (size_t)st.st_size, &len, err) != 0)
		goto out;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &json_err);
	if (root == NULL) {
		error_set(err, ERROR_CORRUPT, "'" TOKENS_FILE "' is not JSON: %s", json_err.text);
		goto out;
	}
	if (tokens_from_json(tokens, root, err) != 0)
		goto out;
	tokens->device = st.st_dev;
	tokens->inode = st.st_ino;
	tokens->size = st.st_size;
	tokens->mtime = st.st_mtim;
	tokens->ctime = st.st_ctim;
	tokens->loaded = true;
	rc = 0;
out:
	json_decref(root);
	free(text);
	close(fd);
	return rc;
}

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* One stat() when nothing changed. */
static int
tokens_refresh(struct tokens *tokens, struct error *err)
{
	struct stat st;

	if (tokens->loaded &&
	    fstatat(tokens->folder, TOKENS_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == tokens->device && st.st_ino == tokens->inode &&
	    st.st_size == tokens->size && same_time(st.st_mtim, tokens->mtime) &&
	    same_time(st.st_ctim, tokens->ctime))
		return 0;
	return tokens_load(tokens, err);
}

/*
 * Writing the file.
 */

/* Write data under a name in the state folder, whole or not at all. */
static int
write_file(int folder, const char *name, const char *data, size_t len, struct error *err)
{
	char temporary[64];
	size_t done = 0;
	ssize_t n;
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", name);
	unlinkat(folder, temporary, 0); /* left by a crash; nobody else writes under the lock */
	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not create '%s'", temporary);
	while (done < len) {
		n = write(fd, data + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto fail;
		done += (size_t)n;
	}
	/* If interrupted here, the temporary file stays and is removed by the next write. */
	if (fsync(fd) != 0)
		goto fail;
	if (close(fd) != 0) {
		fd = -1;
		goto fail;
	}
	fd = -1;
	if (renameat(folder, temporary, folder, name) != 0)
		goto fail;
	/* If interrupted here, either the old or the new file is there, whole. */
	if (fsync(folder) != 0)
		return error_sys(err, ERROR_IO, errno, "could not sync the state folder");
	return 0;
fail:
	error_sys(err, ERROR_IO, errno, "could not write '%s'", name);
	if (fd >= 0)
		close(fd);
	unlinkat(folder, temporary, 0);
	return -1;
}

static json_t *
time_json(struct timespec t)
{
	char text[TIME_TEXT_SIZE];

	if (t.tv_sec == 0 && t.tv_nsec == 0)
		return json_null();
	time_format(t, 0, text);
	return json_string(text);
}

static int
tokens_save(struct tokens *tokens, struct error *err)
{
	char hash[2 * crypto_hash_sha256_BYTES + 1];
	json_t *root, *array;
	char *text;
	size_t i;
	int rc;

	array = json_array();
	for (i = 0; i < tokens->count; i++) {
		const struct token *t = &tokens->list[i];

		hex_encode(t->hash, sizeof(t->hash), hash);
		json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "id",
		    t->holder.id, "name", t->holder.name, "role", role_word(t->holder.role),
		    "sha256", hash, "created", time_json(t->created), "expires",
		    time_json(t->expires)));
	}
	root = json_pack("{s:i, s:o}", "version", 1, "tokens", array);
	text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	if (text == NULL)
		return error_set(err, ERROR_INTERNAL, "could not write the tokens as JSON");
	rc = write_file(tokens->folder, TOKENS_FILE, text, strlen(text), err);
	free(text);
	tokens->loaded = false; /* the next verify reads what is really there */
	return rc;
}

/* The lock between processes; within one, the mutex does it. */
static int
lock_file(struct tokens *tokens, int *ret_fd, struct error *err)
{
	int fd;

	fd = openat(tokens->folder, TOKENS_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not open '" TOKENS_LOCK "'");
	while (flock(fd, LOCK_EX) != 0) {
		if (errno == EINTR)
			continue;
		error_sys(err, ERROR_IO, errno, "could not lock '" TOKENS_LOCK "'");
		close(fd);
		return -1;
	}
	*ret_fd = fd;
	return 0;
}

/*
 * Making tokens.
 */

static void
token_hash(const char *text, size_t len, uint8_t hash[crypto_hash_sha256_BYTES])
{
	crypto_hash_sha256(hash, (const unsigned char *)text, len);
}

static void
token_make(struct tokens *tokens, const char *name, enum role role, int64_t expires_s,
    char ret_text[TOKEN_TEXT_SIZE], char ret_id[TOKEN_ID_TEXT_SIZE])
{
	uint8_t secret[TOKEN_SECRET_SIZE], id[(TOKEN_ID_TEXT_SIZE - 1) / 2];
	struct token *token;

	MEM_GROW(tokens->list, tokens->count, tokens->cap);
	token = &tokens->list[tokens->count++];
	memset(token, 0, sizeof(*token));
	randombytes_buf(secret, sizeof(secret));
	randombytes_buf(id, sizeof(id));
	memcpy(ret_text, "hf_", 3);
	sodium_bin2base64(ret_text + 3, TOKEN_TEXT_SIZE - 3, secret, sizeof(secret),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(secret, sizeof(secret));
	token_hash(ret_text, strlen(ret_text), token->hash);
	hex_encode(id, sizeof(id), token->holder.id);
	snprintf(token->holder.name, sizeof(token->holder.name), "%s", name);
	token->holder.role = role;
	token->created = time_now();
	if (expires_s > 0) {
		token->expires = token->created;
		token->expires.tv_sec += expires_s;
	}
	strcpy(ret_id, token->holder.id);
}

/* Makes the first token where there is no file yet. */
static int
tokens_first(struct tokens *tokens, bool *ret_made, struct error *err)
{
	char text[TOKEN_TEXT_SIZE + 1], id[TOKEN_ID_TEXT_SIZE];
	int fd = -1, rc = -1;

	if (lock_file(tokens, &fd, err) != 0)
		return -1;
	if (faccessat(tokens->folder, TOKENS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		rc = 0;
		goto out;
	}
	token_make(tokens, "first", ROLE_ADMIN, 0, text, id);
	strcat(text, "\n");
	/*
	 * The text goes first: if interrupted between the two files, it opens nothing yet, and
	 * the next start replaces it.
	 */
	rc = write_file(tokens->folder, FIRST_TOKEN_FILE, text, strlen(text), err);
	sodium_memzero(text, sizeof(text));
	if (rc == 0)
		rc = tokens_save(tokens, err);
	if (rc == 0)
		*ret_made = true;
out:
	close(fd);
	return rc;
}

int
tokens_open(const char *state, struct tokens **ret, bool *ret_made_first, struct error *err)
{
	struct tokens *tokens;
	bool made = false;

	if (sodium_init() < 0)
		return error_set(err, ERROR_INTERNAL, "could not initialise libsodium");
	tokens = MEM_NEW(struct tokens);
	tokens->folder = -1;
	pthread_mutex_init(&tokens->lock, NULL);
	tokens->folder = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tokens->folder < 0) {
		error_sys(err, ERROR_IO, errno, "could not open the state folder '%s'", state);
		goto fail;
	}
	if (faccessat(tokens->folder, TOKENS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
	    tokens_first(tokens, &made, err) != 0)
		goto fail;
	if (tokens_refresh(tokens, err) != 0) {
		error_hint(err, "restore '%s/" TOKENS_FILE "', or remove it to start with a new "
		    "first token", state);
		goto fail;
	}
	if (ret_made_first != NULL)
		*ret_made_first = made;
	*ret = tokens;
	return 0;
fail:
	tokens_close(tokens);
	return -1;
}

void
tokens_close(struct tokens *tokens)
{
	if (tokens == NULL)
		return;
	if (tokens->folder >= 0)
		close(tokens->folder);
	pthread_mutex_destroy(&tokens->lock);
	free(tokens->list);
	free(tokens);
}

static int
check_name(const char *name, struct error *err)
{
	char *printable;
	bool same;

	if (name[0] == '\0' || strlen(name) > TOKEN_NAME_MAX)
		return error_set(err, ERROR_BAD_REQUEST, "a token's name has 1 to %d bytes",
		    TOKEN_NAME_MAX);
	printable = text_printable(name, strlen(name));
	same = strcmp(printable, name) == 0;
	free(printable);
	if (!same)
		return error_set(err, ERROR_BAD_REQUEST,
		    "a token's name holds printable characters only, and no backslash");
	return 0;
}

int
tokens_add(struct tokens *tokens, const char *name, enum role role, int64_t expires_s,
    char ret_text[TOKEN_TEXT_SIZE], char ret_id[TOKEN_ID_TEXT_SIZE], struct error *err)
{
	int fd = -1, rc = -1;

	if (check_name(name, err) != 0)
		return -1;
	if (role <= ROLE_NONE || role >= ROLE_COUNT || expires_s < 0)
		return error_set(err, ERROR_BAD_REQUEST,
		    "a token needs a role, and no past expiry");
	pthread_mutex_lock(&tokens->lock);
	if (lock_file(tokens, &fd, err) != 0 || tokens_refresh(tokens, err) != 0)
		goto out;
	if (tokens->count >= TOKENS_MAX) {
		error_set(err, ERROR_TOO_MANY, "there are %d tokens already", TOKENS_MAX);
		error_hint(err, "revoke some that are no longer used");
		goto out;
	}
	token_make(tokens, name, role, expires_s, ret_text, ret_id);
	rc = tokens_save(tokens, err);
	if (rc != 0)
		sodium_memzero(ret_text, TOKEN_TEXT_SIZE);
out:
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&tokens->lock);
	return rc;
}

/* An id wins over names. */
static int
find_token(const struct tokens *tokens, const char *id_or_name, size_t *ret, struct error *err)
{
	size_t i, found = 0;

	for (i = 0; i < tokens->count; i++) {
		if (strcmp(tokens->list[i].holder.id, id_or_name) == 0) {
			*ret = i;
			return 0;
		}
	}
	for (i = 0; i < tokens->count; i++) {
		if (strcmp(tokens->list[i].holder.name, id_or_name) == 0) {
			*ret = i;
			found++;
		}
	}
	if (found == 0)
		return error_set(err, ERROR_NOT_FOUND, "there is no token '%s'", id_or_name);
	if (found > 1) {
		error_set(err, ERROR_AMBIGUOUS, "%zu tokens are called '%s'", found, id_or_name);
		return error_hint(err, "name it by its id, see 'holdfastd token list'");
	}
	return 0;
}

int
tokens_revoke(struct tokens *tokens, const char *id_or_name, struct error *err)
{
	int fd = -1, rc = -1;
	size_t i = 0;

	pthread_mutex_lock(&tokens->lock);
	if (lock_file(tokens, &fd, err) != 0 || tokens_refresh(tokens, err) != 0 ||
	    find_token(tokens, id_or_name, &i, err) != 0)
		goto out;
	memmove(&tokens->list[i], &tokens->list[i + 1],
	    (tokens->count - i - 1) * sizeof(tokens->list[0]));
	tokens->count--;
	rc = tokens_save(tokens, err);
out:
	if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&tokens->lock);
	return rc;
}

static bool
token_expired(const struct token *token, struct timespec now)
{
	if (token->expires.tv_sec == 0 && token->expires.tv_nsec == 0)
		return false;
	return now.tv_sec >= token->expires.tv_sec;
}

int
tokens_list(struct tokens *tokens, json_t **ret, struct error *err)
{
	struct timespec now = time_now();
	json_t *array;
	size_t i;

	pthread_mutex_lock(&tokens->lock);
	if (tokens_refresh(tokens, err) != 0) {
		pthread_mutex_unlock(&tokens->lock);
		return -1;
	}
	array = json_array();
	for (i = 0; i < tokens->count; i++) {
		const struct token *t = &tokens->list[i];

		json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "id",
		    t->holder.id, "name", t->holder.name, "role", role_word(t->holder.role),
		    "created", time_json(t->created), "expires", time_json(t->expires), "expired",
		    token_expired(t, now)));
	}
	pthread_mutex_unlock(&tokens->lock);
	*ret = array;
	return 0;
}

int
tokens_verify(struct tokens *tokens, const char *text, size_t len, struct token_holder *ret,
    struct error *err)
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	struct timespec now = time_now();
	int found = 0;
	size_t i;

	token_hash(text, len, hash);
	pthread_mutex_lock(&tokens->lock);
	if (tokens_refresh(tokens, err) != 0) {
		pthread_mutex_unlock(&tokens->lock);
		return -1;
	}
	/* No early end: the time must not tell which token was nearly right. */
	for (i = 0; i < tokens->count; i++) {
		const struct token *t = &tokens->list[i];

		if (sodium_memcmp(t->hash, hash, sizeof(hash)) == 0 && !token_expired(t, now)) {
			*ret = t->holder;
			found = 1;
		}
	}
	pthread_mutex_unlock(&tokens->lock);
	return found;
}
