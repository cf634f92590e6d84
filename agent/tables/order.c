/*
 * In which order tables are restored: what another one needs goes first.
 *
 * A table needs those that its foreign keys refer to, the sequences of its defaults and, if it is a
 * view, what it shows.  All of these stand in the statement that makes it, as names in backticks
 * behind " REFERENCES " or behind the database's; in a view's every name may be a table's.  Of a
 * circle the first that was named goes first.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/tables/container.h"
#include "agent/tables/restore_internal.h"
#include "shared/mem.h"

/* Beside its bytes, what a row costs the server is that of about so many. */
#define ROW_COST 40

struct place {
	const char *name;
	size_t asked;    /* its place among the names as they were given */
	uint64_t cost;   /* of loading it, in bytes */
	size_t *needs;   /* indexes of others, by the order of asked */
	size_t need_count, need_cap;
	bool placed;
};

static int
compare_names(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : (x->asked > y->asked) - (x->asked < y->asked);
}

static int
compare_with_name(const void *name, const void *place)
{
	return strcmp(name, ((const struct place *)place)->name);
}

static bool
ends_with(const char *begin, const char *end, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(end - begin) >= len && strncmp(end - len, text, len) == 0;
}

/* sorted: by name. */
static void
add_need(struct place *place, const char *name, const struct place *sorted, size_t count)
{
	const struct place *found =
	    bsearch(name, sorted, count, sizeof(*sorted), compare_with_name);

	if (found == NULL || found->asked == place->asked)
		return;
	MEM_GROW(place->needs, place->need_count, place->need_cap);
	place->needs[place->need_count++] = found->asked;
}

static void
find_needs(struct place *place, const char *create, const char *database,
    const struct place *sorted, size_t count)
{
	bool is_table = strncmp(create, "CREATE TABLE ", 13) == 0, qualified = false;

	for (const char *p = create; *p != '\0';) {
		const char *begin = p;
		char *name;

		if (*p == '\'') {
			/* A text, in which a quote is doubled or behind a backslash. */
			for (p++; *p != '\0' && *p != '\''; p++)
				if (*p == '\\' && p[1] != '\0')
					p++;
			p += *p != '\0';
			continue;
		}
		if (*p != '`') {
			p++;
			continue;
		}
		name = ddl_take_name(&p);
		if (name == NULL)
			return;
		if (*p == '.' && p[1] == '`') {
			qualified = database != NULL && strcmp(name, database) == 0;
			p++;
		} else if (!is_table || qualified || ends_with(create, begin, " REFERENCES ")) {
			add_need(place, name, sorted, count);
			qualified = false;
		}
		free(name);
	}
}

/* A number in a file is not believed: it only says what goes first. */
static uint64_t
cost_of(const struct table_source *source)
{
	const char *rows = ocf_meta(source->file, CONTAINER_PREFIX "rows", NULL);
	uint64_t count = rows == NULL ? 0 : strtoull(rows, NULL, 10);

	if (count > source->size)
		count = source->size;
	return source->size + count * ROW_COST;
}

static int
read_needs(struct repository *repo, const struct tables_restore_options *options,
    struct place *place, const struct place *sorted, size_t count, struct error *err)
{
	struct tables_restore_options one = *options;
	struct table_source source;
	const char *create;

	one.table = place->name;
	if (source_open(repo, &one, &source, err) != 0)
		return -1;
	place->cost = cost_of(&source);
	create = ocf_meta(source.file, CONTAINER_PREFIX "create", NULL);
	if (create != NULL)
		find_needs(place, create, ocf_meta(source.file, CONTAINER_PREFIX "database", NULL),
		    sorted, count);
	source_close(&source);
	return 0;
}

static bool
is_ready(const struct place *place, const struct place *places)
{
	for (size_t i = 0; i < place->need_count; i++)
		if (!places[place->needs[i]].placed)
			return false;
	return true;
}

/* The first that may go next; if none may, the first that is left. */
static size_t
choose_next(const struct place *places, size_t count)
{
	size_t left = count;

	for (size_t i = 0; i < count; i++) {
		if (places[i].placed)
			continue;
		if (is_ready(&places[i], places))
			return i;
		if (left == count)
			left = i;
	}
	return left;
}

/* Places of names, sorted, each once; what was named again is placed already. */
static size_t
sort_names(struct place *places, size_t count, struct place *sorted)
{
	size_t unique = 0;

	memcpy(sorted, places, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (unique > 0 && strcmp(sorted[unique - 1].name, sorted[i].name) == 0)
			places[sorted[i].asked].placed = true;
		else
			sorted[unique++] = sorted[i];
	}
	return unique;
}

/* The needs of each by their places in the order; what a circle puts behind is no need. */
static void
put_needs(const struct place *places, const size_t *position, struct restore_order *order)
{
	for (size_t i = 0; i < order->count; i++) {
		struct restore_step *step = &order->steps[i];
		const struct place *place = &places[step->asked];

		step->needs = mem_calloc(place->need_count + 1, sizeof(*step->needs));
		for (size_t k = 0; k < place->need_count; k++)
			if (position[place->needs[k]] < i)
				step->needs[step->need_count++] = position[place->needs[k]];
	}
}

/* Needs are steps before it, so that the last is known first. */
static void
put_weights(const struct place *places, struct restore_order *order)
{
	for (size_t i = order->count; i-- > 0;) {
		struct restore_step *step = &order->steps[i];

		/* So far the heaviest of those that need it. */
		step->weight += places[step->asked].cost;
		for (size_t k = 0; k < step->need_count; k++) {
			struct restore_step *need = &order->steps[step->needs[k]];

			if (need->weight < step->weight)
				need->weight = step->weight;
		}
	}
}

int
restore_order_make(struct repository *repo, const struct tables_restore_options *options,
    const char *const *names, size_t count, struct restore_order *ret, struct error *err)
{
	struct place *places = mem_calloc(count + 1, sizeof(*places));
	struct place *sorted = mem_calloc(count + 1, sizeof(*sorted));
	size_t *position = mem_calloc(count + 1, sizeof(*position));
	size_t unique;
	int rc = 0;

	for (size_t i = 0; i < count; i++)
		places[i] = (struct place){ .name = names[i], .asked = i };
	unique = sort_names(places, count, sorted);
	/* One alone needs no look at what it needs. */
	for (size_t i = 0; i < count && unique > 1 && rc == 0; i++)
		if (!places[i].placed)
			rc = read_needs(repo, options, &places[i], sorted, unique, err);
	if (rc == 0) {
		ret->steps = mem_calloc(unique + 1, sizeof(*ret->steps));
		ret->count = unique;
		for (size_t i = 0; i < unique; i++) {
			size_t next = choose_next(places, count);

			places[next].placed = true;
			position[next] = i;
			ret->steps[i].name = places[next].name;
			ret->steps[i].asked = next;
		}
		put_needs(places, position, ret);
		put_weights(places, ret);
	}
	for (size_t i = 0; i < count; i++)
		free(places[i].needs);
	free(position);
	free(sorted);
	free(places);
	return rc;
}

void
restore_order_done(struct restore_order *order)
{
	for (size_t i = 0; i < order->count; i++)
		free(order->steps[i].needs);
	free(order->steps);
	order->steps = NULL;
	order->count = 0;
}
