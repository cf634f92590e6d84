/*
 * A few open files of one folder, kept for the next read: restoring reads many small ranges of
 * the same packs.
 *
 * Least recently used first out; a file in use stays open whatever the limit.  A file that was
 * replaced or removed meanwhile is noticed and opened anew, so a reader sees what the name
 * leads to now.  Thread-safe; nothing is held while a caller reads.
 */
#ifndef HOLDFAST_AGENT_STORAGE_OPEN_FILES_H
#define HOLDFAST_AGENT_STORAGE_OPEN_FILES_H

struct open_files;
struct open_file;

/* folder_fd is lent and must outlive the cache. */
struct open_files *open_files_new(int folder_fd);
void open_files_free(struct open_files *files);

/*
 * The file of this name, open for reading, until open_files_release().
 * Returns 0 and sets *ret_fd, or the errno of open(2).
 */
int open_files_get(struct open_files *files, const char *name, struct open_file **ret,
    int *ret_fd);
void open_files_release(struct open_files *files, struct open_file *file);
/* Close the file of this name, so that a removed one does not hold its space. */
void open_files_forget(struct open_files *files, const char *name);

#endif
