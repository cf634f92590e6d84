#include "shared/systemd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/mem.h"

/* A name of the journal's fields is no longer. */
#define FIELD_NAME_MAX 64

bool
systemd_is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	    fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/*
 * The journal.
 */

/* NAME=value, or where the value has lines: NAME, its length in 64 bits, the value. */
static void
put_field(struct buffer *out, const char *name, const char *value)
{
	size_t len = strlen(value);

	buffer_put_text(out, name);
	if (strchr(value, '\n') == NULL) {
		buffer_put_u8(out, '=');
	} else {
		buffer_put_u8(out, '\n');
		buffer_put_u64(out, len);
	}
	buffer_put(out, value, len);
	buffer_put_u8(out, '\n');
}

/* Capitals, digits and underscores. */
static void
field_name(const char *prefix, const char *name, char out[FIELD_NAME_MAX + 1])
{
	snprintf(out, FIELD_NAME_MAX + 1, "%s_%s", prefix, name);
	for (char *p = out; *p != '\0'; p++)
		*p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
}

void
systemd_journal_entry(const char *message, int priority, const char *identifier,
    const char *prefix, const json_t *fields, struct buffer *out)
{
	const char *name;
	json_t *value;

	put_field(out, "MESSAGE", message);
	buffer_printf(out, "PRIORITY=%d\n", priority);
	put_field(out, "SYSLOG_IDENTIFIER", identifier);
	/* Iterating changes nothing; the library's macro has no form for what is const. */
	json_object_foreach((json_t *)(uintptr_t)fields, name, value) {
		char field[FIELD_NAME_MAX + 1];
		char *text = NULL;

		if (json_is_null(value))
			continue;
		if (!json_is_string(value))
			text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		field_name(prefix, name, field);
		if (json_is_string(value) || text != NULL)
			put_field(out, field, text != NULL ? text : json_string_value(value));
		free(text);
	}
}

/* A socket that is closed with the program, and the address; -1: that is no address. */
static int
datagram_socket(const char *path, struct sockaddr_un *ret, socklen_t *ret_len)
{
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(ret->sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, path, len);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	/* An abstract address has no end but its length. */
	if (path[0] == '@') {
		ret->sun_path[0] = '\0';
		(*ret_len)--;
	}
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* What is too large for a datagram goes as a file in memory that nobody can change any more. */
static bool
send_as_file(int fd, const struct sockaddr_un *address, socklen_t address_len,
    const struct buffer *entry)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr message = { .msg_name = (void *)(uintptr_t)address,
		.msg_namelen = address_len, .msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	int file = memfd_create("holdfast-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;
	ssize_t n = 1;
	bool sent = false;

	if (file < 0)
		return false;
	while (done < entry->len && n > 0) {
		n = write(file, entry->data + done, entry->len - done);
		done += n > 0 ? (size_t)n : 0;
	}
	if (done == entry->len &&
	    fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0) {
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);

		memset(&control, 0, sizeof(control));
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &file, sizeof(file));
		sent = sendmsg(fd, &message, MSG_NOSIGNAL) >= 0;
	}
	close(file);
	return sent;
}

bool
systemd_journal_send(const char *socket_path, const struct buffer *entry)
{
	struct sockaddr_un address;
	socklen_t len;
	int fd = datagram_socket(socket_path, &address, &len);
	bool sent;

	if (fd < 0)
		return false;
	sent = sendto(fd, entry->data, entry->len, MSG_NOSIGNAL,
	    (const struct sockaddr *)&address, len) >= 0;
	if (!sent && (errno == EMSGSIZE || errno == ENOBUFS))
		sent = send_as_file(fd, &address, len, entry);
	close(fd);
	return sent;
}

/*
 * The service manager.
 */

void
systemd_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t len;
	int fd;

	if (path == NULL || (fd = datagram_socket(path, &address, &len)) < 0)
		return;
	/* Nobody can be told that it failed; the manager's own time-out tells it. */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
	    len);
	close(fd);
}
