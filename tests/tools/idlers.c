/*
 * Opens many connections, says "ready", and holds them until its standard input ends.
 *
 *	idlers [-r] COUNT HOST PORT
 *
 *	-r   one request on each, once all are open; its answer is read
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static bool
ask(int fd)
{
	static const char request[] = "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n";
	char answer[4096];

	return send(fd, request, strlen(request), MSG_NOSIGNAL) > 0 &&
	    recv(fd, answer, sizeof(answer), 0) > 0;
}

int
main(int argc, char **argv)
{
	bool requests = argc > 1 && strcmp(argv[1], "-r") == 0;
	struct sockaddr_in in = { .sin_family = AF_INET };
	char **args = argv + (requests ? 2 : 1);
	struct rlimit limit;
	int i, fd, count, *fds;

	if (argc - (args - argv) != 3 || inet_pton(AF_INET, args[1], &in.sin_addr) != 1)
		return 2;
	count = atoi(args[0]);
	fds = calloc((size_t)count + 1, sizeof(*fds));
	if (fds == NULL)
		return 1;
	in.sin_port = htons((uint16_t)atoi(args[2]));
	limit.rlim_cur = limit.rlim_max = (rlim_t)count + 64;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (i = 0; i < count; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0) {
			perror("idlers");
			return 1;
		}
		fds[i] = fd;
	}
	for (i = 0; requests && i < count; i++) {
		if (!ask(fds[i])) {
			fputs("idlers: no answer\n", stderr);
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	free(fds);
	return 0;
}
