#include "agent/jobs/zone.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

/* The largest of tzdata has 4 KiB and 300 changes; what is far beyond is no time zone. */
#define FILE_MAX (64 * 1024)
#define CHANGES_MAX 1000
#define NAME_MAX_BYTES 200
/* RFC 8536, 3.2: more than -25 h, less than 26 h. */
#define OFFSET_MIN (-25 * 3600 + 1)
#define OFFSET_MAX (26 * 3600 - 1)

struct change {
	int64_t at;
	int32_t offset; /* from then on */
};

struct zone {
	atomic_uint owners;
	int32_t first_offset; /* before the first change */
	size_t count;
	struct change *changes; /* ascending */
	bool has_rule;
	struct zone_rule rule; /* from the last change on */
};

static struct zone *
zone_new(void)
{
	struct zone *zone = MEM_NEW(struct zone);

	atomic_init(&zone->owners, 1);
	return zone;
}

struct zone *
zone_share(struct zone *zone)
{
	atomic_fetch_add(&zone->owners, 1);
	return zone;
}

void
zone_free(struct zone *zone)
{
	if (zone == NULL || atomic_fetch_sub(&zone->owners, 1) != 1)
		return;
	free(zone->changes);
	free(zone);
}

/* ---- the file */

/* The counts of a header, in the order of the file. */
enum { COUNT_UT, COUNT_STANDARD, COUNT_LEAPS, COUNT_CHANGES, COUNT_TYPES, COUNT_CHARS, COUNTS };

#define MAGIC_LEN 4
#define RESERVED_LEN 15

static uint32_t
get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t
get_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static int
read_header(struct reader *r, uint8_t *ret_version, uint32_t counts[COUNTS], struct error *err)
{
	const uint8_t *p;

	if (reader_left(r) < MAGIC_LEN || memcmp(r->p, "TZif", MAGIC_LEN) != 0)
		return error_set(err, ERROR_BAD_REQUEST, "'%s' is no time zone file", r->what);
	if (reader_get(r, MAGIC_LEN + 1 + RESERVED_LEN, &p, err) != 0)
		return -1;
	*ret_version = p[MAGIC_LEN];
	if (reader_get(r, COUNTS * sizeof(uint32_t), &p, err) != 0)
		return -1;
	for (size_t i = 0; i < COUNTS; i++)
		counts[i] = get_u32(p + i * sizeof(uint32_t));
	return 0;
}

/* The block of version 1, whose times have 32 bits, says nothing that the second does not. */
static int
skip_old_block(struct reader *r, const uint32_t counts[COUNTS], struct error *err)
{
	uint64_t len = (uint64_t)counts[COUNT_CHANGES] * 5 + (uint64_t)counts[COUNT_TYPES] * 6 +
	    counts[COUNT_CHARS] + (uint64_t)counts[COUNT_LEAPS] * 8 + counts[COUNT_STANDARD] +
	    counts[COUNT_UT];
	const uint8_t *skipped;

	if (len > reader_left(r))
		return error_set(err, ERROR_CORRUPT, "'%s' ends too early", r->what);
	return reader_get(r, (size_t)len, &skipped, err);
}

static int
bad_file(const struct reader *r, struct error *err, const char *why)
{
	return error_set(err, ERROR_CORRUPT, "time zone file '%s' is damaged: %s", r->what, why);
}

static int
check_counts(const struct reader *r, const uint32_t counts[COUNTS], struct error *err)
{
	if (counts[COUNT_LEAPS] != 0) {
		error_set(err, ERROR_BAD_REQUEST, "time zone '%s' counts leap seconds", r->what);
		return error_hint(err, "take the zone of the same name without \"right/\"");
	}
	if (counts[COUNT_CHANGES] > CHANGES_MAX)
		return bad_file(r, err, "it has too many changes");
	if (counts[COUNT_TYPES] == 0 || counts[COUNT_TYPES] > 256)
		return bad_file(r, err, "it must have 1 to 256 kinds of local time");
	return 0;
}

static int
read_changes(struct reader *r, const uint32_t counts[COUNTS], struct zone *zone,
    struct error *err)
{
	const uint8_t *times, *kinds, *types;
	int32_t offsets[256];
	size_t count = counts[COUNT_CHANGES];

	if (reader_get(r, count * sizeof(uint64_t), &times, err) != 0 ||
	    reader_get(r, count, &kinds, err) != 0 ||
	    reader_get(r, counts[COUNT_TYPES] * 6u, &types, err) != 0)
		return -1;
	for (size_t i = 0; i < counts[COUNT_TYPES]; i++) {
		offsets[i] = (int32_t)get_u32(types + i * 6);
		if (offsets[i] < OFFSET_MIN || offsets[i] > OFFSET_MAX)
			return bad_file(r, err, "local time is more than a day from UTC");
	}
	zone->first_offset = offsets[0];
	zone->changes = mem_calloc(count + 1, sizeof(*zone->changes));
	for (size_t i = 0; i < count; i++) {
		int64_t at = (int64_t)get_u64(times + i * sizeof(uint64_t));

		if (at < ZONE_FIRST || at >= ZONE_LAST || kinds[i] >= counts[COUNT_TYPES])
			return bad_file(r, err, "a change is out of range");
		if (i > 0 && at <= zone->changes[i - 1].at)
			return bad_file(r, err, "its changes are not in order");
		zone->changes[i] = (struct change) { at, offsets[kinds[i]] };
	}
	zone->count = count;
	return 0;
}

/* A line feed, the rule or nothing, a line feed; more may follow in versions to come. */
static int
read_footer(struct reader *r, struct zone *zone, struct error *err)
{
	const uint8_t *p, *end;
	size_t len;

	if (reader_get(r, 1, &p, err) != 0)
		return -1;
	end = memchr(r->p, '\n', reader_left(r));
	if (*p != '\n' || end == NULL)
		return bad_file(r, err, "it does not end in a line");
	len = (size_t)(end - r->p);
	if (len == 0)
		return 0;
	if (zone_rule_parse((const char *)r->p, len, &zone->rule, err) != 0)
		return error_prefix(err, "time zone file '%s': ", r->what);
	zone->has_rule = true;
	return 0;
}

int
zone_parse(const void *data, size_t len, const char *what, struct zone **ret, struct error *err)
{
	struct zone *zone = zone_new();
	uint32_t counts[COUNTS];
	const uint8_t *names;
	struct reader r;
	uint8_t version;
	int rc = -1;

	reader_init(&r, data, len, what);
	if (read_header(&r, &version, counts, err) != 0)
		goto out;
	if (version < '2') {
		error_set(err, ERROR_UNSUPPORTED, "time zone file '%s' is of version 1", what);
		error_hint(err, "a tzdata of this century has files of version 2 and later");
		goto out;
	}
	if (skip_old_block(&r, counts, err) != 0 ||
	    read_header(&r, &version, counts, err) != 0 || check_counts(&r, counts, err) != 0 ||
	    read_changes(&r, counts, zone, err) != 0)
		goto out;
	/* Abbreviations, and which changes were said in standard time or UTC: nothing for us. */
	if (reader_get(&r, counts[COUNT_CHARS], &names, err) != 0 ||
	    reader_get(&r, counts[COUNT_STANDARD], &names, err) != 0 ||
	    reader_get(&r, counts[COUNT_UT], &names, err) != 0 ||
	    read_footer(&r, zone, err) != 0)
		goto out;
	*ret = zone;
	zone = NULL;
	rc = 0;
out:
	zone_free(zone);
	return rc;
}

static int
not_a_zone(const char *name, struct error *err)
{
	char *shown = text_printable(name, strnlen(name, NAME_MAX_BYTES / 4));

	error_set(err, ERROR_BAD_REQUEST, "unknown time zone '%s'", shown);
	error_hint(err, "the names are those of the files below %s (package tzdata), as "
	    "Europe/Berlin; UTC is always known", ZONE_FOLDER);
	free(shown);
	return -1;
}

/* Components of letters, digits, "_", "+", "-" and "."; no absolute path, no way upwards. */
static bool
is_zone_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_BYTES || name[len - 1] == '/')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		bool starts = i == 0 || name[i - 1] == '/';

		/* No component is empty or starts with a dot. */
		if (starts && (c == '/' || c == '.'))
			return false;
		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
		    !(c >= '0' && c <= '9') && strchr("/_+-.", c) == NULL)
			return false;
	}
	return true;
}

static int
read_file(int fd, const char *path, struct zone **ret, struct error *err)
{
	uint8_t *data = mem_calloc(1, FILE_MAX + 1);
	size_t len = 0;
	ssize_t n;
	int rc = -1;

	while (len <= FILE_MAX && (n = read(fd, data + len, FILE_MAX + 1 - len)) != 0) {
		if (n > 0) {
			len += (size_t)n;
		} else if (errno != EINTR) {
			error_sys(err, ERROR_IO, errno, "could not read time zone file '%s'", path);
			goto out;
		}
	}
	if (len > FILE_MAX)
		error_set(err, ERROR_CORRUPT, "'%s' is too large for a time zone file", path);
	else
		rc = zone_parse(data, len, path, ret, err);
out:
	free(data);
	return rc;
}

int
zone_open(const char *name, struct zone **ret, struct error *err)
{
	char *path = NULL;
	struct stat st;
	int fd = -1, rc = -1;

	if (name != NULL && strcmp(name, "UTC") == 0) {
		*ret = zone_new();
		return 0;
	}
	if (name != NULL && !is_zone_name(name))
		return not_a_zone(name, err);
	path = name == NULL ? mem_strdup(ZONE_OF_MACHINE) : mem_printf("%s/%s", ZONE_FOLDER, name);
	/* Should it be a pipe: nobody waits for its other end. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && name == NULL) {
		*ret = zone_new();
		rc = 0;
	} else if (fd < 0 && name != NULL && (errno == ENOENT || errno == ENOTDIR)) {
		not_a_zone(name, err);
	} else if (fd < 0 || fstat(fd, &st) != 0) {
		error_sys(err, ERROR_IO, errno, "could not open time zone file '%s'", path);
	} else if (!S_ISREG(st.st_mode)) {
		if (name != NULL)
			not_a_zone(name, err);
		else
			error_set(err, ERROR_IO, "'%s' is not a file", path);
	} else {
		rc = read_file(fd, path, ret, err);
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/* ---- local time */

void
zone_span(const struct zone *zone, int64_t at, struct zone_span *ret)
{
	size_t low = 0, high = zone->count; /* how many changes are at or before it */

	if (at < ZONE_FIRST)
		at = ZONE_FIRST;
	if (at >= ZONE_LAST)
		at = ZONE_LAST - 1;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (zone->changes[middle].at <= at)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = (struct zone_span) {
		.from = low == 0 ? ZONE_FIRST : zone->changes[low - 1].at,
		.until = low == zone->count ? ZONE_LAST : zone->changes[low].at,
		.offset = low == 0 ? zone->first_offset : zone->changes[low - 1].offset,
	};
	if (low == zone->count && zone->has_rule) {
		int64_t from = ret->from;

		zone_rule_span(&zone->rule, at, ret);
		if (ret->from < from)
			ret->from = from;
	}
}

/* ---- zones by name */

struct zones {
	struct {
		char *name; /* NULL: the machine's own */
		struct zone *zone;
	} *list;
	size_t count, cap;
};

struct zones *
zones_new(void)
{
	return MEM_NEW(struct zones);
}

void
zones_free(struct zones *zones)
{
	if (zones == NULL)
		return;
	for (size_t i = 0; i < zones->count; i++) {
		free(zones->list[i].name);
		zone_free(zones->list[i].zone);
	}
	free(zones->list);
	free(zones);
}

int
zones_get(struct zones *zones, const char *name, struct zone **ret, struct error *err)
{
	struct zone *zone = NULL;

	for (size_t i = 0; i < zones->count; i++) {
		const char *known = zones->list[i].name;

		if (known == NULL ? name == NULL : name != NULL && strcmp(known, name) == 0) {
			*ret = zones->list[i].zone;
			return 0;
		}
	}
	if (zone_open(name, &zone, err) != 0)
		return -1;
	MEM_GROW(zones->list, zones->count, zones->cap);
	zones->list[zones->count].name = name == NULL ? NULL : mem_strdup(name);
	zones->list[zones->count++].zone = zone;
	*ret = zone;
	return 0;
}
