/*
 * Sends bytes as they are, and prints what comes back: for requests that no proper client sends.
 *
 *	rawhttp [-s MS] [-w SECONDS] HOST PORT <BYTES
 *
 *	-s MS        wait so long after each byte
 *	-w SECONDS   how long to wait for more (5)
 *
 * Exit status: 0 the other side has closed, 3 it has not, 1 there was no connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Print what is there; 1 more may come, 0 nothing within timeout_ms, -1 closed. */
static int
receive(int fd, int timeout_ms)
{
	struct pollfd pollfd = { fd, POLLIN, 0 };
	char buf[65536];
	ssize_t n;

	if (poll(&pollfd, 1, timeout_ms) <= 0)
		return 0;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n <= 0)
		return -1;
	fwrite(buf, 1, (size_t)n, stdout);
	return 1;
}

/* False once the other side has closed. */
static bool
send_all(int fd, const char *data, size_t len, int slow_ms)
{
	size_t step = slow_ms > 0 ? 1 : len;
	ssize_t n;

	while (len > 0) {
		n = send(fd, data, step < len ? step : len, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
		if (slow_ms > 0 && receive(fd, slow_ms) < 0)
			return false;
	}
	return true;
}

static char *
read_input(size_t *ret_len)
{
	char *data = NULL;
	size_t len = 0, n;

	do {
		data = realloc(data, len + 65536);
		if (data == NULL)
			exit(1);
		n = fread(data + len, 1, 65536, stdin);
		len += n;
	} while (n > 0);
	*ret_len = len;
	return data;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd, opt, rc, slow_ms = 0, wait_s = 5;
	bool open;
	char *data;
	size_t len;

	while ((opt = getopt(argc, argv, "s:w:")) != -1) {
		if (opt == 's')
			slow_ms = atoi(optarg);
		else if (opt == 'w')
			wait_s = atoi(optarg);
		else
			return 2;
	}
	if (argc - optind != 2 || inet_pton(AF_INET, argv[optind], &in.sin_addr) != 1)
		return 2;
	in.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
	data = read_input(&len);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0) {
		perror("rawhttp");
		return 1;
	}
	open = send_all(fd, data, len, slow_ms);
	/* What was answered before it closed is still there to be read. */
	do
		rc = receive(fd, open ? wait_s * 1000 : 0);
	while (rc > 0);
	close(fd);
	free(data);
	return rc < 0 || !open ? 0 : 3;
}
