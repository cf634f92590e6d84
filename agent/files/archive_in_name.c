#include <string.h>

#include "agent/files/archive_in.h"
#include "shared/buffer.h"

static int
refuse(struct error *err, const char *why)
{
	error_set(err, ERROR_BAD_REQUEST, "the name of the import %s", why);
	return error_hint(err, "it is the path that the data gets in the snapshot, as dump.sql or "
	    "db/dump.sql; for a tar, the folder of its members, or /");
}

int
import_name(const char *name, enum import_format format, char **ret, struct error *err)
{
	struct buffer path = BUFFER_INIT;
	const char *why = NULL;

	if (name == NULL || name[0] == '\0')
		return refuse(err, "is missing");
	if (strlen(name) > IMPORT_NAME_MAX)
		return refuse(err, "is too long");
	for (const char *p = name; *p != '\0' && why == NULL;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			why = "holds '..'";
		if (len > 0 && (len != 1 || p[0] != '.')) {
			buffer_put_u8(&path, '/');
			buffer_put(&path, p, len);
		}
		p += len + (p[len] == '/');
	}
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			why = "holds a control character";
	if (why == NULL && path.len == 0 && format == IMPORT_FILE)
		why = "names no file";
	if (why == NULL && format == IMPORT_FILE && name[strlen(name) - 1] == '/')
		why = "ends with a slash, and is to be a file";
	if (why == NULL && path.len == 0)
		buffer_put_u8(&path, '/');
	if (why != NULL) {
		buffer_done(&path);
		return refuse(err, why);
	}
	*ret = buffer_take(&path);
	return 0;
}
