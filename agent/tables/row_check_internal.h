/*
 * What the files of row_check share: a check of one kind of values each.
 */
#ifndef HOLDFAST_AGENT_TABLES_ROW_CHECK_INTERNAL_H
#define HOLDFAST_AGENT_TABLES_ROW_CHECK_INTERNAL_H

#include "agent/tables/row_check.h"

/* "'hired': 'abc' is no date"; what is the rest of the sentence. */
int row_refuse(const struct row_rule *rule, const char *data, size_t len, struct error *err,
    const char *what, ...) __attribute__((format(printf, 5, 6)));

/* text and len: without blanks around it. */
int row_check_number(const struct row_rule *rule, const char *text, size_t len, char *scratch,
    struct row_cell *ret, struct error *err);
int row_check_moment(const struct row_rule *rule, const char *text, size_t len, char *scratch,
    struct row_cell *ret, struct error *err);
int row_check_characters(const struct row_rule *rule, const char *text, size_t len,
    struct error *err);
int row_check_member(const struct row_rule *rule, const char *text, size_t len, struct error *err);

#endif
