/*
 * The agent: everything is opened in the order in which it is needed, and closed backwards.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/actionlog/actionlog.h"
#include "agent/actionlog/ship.h"
#include "agent/commands/commands.h"
#include "agent/commands/passphrase.h"
#include "agent/commands/session.h"
#include "agent/commands/state_folder.h"
#include "agent/http/server.h"
#include "agent/http/tokens.h"
#include "agent/jobs/jobs.h"
#include "agent/jobs/runs.h"
#include "agent/notices/notices.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/systemd.h"

/* Requests that are being worked on get so long to be answered. */
#define DRAIN_MS 5000
/* After this long a stop is no longer waited for: what still runs is aborted. */
#define STOP_BOUND_S 60

struct agent {
	int lock_fd;
	struct storage *storage;
	struct actionlog *log;
	struct log_ship *ship;
	struct tokens *tokens;
	struct runs *runs;
	struct jobs *jobs;
	struct notices *notices;
	struct http *http;
};

/* Where the repository is said to be, whatever the present folder; a URL stays as it is. */
static char *
repository_place(const struct config *config)
{
	const char *place = config->repository;
	char *here, *absolute;

	if (*place == '/' || strstr(place, "://") != NULL || (here = getcwd(NULL, 0)) == NULL)
		return mem_strdup(place);
	absolute = mem_printf("%s/%s", here, strncmp(place, "./", 2) == 0 ? place + 2 : place);
	free(here);
	return absolute;
}

/* A repository where none is.  A disk that is not mounted must not be answered by a new one. */
static int
make_repository(const struct config *config, const char *place, struct agent *agent,
    struct error *err)
{
	char *passphrase = NULL, *path = passphrase_path(config);
	bool made = false;
	int known = state_folder_knows_repository(config->state, place, err), rc = -1;

	if (known > 0) {
		error_set(err, ERROR_NOT_FOUND, "the repository '%s' was there and is not any more",
		    place);
		error_hint(err,
		    "is its disk mounted? To begin with a new one, remove '%s/repository'",
		    config->state);
	}
	if (known != 0 || storage_open(config->repository, true, &agent->storage, err) != 0 ||
	    passphrase_for_new(config, &passphrase, &made, err) != 0 ||
	    repository_init(agent->storage, passphrase, err) != 0)
		goto out;
	log_event(LOG_LEVEL_INFO, "repository-made", json_pack("{s:s}", "repository", place));
	fprintf(stderr,
	    "holdfastd: the repository is new; its passphrase is in '%s'.\n"
	    "           KEEP A COPY OF IT ELSEWHERE: without it no backup can ever be read.\n",
	    path);
	rc = 0;
out:
	passphrase_free(passphrase);
	free(path);
	return rc;
}

static void
log_healed(void *arg, const char *pack)
{
	(void)arg;
	log_event(LOG_LEVEL_WARN, "healed", json_pack("{s:s, s:s}", "pack", pack, "hint",
	    HEALED_HINT));
}

/* The repository, made if there is none yet. */
static int
open_repository(struct session *session, struct agent *agent, struct error *err)
{
	const struct config *config = session->config;
	char *place = repository_place(config);
	int found = 0, rc = -1;

	if (storage_open(config->repository, false, &agent->storage, err) == 0)
		found = repository_exists(agent->storage, err);
	else if (err->code != ERROR_NOT_FOUND)
		found = -1;
	if (found < 0)
		goto out;
	if (found == 0) {
		/* Opened once more, to make the folder. */
		storage_close(agent->storage);
		agent->storage = NULL;
		if (make_repository(config, place, agent, err) != 0)
			goto out;
	}
	if (passphrase_open_repository(config, agent->storage, false, &session->repo, NULL, NULL,
	    err) != 0)
		goto out;
	agent->storage = NULL; /* the repository's from here on */
	repository_on_healed(session->repo, log_healed, NULL);
	rc = state_folder_note_repository(config->state, place, repository_id_text(session->repo),
	    err);
out:
	free(place);
	return rc;
}

static int
open_log(struct session *session, struct agent *agent, struct error *err)
{
	if (actionlog_open(session->config->state, session->config->name, &agent->log, err) != 0)
		return -1;
	if (actionlog_notice(agent->log) != NULL)
		log_event(LOG_LEVEL_ERROR, "log-damaged", json_pack("{s:s}", "message",
		    actionlog_notice(agent->log)));
	return 0;
}

static void
tell_shipping(const char *host, const struct error *why)
{
	json_t *fields = json_pack("{s:s}", "host", host);

	if (why != NULL)
		log_error("central-log-away", why, fields);
	else
		log_event(LOG_LEVEL_INFO, "central-log-back", fields);
}

static int
open_tokens(struct session *session, struct agent *agent, struct error *err)
{
	bool made_first = false;

	if (tokens_open(session->config->state, &agent->tokens, &made_first, err) != 0)
		return -1;
	if (made_first)
		fprintf(stderr, "holdfastd: the first token (role admin) is in '%s/token'\n",
		    session->config->state);
	return 0;
}

static int
start(struct session *session, struct agent *agent, struct error *err)
{
	const struct config *config = session->config;
	struct http_services services;

	if (config_verify(config, err) != 0 || state_folder_make(config->state, err) != 0 ||
	    state_folder_lock(config->state, &agent->lock_fd, err) != 0 ||
	    open_repository(session, agent, err) != 0 || open_log(session, agent, err) != 0 ||
	    log_ship_start(config, agent->log, tell_shipping, &agent->ship, err) != 0 ||
	    open_tokens(session, agent, err) != 0 ||
	    runs_open(config, session->repo, agent->log, &agent->runs, err) != 0 ||
	    jobs_open(config, agent->runs, &agent->jobs, err) != 0 ||
	    notices_open(config, NULL, &agent->notices, err) != 0)
		return -1;
	jobs_on_event(agent->jobs, notices_event, agent->notices);
	services = (struct http_services){ .config = config, .repo = session->repo,
		.log = agent->log, .ship = agent->ship, .runs = agent->runs, .jobs = agent->jobs,
		.notices = agent->notices, .tokens = agent->tokens };
	if (http_start(&services, &agent->http, err) != 0)
		return -1;
	/* From here on runs begin by themselves. */
	return jobs_start(agent->jobs, err);
}

static void
announce(const struct agent *agent)
{
	for (size_t i = 0; i < http_address_count(agent->http); i++)
		printf("listening on %s\n", http_address(agent->http, i));
	fflush(stdout);
	log_event(LOG_LEVEL_INFO, "started", json_pack("{s:i, s:s}", "pid", (int)getpid(),
	    "version", PACKAGE_VERSION));
	systemd_notify("READY=1");
}

/* The signals that end the agent. */
static sigset_t
stop_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP); /* its terminal is gone: a good end, too */
	return signals;
}

/*
 * A second signal, or a stop that takes too long, ends the process at once.  The thread may outlive
 * serve_main(), so it borrows nothing from there.
 */
static void *
watch_stop(void *arg)
{
	struct timespec bound = { STOP_BOUND_S, 0 };
	sigset_t signals = stop_signals();
	int signal_number;

	(void)arg;
	do {
		signal_number = sigtimedwait(&signals, NULL, &bound);
	} while (signal_number < 0 && errno == EINTR);
	log_event(LOG_LEVEL_WARN, "stopped-at-once", json_pack("{s:s}", "reason",
	    signal_number < 0 ? "the stop took too long" : "a second signal"));
	_exit(EXIT_FAILED);
}

static void
stop(struct session *session, struct agent *agent)
{
	http_stop(agent->http, DRAIN_MS);
	jobs_stop(agent->jobs);
	runs_close(agent->runs);
	jobs_close(agent->jobs);
	/* Nothing happens to a job any more; what was not told waits for the next start. */
	notices_close(agent->notices);
	tokens_close(agent->tokens);
	log_ship_stop(agent->ship);
	actionlog_close(agent->log);
	repository_close(session->repo);
	session->repo = NULL;
	storage_close(agent->storage);
	/* The folder is free for the next agent only now. */
	if (agent->lock_fd >= 0)
		close(agent->lock_fd);
}

int
serve_main(struct session *session, struct error *err)
{
	struct agent agent = { .lock_fd = -1 };
	pthread_t watcher;
	sigset_t signals = stop_signals();
	int number = 0, rc;

	/* Blocked in every thread that is started from here on; taken by sigwait alone. */
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	rc = start(session, &agent, err);
	if (rc == 0) {
		announce(&agent);
		sigwait(&signals, &number);
		systemd_notify("STOPPING=1");
		log_event(LOG_LEVEL_INFO, "stopping", json_pack("{s:s}", "signal",
		    strsignal(number)));
		if (pthread_create(&watcher, NULL, watch_stop, NULL) == 0)
			pthread_detach(watcher);
	}
	stop(session, &agent);
	if (rc == 0)
		log_event(LOG_LEVEL_INFO, "stopped", NULL);
	return rc == 0 ? EXIT_OK : -1;
}
