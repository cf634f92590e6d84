#include "agent/http/metrics_text.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"
#include "shared/text.h"

static const char *const outcome_words[] = {
#define _(word) #word,
	METRICS_OUTCOMES(_)
#undef _
};

static const char *const method_words[] = {
#define _(word) #word,
	METRICS_METHODS(_)
#undef _
};

int
metrics_outcome_of(const char *word)
{
	for (int i = 0; i < METRICS_OUTCOME_COUNT; i++) {
		if (strcmp(word, outcome_words[i]) == 0)
			return i;
	}
	return -1;
}

enum metrics_method
metrics_method_of(const char *method)
{
	enum metrics_method i = METRICS_METHOD_GET;

	/* A method is spelled in capitals: nothing matches "other". */
	while (i < METRICS_METHOD_other && strcmp(method, method_words[i]) != 0)
		i++;
	return i;
}

static void
put_head(struct buffer *out, const char *name, const char *type, const char *help)
{
	buffer_printf(out, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name,
	    type);
}

/* 16 digits: milliseconds of our time, and bytes up to 9 PB, come out as they are. */
static void
put_value(struct buffer *out, double value)
{
	buffer_printf(out, " %.16g\n", value);
}

/* A name as the form wants it between quotes.  Names are those of sections: text of one line. */
static void
put_label(struct buffer *out, const char *name)
{
	char *printable = text_printable(name, strlen(name));

	/* Its escapes begin with a backslash, which stands for itself only when doubled. */
	for (const char *p = printable; *p != '\0'; p++) {
		if (*p == '\\' || *p == '"')
			buffer_put_u8(out, '\\');
		buffer_put_u8(out, (uint8_t)*p);
	}
	free(printable);
}

static void
put_job(struct buffer *out, const char *name, const struct job_state *job)
{
	buffer_printf(out, "holdfast_%s{job_name=\"", name);
	put_label(out, job->name);
	buffer_put_u8(out, '"');
}

/* A series for each outcome. */
static void
put_job_outcomes(struct buffer *out, const char *name, const struct job_state *job,
    const char *outcome)
{
	for (int i = 0; i < METRICS_OUTCOME_COUNT; i++) {
		put_job(out, name, job);
		buffer_printf(out, ",outcome=\"%s\"} %d\n", outcome_words[i],
		    strcmp(outcome, outcome_words[i]) == 0);
	}
}

/*
 * The series of each LABELLED row.
 */

static void
put_build_info(const char *name, const struct metrics_figures *f, struct buffer *out)
{
	buffer_printf(out, "holdfast_%s{version=\"%s\"} 1\n", name, f->version);
}

static void
put_job_last_outcome(const char *name, const struct metrics_figures *f, struct buffer *out)
{
	for (size_t i = 0; i < f->job_count; i++)
		put_job_outcomes(out, name, &f->jobs[i], f->jobs[i].last_outcome);
}

static void
put_job_last_proof_outcome(const char *name, const struct metrics_figures *f,
    struct buffer *out)
{
	for (size_t i = 0; i < f->job_count; i++)
		put_job_outcomes(out, name, &f->jobs[i], f->jobs[i].last_proof_outcome);
}

static void
put_runs_total(const char *name, const struct metrics_figures *f, struct buffer *out)
{
	for (int kind = 0; kind < RUN_KIND_COUNT; kind++) {
		for (int outcome = 0; outcome < METRICS_OUTCOME_COUNT; outcome++)
			buffer_printf(out, "holdfast_%s{kind=\"%s\",outcome=\"%s\"} %llu\n", name,
			    run_kind_word((enum run_kind)kind), outcome_words[outcome],
			    (unsigned long long)f->counts.runs[kind][outcome]);
	}
}

static void
put_http_requests_total(const char *name, const struct metrics_figures *f, struct buffer *out)
{
	for (int method = 0; method < METRICS_METHOD_COUNT; method++) {
		for (unsigned class = 0; class < METRICS_CLASSES; class++)
			buffer_printf(out, "holdfast_%s{method=\"%s\",status=\"%uxx\"} %llu\n", name,
			    method_words[method], class + 2,
			    (unsigned long long)f->counts.requests[method][class]);
	}
}

static void
put_http_refused_requests_total(const char *name, const struct metrics_figures *f,
    struct buffer *out)
{
	for (int code = 0; code < ERROR_CODE_COUNT; code++) {
		int status = error_http_status((enum error_code)code);

		/* Those that a refusal can have, though it never had; and whatever else it had. */
		if ((status >= 400 && status < 500) || f->counts.refused[code] > 0)
			buffer_printf(out, "holdfast_%s{reason=\"%s\"} %llu\n", name,
			    error_word((enum error_code)code),
			    (unsigned long long)f->counts.refused[code]);
	}
}

void
metrics_render(const struct metrics_figures *f, struct buffer *out)
{
#define ONE(name, type, known, value, help) \
	if (known) { \
		put_head(out, #name, #type, help); \
		buffer_put_text(out, "holdfast_" #name); \
		put_value(out, value); \
	}
#define EACH(name, type, value, help) \
	put_head(out, #name, #type, help); \
	for (size_t i = 0; i < f->job_count; i++) { \
		const struct job_state *job = &f->jobs[i]; \
		put_job(out, #name, job); \
		buffer_put_u8(out, '}'); \
		put_value(out, value); \
	}
#define LABELLED(name, type, help) \
	put_head(out, #name, #type, help); \
	put_##name(#name, f, out);
	METRICS(ONE, EACH, LABELLED)
#undef ONE
#undef EACH
#undef LABELLED
}
