#include "agent/notices/kinds.h"

#include <string.h>

static const struct {
	const char *word;
	enum notice_ping ping;
} kinds[] = {
#define _(name, word, ping) { word, ping },
	NOTICE_KINDS(_)
#undef _
};

const char *
notice_kind_word(enum notice_kind kind)
{
	return kinds[kind].word;
}

enum notice_ping
notice_kind_ping(enum notice_kind kind)
{
	return kinds[kind].ping;
}

enum notice_kind
notice_kind_find(const char *word)
{
	int kind = 0;

	while (kind < NOTICE_KIND_COUNT && strcmp(kinds[kind].word, word) != 0)
		kind++;
	return (enum notice_kind)kind;
}
