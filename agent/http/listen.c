#include "agent/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/mem.h"

/* Above what the kernel allows by default, which then caps it. */
#define BACKLOG 4096

static int
bad_address(const char *address, struct error *err)
{
	error_set(err, ERROR_CONFIG, "'%s' is no address to listen on", address);
	return error_hint(err, "write ADDR:PORT, [IPV6]:PORT or unix:PATH");
}

int
listen_split(const char *address, char *host, size_t host_size, char port[6], struct error *err)
{
	const char *colon = strrchr(address, ':'), *start = address, *end = colon;
	size_t digits;

	if (colon == NULL || colon == address)
		return bad_address(address, err);
	if (address[0] == '[') {
		if (colon[-1] != ']')
			return bad_address(address, err);
		start++;
		end--;
	} else if (memchr(address, ':', (size_t)(colon - address)) != NULL) {
		return bad_address(address, err); /* IPv6 without brackets */
	}
	digits = strlen(colon + 1);
	if (digits == 0 || digits > 5 || colon[1 + strspn(colon + 1, "0123456789")] != '\0' ||
	    atoi(colon + 1) > 65535 || (size_t)(end - start) >= host_size || end == start)
		return bad_address(address, err);
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	strcpy(port, colon + 1);
	return 0;
}

static char *
shown_address(int fd, struct error *err)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[INET6_ADDRSTRLEN], port[8];
	int rc;

	if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
		error_sys(err, ERROR_IO, errno, "could not ask for the address of a socket");
		return NULL;
	}
	rc = getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
	    NI_NUMERICHOST | NI_NUMERICSERV);
	if (rc != 0) {
		error_set(err, ERROR_IO, "could not show the address of a socket: %s",
		    gai_strerror(rc));
		return NULL;
	}
	return mem_printf(address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int
listen_tcp(const char *address, int *ret_fd, char **ret_shown, struct error *err)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char host[256], port[6];
	int fd = -1, on = 1, rc;

	if (listen_split(address, host, sizeof(host), port, err) != 0)
		return -1;
	rc = getaddrinfo(host, port, &hints, &found);
	if (rc != 0)
		return error_set(err, ERROR_CONFIG, "could not find the address '%s': %s", address,
		    gai_strerror(rc));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		goto fail;
	/* A restart must not wait for the old connections' TIME_WAIT. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (found->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
		goto fail;
	*ret_shown = shown_address(fd, err);
	if (*ret_shown == NULL) {
		close(fd);
		freeaddrinfo(found);
		return -1;
	}
	freeaddrinfo(found);
	*ret_fd = fd;
	return 0;
fail:
	error_sys(err, ERROR_IO, errno, "could not listen on '%s'", address);
	if (err->sys == EADDRINUSE)
		error_hint(err, "another program, perhaps another agent, listens there already");
	if (fd >= 0)
		close(fd);
	freeaddrinfo(found);
	return -1;
}

/* A socket that nobody listens on may be removed; anything else is somebody's. */
static int
remove_stale(const struct sockaddr_un *name, struct error *err)
{
	struct stat st;
	int fd, rc;

	if (lstat(name->sun_path, &st) != 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, ERROR_CONFIG, "'%s' is there and is no socket",
		    name->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not make a socket");
	rc = connect(fd, (const struct sockaddr *)name, sizeof(*name));
	if (rc != 0)
		rc = errno;
	close(fd);
	if (rc != ECONNREFUSED) {
		error_sys(err, ERROR_IO, EADDRINUSE, "could not listen on 'unix:%s'",
		    name->sun_path);
		return error_hint(err, "another program, perhaps another agent, listens there "
		    "already");
	}
	if (unlink(name->sun_path) != 0)
		return error_sys(err, ERROR_IO, errno, "could not remove the stale socket '%s'",
		    name->sun_path);
	return 0;
}

static int
listen_unix(const char *path, int *ret_fd, char **ret_shown, struct error *err)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd;

	if (path[0] == '\0' || strlen(path) >= sizeof(name.sun_path)) {
		error_set(err, ERROR_CONFIG, "'unix:%s' is no path for a socket", path);
		return error_hint(err, "it has 1 to %zu bytes", sizeof(name.sun_path) - 1);
	}
	strcpy(name.sun_path, path);
	if (remove_stale(&name, err) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_sys(err, ERROR_IO, errno, "could not make a socket");
	/*
	 * The mode of the socket, less the mask, becomes that of its file: never more than
	 * 0660, not for a moment.  Then what the mask took is given back.
	 */
	if (fchmod(fd, 0660) != 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) != 0 ||
	    chmod(path, 0660) != 0 || listen(fd, BACKLOG) != 0) {
		error_sys(err, ERROR_IO, errno, "could not listen on 'unix:%s'", path);
		close(fd);
		return -1;
	}
	*ret_fd = fd;
	*ret_shown = mem_printf("unix:%s", path);
	return 0;
}

int
listen_open(const char *address, int *ret_fd, char **ret_shown, struct error *err)
{
	if (strncmp(address, "unix:", 5) == 0)
		return listen_unix(address + 5, ret_fd, ret_shown, err);
	return listen_tcp(address, ret_fd, ret_shown, err);
}

void
listen_remove(const char *shown)
{
	if (strncmp(shown, "unix:", 5) == 0)
		unlink(shown + 5);
}
