/*
 * What a restore would do: count and sum of the file and of the table that is there.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/tables/condition.h"
#include "agent/tables/container.h"
#include "agent/tables/restore_internal.h"
#include "agent/tables/scan.h"
#include "shared/mem.h"

static json_t *
sum_json(const struct row_sum *sum)
{
	char text[ROW_SUM_TEXT_SIZE];

	row_sum_text(sum, text);
	return json_pack("{s:I, s:s}", "rows", (json_int_t)sum->rows, "checksum", text);
}

static int
read_sum(struct restore *restore, struct error *err)
{
	const struct ocf_value *values;
	const uint8_t *row;
	size_t len;
	int rc;

	while ((rc = ocf_next(restore->source.file, &values, &row, &len, err)) == 1) {
		row_sum_add(&restore->sum, row, len);
		if (restore->sum.rows % 4096 == 0 && progress_check(restore->progress, err) != 0)
			return -1;
	}
	return rc == 0 ? restore_check_file(restore, err) : -1;
}

/* A condition on what comes is none on what goes. */
static void
tell_consequence(struct restore *restore, const struct row_sum *present)
{
	if (restore->present == NULL)
		progress_note(restore->progress, restore->target, strlen(restore->target),
		    "the table would be made, with those rows of the file alone that fulfil the "
		    "condition; how many these are is known when they are in it");
	else if (restore->options->append)
		progress_note(restore->progress, restore->target, strlen(restore->target),
		    "only rows of the file that fulfil the condition would be added");
	else
		progress_note(restore->progress, restore->target, strlen(restore->target),
		    "all %llu rows of the table would be replaced by those rows of the file alone "
		    "that fulfil the condition; with mode=append they would be added",
		    (unsigned long long)present->rows);
}

/* Of a table that is not there yet: what can be said against the condition by the file alone. */
static int
check_condition_of_file(const struct restore *restore, struct error *err)
{
	const struct ocf_schema *schema = ocf_schema(restore->source.file);
	const char *create = restore_meta(restore, CONTAINER_PREFIX "create");
	const char **columns;
	int rc;

	/* Generated columns are in no file, and may be asked for all the same. */
	if (create != NULL && strstr(create, "GENERATED ALWAYS") != NULL)
		return 0;
	columns = mem_calloc(schema->field_count, sizeof(*columns));
	for (size_t i = 0; i < schema->field_count; i++)
		columns[i] = schema->fields[i].column != NULL ? schema->fields[i].column :
		    schema->fields[i].name;
	rc = condition_prepare_columns(restore->db, restore->target, columns,
	    schema->field_count, restore->options->where, err);
	free(columns);
	return rc;
}

int
restore_preview(struct restore *restore, json_t *json, struct error *err)
{
	struct row_sum sum = { 0, 0, 0 };
	const char *where = restore->options->where;
	bool same = false, same_columns;
	json_t *present = json_null();
	uint64_t fulfil;

	progress_phase(restore->progress, "compare");
	if (where != NULL && restore->present == NULL && check_condition_of_file(restore, err) != 0)
		return -1;
	if (read_sum(restore, err) != 0)
		return -1;
	if (restore->present != NULL && restore->present->kind != TABLE_VIEW) {
		if (scan_sum(restore->db, restore->present, restore->progress, &sum, err) != 0)
			return -1;
		same_columns = restore_has_same_columns(restore, restore->present);
		same = same_columns && sum.rows == restore->sum.rows &&
		    sum.low == restore->sum.low && sum.high == restore->sum.high;
		present = sum_json(&sum);
		json_object_set_new(present, "same_columns", json_boolean(same_columns));
		if (where != NULL && condition_count(restore->db, restore->swap.database,
		    restore->target, where, &fulfil, err) != 0) {
			json_decref(present);
			return -1;
		}
		if (where != NULL)
			json_object_set_new(present, "rows_where", json_integer(
			    (json_int_t)fulfil));
	}
	if (where != NULL)
		tell_consequence(restore, &sum);
	json_object_set_new(json, "present", present);
	json_object_set_new(json, "same", json_boolean(same));
	json_object_set_new(json, "dry_run", json_true());
	return 0;
}
