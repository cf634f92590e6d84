#include "agent/repository/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/repository/sealed_json.h"
#include "shared/mem.h"
#include "shared/text.h"

#define CLAIM_FOLDER "claims"
#define REMOVE_TRIES 3

struct claim {
	struct repository *repo;
	struct object_id id;
	json_t *json;
	pthread_t refresher;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool ending;
};

/* A living holder has missed two refreshes by then. */
#define STALE_AFTER_RESTART_S (2 * CLAIM_REFRESH_S)

/* What tells this process from any other: machine, boot, process id space, process, start of the
 * process. */
struct process_identity {
	char host[256], machine[40], boot[40];
	uint64_t pid_space;
	int64_t pid;
	uint64_t started; /* clock ticks since boot */
};

static void
read_line(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");

	out[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(out, (int)size, f) != NULL)
		out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

/* Field 22 of /proc/PID/stat; 0 if there is no such process. */
static uint64_t
process_started(int64_t pid)
{
	char path[64], line[1024];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	read_line(path, line, sizeof(line));
	p = strrchr(line, ')'); /* the command's name may hold anything */
	for (int field = 2; p != NULL && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p != NULL ? strtoull(p + 1, NULL, 10) : 0;
}

static void
process_identity_self(struct process_identity *self)
{
	struct stat st;

	memset(self, 0, sizeof(*self));
	gethostname(self->host, sizeof(self->host) - 1);
	read_line("/etc/machine-id", self->machine, sizeof(self->machine));
	read_line("/proc/sys/kernel/random/boot_id", self->boot, sizeof(self->boot));
	/* A container or a rescue system may have no id; it is known until it is started anew. */
	if (self->machine[0] == '\0')
		memcpy(self->machine, self->boot, sizeof(self->machine));
	self->pid_space = stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
	self->pid = getpid();
	self->started = process_started(self->pid);
}

static const char *
get_text(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text != NULL ? text : "";
}

static json_t *
claim_json(enum claim_kind kind, const char *purpose, const char *run)
{
	struct process_identity self;
	char now[TIME_TEXT_SIZE];

	process_identity_self(&self);
	time_format(time_now(), 3, now);
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s*, s:s, s:s}",
	    "kind", kind == CLAIM_EXCLUSIVE ? "exclusive" : "shared", "host",
	    self.host, "machine", self.machine, "boot", self.boot, "pid_space", (json_int_t)self.pid_space,
	    "pid", (json_int_t)self.pid, "started", (json_int_t)self.started,
	    "purpose", purpose, "run", run, "since", now, "refreshed", now);
}

/* Whether a claim's text is the same as ours, and says something. */
static bool
same_text(const json_t *claim, const char *key, const char *own)
{
	return own[0] != '\0' && strcmp(own, get_text(claim, key)) == 0;
}

/* Where it stands since when a claim is known as it is: its id with every bit turned. */
static void
sight_name(const struct object_id *claim, struct object_id *ret_id, char ret_name[64])
{
	for (size_t i = 0; i < sizeof(ret_id->bytes); i++)
		ret_id->bytes[i] = (uint8_t)~claim->bytes[i];
	sealed_json_name(CLAIM_FOLDER, ret_id, ret_name);
}

/*
 * Of a claim whose time says nothing: whether it was written again within stale_s.  That is seen
 * by whoever comes by, each for the others, as a command ends long before.  The claim itself is left
 * alone: to write it would bring it back after its holder, or another, has removed it.
 */
static bool
has_changed(struct repository *repo, const struct object_id *id, const json_t *claim,
    int64_t stale_s)
{
	struct timespec seen, now = time_now();
	const char *refreshed = get_text(claim, "refreshed");
	char name[64], text[TIME_TEXT_SIZE];
	struct error ignored = ERROR_INIT;
	struct object_id sight_id;
	json_t *sight = NULL;
	bool known;

	sight_name(id, &sight_id, name);
	known = sealed_json_read(repo, CLAIM_FOLDER, SEAL_CLAIM, &sight_id, &sight, &ignored) == 0 &&
	    strcmp(get_text(sight, "refreshed"), refreshed) == 0 &&
	    time_parse(get_text(sight, "seen"), false, &seen, &ignored) == 0 &&
	    seen.tv_sec <= now.tv_sec;
	json_decref(sight);
	if (known)
		return now.tv_sec - seen.tv_sec < stale_s;
	time_format(now, 3, text);
	sight = json_pack("{s:s, s:s, s:s}", "kind", "sight", "refreshed", refreshed, "seen", text);
	/* If that fails, the next one to come by tries it. */
	(void)sealed_json_write(repo, CLAIM_FOLDER, SEAL_CLAIM, &sight_id, sight, true, &ignored);
	json_decref(sight);
	return true;
}

/* A sight of a claim that is gone is of no use. */
static int
sweep_sight(struct repository *repo, const struct object_id *id, const char *name,
    struct error *err)
{
	struct object_id claim_id;
	char claim_name[64];
	uint64_t size;
	int there;

	sight_name(id, &claim_id, claim_name);
	there = storage_size(repo->storage, claim_name, &size, err);
	return there == 0 ? storage_remove(repo->storage, name, err) : there < 0 ? -1 : 0;
}

static int
remove_dead(struct repository *repo, const struct object_id *id, const char *name,
    struct error *err)
{
	struct object_id sight_id;
	char sight[64];

	sight_name(id, &sight_id, sight);
	if (storage_remove(repo->storage, name, err) != 0)
		return -1;
	/* If interrupted here, the sight is swept by whoever comes by. */
	return storage_remove(repo->storage, sight, err);
}

/*
 * Whether the holder of somebody's claim may still be at work.
 *
 * Only of a process beside this one, under the same kernel, can be known whether it lives. A
 * machine's id tells little: clones share it, and even its name; nor does its name alone, which
 * may be given to another machine or change while it runs.
 */
static bool
is_live(struct repository *repo, const struct object_id *id, const json_t *claim)
{
	struct process_identity self;
	struct timespec refreshed;
	struct error err;
	int64_t pid = json_integer_value(json_object_get(claim, "pid")), stale_s = CLAIM_STALE_S;
	uint64_t space = (uint64_t)json_integer_value(json_object_get(claim, "pid_space"));

	process_identity_self(&self);
	if (same_text(claim, "host", self.host)) {
		if (same_text(claim, "boot", self.boot) && space == self.pid_space) {
			if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
				return false;
			return process_started(pid) ==
			    (uint64_t)json_integer_value(json_object_get(claim, "started"));
		}
		/* This machine before it was started anew, most likely; or a clone of it. */
		if (same_text(claim, "machine", self.machine) &&
		    !same_text(claim, "boot", self.boot))
			stale_s = STALE_AFTER_RESTART_S;
	}
	/* Only the clock can tell. A time in the future counts as fresh, but not for ever. */
	if (time_parse(get_text(claim, "refreshed"), false, &refreshed, &err) != 0 ||
	    refreshed.tv_sec - time_now().tv_sec > stale_s)
		return has_changed(repo, id, claim, stale_s);
	return time_now().tv_sec - refreshed.tv_sec < stale_s;
}

/* Calls each() for every claim of others that is live; removes those that are not. */
static int
scan_claims(struct repository *repo, const struct object_id *own,
    void (*each)(void *arg, const json_t *claim), void *arg, struct error *err)
{
	struct object_names names;
	struct object_id id;
	int rc = 0;

	if (object_names_read(repo->storage, CLAIM_FOLDER, &names, err) != 0)
		return -1;
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		struct error why = ERROR_INIT;
		json_t *json;

		if (sealed_json_name_parse(names.list[i], CLAIM_FOLDER, &id) != 0 ||
		    (own != NULL && memcmp(&id, own, sizeof(id)) == 0))
			continue;
		if (sealed_json_read(repo, CLAIM_FOLDER, SEAL_CLAIM, &id, &json, &why) != 0) {
			if (why.code == ERROR_NOT_FOUND)
				continue; /* released meanwhile */
			if (why.code != ERROR_CORRUPT) {
				*err = why;
				rc = -1;
				continue;
			}
			/* Damaged: it claims nothing any more; claims are written whole, so
			 * nobody is in the middle of writing it. */
			rc = storage_remove(repo->storage, names.list[i], err);
			continue;
		}
		if (strcmp(get_text(json, "kind"), "sight") == 0)
			rc = sweep_sight(repo, &id, names.list[i], err);
		else if (is_live(repo, &id, json))
			each(arg, json);
		else
			rc = remove_dead(repo, &id, names.list[i], err);
		json_decref(json);
	}
	object_names_done(&names);
	return rc;
}

struct conflict {
	enum claim_kind kind; /* of the claim wanted */
	bool found;
	char text[300];
};

static void
note_conflict(void *arg, const json_t *claim)
{
	struct conflict *conflict = arg;
	bool exclusive = strcmp(get_text(claim, "kind"), "exclusive") == 0;

	if (conflict->kind == CLAIM_SHARED && !exclusive)
		return;
	conflict->found = true;
	snprintf(conflict->text, sizeof(conflict->text), "%s on host '%s', process %lld, since %s",
	    get_text(claim, "purpose"), get_text(claim, "host"),
	    (long long)json_integer_value(json_object_get(claim, "pid")), get_text(claim, "since"));
}

static int
write_claim(struct claim *claim, struct error *err)
{
	char now[TIME_TEXT_SIZE];

	time_format(time_now(), 3, now);
	json_object_set_new(claim->json, "refreshed", json_string(now));
	return sealed_json_write(claim->repo, CLAIM_FOLDER, SEAL_CLAIM, &claim->id, claim->json,
	    true, err);
}

static int
claim_exists(struct claim *claim, struct error *err)
{
	char name[64];
	uint64_t size;

	sealed_json_name(CLAIM_FOLDER, &claim->id, name);
	return storage_size(claim->repo->storage, name, &size, err);
}

static void *
refresher_main(void *arg)
{
	struct claim *claim = arg;
	struct error err;

	pthread_mutex_lock(&claim->lock);
	while (!claim->ending) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += CLAIM_REFRESH_S;
		while (!claim->ending &&
		    pthread_cond_timedwait(&claim->ended, &claim->lock, &until) == 0)
			;
		/* A claim that others removed is lost: writing it again would hide that from
		 * claim_check().  A refresh that fails is tried again next time. */
		if (!claim->ending && claim_exists(claim, &err) == 1)
			(void)write_claim(claim, &err);
	}
	pthread_mutex_unlock(&claim->lock);
	return NULL;
}

static void
remove_claim(struct claim *claim)
{
	struct error ignored; /* it heals anyway, once this process is gone */
	char name[64];
	int rc = -1;

	sealed_json_name(CLAIM_FOLDER, &claim->id, name);
	/* That may be long: until then it would keep others waiting for nobody. */
	for (int try = 0; try < REMOVE_TRIES && rc != 0; try++)
		rc = storage_remove(claim->repo->storage, name, &ignored);
}

/* Write ours, then look for others': of two that do so at once, each sees the other. */
static int
try_claim(struct claim *claim, enum claim_kind kind, struct conflict *conflict, struct error *err)
{
	*conflict = (struct conflict){ .kind = kind };
	if (write_claim(claim, err) != 0) {
		/* It may be there all the same: what failed may have been the last sync. */
		remove_claim(claim);
		return -1;
	}
	if (scan_claims(claim->repo, &claim->id, note_conflict, conflict, err) != 0) {
		remove_claim(claim);
		return -1;
	}
	if (conflict->found)
		remove_claim(claim);
	return 0;
}

static void
claim_free(struct claim *claim)
{
	json_decref(claim->json);
	pthread_mutex_destroy(&claim->lock);
	pthread_cond_destroy(&claim->ended);
	free(claim);
}

int
claim_take(struct repository *repo, enum claim_kind kind, const char *purpose, const char *run,
    unsigned wait_s, struct progress *progress, struct claim **ret, struct error *err)
{
	struct claim *claim = MEM_NEW(struct claim);
	int64_t until = time_monotonic_ms() + (int64_t)wait_s * 1000;
	struct conflict conflict;
	pthread_condattr_t attr;

	claim->repo = repo;
	claim->json = claim_json(kind, purpose, run);
	object_id_random(&claim->id);
	pthread_mutex_init(&claim->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&claim->ended, &attr);
	pthread_condattr_destroy(&attr);
	for (;;) {
		/* Uneven pauses, so that two who met do not meet again and again. */
		struct timespec pause = { 0, 100000000 + (claim->id.bytes[0] << 20) };

		if ((progress != NULL && progress_check(progress, err) != 0) ||
		    try_claim(claim, kind, &conflict, err) != 0)
			goto fail;
		if (!conflict.found)
			break;
		if (time_monotonic_ms() >= until) {
			error_set(err, ERROR_CLAIMED, "the repository is in use: %s",
			    conflict.text);
			error_hint(err, "try again when that has ended");
			goto fail;
		}
		nanosleep(&pause, NULL);
	}
	if (pthread_create(&claim->refresher, NULL, refresher_main, claim) != 0) {
		remove_claim(claim);
		error_set(err, ERROR_INTERNAL, "could not start a thread");
		goto fail;
	}
	*ret = claim;
	return 0;
fail:
	claim_free(claim);
	return -1;
}

int
claim_check(struct claim *claim, struct error *err)
{
	int there = claim_exists(claim, err);

	if (there == 0) {
		error_set(err, ERROR_CLAIM_LOST,
		    "this run was stopped for so long that its claim was taken for dead");
		error_hint(err, "nothing was published; start it again");
	}
	return there == 1 ? 0 : -1;
}

void
claim_release(struct claim *claim)
{
	if (claim == NULL)
		return;
	pthread_mutex_lock(&claim->lock);
	claim->ending = true;
	pthread_cond_signal(&claim->ended);
	pthread_mutex_unlock(&claim->lock);
	pthread_join(claim->refresher, NULL);
	remove_claim(claim);
	claim_free(claim);
}

static void
append_claim(void *arg, const json_t *claim)
{
	json_array_append_new(arg, json_pack("{s:s, s:I, s:s, s:s, s:s*, s:s}",
	    "host", get_text(claim, "host"),
	    "pid", json_integer_value(json_object_get(claim, "pid")),
	    "kind", get_text(claim, "kind"), "purpose", get_text(claim, "purpose"),
	    "run", json_string_value(json_object_get(claim, "run")), "since",
	    get_text(claim, "since")));
}

int
claim_list(struct repository *repo, json_t **ret, struct error *err)
{
	json_t *list = json_array();

	if (scan_claims(repo, NULL, append_claim, list, err) != 0) {
		json_decref(list);
		return -1;
	}
	*ret = list;
	return 0;
}
