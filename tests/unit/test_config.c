#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/config.h"
#include "shared/mem.h"
#include "tests/lib/test_folder.h"

/* A private folder with agent.conf and conf.d; the environment holds none of our names. */
struct place {
	char *folder, *file;
};

static const char *const names[] = { "BACKUP-FOLDER", "BACKUP_FOLDER", "BACKUPFOLDER",
	"HOLDFAST_PASSPHRASE_FILE", "HOLDFAST_AGENT_LISTEN", "HOLDFAST_REPOSITORY_THREADS",
	"HOLDFAST_AGENT_LISTNE", "HOLDFAST_REPOSITORY_URL", "STATE_DIRECTORY" };

static void
forget_environment(void)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
}

static int
set_up(void **state)
{
	struct place *place = MEM_NEW(struct place);
	char *conf_d;

	forget_environment();
	place->folder = test_folder_new();
	place->file = test_path(place->folder, "agent.conf");
	conf_d = test_path(place->folder, "conf.d");
	assert_int_equal(mkdir(conf_d, 0700), 0);
	free(conf_d);
	*state = place;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *place = *state;

	forget_environment();
	free(place->file);
	test_folder_remove(place->folder);
	free(place);
	return 0;
}

static void
write_text(const char *path, const char *text)
{
	test_file_write(path, text, strlen(text));
}

static struct config *
load_flags(const struct place *place, struct config_flags flags)
{
	struct error err = ERROR_INIT;
	struct config *config = NULL;

	flags.file = place->file;
	if (config_load(&flags, &config, &err) != 0)
		fail_msg("%s", err.message);
	return config;
}

static struct config *
load(const struct place *place, const char *text)
{
	write_text(place->file, text);
	return load_flags(place, (struct config_flags){ NULL, NULL, NULL, NULL, NULL });
}

/* Loading must fail; FILE in the expected message stands for the path. */
static void
refuse(const struct place *place, const char *text, const char *message, const char *hint)
{
	struct config_flags flags = { .file = place->file };
	struct error err = ERROR_INIT;
	struct config *config = NULL;
	char *expected;

	write_text(place->file, text);
	assert_int_equal(config_load(&flags, &config, &err), -1);
	assert_null(config);
	assert_int_equal(err.code, ERROR_CONFIG);
	expected = strncmp(message, "FILE", 4) == 0 ? mem_printf("%s%s", place->file, message + 4)
	    : mem_strdup(message);
	assert_string_equal(err.message, expected);
	if (hint != NULL)
		assert_string_equal(err.hint, hint);
	free(expected);
}

/* The same where FILE stands anywhere in the message. */
static void
refuse_everywhere(const struct place *place, const char *text, const char *message,
    const char *hint)
{
	const char *second = strstr(message + 1, "FILE");
	char *expected = second == NULL ? mem_strdup(message)
	    : mem_printf("%.*s%s%s", (int)(second - message), message, place->file, second + 4);

	refuse(place, text, expected, hint);
	free(expected);
}

static const char *
source_of(json_t *all, const char *section, const char *key)
{
	return json_string_value(json_object_get(json_object_get(json_object_get(all, section),
	    key), "source"));
}

static void
an_empty_file_leaves_every_setting_at_its_default(void **state)
{
	struct config *config = load(*state, "");

	assert_int_equal(config->listen_count, 1);
	assert_string_equal(config->listen[0], "127.0.0.1:7420");
	assert_string_equal(config->repository, "./backup");
	assert_null(config->passphrase_file);
	assert_int_equal(config->allow_count, 0);
	assert_true(config->verify);
	assert_false(config->insecure_http);
	assert_int_equal(config->compression, 2);
	assert_int_equal(config->database.compression, 1);
	assert_int_equal(config->grace_s, 86400);
	assert_int_equal(config->max_body, 16 << 20);
	assert_true(strlen(config->name) > 0);
	config_free(config);
}

static void
values_of_every_type_are_read(void **state)
{
	struct config *config = load(*state, "# comment\n[agent]\nname = web1\n"
	    "allow = /srv, /home\ninsecure_http = On\nmax_body = 2M\nidle = 5m\nrun_workers=4\n"
	    "; comment\n[repository]\ncompression = 9\nverify: no\n");

	assert_string_equal(config->name, "web1");
	assert_int_equal(config->allow_count, 2);
	assert_string_equal(config->allow[0], "/srv");
	assert_string_equal(config->allow[1], "/home");
	assert_true(config->insecure_http);
	assert_int_equal(config->max_body, 2 << 20);
	assert_int_equal(config->idle_s, 300);
	assert_int_equal(config->run_workers, 4);
	assert_int_equal(config->compression, 9);
	assert_false(config->verify);
	config_free(config);
}

static void
a_list_may_be_continued_and_repeated_and_hold_commas(void **state)
{
	struct config *config = load(*state, "[repository]\nexclude = *.o\n  *.a, core\n"
	    "exclude = with\\,comma ; no comment\n\n  last\n");

	assert_int_equal(config->exclude_count, 5);
	assert_string_equal(config->exclude[0], "*.o");
	assert_string_equal(config->exclude[1], "*.a");
	assert_string_equal(config->exclude[2], "core");
	assert_string_equal(config->exclude[3], "with,comma ; no comment");
	assert_string_equal(config->exclude[4], "last");
	config_free(config);
}

static void
conf_d_overrides_the_file_in_the_order_of_names(void **state)
{
	struct place *place = *state;
	char *first = test_path(place->folder, "conf.d/10-a.conf");
	char *second = test_path(place->folder, "conf.d/20-b.conf");
	char *other = test_path(place->folder, "conf.d/30-c.conf.bak");
	struct config *config;
	json_t *all;

	write_text(second, "[agent]\nname = second\n");
	write_text(first, "[agent]\nname = first\nallow = /b\n");
	write_text(other, "[agent]\nname = other\n");
	config = load(place, "[agent]\nname = file\nallow = /a\nallow = /c\n");
	assert_string_equal(config->name, "second");
	assert_int_equal(config->allow_count, 1);
	assert_string_equal(config->allow[0], "/b");
	all = config_to_json(config);
	assert_non_null(strstr(source_of(all, "agent", "name"), "20-b.conf:2"));
	assert_string_equal(source_of(all, "agent", "state"), "default");
	json_decref(all);
	config_free(config);
	free(first);
	free(second);
	free(other);
}

static void
a_flag_beats_the_environment_which_beats_files(void **state)
{
	struct place *place = *state;
	struct config *config;
	json_t *all;

	setenv("BACKUP_FOLDER", "/from/environment", 1);
	setenv("HOLDFAST_REPOSITORY_THREADS", "7", 1);
	config = load(place, "[repository]\nurl = /from/file\nthreads = 2\n");
	assert_string_equal(config->repository, "/from/environment");
	assert_int_equal(config->threads, 7);
	config_free(config);
	config = load_flags(place, (struct config_flags){ .repository = "/from/flag" });
	assert_string_equal(config->repository, "/from/flag");
	all = config_to_json(config);
	assert_string_equal(source_of(all, "repository", "url"), "flag --repository");
	assert_string_equal(source_of(all, "repository", "threads"),
	    "environment HOLDFAST_REPOSITORY_THREADS");
	json_decref(all);
	config_free(config);
}

static void
all_names_of_the_ancestors_give_the_repository(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		struct config *config;

		forget_environment();
		setenv(names[i], "/old/place", 1);
		config = load(*state, "");
		assert_string_equal(config->repository, "/old/place");
		config_free(config);
	}
}

static void
an_empty_variable_is_as_none(void **state)
{
	struct config *config;

	setenv("BACKUP_FOLDER", "", 1);
	config = load(*state, "");
	assert_string_equal(config->repository, "./backup");
	config_free(config);
}

static void
the_state_folder_of_a_service_is_used(void **state)
{
	struct config *config;

	setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1);
	config = load(*state, "");
	assert_string_equal(config->state, "/var/lib/one");
	config_free(config);
}

static void
wrong_settings_are_refused_with_file_line_and_hint(void **state)
{
	static const struct {
		const char *text, *message, *hint;
	} cases[] = {
		{ "[agent]\nlissten = 1\n", "FILE:2: unknown setting 'lissten' in section [agent]",
		    "did you mean 'listen'?" },
		{ "[agent]\nqqqqqqqq = 1\n",
		    "FILE:2: unknown setting 'qqqqqqqq' in section [agent]",
		    "`holdfastd config show` lists all settings" },
		{ "\n[agnet]\nname = a\n", "FILE:3: unknown section [agnet]",
		    "did you mean [agent]?" },
		{ "[job web]\nfolder = /\n", "FILE:2: unknown setting 'folder' in section [job]", NULL },
		{ "name = a\n", "FILE:1: setting 'name' stands before any [section]", NULL },
		{ "[agent]\nname = a\nname = b\n", "FILE:3: 'name' is given twice in this file",
		    "" },
		{ "[agent]\nname = a\n run_workers = 2\n",
		    "FILE:3: 'name' is given twice in this file",
		    "the line starts with a blank, so it continues 'name': remove the blank" },
		{ "[agent]\nname\n", "FILE:2: expected '[section]' or 'key = value'", NULL },
		{ "[agent\nname = a\n", "FILE:1: expected '[section]' or 'key = value'", NULL },
		{ "[agent]\nrun_workers = many\n",
		    "FILE:2: 'run_workers' takes a number, not 'many'", "not a whole number" },
		{ "[agent]\nrun_workers = 0\n",
		    "FILE:2: 'run_workers' must be between 1 and 64, not '0'", NULL },
		{ "[agent]\nrun_workers = 1e1\n", "FILE:2: 'run_workers' takes a number, not '1e1'",
		    NULL },
		{ "[agent]\nrun_workers = 99999999999999999999\n",
		    "FILE:2: 'run_workers' takes a number, not '99999999999999999999'", NULL },
		{ "[agent]\nmax_body = 12Q\n", "FILE:2: 'max_body' takes a size, not '12Q'", NULL },
		{ "[agent]\nidle = 5\n", "FILE:2: 'idle' takes a duration, not '5'", NULL },
		{ "[agent]\nidle = 900d\n",
		    "FILE:2: 'idle' must be between 1 and 86400 seconds, not '900d'", NULL },
		{ "[agent]\ninsecure_http = maybe\n",
		    "FILE:2: 'insecure_http' takes yes or no, not 'maybe'", NULL },
		{ "[agent]\nname =\n", "FILE:2: 'name' must not be empty", NULL },
		{ "[agent]\nallow = srv\n", "FILE:2: 'allow' takes absolute folders, not 'srv'",
		    NULL },
		{ "[agent]\nlisten =\n", "FILE:2: 'listen' must not be empty", NULL },
		{ "[agent]\nlisten = 7420\n", "FILE:2: '7420' is no address to listen on",
		    "write 127.0.0.1:7420, [::1]:7420 or unix:/run/holdfast.sock" },
		{ "[agent]\nlisten = ::1:7420\n", "FILE:2: '::1:7420' is no address to listen on",
		    NULL },
		{ "[agent]\nlisten = a:70000\n", "FILE:2: 'a:70000' is no address to listen on",
		    NULL },
		{ "[agent]\nlisten = unix:\n", "FILE:2: 'unix:' needs a path of 1 to 107 bytes",
		    NULL },
		{ "[agent]\ntls_cert = /c\n", "FILE:2: 'tls_cert' and 'tls_key' need each other",
		    NULL },
		{ "[agent]\nname = \xff\n", "FILE:2: 'name' is not valid UTF-8", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refuse(*state, cases[i].text, cases[i].message, cases[i].hint);
}

static void
a_line_too_long_is_refused_and_not_cut_in_two(void **state)
{
	char *text = mem_calloc(1, 10000);

	memset(text, 'x', 9000);
	memcpy(text, "[agent]\nname = ", 15);
	refuse(*state, text, "FILE:2: line is longer than 4223 bytes", NULL);
	free(text);
}

static void
an_unknown_variable_of_ours_is_refused(void **state)
{
	setenv("HOLDFAST_AGENT_LISTNE", "a", 1);
	refuse(*state, "", "unknown environment variable 'HOLDFAST_AGENT_LISTNE'", NULL);
}

static void
a_named_file_must_exist(void **state)
{
	struct place *place = *state;
	struct config_flags flags = { .file = place->file };
	struct error err = ERROR_INIT;
	struct config *config = NULL;

	assert_int_equal(config_load(&flags, &config, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, "No such file or directory"));
}

static void
a_file_that_everybody_may_write_is_refused(void **state)
{
	struct place *place = *state;
	struct config_flags flags = { .file = place->file };
	struct error err = ERROR_INIT;
	struct config *config = NULL;

	write_text(place->file, "");
	assert_int_equal(chmod(place->file, 0666), 0);
	assert_int_equal(config_load(&flags, &config, &err), -1);
	assert_int_equal(err.code, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "can be written by everybody"));
}

static void
a_secrets_file_must_be_closed_to_others(void **state)
{
	static const struct {
		mode_t mode;
		int rc;
	} cases[] = { { 0600, 0 }, { 0400, 0 }, { 0640, 0 }, { 0644, -1 }, { 0660, -1 },
		{ 0601, -1 } };
	struct place *place = *state;

	write_text(place->file, "secret\n");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(chmod(place->file, cases[i].mode), 0);
		assert_int_equal(config_check_secret_file(place->file, "passphrase file", &err),
		    cases[i].rc);
		if (cases[i].rc != 0)
			assert_int_equal(err.code, ERROR_CONFIG);
	}
}

static void
verify_wants_tls_off_loopback_and_existing_folders(void **state)
{
	struct error err = ERROR_INIT;
	struct config *config = load(*state, "[agent]\nlisten = 0.0.0.0:7420\n");

	assert_int_equal(config_verify(config, &err), -1);
	assert_int_equal(err.code, ERROR_CONFIG);
	assert_non_null(strstr(err.message, "'0.0.0.0:7420' is not loopback"));
	config_free(config);
	config = load(*state, "[agent]\nlisten = 0.0.0.0:7420\ninsecure_http = yes\n");
	assert_int_equal(config_verify(config, &err), 0);
	config_free(config);
	config = load(*state, "[agent]\nallow = /no/such/folder\n");
	assert_int_equal(config_verify(config, &err), -1);
	assert_non_null(strstr(err.message, "agent.conf:2: 'allow' names '/no/such/folder'"));
	config_free(config);
}

static void
the_description_has_a_sentence_for_every_setting(void **state)
{
	json_t *all = config_describe(), *row;
	struct config *config = load(*state, "");
	json_t *shown = config_to_json(config);
	size_t i;

	assert_true(json_array_size(all) > 20);
	json_array_foreach(all, i, row) {
		const char *environment = json_string_value(json_object_get(row, "environment"));
		const char *section = json_string_value(json_object_get(row, "section"));
		const char *key = json_string_value(json_object_get(row, "key"));

		assert_true(strlen(json_string_value(json_object_get(row, "sentence"))) > 10);
		/* Those of a job, and of a notice, are shown where there is one. */
		if (strcmp(section, "job") == 0 || strcmp(section, "notice") == 0)
			assert_string_equal(environment, "");
		else
			assert_non_null(json_object_get(json_object_get(shown, section), key));
	}
	json_decref(shown);
	config_free(config);
	json_decref(all);
}

static void
jobs_are_read_with_their_own_settings(void **state)
{
	const struct config_job *home, *etc;
	struct config *config = load(*state,
	    "[keep]\nlast = 3\nwithin = 2d\n"
	    "[job home]\npath = /home, /srv\n  /var/www\nexclude = *.tmp\nkeep_daily = 7\n"
	    "[agent]\nname = web1\n"
	    "[job etc]\npath = /etc\n");
	json_t *shown = config_to_json(config);

	assert_string_equal(config->name, "web1");
	assert_int_equal(config->keep.last, 3);
	assert_int_equal(config->keep.within_s, 2 * 86400);
	assert_int_equal(config->job_count, 2);
	home = config_job_find(config, "home");
	etc = config_job_find(config, "etc");
	assert_null(config_job_find(config, "hom"));
	assert_int_equal(home->path_count, 3);
	assert_string_equal(home->path[2], "/var/www");
	assert_int_equal(home->exclude_count, 1);
	assert_int_equal(home->keep.daily, 7);
	assert_int_equal(home->keep.last, 0);
	assert_true(config_job_has_keep(home));
	assert_false(config_job_has_keep(etc));
	assert_int_equal(etc->exclude_count, 0);
	assert_non_null(strstr(source_of(shown, "job home", "keep_daily"), "agent.conf:8"));
	assert_string_equal(source_of(shown, "job etc", "keep_daily"), "default");
	json_decref(shown);
	config_free(config);
	/* A rule of 0 is a rule, too: everything stays, whatever [keep] says. */
	config = load(*state, "[job a]\npath = /a\nkeep_last = 0\n");
	assert_true(config_job_has_keep(config->jobs[0]));
	config_free(config);
}

static void
wrong_jobs_are_refused_with_file_and_line(void **state)
{
	static const struct {
		const char *text, *message, *hint;
	} cases[] = {
		{ "[job a]\npath = /a\n\n[job a]\npath = /b\n",
		    "FILE:4: there is a job 'a' already, at FILE:1", NULL },
		{ "[job a]\n[job b]\npath = /b\n", "FILE:1: job 'a' has no path and no tables",
		    "write what it backs up, as in path = /home, /etc" },
		{ "[agent]\nname = x\n[job]\npath = /b\n", "FILE:3: a job needs a name",
		    "write [job home]" },
		{ "[job a b]\npath = /b\n", "FILE:1: 'a b' is no name of a job", NULL },
		{ "[job ../x]\npath = /b\n", "FILE:1: '../x' is no name of a job", NULL },
		{ "[job a]\npath = /b\nkeep_dayly = 3\n",
		    "FILE:3: unknown setting 'keep_dayly' in section [job]",
		    "did you mean 'keep_daily'?" },
		{ "[job a]\npath = /b\nkeep_last = 1\nkeep_last = 2\n",
		    "FILE:4: 'keep_last' is given twice in this job", NULL },
		{ "[job a]\npath = b\n", "FILE:2: 'path' of job 'a' takes absolute folders without "
		    "'..', not 'b'", NULL },
		{ "[job a]\npath = /b/../c\n", "FILE:2: 'path' of job 'a' takes absolute folders "
		    "without '..', not '/b/../c'", NULL },
		{ "[agent]\nallow = /srv\n[job a]\npath = /srv/x, /srvx\n",
		    "FILE:4: '/srvx' of job 'a' is outside the allowed folders",
		    "the setting 'allow' in section [agent] lists them" },
		{ "[jobs]\npath = /b\n", "FILE:2: unknown section [jobs]", "did you mean [job NAME]?" },
		{ "[job a]\npath = /b\nkeep_within = soon\n",
		    "FILE:3: 'keep_within' takes a duration, not 'soon'", NULL },
	};
	const struct place *place = *state;
	char *other = test_path(place->folder, "conf.d/b.conf");
	struct config_flags flags = { .file = place->file };
	struct config *config = NULL;
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refuse_everywhere(place, cases[i].text, cases[i].message, cases[i].hint);
	/* Two files are no better than one. */
	write_text(place->file, "[job a]\npath = /a\n");
	write_text(other, "[job a]\npath = /a\n");
	assert_int_equal(config_load(&flags, &config, &err), -1);
	assert_non_null(strstr(err.message, "conf.d/b.conf:1: there is a job 'a' already, at "));
	assert_non_null(strstr(err.message, "agent.conf:1"));
	free(other);
}

#define SHOP "[database shop]\nhosts = db2:3307\n"

static void
databases_are_read_with_their_own_settings(void **state)
{
	const struct config_database *shop, *web;
	struct config *config = load(*state,
	    "[database]\nhosts = db1\nuser = one\nconnections = 4\n"
	    SHOP "  db3\nuser = two\nname = sales\n"
	    "[database web]\nuser = three\nhosts = /run/sock\nmigrations = /srv/web\n"
	    "[agent]\nname = web1\n");
	json_t *shown = config_to_json(config);

	assert_string_equal(config->name, "web1");
	assert_string_equal(config->database.server.user, "one");
	assert_string_equal(config->database.server.name, "company");
	assert_int_equal(config->database.connections, 4);
	assert_string_equal(config->database.folder, "database");
	assert_int_equal(config->database_count, 2);
	shop = config->databases[0];
	web = config->databases[1];
	assert_string_equal(shop->server.user, "two");
	assert_string_equal(shop->server.name, "sales");
	assert_int_equal(shop->server.hosts_count, 2);
	assert_string_equal(shop->server.hosts[1], "db3");
	assert_int_equal(shop->connections, 2);
	assert_null(shop->migrations);
	assert_string_equal(shop->folder, "databases/shop");
	/* Its name on the server, unless it is told, is that of the section. */
	assert_string_equal(web->server.name, "web");
	assert_string_equal(web->server.user, "three");
	assert_string_equal(web->migrations, "/srv/web");
	assert_non_null(strstr(source_of(shown, "database shop", "name"), "agent.conf:9"));
	assert_string_equal(source_of(shown, "database web", "name"), "default");
	json_decref(shown);
	config_free(config);
}

static void
a_database_is_found_by_its_name_or_because_it_is_the_only_one(void **state)
{
	const struct config_database *found = NULL;
	struct error err = ERROR_INIT;
	struct config *config = load(*state, "");

	assert_int_equal(config_database(config, NULL, &found, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	config_free(config);

	config = load(*state, SHOP);
	assert_int_equal(config_database(config, NULL, &found, &err), 0);
	assert_string_equal(found->name, "shop");
	assert_int_equal(config_database(config, "default", &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	config_free(config);

	config = load(*state, SHOP "[database web]\nhosts = db4\n");
	assert_int_equal(config_database(config, NULL, &found, &err), -1);
	assert_int_equal(err.code, ERROR_BAD_REQUEST);
	assert_string_equal(err.hint, "the databases are shop, web");
	assert_int_equal(config_database(config, "web", &found, &err), 0);
	assert_string_equal(found->server.hosts[0], "db4");
	config_free(config);

	config = load(*state, "[database]\nhosts = db1\n" SHOP);
	assert_int_equal(config_database(config, NULL, &found, &err), 0);
	assert_ptr_equal(found, &config->database);
	assert_int_equal(config_database(config, "default", &found, &err), 0);
	assert_ptr_equal(found, &config->database);
	assert_int_equal(config_database(config, "sho", &found, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_string_equal(err.message, "no database 'sho' is configured");
	assert_string_equal(err.hint, "the databases are default, shop");
	config_free(config);
}

static void
wrong_databases_are_refused_with_file_and_line(void **state)
{
	static const struct {
		const char *text, *message, *hint;
	} cases[] = {
		{ SHOP SHOP, "FILE:3: there is a section [database shop] already, at FILE:1", NULL },
		{ "[database shop]\nuser = x\n", "FILE:1: [database shop] has no hosts",
		    "write where its server is, as in hosts = db1:3306" },
		{ "[database default]\nhosts = x\n", "FILE:1: 'default' is the name of [database] "
		    "itself", NULL },
		{ "[database ../x]\nhosts = x\n", "FILE:1: '../x' is no name of a database's "
		    "section", NULL },
		{ SHOP "usr = x\n", "FILE:3: unknown setting 'usr' in section [database]",
		    "did you mean 'user'?" },
		{ SHOP "user = x\nuser = y\n", "FILE:4: 'user' is given twice in this section",
		    NULL },
		{ SHOP "tls_ca = /x\n", "FILE:3: 'tls_ca' is of no use without 'tls'",
		    "write 'tls = yes' in [database shop]" },
		{ SHOP "name = a/\n\n  b\n", "FILE:5: 'name' is given twice in this section", NULL },
		{ SHOP "connections = 65\n",
		    "FILE:3: 'connections' must be between 1 and 64, not '65'", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refuse_everywhere(*state, cases[i].text, cases[i].message, cases[i].hint);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_file_leaves_every_setting_at_its_default),
		TEST(values_of_every_type_are_read),
		TEST(a_list_may_be_continued_and_repeated_and_hold_commas),
		TEST(conf_d_overrides_the_file_in_the_order_of_names),
		TEST(a_flag_beats_the_environment_which_beats_files),
		TEST(all_names_of_the_ancestors_give_the_repository),
		TEST(an_empty_variable_is_as_none),
		TEST(the_state_folder_of_a_service_is_used),
		TEST(wrong_settings_are_refused_with_file_line_and_hint),
		TEST(a_line_too_long_is_refused_and_not_cut_in_two),
		TEST(an_unknown_variable_of_ours_is_refused),
		TEST(a_named_file_must_exist),
		TEST(a_file_that_everybody_may_write_is_refused),
		TEST(a_secrets_file_must_be_closed_to_others),
		TEST(verify_wants_tls_off_loopback_and_existing_folders),
		TEST(jobs_are_read_with_their_own_settings),
		TEST(wrong_jobs_are_refused_with_file_and_line),
		TEST(databases_are_read_with_their_own_settings),
		TEST(a_database_is_found_by_its_name_or_because_it_is_the_only_one),
		TEST(wrong_databases_are_refused_with_file_and_line),
		TEST(the_description_has_a_sentence_for_every_setting),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
