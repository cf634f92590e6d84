/*
 * The JSON inside a snapshot file.  What is accepted must come out the same from its own JSON.
 */
#include <assert.h>
#include <string.h>

#include "agent/repository/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct snapshot *snapshot = NULL, *again = NULL;
	struct error err = ERROR_INIT;
	json_t *first, *second;

	if (json == NULL)
		return 0;
	if (snapshot_from_json(json, &snapshot, &err) == 0) {
		first = snapshot_to_json(snapshot);
		assert(first != NULL);
		assert(snapshot_from_json(first, &again, &err) == 0);
		second = snapshot_to_json(again);
		assert(json_equal(first, second));
		json_decref(first);
		json_decref(second);
	} else {
		assert(err.code == ERROR_CORRUPT);
	}
	snapshot_free(snapshot);
	snapshot_free(again);
	json_decref(json);
	return 0;
}
