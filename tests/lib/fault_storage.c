#include "tests/lib/fault_storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/mem.h"

struct fault_storage {
	struct storage base;
	struct storage *inner;
	struct fault_control *control;
};

struct fault_put {
	struct storage_put base;
	struct storage_put *inner;
	char *name;
};

/* What is to become of one operation. */
enum verdict { PASS, FAIL_BEFORE, FAIL_HALF, FAIL_AFTER };

void
fault_control_init(struct fault_control *control)
{
	memset(control, 0, sizeof(*control));
	pthread_mutex_init(&control->lock, NULL);
}

void
fault_control_done(struct fault_control *control)
{
	pthread_mutex_destroy(&control->lock);
}

void
fault_control_plan(struct fault_control *control, const struct fault_plan *plan)
{
	static const struct fault_plan none = { .kind = FAULT_NONE };

	pthread_mutex_lock(&control->lock);
	control->plan = plan != NULL ? *plan : none;
	control->operations = 0;
	control->happened = control->dead = false;
	pthread_mutex_unlock(&control->lock);
}

static int
dead_error(struct error *err)
{
	return error_set(err, ERROR_IO, "the test killed this process");
}

/* The spoilt operation has had its effect. */
static int
spoilt(struct fault_storage *fault)
{
	bool end;

	pthread_mutex_lock(&fault->control->lock);
	end = fault->control->dead && fault->control->plan.exit;
	pthread_mutex_unlock(&fault->control->lock);
	/* As by kill -9: no buffer is flushed, no destructor runs. */
	if (end)
		_exit(FAULT_EXIT);
	return -1;
}

static bool
is_dead(struct fault_storage *fault)
{
	bool dead;

	pthread_mutex_lock(&fault->control->lock);
	dead = fault->control->dead;
	pthread_mutex_unlock(&fault->control->lock);
	return dead;
}

/* Count the operation; unless it passes, err says how it failed. */
static enum verdict
judge(struct fault_storage *fault, enum fault_operation operation, const char *name,
    struct error *err)
{
	struct fault_control *control = fault->control;
	const struct fault_plan *plan = &control->plan;
	enum verdict verdict = PASS;

	if (control->before != NULL)
		control->before(control->arg, operation, name);
	pthread_mutex_lock(&control->lock);
	control->operations++;
	if (control->dead) {
		verdict = FAIL_BEFORE;
		dead_error(err);
	} else if (plan->kind != FAULT_NONE && plan->at != 0 &&
	    (control->operations == plan->at ||
	    (plan->stays && control->operations > plan->at && operation != FAULT_REMOVE))) {
		control->happened = true;
		verdict = plan->after ? FAIL_AFTER : FAIL_BEFORE;
		if (operation == FAULT_WRITE && (plan->kind == FAULT_TEAR ||
		    (plan->kind == FAULT_DIE && !plan->after)))
			verdict = FAIL_HALF;
		if (plan->kind == FAULT_DIE) {
			control->dead = true;
			dead_error(err);
		} else {
			error_sys(err, ERROR_IO, plan->sys, "the test spoils '%s'", name);
		}
	}
	pthread_mutex_unlock(&control->lock);
	return verdict;
}

/* One unfinished file gets a second name, under which it outlives its put. */
static void
leave_file(struct fault_storage *fault, int folder_fd, const char *name)
{
	static const char ending[] = ".left";
	size_t len = strlen(name);
	char *left;

	if (name[0] == '.' || (len > strlen(ending) && strcmp(name + len - strlen(ending),
	    ending) == 0))
		return;
	left = mem_printf("%s%s", name, ending);
	if (linkat(folder_fd, name, folder_fd, left, 0) == 0 && fault->control->plan.lose) {
		int fd = openat(folder_fd, left, O_WRONLY | O_TRUNC | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
	}
	free(left);
}

/*
 * A killed process leaves its unfinished files where they are, but the inner storage would
 * remove them as the put ends.
 */
static void
leave_unfinished(struct fault_storage *fault)
{
	char *path = mem_printf("%s/tmp", storage_url(fault->inner));
	DIR *dir = opendir(path);
	struct dirent *item;

	while (dir != NULL && (item = readdir(dir)) != NULL)
		leave_file(fault, dirfd(dir), item->d_name);
	if (dir != NULL)
		closedir(dir);
	free(path);
}

static void
fault_close(struct storage *storage)
{
	struct fault_storage *fault = (struct fault_storage *)storage;

	storage_close(fault->inner);
	free(fault->base.url);
	free(fault);
}

static int
fault_put_begin(struct storage *storage, const char *name, struct storage_put **ret,
    struct error *err)
{
	struct fault_storage *fault = (struct fault_storage *)storage;
	struct storage_put *inner;
	struct fault_put *put;
	enum verdict verdict = judge(fault, FAULT_BEGIN, name, err);

	if (verdict == FAIL_BEFORE || verdict == FAIL_HALF)
		return spoilt(fault);
	if (storage_put_begin(fault->inner, name, &inner, err) != 0)
		return -1;
	if (verdict == FAIL_AFTER) {
		spoilt(fault);
		if (is_dead(fault))
			leave_unfinished(fault);
		storage_put_abort(inner);
		return -1;
	}
	put = MEM_NEW(struct fault_put);
	put->base.storage = storage;
	put->inner = inner;
	put->name = mem_strdup(name);
	*ret = &put->base;
	return 0;
}

static int
fault_put_write(struct storage_put *base, const void *data, size_t len, struct error *err)
{
	struct fault_put *put = (struct fault_put *)base;
	struct fault_storage *fault = (struct fault_storage *)base->storage;
	enum verdict verdict = judge(fault, FAULT_WRITE, put->name, err);
	struct error ignored = ERROR_INIT;

	switch (verdict) {
	case PASS:
		return storage_put_write(put->inner, data, len, err);
	case FAIL_HALF:
		(void)storage_put_write(put->inner, data, len / 2, &ignored);
		return spoilt(fault);
	case FAIL_AFTER:
		(void)storage_put_write(put->inner, data, len, &ignored);
		return spoilt(fault);
	case FAIL_BEFORE:
		break;
	}
	return spoilt(fault);
}

static void
put_end(struct fault_put *put)
{
	free(put->name);
	free(put);
}

static void
fault_put_abort(struct storage_put *base)
{
	struct fault_put *put = (struct fault_put *)base;
	struct fault_storage *fault = (struct fault_storage *)base->storage;

	if (is_dead(fault))
		leave_unfinished(fault);
	storage_put_abort(put->inner);
	put_end(put);
}

static int
fault_put_commit(struct storage_put *base, bool replace, struct error *err)
{
	struct fault_put *put = (struct fault_put *)base;
	struct fault_storage *fault = (struct fault_storage *)base->storage;
	enum verdict verdict = judge(fault, FAULT_COMMIT, put->name, err);
	struct error ignored = ERROR_INIT;
	int status = -1;

	if (verdict == FAIL_BEFORE || verdict == FAIL_HALF) {
		spoilt(fault);
		fault_put_abort(base);
		return -1;
	}
	if (verdict == PASS) {
		status = storage_put_commit(put->inner, replace, err);
	} else {
		(void)storage_put_commit(put->inner, replace, &ignored);
		spoilt(fault);
	}
	put_end(put);
	return status;
}

static int
fault_get(struct storage *storage, const char *name, uint64_t offset, void *buf, size_t len,
    struct error *err)
{
	struct fault_storage *fault = (struct fault_storage *)storage;

	if (is_dead(fault))
		return dead_error(err);
	return storage_get(fault->inner, name, offset, buf, len, err);
}

static int
fault_size(struct storage *storage, const char *name, uint64_t *ret, struct error *err)
{
	struct fault_storage *fault = (struct fault_storage *)storage;

	if (is_dead(fault))
		return dead_error(err);
	return storage_size(fault->inner, name, ret, err);
}

static int
fault_time(struct storage *storage, const char *name, struct timespec *ret, struct error *err)
{
	struct fault_storage *fault = (struct fault_storage *)storage;

	if (is_dead(fault))
		return dead_error(err);
	return storage_time(fault->inner, name, ret, err);
}

static int
fault_list(struct storage *storage, const char *folder,
    int (*each)(void *arg, const char *name, uint64_t size, struct error *err), void *arg,
    struct error *err)
{
	struct fault_storage *fault = (struct fault_storage *)storage;

	if (is_dead(fault))
		return dead_error(err);
	return storage_list(fault->inner, folder, each, arg, err);
}

static int
fault_remove(struct storage *storage, const char *name, struct error *err)
{
	struct fault_storage *fault = (struct fault_storage *)storage;
	enum verdict verdict = judge(fault, FAULT_REMOVE, name, err);
	struct error ignored = ERROR_INIT;

	if (verdict == PASS)
		return storage_remove(fault->inner, name, err);
	if (verdict == FAIL_AFTER)
		(void)storage_remove(fault->inner, name, &ignored);
	return spoilt(fault);
}

static int
fault_sweep(struct storage *storage, int64_t older_than_s, struct error *err)
{
	struct fault_storage *fault = (struct fault_storage *)storage;

	if (is_dead(fault))
		return dead_error(err);
	return storage_sweep(fault->inner, older_than_s, err);
}

static int
fault_space(struct storage *storage, uint64_t *ret_free, uint64_t *ret_total, struct error *err)
{
	struct fault_storage *fault = (struct fault_storage *)storage;

	if (is_dead(fault))
		return dead_error(err);
	return storage_space(fault->inner, ret_free, ret_total, err);
}

static const struct storage_ops fault_ops = {
	.close = fault_close,
	.put_begin = fault_put_begin,
	.put_write = fault_put_write,
	.put_commit = fault_put_commit,
	.put_abort = fault_put_abort,
	.get = fault_get,
	.size = fault_size,
	.time = fault_time,
	.list = fault_list,
	.remove = fault_remove,
	.sweep = fault_sweep,
	.space = fault_space,
};

struct storage *
fault_storage_new(struct storage *inner, struct fault_control *control)
{
	struct fault_storage *fault = MEM_NEW(struct fault_storage);

	fault->base.ops = &fault_ops;
	fault->base.url = mem_strdup(storage_url(inner));
	fault->inner = inner;
	fault->control = control;
	return &fault->base;
}
