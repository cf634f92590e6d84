#include "tests/lib/fault_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/mem.h"

/* More operations than any of the actions takes; ends a loop that would not. */
#define OPERATIONS_MAX 2000

int
fault_run_and_die(const struct trial *t, trial_fn *act, const struct fault_plan *plan)
{
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct fault_control control;
		struct error err = ERROR_INIT;
		int rc;

		fault_control_init(&control);
		fault_control_plan(&control, plan);
		rc = act(t, &control, &err);
		if (rc != 0)
			fprintf(stderr, "%s\n", err.message);
		_exit(rc == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* As a power cut may: what was not synced has no bytes. */
static void
empty_unfinished(const struct trial *t)
{
	char *command = mem_printf("test ! -d '%s/tmp' || find '%s/tmp' -type f -exec truncate "
	    "-s 0 {} +", t->work, t->work);

	assert_int_equal(system(command), 0);
	free(command);
}

void
fault_die_everywhere(const struct trial *t, const char *name, const char *repository,
    trial_fn *act, fault_after_fn *after)
{
	unsigned cases = 0;

	for (unsigned variant = 0; variant < 3; variant++) {
		struct fault_plan plan = { .kind = FAULT_DIE, .exit = true,
			.after = variant == 1 };

		for (plan.at = 1; plan.at < OPERATIONS_MAX; plan.at++, cases++) {
			char *what = mem_printf("%s killed %s operation %u", name,
			    plan.after ? "after" : "at", plan.at);
			int status;

			trial_begin(t, repository);
			status = fault_run_and_die(t, act, &plan);
			if (status != FAULT_EXIT && status != 0)
				fail_msg("%s: exit status %d", what, status);
			if (variant == 2)
				empty_unfinished(t);
			after(t, what);
			trial_end(t);
			free(what);
			if (status == 0)
				break;
		}
		assert_in_range(plan.at, 3, OPERATIONS_MAX - 1);
	}
	print_message("# %s: %u deaths\n", name, cases);
}

void
fault_fail_everywhere(const struct trial *t, const char *name, const char *repository,
    trial_fn *act, fault_after_fn *after)
{
	static const struct fault_plan plans[] = {
		{ .kind = FAULT_ERROR, .sys = ENOSPC },
		{ .kind = FAULT_ERROR, .sys = ENOSPC, .stays = true },
		{ .kind = FAULT_ERROR, .sys = EIO },
		{ .kind = FAULT_ERROR, .sys = EIO, .after = true },
		{ .kind = FAULT_TEAR, .sys = ENOSPC },
	};
	unsigned cases = 0;

	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct fault_plan plan = plans[i];
		struct fault_control control;
		bool happened = true;

		fault_control_init(&control);
		for (plan.at = 1; happened && plan.at < OPERATIONS_MAX; plan.at++, cases++) {
			struct error err = ERROR_INIT;
			char *what, *tmp;
			int rc;

			trial_begin(t, repository);
			fault_control_plan(&control, &plan);
			rc = act(t, &control, &err);
			happened = control.happened;
			what = mem_printf("%s with plan %zu at operation %u: %d %s", name, i,
			    plan.at, rc, err.message);
			if (rc != 0 && (!happened ||
			    err.code != (plan.sys == ENOSPC ? ERROR_NO_SPACE : ERROR_IO)))
				fail_msg("%s", what);
			/* What failed left nothing behind. */
			tmp = test_path(t->work, "tmp");
			if (test_folder_count(tmp) != 0)
				fail_msg("%s: a file is left in tmp", what);
			free(tmp);
			after(t, what);
			trial_end(t);
			free(what);
		}
		assert_in_range(plan.at, 3, OPERATIONS_MAX - 1);
		fault_control_done(&control);
	}
	print_message("# %s: %u failures\n", name, cases);
}

void
fault_everywhere(const struct trial *t, const char *name, const char *repository,
    trial_fn *act, fault_after_fn *after)
{
	fault_die_everywhere(t, name, repository, act, after);
	fault_fail_everywhere(t, name, repository, act, after);
}
