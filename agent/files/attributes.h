/*
 * An entry's attributes from an open file, and back onto one.
 */
#ifndef HOLDFAST_AGENT_FILES_ATTRIBUTES_H
#define HOLDFAST_AGENT_FILES_ATTRIBUTES_H

#include <sys/stat.h>

#include "agent/repository/tree.h"
#include "shared/error.h"

/* Fill kind, mode, owners (numbers and cached names), times, inode, links, size and device from stat. */
void attributes_from_stat(struct entry *entry, const struct stat *st);

/*
 * Read all extended attributes of an open descriptor (O_PATH works too, through /proc/self/fd) into the entry: user.*,
 * trusted.*, security.*, system.posix_acl_*.  A file system without them has none.  -1 with the
 * system's reason if they are there but cannot be read.
 */
int attributes_read_xattrs(int fd, struct entry *entry, struct error *err);

struct attributes_policy {
	bool owner;         /* set owner and group */
	bool numeric_owner; /* by number, not by name */
	bool set_id;        /* keep set-id bits and security.capability */
};

/*
 * Apply owner, mode, xattrs (ACLs, capabilities) and times to what fd refers to (an O_PATH descriptor for symlinks and special files), in
 * the order in which none undoes another.  Things that this user or file system cannot set are told
 * in err with -1 after all others were applied; the caller records a loss.
 */
int attributes_apply(int fd, const struct entry *entry, const struct attributes_policy *policy,
    struct error *err);

#endif
