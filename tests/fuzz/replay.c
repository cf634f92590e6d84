/*
 * The main() of a fuzzer in an ordinary build: feeds it every file of the corpus once.
 *
 *   fuzz_NAME FILE|FOLDER...    folders are read one level deep, in the order of their names
 *
 * A fault shows as a crash, an assertion or a sanitizer's report.  No input at all is an error:
 * a corpus that is not found must not look like one that passed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs are small; what is larger does not belong into the corpus. */
#define INPUT_MAX (16u << 20)

static int
replay_file(const char *path)
{
	FILE *file;
	uint8_t *data;
	size_t len;

	file = fopen(path, "rb");
	if (file == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	data = malloc(INPUT_MAX);
	if (data == NULL) {
		fprintf(stderr, "%s: out of memory\n", path);
		fclose(file);
		return -1;
	}
	len = fread(data, 1, INPUT_MAX, file);
	if (ferror(file) || !feof(file)) {
		fprintf(stderr, "%s: not readable, or larger than %u bytes\n", path, INPUT_MAX);
		free(data);
		fclose(file);
		return -1;
	}
	fclose(file);
	/* An exact copy on the heap, so that a sanitizer sees a read past the end. */
	uint8_t *exact = malloc(len > 0 ? len : 1);
	if (exact == NULL) {
		free(data);
		return -1;
	}
	memcpy(exact, data, len);
	free(data);
	fprintf(stderr, "%s\n", path); /* the last one named is the one that crashed */
	(void)LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	return 1;
}

static int
is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Returns how many inputs were fed, -1 on an error. */
static int
replay_folder(const char *folder)
{
	struct dirent **names = NULL;
	char path[4096];
	int count, fed = 0;

	count = scandir(folder, &names, is_visible, alphasort);
	if (count < 0) {
		fprintf(stderr, "%s: %s\n", folder, strerror(errno));
		return -1;
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		if (fed >= 0)
			fed = replay_file(path) < 0 ? -1 : fed + 1;
		free(names[i]);
	}
	free(names);
	return fed;
}

int
main(int argc, char **argv)
{
	struct stat st;
	int fed, total = 0;

	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st) < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
			return 1;
		}
		fed = S_ISDIR(st.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i]);
		if (fed < 0)
			return 1;
		total += fed;
	}
	if (total == 0) {
		fprintf(stderr, "no input: the corpus is empty\n");
		return 1;
	}
	printf("%d inputs\n", total);
	return 0;
}
