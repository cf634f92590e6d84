#include "agent/http/log_filter.h"

#include <string.h>

#include "shared/text.h"

/* One of two names of the same parameter. */
static int
either(const struct params *params, const char *name, const char *other, const char **ret,
    struct error *err)
{
	const char *a = params_get(params, name), *b = params_get(params, other);

	if (a != NULL && b != NULL)
		return error_set(err, ERROR_BAD_REQUEST,
		    "'%s' and '%s' are both given, and mean the same", name, other);
	*ret = a != NULL ? a : b;
	return 0;
}

static int
parse_date(const char *name, const char *text, bool end_of_day, struct timespec *ret,
    struct error *err)
{
	if (text == NULL)
		return 0;
	if (time_parse(text, end_of_day, ret, err) == 0)
		return 0;
	err->code = ERROR_BAD_REQUEST;
	error_prefix(err, "'%s': ", name);
	return error_hint(err, "write a date, 2026-11-21, or a time, 2026-11-21T23:05:00Z");
}

static bool
is_before(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

int
log_filter_parse(const struct params *params, struct actionlog_filter *ret, struct error *err)
{
	struct actionlog_filter filter;
	const char *start, *end;

	memset(&filter, 0, sizeof(filter));
	if (either(params, "startdate", "start", &start, err) != 0 ||
	    either(params, "enddate", "end", &end, err) != 0 ||
	    parse_date("start", start, false, &filter.start, err) != 0 ||
	    parse_date("end", end, true, &filter.end, err) != 0)
		return -1;
	if (start != NULL && end != NULL && is_before(filter.end, filter.start)) {
		error_set(err, ERROR_BAD_REQUEST, "the start '%.64s' is after the end '%.64s'",
		    start, end);
		return error_hint(err, "exchange them, or leave one out");
	}
	filter.action = params_get(params, "action");
	filter.status = params_get(params, "status");
	filter.q = params_get(params, "q");
	if (filter.status != NULL && strcmp(filter.status, "SUCCESS") != 0 &&
	    strcmp(filter.status, "ERROR") != 0)
		return error_set(err, ERROR_BAD_REQUEST,
		    "'status' is SUCCESS or ERROR, not '%.64s'", filter.status);
	if (params_number(params, "limit", UINT64_MAX >> 2, 0, &filter.limit, err) != 0 ||
	    params_number(params, "after", UINT64_MAX >> 2, 0, &filter.after, err) != 0)
		return -1;
	*ret = filter;
	return 0;
}
