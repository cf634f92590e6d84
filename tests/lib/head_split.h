/*
 * The head of a request, taken apart as leniently as libmicrohttpd 0.9.75 does it: bare LF ends
 * a line, values end at a NUL, folded lines are joined elsewhere.  So the strict check sees in a
 * test what it sees in the agent.
 */
#ifndef HOLDFAST_TESTS_LIB_HEAD_SPLIT_H
#define HOLDFAST_TESTS_LIB_HEAD_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/http/strict.h"

struct split_head {
	struct request_head head;
	char *block;  /* the bytes, with NULs where parts end */
	char *target;
	char *joined[HTTP_HEADER_COUNT_MAX]; /* values of folded lines */
	size_t joined_count;
};

/* False where libmicrohttpd itself refuses: no request line, a line without a colon, no end. */
bool head_split(const char *data, size_t len, struct split_head *ret);
void head_split_done(struct split_head *split);

#endif
