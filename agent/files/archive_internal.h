/*
 * What the files of archive share: archive.c (walk and stream), archive_entry.c (attributes).
 */
#ifndef HOLDFAST_AGENT_FILES_ARCHIVE_INTERNAL_H
#define HOLDFAST_AGENT_FILES_ARCHIVE_INTERNAL_H

#include <stdbool.h>

#include "agent/repository/tree.h"

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

#endif
