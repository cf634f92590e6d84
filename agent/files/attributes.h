/*
 * An entry's attributes from an open file, and back onto one.
 *
 * Threads: every function may be called from any thread; a struct owner_names may be shared.
 */
#ifndef HOLDFAST_AGENT_FILES_ATTRIBUTES_H
#define HOLDFAST_AGENT_FILES_ATTRIBUTES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "agent/repository/tree.h"
#include "shared/error.h"

/*
 * The system's users and groups by number and by name, each asked for once (the lookup may go
 * to a network service).  Lent texts stay valid until owner_names_free().
 */
struct owner_names;
struct owner_names *owner_names_new(void);
void owner_names_free(struct owner_names *names);
/* NULL if the number has no name. */
const char *owner_names_user(struct owner_names *names, uint32_t uid);
const char *owner_names_group(struct owner_names *names, uint32_t gid);
/* False if there is no such name here. */
bool owner_names_uid(struct owner_names *names, const char *user, uint32_t *ret);
bool owner_names_gid(struct owner_names *names, const char *group, uint32_t *ret);

/*
 * Fill kind, mode, owners, times, inode, links, size and device from stat.  The entry's name and
 * everything that stat does not tell are left alone; earlier owner names are freed.
 *   names  NULL: no owner names are recorded
 */
void attributes_from_stat(struct entry *entry, const struct stat *st, struct owner_names *names);

/* Whether an extended attribute of this name is stored: user.*, trusted.*, security.*, ACLs. */
bool attributes_is_stored(const char *name);

/*
 * Read all extended attributes of an open descriptor (O_PATH works too, through /proc/self/fd)
 * into the entry, in order of their names: user.*, trusted.*, security.*, system.posix_acl_*.
 * A file system without them has none.  Earlier ones of the entry are freed.  -1 with the
 * system's reason if they are there but cannot be read; the entry then has none.
 * Cost: one system call for a file that has none.
 */
int attributes_read_xattrs(int fd, struct entry *entry, struct error *err);

struct attributes_policy {
	bool owner;                /* set owner and group */
	bool numeric_owner;        /* by number, not by name */
	bool set_id;               /* keep set-id bits and security.capability */
	struct owner_names *names; /* NULL: as numeric_owner */
};

/* What is known of a file that was just made, so that nothing is set that it has already. */
struct attributes_present {
	uint32_t uid, gid;
	uint32_t mode;      /* permission bits */
	bool inherited_acl; /* made in a folder with a default ACL */
};

/*
 * Apply owner, mode, xattrs (ACLs, capabilities) and times to what fd refers to (an O_PATH
 * descriptor for symlinks and special files), in the order in which none undoes another.
 * Attributes that fd has beyond the entry's are removed where they grant something (ACLs,
 * capabilities).  Things that this user or file system cannot set are told in err with -1 after
 * all others were applied; the caller records a loss.  Set-id bits and capabilities that the
 * policy leaves out are no error.
 *   present  NULL: unknown, everything is looked at
 */
int attributes_apply(int fd, const struct entry *entry, const struct attributes_policy *policy,
    const struct attributes_present *present, struct error *err);

#endif
