/*
 * A key file, read before anything is trusted: what it makes us spend must be bounded.
 */
#include <assert.h>

#include "agent/repository/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyfile_header header;
	struct error err = ERROR_INIT;

	if (keyfile_decode(data, size, &header, &err) != 0) {
		assert(err.code == ERROR_CORRUPT);
		return 0;
	}
	assert(header.cost.passes > 0 && header.cost.passes <= KEYFILE_PASSES_MAX);
	assert(header.cost.memory_kib <= KEYFILE_MEMORY_KIB_MAX);
	assert(header.sealed >= data && header.sealed + header.sealed_len == data + size);
	return 0;
}
