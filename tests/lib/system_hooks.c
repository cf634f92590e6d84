/* The checking variants of the calls would be inline functions of the same names. */
#undef _FORTIFY_SOURCE

#include "tests/lib/system_hooks.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock;
	bool armed, acted;
	enum hook_moment moment;
	const char *name;
	void (*act)(void *arg);
	void *arg;
	int fd; /* for HOOK_READ: what was opened, or -1 */
	const char *counted;
	unsigned opens;
	struct timespec stopped;
	bool clock_stopped;
} hook = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

static atomic_long clock_ahead;

void
hook_set(enum hook_moment moment, const char *name, void (*act)(void *arg), void *arg)
{
	pthread_mutex_lock(&hook.lock);
	hook.armed = true;
	hook.acted = false;
	hook.moment = moment;
	hook.name = name;
	hook.act = act;
	hook.arg = arg;
	hook.fd = -1;
	pthread_mutex_unlock(&hook.lock);
}

bool
hook_clear(void)
{
	bool acted;

	pthread_mutex_lock(&hook.lock);
	acted = hook.acted;
	hook.armed = hook.acted = false;
	hook.fd = -1;
	pthread_mutex_unlock(&hook.lock);
	return acted;
}

void
hook_count_opens(const char *name)
{
	pthread_mutex_lock(&hook.lock);
	hook.counted = name;
	hook.opens = 0;
	pthread_mutex_unlock(&hook.lock);
}

unsigned
hook_opens(void)
{
	unsigned opens;

	pthread_mutex_lock(&hook.lock);
	opens = hook.opens;
	pthread_mutex_unlock(&hook.lock);
	return opens;
}

void
hook_clock_ahead(long seconds)
{
	atomic_store(&clock_ahead, seconds);
}

void
hook_clock_stop(const struct timespec *at)
{
	pthread_mutex_lock(&hook.lock);
	hook.clock_stopped = at != NULL;
	if (at != NULL)
		hook.stopped = *at;
	pthread_mutex_unlock(&hook.lock);
}

static void
reach(enum hook_moment moment, const char *name, int fd)
{
	void (*act)(void *arg) = NULL;
	void *arg = NULL;

	pthread_mutex_lock(&hook.lock);
	if (hook.armed && hook.moment == moment &&
	    (moment == HOOK_READ ? fd >= 0 && fd == hook.fd : strcmp(hook.name, name) == 0)) {
		act = hook.act;
		arg = hook.arg;
		hook.armed = false;
		hook.acted = true;
	}
	pthread_mutex_unlock(&hook.lock);
	if (act != NULL)
		act(arg);
}

static void
opened(const char *name, int fd)
{
	pthread_mutex_lock(&hook.lock);
	if (hook.counted != NULL && strcmp(hook.counted, name) == 0)
		hook.opens++;
	if (hook.armed && hook.moment == HOOK_READ && strcmp(hook.name, name) == 0)
		hook.fd = fd;
	pthread_mutex_unlock(&hook.lock);
}

int
openat64(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	int fd;

	va_start(ap, flags);
	if ((flags & (O_CREAT | O_TMPFILE)) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_PATH) != 0)
		return (int)syscall(SYS_openat, dir, name, flags, mode);
	reach(HOOK_OPEN, name, -1);
	fd = (int)syscall(SYS_openat, dir, name, flags, mode);
	opened(name, fd);
	reach(HOOK_AFTER_OPEN, name, -1);
	return fd;
}

/* What a hardened build calls where flags are not constant. */
int __openat64_2(int dir, const char *name, int flags);
int
__openat64_2(int dir, const char *name, int flags)
{
	return openat64(dir, name, flags);
}

int
fstatat64(int dir, const char *name, struct stat64 *ret, int flags)
{
	reach(HOOK_STAT, name, -1);
	return (int)syscall(SYS_newfstatat, dir, name, ret, flags);
}

ssize_t
read(int fd, void *buf, size_t len)
{
	reach(HOOK_READ, "", fd);
	return syscall(SYS_read, fd, buf, len);
}

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	long rc = syscall(SYS_clock_gettime, clock, ret);

	if (rc == 0 && clock == CLOCK_REALTIME) {
		ret->tv_sec += atomic_load(&clock_ahead);
		pthread_mutex_lock(&hook.lock);
		if (hook.clock_stopped)
			*ret = hook.stopped;
		pthread_mutex_unlock(&hook.lock);
	}
	return (int)rc;
}
