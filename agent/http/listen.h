/*
 * Listening sockets, made by us so that what is in the way is understood: "ADDR:PORT",
 * "[v6]:PORT", "unix:PATH".
 */
#ifndef HOLDFAST_AGENT_HTTP_LISTEN_H
#define HOLDFAST_AGENT_HTTP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/error.h"

/*
 * Listen there.
 *   ret_fd     the socket, non-blocking
 *   ret_shown  the address as people and curl write it: "127.0.0.1:7420", "unix:/path"; the
 *              real port for port 0; caller frees
 * A stale unix socket (nobody listens) is replaced; anything else at its path is not.
 * ERROR_CONFIG for text that is no address, ERROR_IO else.
 */
int listen_open(const char *address, int *ret_fd, char **ret_shown, struct error *err);

/* Split "ADDR:PORT" and "[v6]:PORT"; ERROR_CONFIG. */
int listen_split(const char *address, char *host, size_t host_size, char port[6],
    struct error *err);

/* Remove the file of a unix socket that listen_open made ("unix:/path"). */
void listen_remove(const char *shown);

#endif
