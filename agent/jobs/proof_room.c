#include "agent/jobs/proof_room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/prove.h"
#include "agent/tables/prove.h"
#include "shared/mem.h"

#define NAME_BYTES 12
#define NAME_TEXT_SIZE (2 * NAME_BYTES + 1)

/* In a room whose database may be there: the name of its server's section. */
#define SERVER_FILE "server"

struct proof_room {
	char *folder, *files, *database;
	int fd; /* of the folder, locked */
};

static void
note(struct progress *progress, const char *folder, const struct error *why)
{
	progress_note(progress, folder, strlen(folder), "what a test restore left could not be "
	    "removed, and is tried again: %s", why->message);
}

/* ---- what was left */

/* The word in the room's server file; NULL: it has no database. */
static char *
read_server(const char *folder)
{
	char *path = mem_printf("%s/" SERVER_FILE, folder), word[CONFIG_NAME_MAX + 2] = "";
	FILE *file = fopen(path, "re");

	free(path);
	if (file == NULL)
		return NULL;
	if (fgets(word, sizeof(word), file) == NULL)
		word[0] = '\0';
	fclose(file);
	word[strcspn(word, "\n")] = '\0';
	return mem_strdup(word);
}

static int
drop_left(const struct config *config, const char *folder, const char *name, struct error *err)
{
	const struct config_database *database;
	char *word = read_server(folder), *schema;
	struct mariadb_settings server;
	int rc = 0;

	if (word == NULL)
		return 0;
	rc = config_database(config, word, &database, err);
	if (rc == 0) {
		server = config_server_settings(&database->server);
		schema = mem_printf(TABLES_PROVE_PREFIX "%s", name);
		rc = tables_prove_drop(&server, schema, err);
		free(schema);
	}
	free(word);
	return rc;
}

static void
clear_one(const struct config *config, const char *all, const char *name,
    struct progress *progress)
{
	char *folder = mem_printf("%s/%s", all, name);
	struct error err = ERROR_INIT;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* Locked: somebody works there. */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    (drop_left(config, folder, name, &err) != 0 || files_throw_away(folder, &err) != 0))
		note(progress, folder, &err);
	if (fd >= 0)
		close(fd);
	free(folder);
}

static void
clear_left(const struct config *config, const char *all, struct progress *progress)
{
	DIR *dir = opendir(all);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			clear_one(config, all, entry->d_name, progress);
	closedir(dir);
}

/* ---- a room */

int
proof_room_open(const struct config *config, struct progress *progress,
    struct proof_room **ret, struct error *err)
{
	char *all = mem_printf("%s/proofs", config->state), name[NAME_TEXT_SIZE];
	struct proof_room *room = MEM_NEW(struct proof_room);
	uint8_t bytes[NAME_BYTES];
	int rc = -1;

	room->fd = -1;
	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2hex(name, sizeof(name), bytes, sizeof(bytes));
	if (mkdir(all, 0700) != 0 && errno != EEXIST) {
		error_sys(err, ERROR_IO, errno, "could not make '%.200s'", all);
		goto out;
	}
	clear_left(config, all, progress);
	room->folder = mem_printf("%s/%s", all, name);
	room->files = mem_printf("%s/files", room->folder);
	room->database = mem_printf(TABLES_PROVE_PREFIX "%s", name);
	if (mkdir(room->folder, 0700) == 0)
		room->fd = open(room->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (room->fd < 0 || flock(room->fd, LOCK_EX | LOCK_NB) != 0) {
		error_sys(err, ERROR_IO, errno, "could not make '%.200s'", room->folder);
		goto out;
	}
	*ret = room;
	room = NULL;
	rc = 0;
out:
	proof_room_close(room, true, progress);
	free(all);
	return rc;
}

const char *
proof_room_folder(const struct proof_room *room)
{
	return room->files;
}

int
proof_room_database(struct proof_room *room, const struct config_database *database,
    const char **ret, struct error *err)
{
	const char *word = config_database_word(database);
	int fd = openat(room->fd, SERVER_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word) &&
	    fsync(fd) == 0 && fsync(room->fd) == 0;

	if (!ok)
		error_sys(err, ERROR_IO, errno, "could not write into '%.200s'", room->folder);
	if (fd >= 0)
		close(fd);
	*ret = room->database;
	return ok ? 0 : -1;
}

void
proof_room_close(struct proof_room *room, bool dropped, struct progress *progress)
{
	struct error err = ERROR_INIT;

	if (room == NULL)
		return;
	if (room->fd >= 0 && files_throw_away(dropped ? room->folder : room->files, &err) != 0)
		note(progress, room->folder, &err);
	if (room->fd >= 0)
		close(room->fd);
	free(room->folder);
	free(room->files);
	free(room->database);
	free(room);
}
