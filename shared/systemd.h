/*
 * What systemd wants to be told, where it is there: entries of the journal with fields, and how
 * far a service is.
 *
 * Both are datagrams of a documented form, https://systemd.io/JOURNAL_NATIVE_PROTOCOL and
 * sd_notify(3).  libsystemd would do the same for 1.5 MiB more of resident memory, an eighth of
 * what the agent at rest may have, as it brings four compressors with it.
 * Threads: any; nothing is kept between calls.
 */
#ifndef HOLDFAST_SHARED_SYSTEMD_H
#define HOLDFAST_SHARED_SYSTEMD_H

#include <jansson.h>
#include <stdbool.h>

#include "shared/buffer.h"

#define SYSTEMD_JOURNAL "/run/systemd/journal/socket"

/* Whether what goes to this descriptor goes to the journal: JOURNAL_STREAM names it. */
bool systemd_is_journal(int fd);

/*
 * Append an entry: MESSAGE, PRIORITY (as syslog's), SYSLOG_IDENTIFIER, and PREFIX_NAME for each
 * member of fields, its name in capitals, a text as it is and all else as JSON; none for null.
 */
void systemd_journal_entry(const char *message, int priority, const char *identifier,
    const char *prefix, const json_t *fields, struct buffer *out);
/* Send an entry to the journal's socket, of any size.  False: nobody took it. */
bool systemd_journal_send(const char *socket_path, const struct buffer *entry);

/* "READY=1", "STOPPING=1", ...: to whoever started us, if it wants to know. */
void systemd_notify(const char *state);

#endif
