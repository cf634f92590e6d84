#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/commands.h"
#include "agent/commands/session.h"
#include "shared/buffer.h"
#include "shared/text.h"

/* clang-format off */
const struct option_spec config_options[] = {
	{ "describe", 0, OPTION_FLAG, NULL,
	  "show: what each setting means, its default and variable" },
	{ "json",     0, OPTION_FLAG, NULL, "print the result as JSON" },
	{ .name = NULL }
};
/* clang-format on */

static char *
value_text(const json_t *value)
{
	struct buffer text = BUFFER_INIT;
	const json_t *item;
	size_t i;

	if (json_is_string(value))
		buffer_put_text(&text, json_string_value(value));
	else if (json_is_integer(value))
		buffer_printf(&text, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		buffer_put_text(&text, json_is_true(value) ? "yes" : "no");
	json_array_foreach(value, i, item)
		buffer_printf(&text, "%s%s", i == 0 ? "" : ", ", json_string_value(item));
	return buffer_take(&text);
}

static void
print_values(json_t *all)
{
	const char *section_name, *key;
	json_t *section, *row;

	json_object_foreach(all, section_name, section) {
		printf("[%s]\n", section_name);
		json_object_foreach(section, key, row) {
			char *value = value_text(json_object_get(row, "value"));
			char *printable = text_printable(value, strlen(value));

			printf("%-27s = %-24s # %s\n", key, printable,
			    json_string_value(json_object_get(row, "source")));
			free(printable);
			free(value);
		}
	}
}

static void
print_description(const json_t *all)
{
	const json_t *row;
	size_t i;

	json_array_foreach(all, i, row) {
		const char *fallback = json_string_value(json_object_get(row, "default"));

		printf("[%s] %s (%s)\n    %s\n", json_string_value(json_object_get(row, "section")),
		    json_string_value(json_object_get(row, "key")),
		    json_string_value(json_object_get(row, "type")),
		    json_string_value(json_object_get(row, "sentence")));
		if (*fallback != '\0')
			printf("    default %s\n", fallback);
		printf(
		    "    environment %s\n", json_string_value(json_object_get(row, "environment")));
	}
}

static int
show(struct session *session, struct error *err)
{
	bool describe = option_given(&session->line, "describe");
	json_t *all = describe ? config_describe() : config_to_json(session->config);

	if (session->json)
		return session_print_json(all, err);
	if (describe)
		print_description(all);
	else
		print_values(all);
	json_decref(all);
	return 0;
}

/* Right, with what is hardly meant so. */
static int
tell_right(struct session *session, struct error *err)
{
	json_t *warnings = config_job_warnings(session->config), *text;
	size_t i;

	if (session->json)
		return session_print_json(json_pack("{s:b, s:o}", "right", 1, "warnings", warnings),
		    err);
	json_array_foreach(warnings, i, text)
		fprintf(stderr, "holdfastd: warning: %s\n", json_string_value(text));
	json_decref(warnings);
	printf("the configuration is right\n");
	return 0;
}

int
config_main(struct session *session, struct error *err)
{
	const char *verb = session->line.arguments[0];

	if (strcmp(verb, "show") == 0)
		return show(session, err) == 0 ? EXIT_OK : -1;
	if (strcmp(verb, "check") != 0) {
		error_set(err, ERROR_USAGE, "'config' takes show or check, not '%.40s'", verb);
		return error_hint(err, "see holdfastd help config");
	}
	/* That it was loaded is most of the check. */
	if (config_verify(session->config, err) != 0)
		return -1;
	return tell_right(session, err) == 0 ? EXIT_OK : -1;
}
