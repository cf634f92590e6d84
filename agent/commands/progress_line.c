#include "agent/commands/progress_line.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/mem.h"
#include "shared/text.h"

#define TICK_NS 250000000
#define WIDTH_DEFAULT 80

struct progress_line {
	struct progress *progress;
	pthread_t thread;
	bool started;
	sigset_t signals, before;
	bool terminal;
	pthread_mutex_t lock; /* of the terminal */
	bool hidden;
	atomic_bool done;
	int64_t began_ms;
};

static size_t
width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
		return WIDTH_DEFAULT;
	return size.ws_col;
}

/* At most so many columns; text_printable left nothing that is wider than its bytes. */
static size_t
cut(const char *text, size_t columns)
{
	size_t len = strlen(text);

	if (len <= columns)
		return len;
	len = columns;
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

static void
draw(struct progress_line *line)
{
	struct progress_view *view = MEM_NEW(struct progress_view);
	double seconds = (double)(time_monotonic_ms() - line->began_ms) / 1000;
	char bytes[16], total[16], rate[16];
	struct buffer text = BUFFER_INIT;
	size_t room = width() - 1;
	const char *all;

	progress_read(line->progress, view);
	size_format(view->bytes, bytes);
	size_format(seconds < 0.5 ? 0 : (uint64_t)((double)view->bytes / seconds), rate);
	buffer_printf(&text, "%s  %llu files  %s", view->phase == NULL ? "start" : view->phase,
	    (unsigned long long)view->files, bytes);
	if (view->bytes_total > 0) {
		size_format(view->bytes_total, total);
		buffer_printf(&text, " of %s (%u %%)", total, view->bytes >= view->bytes_total ? 100
		    : (unsigned)((double)view->bytes * 100 / (double)view->bytes_total));
	}
	buffer_printf(&text, "  %s/s", rate);
	if (view->losses > 0)
		buffer_printf(&text, "  %llu lost", (unsigned long long)view->losses);
	if (view->path[0] != '\0')
		buffer_printf(&text, "  %s", view->path);
	all = buffer_text(&text);
	pthread_mutex_lock(&line->lock);
	if (!line->hidden)
		fprintf(stderr, "\r%.*s\033[K", (int)cut(all, room), all);
	pthread_mutex_unlock(&line->lock);
	buffer_done(&text);
	free(view);
}

static void
wipe(struct progress_line *line)
{
	if (line->terminal)
		fputs("\r\033[K", stderr);
}

/* Draws, and waits for a signal, which is also how it is woken to end. */
static void *
line_main(void *arg)
{
	struct progress_line *line = arg;
	struct timespec tick = { 0, TICK_NS };
	bool cancelled = false;

	while (!atomic_load(&line->done)) {
		int number = sigtimedwait(&line->signals, NULL, &tick);

		if (atomic_load(&line->done))
			break;
		if (number > 0 && cancelled) {
			wipe(line);
			_exit(EXIT_FAILED);
		}
		if (number > 0) {
			cancelled = true;
			progress_cancel(line->progress);
		}
		if (line->terminal)
			draw(line);
	}
	return NULL;
}

struct progress_line *
progress_line_start(struct progress *progress)
{
	struct progress_line *line = MEM_NEW(struct progress_line);

	line->progress = progress;
	line->terminal = isatty(STDERR_FILENO) == 1;
	line->began_ms = time_monotonic_ms();
	pthread_mutex_init(&line->lock, NULL);
	sigemptyset(&line->signals);
	sigaddset(&line->signals, SIGINT);
	sigaddset(&line->signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &line->signals, &line->before);
	line->started = pthread_create(&line->thread, NULL, line_main, line) == 0;
	/* Without the thread the signals do what they do by default. */
	if (!line->started)
		pthread_sigmask(SIG_SETMASK, &line->before, NULL);
	return line;
}

void
progress_line_stop(struct progress_line *line)
{
	if (line == NULL)
		return;
	atomic_store(&line->done, true);
	if (line->started) {
		/* Directed at the thread, so that it is not left pending for the process. */
		pthread_kill(line->thread, SIGTERM);
		pthread_join(line->thread, NULL);
		pthread_sigmask(SIG_SETMASK, &line->before, NULL);
	}
	wipe(line);
	pthread_mutex_destroy(&line->lock);
	free(line);
}

void
progress_line_hide(struct progress_line *line)
{
	pthread_mutex_lock(&line->lock);
	line->hidden = true;
	wipe(line);
	pthread_mutex_unlock(&line->lock);
}

void
progress_line_show(struct progress_line *line)
{
	pthread_mutex_lock(&line->lock);
	line->hidden = false;
	pthread_mutex_unlock(&line->lock);
}
