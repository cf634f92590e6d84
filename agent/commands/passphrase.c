#include "agent/commands/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "agent/repository/parity.h"
#include "shared/mem.h"

void
passphrase_free(char *passphrase)
{
	if (passphrase != NULL)
		mem_free_secret(passphrase, strlen(passphrase));
}

char *
passphrase_path(const struct config *config)
{
	if (config->passphrase_file != NULL)
		return mem_strdup(config->passphrase_file);
	return mem_printf("%s/passphrase", config->state);
}

static int
check_text(const char *passphrase, const char *from, struct error *err)
{
	if (*passphrase != '\0')
		return 0;
	error_set(err, ERROR_CONFIG, "the passphrase in '%s' is empty", from);
	return error_hint(err, "its first line must be the passphrase");
}

int
passphrase_read(const char *path, char **ret, struct error *err)
{
	char text[PASSPHRASE_MAX + 1];
	ssize_t n;
	size_t used = 0;
	int fd, rc = -1;

	if (config_check_secret_file(path, "passphrase file", err) != 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not open passphrase file '%s'", path);
	while ((n = read(fd, text + used, PASSPHRASE_MAX - used)) > 0)
		used += (size_t)n;
	if (n < 0) {
		error_sys(err, ERROR_IO, errno, "could not read passphrase file '%s'", path);
		goto out;
	}
	text[used] = '\0';
	if (strcspn(text, "\r\n") == PASSPHRASE_MAX) {
		error_set(err, ERROR_CONFIG, "the first line of '%s' is longer than %d bytes", path,
		    PASSPHRASE_MAX - 1);
		goto out;
	}
	text[strcspn(text, "\r\n")] = '\0';
	if (check_text(text, path, err) != 0)
		goto out;
	*ret = mem_strdup(text);
	rc = 0;
out:
	explicit_bzero(text, sizeof(text));
	close(fd);
	return rc;
}

/* Only there to end the read below: the terminal gets its echo back before we end. */
static void
interrupted(int number)
{
	(void)number;
}

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static int
read_line(int fd, char *text, size_t size, struct error *err)
{
	size_t used = 0;
	ssize_t n;

	while (used < size - 1) {
		n = read(fd, text + used, 1);
		if (n < 0 && errno == EINTR)
			return error_set(err, ERROR_CANCELLED, "interrupted");
		if (n < 0)
			return error_sys(err, ERROR_IO, errno, "could not read from the terminal");
		if (n == 0 || text[used] == '\n')
			break;
		used++;
	}
	text[used] = '\0';
	text[strcspn(text, "\r")] = '\0';
	return 0;
}

static int
ask_once(int fd, const char *prompt, char *text, size_t size, struct error *err)
{
	struct sigaction handler = { .sa_handler = interrupted }, before[ARRAY_LEN(ending_signals)];
	struct termios old, silent;
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(ending_signals); i++)
		sigaction(ending_signals[i], &handler, &before[i]);
	dprintf(fd, "%s: ", prompt);
	if (tcgetattr(fd, &old) == 0) {
		silent = old;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(fd, TCSAFLUSH, &silent);
		rc = read_line(fd, text, size, err);
		tcsetattr(fd, TCSAFLUSH, &old);
	} else {
		rc = error_sys(err, ERROR_IO, errno, "could not silence the terminal");
	}
	dprintf(fd, "\n");
	for (size_t i = 0; i < ARRAY_LEN(ending_signals); i++)
		sigaction(ending_signals[i], &before[i], NULL);
	return rc;
}

int
passphrase_ask(const char *prompt, bool twice, char **ret, struct error *err)
{
	char first[PASSPHRASE_MAX], second[PASSPHRASE_MAX];
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), rc = -1;

	if (fd < 0) {
		error_set(err, ERROR_USAGE, "no passphrase file, and no terminal to ask on");
		return error_hint(err, "name the file with --passphrase-file");
	}
	if (ask_once(fd, prompt, first, sizeof(first), err) != 0)
		goto out;
	if (first[0] == '\0') {
		error_set(err, ERROR_USAGE, "no passphrase was typed");
		goto out;
	}
	if (twice) {
		if (ask_once(fd, "once more", second, sizeof(second), err) != 0)
			goto out;
		if (strcmp(first, second) != 0) {
			error_set(err, ERROR_USAGE, "the two differ");
			goto out;
		}
	}
	*ret = mem_strdup(first);
	rc = 0;
out:
	explicit_bzero(first, sizeof(first));
	explicit_bzero(second, sizeof(second));
	close(fd);
	return rc;
}

static int
sync_folder_of(const char *path, struct error *err)
{
	char *copy = mem_strdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0 || fsync(fd) != 0)
		rc = error_sys(err, ERROR_IO, errno, "could not sync the folder of '%s'", path);
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

int
passphrase_write(const char *path, const char *passphrase, bool replace, struct error *err)
{
	char *hidden = mem_printf("%s.%ld", path, (long)getpid());
	size_t len = strlen(passphrase);
	int fd, rc = -1;

	fd = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_sys(err, ERROR_IO, errno, "could not make '%s'", hidden);
		goto out;
	}
	if (write(fd, passphrase, len) != (ssize_t)len || write(fd, "\n", 1) != 1 ||
	    fsync(fd) != 0) {
		error_sys(err, ERROR_IO, errno, "could not write '%s'", hidden);
		goto out;
	}
	/* If interrupted here, the hidden file stays: it opens nothing, or what path opens. */
	if (renameat2(AT_FDCWD, hidden, AT_FDCWD, path, replace ? 0 : RENAME_NOREPLACE) != 0) {
		error_sys(err, errno == EEXIST ? ERROR_EXISTS : ERROR_IO, errno,
		    "could not make '%s'", path);
		goto out;
	}
	rc = sync_folder_of(path, err);
out:
	if (fd >= 0) {
		close(fd);
		if (rc != 0)
			unlink(hidden);
	}
	free(hidden);
	return rc;
}

int
passphrase_for_new(const struct config *config, char **ret, bool *ret_made, struct error *err)
{
	char made[PASSPHRASE_MADE_SIZE], *path = passphrase_path(config);
	int rc;

	*ret_made = false;
	if (access(path, F_OK) == 0) {
		rc = passphrase_read(path, ret, err);
		goto out;
	}
	passphrase_make(made);
	rc = passphrase_write(path, made, false, err);
	if (rc == 0) {
		*ret = mem_strdup(made);
		*ret_made = true;
	}
	explicit_bzero(made, sizeof(made));
out:
	free(path);
	return rc;
}

/* A replacement that was interrupted: the new passphrase opens, so it takes its place. */
static int
open_with_new(struct storage *storage, const char *path, struct repository **ret,
    char **ret_passphrase)
{
	char *beside = mem_printf("%s.new", path), *passphrase = NULL;
	struct error ignored = ERROR_INIT;
	int rc = -1;

	if (passphrase_read(beside, &passphrase, &ignored) != 0 ||
	    repository_open(storage, passphrase, ret, &ignored) != 0)
		goto out;
	/* If this fails, the next opening tries it again. */
	if (rename(beside, path) == 0)
		sync_folder_of(path, &ignored);
	*ret_passphrase = passphrase;
	passphrase = NULL;
	rc = 0;
out:
	passphrase_free(passphrase);
	free(beside);
	return rc;
}

static int
open_with_file(struct storage *storage, const char *path, struct repository **ret,
    char **ret_passphrase, struct error *err)
{
	char *passphrase = NULL;

	if (passphrase_read(path, &passphrase, err) != 0)
		return -1;
	if (repository_open(storage, passphrase, ret, err) == 0) {
		*ret_passphrase = passphrase;
		return 0;
	}
	passphrase_free(passphrase);
	if (err->code != ERROR_WRONG_KEY)
		return -1;
	if (open_with_new(storage, path, ret, ret_passphrase) == 0) {
		error_clear(err);
		return 0;
	}
	error_hint(err, "the passphrase was read from '%s'; name another file with "
	    "--passphrase-file", path);
	return -1;
}

int
passphrase_open_repository(const struct config *config, struct storage *storage, bool ask,
    struct repository **ret, char **ret_passphrase, char **ret_path, struct error *err)
{
	char *path = passphrase_path(config), *passphrase = NULL;
	bool has_file = access(path, F_OK) == 0 || config->passphrase_file != NULL;
	struct parity_rule rule;
	int rc;

	if (parity_rule_parse(config->parity, &rule, err) != 0) {
		free(path);
		return -1;
	}
	if (has_file) {
		rc = open_with_file(storage, path, ret, &passphrase, err);
	} else if (!ask) {
		rc = error_set(err, ERROR_NOT_FOUND, "no passphrase: there is no '%s'", path);
		error_hint(err,
		    "bring the copy of the passphrase that was kept elsewhere, or name its "
		    "file with --passphrase-file");
	} else {
		rc = passphrase_ask("passphrase of the repository", false, &passphrase, err);
		if (rc == 0)
			rc = repository_open(storage, passphrase, ret, err);
	}
	if (rc == 0)
		repository_set_parity(*ret, &rule);
	if (rc == 0 && ret_passphrase != NULL) {
		*ret_passphrase = passphrase;
		passphrase = NULL;
	}
	if (rc == 0 && ret_path != NULL) {
		*ret_path = has_file ? path : NULL;
		if (has_file)
			path = NULL;
	}
	passphrase_free(passphrase);
	free(path);
	return rc;
}

int
passphrase_change(struct repository *repo, const char *path, const char *passphrase,
    struct error *err)
{
	char *beside;
	int rc = -1;

	if (path == NULL)
		return repository_change_passphrase(repo, passphrase, err);
	beside = mem_printf("%s.new", path);
	if (passphrase_write(beside, passphrase, true, err) != 0)
		goto out;
	/* If interrupted here, the old one opens; what lies beside is overwritten next time. */
	if (repository_change_passphrase(repo, passphrase, err) != 0) {
		unlink(beside);
		goto out;
	}
	/* If interrupted here, the new one opens, from beside: see open_with_new(). */
	if (rename(beside, path) != 0) {
		error_sys(err, ERROR_IO, errno, "could not replace '%s'", path);
		error_hint(err, "the new passphrase is in '%s'", beside);
		goto out;
	}
	rc = sync_folder_of(path, err);
out:
	free(beside);
	return rc;
}
