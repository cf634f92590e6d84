#include "agent/jobs/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define HALF (COMMAND_OUTPUT_MAX / 2)

/* Cancelling and time-outs are looked at so often. */
#define LOOK_MS 100
/* A program that has ended may have left children that hold its output open. */
#define HOLD_MS 1000
/* One that not even SIGKILL ends hangs in the kernel, in a dead network file system for one. */
#define UNKILLABLE_MS 10000

/* The beginning of the output, and a ring of its end. */
struct capture {
	char *head, *ring;
	size_t head_len, ring_at;
	uint64_t total;
};

struct child {
	pid_t pid;
	int pidfd;  /* -1 where the kernel gives none: then it is looked after by the clock alone */
	int output; /* -1 once all who wrote to it have gone */
	struct capture capture;
	int64_t began_ms, deadline_ms, kill_ms, hold_ms, give_up_ms;
	bool ended, stopped, killed;
	enum command_end why; /* once stopped */
};

/* ---- output */

static void
capture_put(struct capture *capture, const char *data, size_t len)
{
	size_t n = HALF - capture->head_len;

	capture->total += len;
	if (n > len)
		n = len;
	memcpy(capture->head + capture->head_len, data, n);
	capture->head_len += n;
	data += n;
	len -= n;
	while (len > 0) {
		n = HALF - capture->ring_at;
		if (n > len)
			n = len;
		memcpy(capture->ring + capture->ring_at, data, n);
		capture->ring_at = (capture->ring_at + n) % HALF;
		data += n;
		len -= n;
	}
}

static void
capture_take(struct capture *capture, struct command_result *ret)
{
	uint64_t rest = capture->total - capture->head_len;
	struct buffer text = BUFFER_INIT;

	buffer_put(&text, capture->head, capture->head_len);
	if (rest > HALF) {
		buffer_printf(&text, "\n[... %llu bytes left out ...]\n",
		    (unsigned long long)(rest - HALF));
		buffer_put(&text, capture->ring + capture->ring_at, HALF - capture->ring_at);
		buffer_put(&text, capture->ring, capture->ring_at);
	} else if (rest == HALF) {
		buffer_put(&text, capture->ring, HALF);
	} else {
		buffer_put(&text, capture->ring, capture->ring_at);
	}
	ret->output_total = capture->total;
	ret->output_len = text.len;
	ret->output = buffer_take(&text);
}

static void
read_output(struct child *child)
{
	char data[16384];
	ssize_t n = read(child->output, data, sizeof(data));

	if (n > 0) {
		capture_put(&child->capture, data, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(child->output);
		child->output = -1;
	}
}

/* ---- starting */

/* What exec would only tell by a number. */
static int
check_program(const struct command *command, struct error *err)
{
	const char *program = command->argv[0];
	struct stat st;

	if (program == NULL || *program != '/') {
		error_set(err, ERROR_CONFIG, "program '%.200s' is no absolute path",
		    program == NULL ? "" : program);
		return error_hint(err, "write where it lies, as in /usr/bin/true");
	}
	if (stat(program, &st) != 0)
		return error_sys(err, ERROR_IO, errno, "could not find program '%.200s'", program);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_CONFIG, "program '%.200s' is no regular file", program);
	if (faccessat(AT_FDCWD, program, X_OK, AT_EACCESS) != 0) {
		error_sys(err, ERROR_IO, errno, "program '%.200s' is not executable", program);
		return error_hint(err, "chmod +x '%.200s'", program);
	}
	if (command->folder != NULL && (stat(command->folder, &st) != 0 || !S_ISDIR(st.st_mode)))
		return error_set(err, ERROR_NOT_FOUND,
		    "folder '%.200s' for program '%.200s' is not there", command->folder, program);
	return 0;
}

/* Standard descriptors of the child are set one after the other: none of ours may lie among them,
 * as it does if the agent was started without. */
static int
above_standard(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return moved;
}

/* A file in memory, so that a program that does not read cannot hold us up. */
static int
open_input(const struct command *command, struct error *err)
{
	int fd;

	if (command->input == NULL) {
		fd = above_standard(open("/dev/null", O_RDONLY | O_CLOEXEC));
		return fd >= 0 ? fd : error_sys(err, ERROR_IO, errno, "could not open '/dev/null'");
	}
	if (command->input_len > COMMAND_INPUT_MAX)
		return error_set(err, ERROR_TOO_LARGE, "the input of '%.200s' has %zu bytes",
		    command->argv[0], command->input_len);
	fd = above_standard(memfd_create("input", MFD_CLOEXEC));
	if (fd < 0 ||
	    pwrite(fd, command->input, command->input_len, 0) != (ssize_t)command->input_len) {
		error_sys(err, ERROR_IO, errno, "could not keep the input of '%.200s'",
		    command->argv[0]);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Everything of ours undone between fork and exec, by the C library: this process has threads. */
static int
spawn(const struct command *command, int input, int output, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int sys;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	sys = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
	    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	if (sys == 0)
		sys = posix_spawnattr_setsigmask(&attributes, &none);
	if (sys == 0)
		sys = posix_spawnattr_setsigdefault(&attributes, &all);
	if (sys == 0)
		sys = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (sys == 0)
		sys = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (sys == 0)
		sys = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	if (sys == 0)
		sys = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	if (sys == 0)
		sys = posix_spawn_file_actions_addchdir_np(&actions,
		    command->folder == NULL ? "/" : command->folder);
	if (sys == 0)
		sys = posix_spawn(ret, command->argv[0], &actions, &attributes, command->argv,
		    command->environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return sys;
}

static int
start(const struct command *command, struct child *child, struct error *err)
{
	int input, ends[2] = { -1, -1 }, sys, rc = -1;

	if (check_program(command, err) != 0 || (input = open_input(command, err)) < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC) != 0 || (ends[0] = above_standard(ends[0])) < 0 ||
	    (ends[1] = above_standard(ends[1])) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
		error_sys(err, ERROR_IO, errno, "could not make a pipe for '%.200s'",
		    command->argv[0]);
		goto out;
	}
	child->began_ms = time_monotonic_ms();
	child->deadline_ms = child->began_ms + command->timeout_ms;
	sys = spawn(command, input, ends[1], &child->pid);
	if (sys == ENOEXEC) {
		error_set(err, ERROR_CONFIG,
		    "program '%.200s' is nothing that this system executes", command->argv[0]);
		error_hint(err, "a script begins with a line as #!/bin/sh");
		goto out;
	}
	if (sys != 0) {
		error_sys(err, ERROR_IO, sys, "could not start program '%.200s'", command->argv[0]);
		if (sys == ENOENT)
			error_hint(err, "it is there: the program of its line #! may not be");
		goto out;
	}
	child->pidfd = pidfd_open(child->pid, 0);
	child->output = ends[0];
	ends[0] = -1;
	rc = 0;
out:
	close(input);
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	return rc;
}

/* ---- looking after it */

static void
stop(const struct command *command, struct child *child, enum command_end why, int64_t now)
{
	child->stopped = true;
	child->why = why;
	child->kill_ms = now + (command->grace_ms > 0 ? command->grace_ms : COMMAND_GRACE_MS);
	/* Its number cannot have gone to another: it was not waited for yet. */
	kill(-child->pid, SIGTERM);
}

/* What the clock and the one who cancels say. */
static void
judge(const struct command *command, struct child *child, int64_t now)
{
	if (!child->stopped && command->cancelled != NULL && command->cancelled(command->arg)) {
		stop(command, child, COMMAND_CANCELLED, now);
	} else if (!child->stopped && now >= child->deadline_ms) {
		stop(command, child, COMMAND_TIMED_OUT, now);
	} else if (child->stopped && !child->killed && now >= child->kill_ms) {
		child->killed = true;
		child->give_up_ms = now + UNKILLABLE_MS;
		kill(-child->pid, SIGKILL);
	}
}

/* It has ended, but is not waited for: so its process group is still its own. */
static void
note_end(struct child *child, const siginfo_t *info, struct command_result *ret, int64_t now)
{
	child->ended = true;
	child->hold_ms = now + HOLD_MS;
	if (child->pidfd >= 0)
		close(child->pidfd);
	child->pidfd = -1;
	/* The rest of a group that was told to end had as long as its leader. */
	if (child->stopped)
		kill(-child->pid, SIGKILL);
	ret->status = info->si_status;
	ret->end = child->stopped ? child->why
	    : info->si_code == CLD_EXITED ? COMMAND_EXITED : COMMAND_SIGNALLED;
}

static void
attend(const struct command *command, struct child *child, struct command_result *ret)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = child->output, .events = POLLIN },
			{ .fd = child->pidfd, .events = POLLIN } };
		int64_t now = time_monotonic_ms();
		siginfo_t info = { .si_pid = 0 };

		if (!child->ended)
			judge(command, child, now);
		poll(fds, ARRAY_LEN(fds), LOOK_MS);
		if (fds[0].revents != 0)
			read_output(child);
		now = time_monotonic_ms();
		if (!child->ended && waitid(P_PID, (id_t)child->pid, &info,
		    WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child->pid)
			note_end(child, &info, ret, now);
		if (child->ended && (child->output < 0 || now >= child->hold_ms))
			break;
		if (child->killed && !child->ended && now >= child->give_up_ms) {
			ret->end = child->why;
			break;
		}
	}
	ret->duration_ms = time_monotonic_ms() - child->began_ms;
	if (child->ended)
		waitpid(child->pid, NULL, 0);
}

int
command_run(const struct command *command, struct command_result *ret, struct error *err)
{
	struct child child = { .pidfd = -1, .output = -1 };

	*ret = (struct command_result){ .output = NULL };
	if (start(command, &child, err) != 0)
		return -1;
	child.capture.head = mem_calloc(2, HALF);
	child.capture.ring = child.capture.head + HALF;
	attend(command, &child, ret);
	capture_take(&child.capture, ret);
	free(child.capture.head);
	if (child.output >= 0)
		close(child.output);
	if (child.pidfd >= 0)
		close(child.pidfd);
	return 0;
}

void
command_result_done(struct command_result *result)
{
	free(result->output);
	*result = (struct command_result){ .output = NULL };
}

/* ---- telling of it */

char *
command_end_text(const struct command *command, const struct command_result *result)
{
	const char *name;

	switch (result->end) {
	case COMMAND_EXITED:
		return mem_printf("ended with status %d", result->status);
	case COMMAND_SIGNALLED:
		name = sigabbrev_np(result->status);
		return name != NULL ? mem_printf("was ended by SIG%s", name)
		    : mem_printf("was ended by signal %d", result->status);
	case COMMAND_TIMED_OUT:
		return mem_printf("was stopped after %lld s, the longest that it may take",
		    (long long)(command->timeout_ms / 1000));
	case COMMAND_CANCELLED:
		return mem_strdup("was cancelled");
	}
	return mem_strdup("ended");
}

/* The line that ends before `end`, or NULL; what is before it in *ret_end. */
static const char *
line_before(const char *text, const char *end, const char **ret_begin)
{
	const char *begin;

	while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	if (end == text)
		return NULL;
	begin = end;
	while (begin > text && begin[-1] != '\n')
		begin--;
	while (strchr(" \t\r", *begin) != NULL)
		begin++;
	*ret_begin = begin;
	return end;
}

/* Cut from the front, at the beginning of a character. */
static char *
last_bytes(char *text, size_t max)
{
	size_t len = strlen(text);
	const char *from = text + (len > max ? len - max : 0);
	char *cut;

	if (from == text)
		return text;
	while (((unsigned char)*from & 0xc0) == 0x80)
		from++;
	cut = mem_strdup(from);
	free(text);
	return cut;
}

char *
command_last_lines(const struct command_result *result, size_t lines, size_t max)
{
	const char *text = result->output == NULL ? "" : result->output, *begin;
	const char *end = text + (result->output == NULL ? 0 : result->output_len);
	char *joined = mem_strdup("");

	while (lines-- > 0 && strlen(joined) < max &&
	    (end = line_before(text, end, &begin)) != NULL) {
		char *line = text_printable(begin, (size_t)(end - begin));
		char *longer = mem_printf("%s%s%s", line, *joined == '\0' ? "" : " | ", joined);

		free(line);
		free(joined);
		joined = longer;
		end = begin;
	}
	return last_bytes(joined, max);
}

int
command_check(const struct command *command, const struct command_result *result,
    struct error *err)
{
	char *how, *said;

	if (result->end == COMMAND_EXITED && result->status == 0)
		return 0;
	how = command_end_text(command, result);
	said = command_last_lines(result, 3, 200);
	error_set(err, result->end == COMMAND_CANCELLED ? ERROR_CANCELLED : ERROR_IO,
	    "'%.160s' %s%s%s", command->argv[0], how, *said == '\0' ? "" : ": ", said);
	free(said);
	free(how);
	return -1;
}
