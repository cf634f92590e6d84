/*
 * What the files of archive share: archive.c (walk and stream), archive_entry.c (attributes, also
 * for archive_in_entry.c).
 */
#ifndef HOLDFAST_AGENT_FILES_ARCHIVE_INTERNAL_H
#define HOLDFAST_AGENT_FILES_ARCHIVE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/repository/tree.h"
#include "shared/buffer.h"

struct archive_entry;

/*
 * Never NULL; free with archive_entry_free().
 *   path  its name in the archive
 *   link  the earlier name that it is a hard link to, or NULL
 *   rich  with ACLs, attributes and holes
 */
struct archive_entry *archive_item_new(const struct entry *entry, const char *path,
    const char *link, bool rich);

/*
 * Decode the kernel's bytes of an ACL.  -1 if they are none that we know; entries before the
 * fault may have been added.
 *   type  ARCHIVE_ENTRY_ACL_TYPE_ACCESS or ARCHIVE_ENTRY_ACL_TYPE_DEFAULT
 */
int archive_item_add_acl(struct archive_entry *to, const struct xattr *xattr, int type,
    struct error *err);

/* One entry of an ACL, as libarchive has it; an id only where the tag names somebody. */
struct archive_item_acl {
	int tag;              /* ARCHIVE_ENTRY_ACL_USER, ... */
	unsigned permissions; /* 0..7 */
	uint32_t id;          /* UINT32_MAX: none */
};
/* The kernel's bytes of an ACL; sorts the entries.  -1 if they do not make up an ACL. */
int archive_item_encode_acl(struct archive_item_acl *list, size_t count, struct buffer *ret,
    struct error *err);

#endif
