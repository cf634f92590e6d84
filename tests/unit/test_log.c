#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/log.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

/* Standard error goes to a file while a line is written. */
struct capture {
	char *folder, *path;
	int saved;
};

static void
begin(struct capture *capture)
{
	FILE *file;

	capture->folder = test_folder_new();
	capture->path = test_path(capture->folder, "stderr");
	file = fopen(capture->path, "w");
	assert_non_null(file);
	capture->saved = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	fclose(file);
}

/* The lines, parsed one by one. */
static json_t *
end(struct capture *capture)
{
	json_t *lines = json_array();
	char *text, *rest = NULL;
	size_t len;

	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	text = (char *)test_file_read(capture->path, &len);
	text = mem_realloc(text, len + 1, 1);
	text[len] = '\0';
	assert_true(len == 0 || text[len - 1] == '\n');
	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
	    line = strtok_r(NULL, "\n", &rest)) {
		json_t *json = json_loads(line, 0, NULL);

		assert_non_null(json);
		json_array_append_new(lines, json);
	}
	free(text);
	free(capture->path);
	test_folder_remove(capture->folder);
	return lines;
}

static const char *
text_of(json_t *lines, size_t n, const char *name)
{
	return json_string_value(json_object_get(json_array_get(lines, n), name));
}

static void
each_event_is_one_object_on_one_line(void **state)
{
	struct capture capture;
	json_t *lines;

	(void)state;
	begin(&capture);
	log_event(LOG_LEVEL_INFO, "started", NULL);
	log_event(LOG_LEVEL_WARN, "odd", json_pack("{s:s, s:i}", "text", "two\nlines", "n", 3));
	lines = end(&capture);
	assert_int_equal(json_array_size(lines), 2);
	assert_string_equal(text_of(lines, 0, "event"), "started");
	assert_string_equal(text_of(lines, 0, "level"), "info");
	assert_int_equal(strlen(text_of(lines, 0, "ts")), strlen("2026-11-21T23:05:00.123Z"));
	assert_string_equal(text_of(lines, 1, "level"), "warn");
	assert_string_equal(text_of(lines, 1, "text"), "two\nlines");
	json_decref(lines);
}

static void
fields_cannot_pose_as_the_lines_own(void **state)
{
	struct capture capture;
	json_t *lines;

	(void)state;
	begin(&capture);
	log_event(LOG_LEVEL_INFO, "real", json_pack("{s:s, s:s}", "event", "forged", "level",
	    "error"));
	lines = end(&capture);
	assert_string_equal(text_of(lines, 0, "event"), "real");
	assert_string_equal(text_of(lines, 0, "level"), "info");
	json_decref(lines);
}

static void
an_error_brings_its_code_message_and_hint(void **state)
{
	struct capture capture;
	struct error err = ERROR_INIT;
	json_t *lines;

	(void)state;
	error_set(&err, ERROR_NO_SPACE, "could not write '%s'", "x");
	error_hint(&err, "free some");
	begin(&capture);
	log_error("run-not-saved", &err, json_pack("{s:s}", "run", "r1"));
	/* Bytes that are no text cost neither the line nor the rest of it. */
	error_set(&err, ERROR_IO, "could not read '/a\xff'");
	log_error("odd", &err, NULL);
	lines = end(&capture);
	assert_int_equal(json_array_size(lines), 2);
	assert_string_equal(text_of(lines, 0, "level"), "error");
	assert_string_equal(text_of(lines, 0, "code"), "no-space");
	assert_string_equal(text_of(lines, 0, "message"), "could not write 'x'");
	assert_string_equal(text_of(lines, 0, "hint"), "free some");
	assert_string_equal(text_of(lines, 0, "run"), "r1");
	assert_string_equal(text_of(lines, 1, "message"), "could not read '/a\\xff'");
	assert_null(text_of(lines, 1, "hint"));
	json_decref(lines);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_event_is_one_object_on_one_line),
		cmocka_unit_test(fields_cannot_pose_as_the_lines_own),
		cmocka_unit_test(an_error_brings_its_code_message_and_hint),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
