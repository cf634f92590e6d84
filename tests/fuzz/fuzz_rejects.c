/*
 * A file of rejected rows, as a crash, a full disk or somebody else left it: rows are bytes of the
 * file, texts end, and who reads them as they were gets no more than there is.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/tables/rejects.h"
#include "tests/lib/test_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For all inputs one place. */
static char *folder, *path;

struct output {
	size_t len;
	unsigned long sum; /* each byte is looked at, so that a sanitizer sees it */
};

static void
remove_folder(void)
{
	free(path);
	test_folder_remove(folder);
}

static void
make_folder(void)
{
	char *rejects;

	folder = test_folder_new_in_memory();
	rejects = test_path(folder, "rejects");
	if (mkdir(rejects, 0700) != 0)
		abort();
	free(rejects);
	path = test_path(folder, "rejects/r");
	atexit(remove_folder);
}

/* A rejects_sink_fn. */
static int
count(void *arg, const void *data, size_t len, struct error *err)
{
	struct output *output = arg;
	const uint8_t *bytes = data;

	(void)err;
	output->len += len;
	for (size_t i = 0; i < len; i++)
		output->sum += bytes[i];
	return 0;
}

static void
read_rows(size_t size)
{
	struct rejects_reader *reader = NULL;
	struct error err = ERROR_INIT;
	struct reject reject;
	size_t total = 0, header_len;
	bool crlf;
	int rc;

	rc = rejects_read_open(folder, "r", &reader, &err);
	assert(rc == 1 || (rc == -1 && err.code == ERROR_CORRUPT));
	if (rc != 1)
		return;
	if (rejects_read_header(reader, &header_len, &crlf) == NULL)
		assert(header_len == 0);
	assert(header_len <= size);
	while ((rc = rejects_read(reader, &reject, &err)) == 1) {
		total += reject.raw_len + strlen(reject.reason);
		if (reject.column != NULL)
			total += strlen(reject.column);
		assert(reject.raw_len == 0 || memchr(reject.raw, reject.raw[reject.raw_len - 1],
		    reject.raw_len) != NULL);
		assert(total <= size);
	}
	assert(rc == 0 || err.code == ERROR_CORRUPT);
	rejects_read_close(reader);
}

static void
write_rows(size_t size)
{
	struct rejects_reader *reader = NULL;
	struct output output = { .len = 0 };
	struct error err = ERROR_INIT;

	if (rejects_read_open(folder, "r", &reader, &err) != 1)
		return;
	if (rejects_write_raw(reader, count, &output, &err) != 0)
		assert(err.code == ERROR_CORRUPT);
	/* A row, which is ten bytes at the least, is followed by a line's end and a comma at most. */
	assert(output.len <= 2 * size + 5);
	rejects_read_close(reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (folder == NULL)
		make_folder();
	test_file_write(path, data, size);
	read_rows(size);
	write_rows(size);
	return 0;
}
