/*
 * Files of the state folder: the tokens, the passphrase, the note of the repository, a row of the
 * log's spool.  The first byte chooses.  A damaged file opens nothing.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/actionlog/actionlog_internal.h"
#include "agent/commands/passphrase.h"
#include "agent/commands/state_folder.h"
#include "agent/http/tokens.h"
#include "shared/mem.h"
#include "shared/text.h"
#include "tests/lib/test_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *folder;
static struct actionlog *actions;

static void
remove_folder(void)
{
	actionlog_close(actions);
	test_folder_remove(folder);
}

static void
make_folder(void)
{
	struct error err = ERROR_INIT;
	char *spool;

	folder = test_folder_new_in_memory();
	spool = test_path(folder, "log.spool");
	assert(mkdir(spool, 0700) == 0);
	assert(actionlog_open(folder, "fuzz", &actions, &err) == 0);
	free(spool);
	atexit(remove_folder);
}

static void
try_tokens(void)
{
	/* The hash of this one is in the corpus. */
	static const char text[] = "hf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	struct tokens *tokens = NULL;
	struct error err = ERROR_INIT;
	struct token_holder holder;
	json_t *list = NULL;
	bool made;

	if (tokens_open(folder, &tokens, &made, &err) == 0) {
		assert(!made);
		if (tokens_verify(tokens, text, strlen(text), &holder, &err) == 1) {
			assert(holder.role > ROLE_NONE && holder.role < ROLE_COUNT);
			assert(strlen(holder.id) < TOKEN_ID_TEXT_SIZE);
			assert(text_is_utf8(holder.name, strlen(holder.name)));
		}
		if (tokens_list(tokens, &list, &err) == 0)
			assert(json_is_array(list));
		json_decref(list);
	}
	tokens_close(tokens);
}

static void
try_passphrase(const char *path)
{
	struct error err = ERROR_INIT;
	char *text = NULL;

	if (passphrase_read(path, &text, &err) == 0) {
		assert(strchr(text, '\n') == NULL && text[0] != '\0');
		passphrase_free(text);
	} else {
		assert(err.code != ERROR_NONE);
	}
}

/* A row is taken, or its file set aside: in any case it is not looked at again. */
static void
try_spool(const char *path)
{
	char *bad = mem_printf("%s.bad", path);

	actionlog_take_spool(actions);
	assert(access(path, F_OK) != 0);
	unlink(bad);
	free(bad);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "tokens.json", "passphrase", "repository",
		"log.spool/1.json" };
	struct error err = ERROR_INIT;
	size_t which;
	char *path;

	if (size == 0)
		return 0;
	if (folder == NULL)
		make_folder();
	which = data[0] % ARRAY_LEN(names);
	path = test_path(folder, "%s", names[which]);
	test_file_write(path, data + 1, size - 1);
	assert(chmod(path, 0600) == 0);
	if (which == 0)
		try_tokens();
	else if (which == 1)
		try_passphrase(path);
	else if (which == 3)
		try_spool(path);
	else
		assert(state_folder_knows_repository(folder, "/a place", &err) >= 0);
	free(path);
	return 0;
}
