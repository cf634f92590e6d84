/*
 * A run's arguments, as a client sends them: whatever passes the check of its form can be asked
 * for each of its fields.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jobs/runs_kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
ask_everything(const json_t *arguments)
{
	static const char *const names[] = { "path", "paths", "exclude", "max_size", "dry_run",
		"level", "threads", "snapshot", "target", "percent", "keep", "grace" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t count;
		const char **texts = argument_texts(arguments, names[i], &count);

		for (size_t j = 0; texts != NULL && j < count; j++)
			assert(strlen(texts[j]) > 0);
		free(texts);
		argument_bool(arguments, names[i], false);
		argument_integer(arguments, names[i], 0);
		argument_text(arguments, names[i]);
		assert((int64_t)argument_size(arguments, names[i], 0) >= 0 ||
		    json_is_integer(json_object_get(arguments, names[i])));
		argument_duration(arguments, names[i], 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *arguments = json_loadb((const char *)data, size,
	    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	if (arguments == NULL)
		return 0;
	for (int kind = 0; kind < RUN_KIND_COUNT; kind++) {
		struct error err = ERROR_INIT;
		char *parameter = run_kind_parameter((enum run_kind)kind, arguments);

		free(parameter);
		assert(run_kind_action((enum run_kind)kind, arguments) != NULL);
		if (run_kind_check_form((enum run_kind)kind, arguments, &err) == 0)
			ask_everything(arguments);
		else
			assert(err.code == ERROR_BAD_REQUEST && err.message[0] != '\0');
	}
	json_decref(arguments);
	return 0;
}
