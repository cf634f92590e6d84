/*
 * Opens many connections, says "ready", and holds them until its standard input ends.
 *
 *	idlers COUNT HOST PORT
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct rlimit limit;
	int i, fd, count;

	if (argc != 4 || inet_pton(AF_INET, argv[2], &in.sin_addr) != 1)
		return 2;
	count = atoi(argv[1]);
	in.sin_port = htons((uint16_t)atoi(argv[3]));
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
	}
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
