/*
 * A configuration file.  It is taken or refused with the file and line, and what is taken can be
 * shown, checked and freed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *folder;

static void
remove_folder(void)
{
	test_folder_remove(folder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_flags flags = { .file = NULL };
	struct config *config = NULL;
	struct error err = ERROR_INIT;
	json_t *json;
	char *path;

	if (folder == NULL) {
		folder = test_folder_new_in_memory();
		atexit(remove_folder);
	}
	path = test_path(folder, "c");
	test_file_write(path, data, size);
	assert(chmod(path, 0600) == 0);
	flags.file = path;
	if (config_load(&flags, &config, &err) == 0) {
		json = config_to_json(config);
		assert(json_is_object(json));
		json_decref(json);
		assert(config->listen_count > 0 && config->state != NULL);
		if (config_verify(config, &err) != 0)
			assert(err.code != ERROR_NONE && err.message[0] != '\0');
		config_free(config);
	} else {
		assert(err.code == ERROR_CONFIG && strncmp(err.message, folder, strlen(folder)) == 0);
	}
	free(path);
	return 0;
}
