#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/http/tokens.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

struct fixture {
	char *folder;
	struct tokens *tokens;
};

static int
set_up(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct error err = ERROR_INIT;

	f->folder = test_folder_new();
	assert_int_equal(tokens_open(f->folder, &f->tokens, NULL, &err), 0);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	tokens_close(f->tokens);
	test_folder_remove(f->folder);
	free(f);
	return 0;
}

static int
verify(struct tokens *tokens, const char *text, struct token_holder *holder)
{
	struct error err = ERROR_INIT;

	return tokens_verify(tokens, text, strlen(text), holder, &err);
}

/* The first line of STATE/token. */
static char *
first_token(const char *folder)
{
	char *path = test_path(folder, "token"), *text;
	size_t len;

	text = (char *)test_file_read(path, &len);
	text = mem_realloc(text, len + 1, 1);
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	free(path);
	return text;
}

static void
the_first_start_makes_an_admin_token_for_the_owner_only(void **state)
{
	struct fixture *f = *state;
	struct token_holder holder;
	struct stat st;
	char *text = first_token(f->folder), *path;

	assert_int_equal(strlen(text), TOKEN_TEXT_SIZE - 1);
	assert_int_equal(verify(f->tokens, text, &holder), 1);
	assert_int_equal(holder.role, ROLE_ADMIN);
	assert_string_equal(holder.name, "first");
	path = test_path(f->folder, "token");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	free(path);
	path = test_path(f->folder, "tokens.json");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	free(path);
	free(text);
}

static void
a_second_start_keeps_the_tokens(void **state)
{
	struct fixture *f = *state;
	struct token_holder holder;
	struct error err = ERROR_INIT;
	struct tokens *again;
	bool made = true;
	char *text = first_token(f->folder), *still;

	assert_int_equal(tokens_open(f->folder, &again, &made, &err), 0);
	assert_false(made);
	assert_int_equal(verify(again, text, &holder), 1);
	still = first_token(f->folder);
	assert_string_equal(text, still);
	free(still);
	free(text);
	tokens_close(again);
}

static void
the_file_holds_no_token(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE], id[TOKEN_ID_TEXT_SIZE], *path, *json;
	struct error err = ERROR_INIT;
	size_t len;

	assert_int_equal(tokens_add(f->tokens, "backup job", ROLE_OPERATE, 0, text, id, &err), 0);
	path = test_path(f->folder, "tokens.json");
	json = (char *)test_file_read(path, &len);
	assert_null(memmem(json, len, text, strlen(text)));
	assert_null(memmem(json, len, text + 3, 20));
	assert_non_null(memmem(json, len, "backup job", 10));
	free(json);
	free(path);
}

static void
wrong_tokens_are_nobody(void **state)
{
	struct fixture *f = *state;
	struct token_holder holder;
	char *text = first_token(f->folder);

	assert_int_equal(verify(f->tokens, "", &holder), 0);
	assert_int_equal(verify(f->tokens, "hf_", &holder), 0);
	text[10] = text[10] == 'a' ? 'b' : 'a';
	assert_int_equal(verify(f->tokens, text, &holder), 0);
	free(text);
	text = first_token(f->folder);
	text[strlen(text) - 1] = '\0';
	assert_int_equal(verify(f->tokens, text, &holder), 0);
	free(text);
}

static void
no_two_tokens_are_equal(void **state)
{
	struct fixture *f = *state;
	char a[TOKEN_TEXT_SIZE], b[TOKEN_TEXT_SIZE];
	char id_a[TOKEN_ID_TEXT_SIZE], id_b[TOKEN_ID_TEXT_SIZE];
	struct error err = ERROR_INIT;

	assert_int_equal(tokens_add(f->tokens, "x", ROLE_READ, 0, a, id_a, &err), 0);
	assert_int_equal(tokens_add(f->tokens, "x", ROLE_READ, 0, b, id_b, &err), 0);
	assert_string_not_equal(a, b);
	assert_string_not_equal(id_a, id_b);
}

static void
a_running_agent_sees_what_a_command_changed(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE], id[TOKEN_ID_TEXT_SIZE];
	struct token_holder holder;
	struct error err = ERROR_INIT;
	struct tokens *command;

	assert_int_equal(tokens_open(f->folder, &command, NULL, &err), 0);
	assert_int_equal(tokens_add(command, "ci", ROLE_OPERATE, 0, text, id, &err), 0);
	assert_int_equal(verify(f->tokens, text, &holder), 1);
	assert_int_equal(holder.role, ROLE_OPERATE);
	assert_string_equal(holder.name, "ci");
	assert_string_equal(holder.id, id);
	assert_int_equal(tokens_revoke(command, id, &err), 0);
	assert_int_equal(verify(f->tokens, text, &holder), 0);
	tokens_close(command);
}

static void
an_expired_token_is_nobody(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE], id[TOKEN_ID_TEXT_SIZE], *path, *json, *expires;
	struct token_holder holder;
	struct error err = ERROR_INIT;
	json_t *list;
	size_t len;

	assert_int_equal(tokens_add(f->tokens, "short", ROLE_READ, 3600, text, id, &err), 0);
	assert_int_equal(verify(f->tokens, text, &holder), 1);
	/* An hour cannot be waited for, so the file says that it is over. */
	path = test_path(f->folder, "tokens.json");
	json = (char *)test_file_read(path, &len);
	json = mem_realloc(json, len + 1, 1);
	json[len] = '\0';
	expires = strstr(json, "\"expires\": \"2");
	assert_non_null(expires);
	expires[strlen("\"expires\": \"")] = '1';
	test_file_write(path, json, len);
	assert_int_equal(verify(f->tokens, text, &holder), 0);
	assert_int_equal(tokens_list(f->tokens, &list, &err), 0);
	assert_true(json_is_true(json_object_get(json_array_get(list, 1), "expired")));
	assert_false(json_is_true(json_object_get(json_array_get(list, 0), "expired")));
	json_decref(list);
	free(json);
	free(path);
}

static void
revoking_needs_one_meaning(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE], id[TOKEN_ID_TEXT_SIZE];
	struct token_holder holder;
	struct error err = ERROR_INIT;

	assert_int_equal(tokens_add(f->tokens, "twin", ROLE_READ, 0, text, id, &err), 0);
	assert_int_equal(tokens_add(f->tokens, "twin", ROLE_READ, 0, text, id, &err), 0);
	assert_int_equal(tokens_revoke(f->tokens, "twin", &err), -1);
	assert_int_equal(err.code, ERROR_AMBIGUOUS);
	assert_int_equal(tokens_revoke(f->tokens, id, &err), 0);
	assert_int_equal(verify(f->tokens, text, &holder), 0);
	assert_int_equal(tokens_revoke(f->tokens, "twin", &err), 0);
	assert_int_equal(tokens_revoke(f->tokens, "twin", &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.message, "there is no token 'twin'");
}

static void
a_damaged_file_opens_nothing(void **state)
{
	struct fixture *f = *state;
	char *text = first_token(f->folder), *path = test_path(f->folder, "tokens.json");
	struct token_holder holder;
	struct error err = ERROR_INIT;
	struct tokens *again;

	assert_int_equal(verify(f->tokens, text, &holder), 1);
	test_file_write(path, "{\"tokens\": [", 12);
	assert_int_equal(tokens_verify(f->tokens, text, strlen(text), &holder, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	assert_int_equal(tokens_open(f->folder, &again, NULL, &err), -1);
	test_file_write(path, "{\"tokens\": [{\"id\": \"1\"}]}", 25);
	assert_int_equal(tokens_verify(f->tokens, text, strlen(text), &holder, &err), -1);
	assert_string_equal(err.message, "'tokens.json', token 1: a token lacks a field");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(tokens_verify(f->tokens, text, strlen(text), &holder, &err), -1);
	free(path);
	free(text);
}

static void
names_are_short_and_printable(void **state)
{
	struct fixture *f = *state;
	char text[TOKEN_TEXT_SIZE], id[TOKEN_ID_TEXT_SIZE], longest[TOKEN_NAME_MAX + 2];
	struct error err = ERROR_INIT;

	memset(longest, 'n', sizeof(longest));
	longest[TOKEN_NAME_MAX + 1] = '\0';
	assert_int_equal(tokens_add(f->tokens, longest, ROLE_READ, 0, text, id, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_int_equal(tokens_add(f->tokens, "", ROLE_READ, 0, text, id, &err), -1);
	assert_int_equal(tokens_add(f->tokens, "a\nb", ROLE_READ, 0, text, id, &err), -1);
	assert_int_equal(tokens_add(f->tokens, "\033[0m", ROLE_READ, 0, text, id, &err), -1);
	longest[TOKEN_NAME_MAX] = '\0';
	assert_int_equal(tokens_add(f->tokens, longest, ROLE_READ, 0, text, id, &err), 0);
}

static void
roles_have_words(void **state)
{
	struct error err = ERROR_INIT;
	enum role role;

	(void)state;
	assert_int_equal(role_parse("operate", &role, &err), 0);
	assert_int_equal(role, ROLE_OPERATE);
	assert_string_equal(role_word(ROLE_ADMIN), "admin");
	assert_int_equal(role_parse("none", &role, &err), -1);
	assert_int_equal(role_parse("root", &role, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
}

#define WITH_TOKENS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TOKENS(the_first_start_makes_an_admin_token_for_the_owner_only),
		WITH_TOKENS(a_second_start_keeps_the_tokens),
		WITH_TOKENS(the_file_holds_no_token),
		WITH_TOKENS(wrong_tokens_are_nobody),
		WITH_TOKENS(no_two_tokens_are_equal),
		WITH_TOKENS(a_running_agent_sees_what_a_command_changed),
		WITH_TOKENS(an_expired_token_is_nobody),
		WITH_TOKENS(revoking_needs_one_meaning),
		WITH_TOKENS(a_damaged_file_opens_nothing),
		WITH_TOKENS(names_are_short_and_printable),
		cmocka_unit_test(roles_have_words),
	};

	return cmocka_run_group_tests_name("http_tokens", tests, NULL, NULL);
}
