/*
 * Every setting once.  Parser, defaults, environment names, `config show`, `config check` and
 * the manual page are made from this list.
 *
 *   _(section, key, TYPE, field, default, min, max, environment, sentence)
 *
 * TYPE is TEXT, SECRET (a text that is not shown), LIST, BOOL, INTEGER, SIZE (bytes) or DURATION
 * (seconds); field is the member of struct config.  min and max bound a number, or the length of
 * a text or list item.
 * A default of "" means: not set, or worked out at load as the sentence says.
 * environment names the ancestors' variables, separated by spaces; besides them each setting has
 * HOLDFAST_SECTION_KEY.
 * A list is separated by commas ("\," is a comma) or continued on indented lines, and may be
 * given several times in one file; a later source replaces an earlier one's list.
 *
 * Those of [database] are settings of each section [database NAME], too, there without a variable.
 *
 * JOB_SETTINGS are those of each section [job NAME]; field is the member of struct config_job, and
 * there is no variable.  NOTICE_SETTINGS are the same of [notice NAME] and struct config_notice.
 */
#ifndef HOLDFAST_AGENT_SETTINGS_H
#define HOLDFAST_AGENT_SETTINGS_H

#define SETTING_TEXT_MAX 4095 /* PATH_MAX without its NUL */

/* Bounds of the rules that say what stays. */
#define KEEP_MAX 1000000
#define KEEP_WITHIN_MAX_S (INT64_C(100) * 366 * 86400)

#define JOIN_PACKS_MAX 1000000

/* clang-format off */
#define SETTINGS(_) \
	_("agent", "name", TEXT, name, "", 1, 255, "", \
	    "name of this agent in the log; default: the host's name") \
	_("agent", "listen", LIST, listen, "127.0.0.1:7420", 1, SETTING_TEXT_MAX, "", \
	    "addresses to serve: ADDR:PORT, [IPV6]:PORT or unix:PATH") \
	_("agent", "state", TEXT, state, "", 1, SETTING_TEXT_MAX, "", \
	    "folder of the passphrase, tokens, runs and log; default: $STATE_DIRECTORY, " \
	    "for root /var/lib/holdfast if that exists, else ./state") \
	_("agent", "allow", LIST, allow, "", 1, SETTING_TEXT_MAX, "", \
	    "absolute folders that may be backed up on request; none: all") \
	_("agent", "restore", LIST, restore, "", 1, SETTING_TEXT_MAX, "", \
	    "absolute folders that may be restored into on request; none: all") \
	_("agent", "tls_cert", TEXT, tls_cert, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of the certificate chain; needed off loopback") \
	_("agent", "tls_key", TEXT, tls_key, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of the certificate's private key; not readable by others") \
	_("agent", "insecure_http", BOOL, insecure_http, "no", 0, 0, "", \
	    "serve plain HTTP off loopback: tokens and data cross the network readable") \
	_("agent", "max_connections", INTEGER, max_connections, "16384", 8, 1000000, "", \
	    "connections at once") \
	_("agent", "max_connections_per_address", INTEGER, max_connections_per_address, "12000", \
	    1, 1000000, "", \
	    "connections at once from one address") \
	_("agent", "max_body", SIZE, max_body, "16M", 1024, 1 << 30, "", \
	    "largest request body") \
	_("agent", "header_deadline", DURATION, header_deadline_s, "15s", 1, 3600, "", \
	    "time in which a request's header must have arrived") \
	_("agent", "request_deadline", DURATION, request_deadline_s, "60s", 1, 86400, "", \
	    "time in which a whole request must have arrived") \
	_("agent", "idle", DURATION, idle_s, "120s", 1, 86400, "", \
	    "time after which an unused connection is closed") \
	_("agent", "upload_idle", DURATION, upload_idle_s, "5m", 1, 86400, "", \
	    "longest pause in a body that is kept as it comes; without one it may take any time") \
	_("agent", "run_workers", INTEGER, run_workers, "2", 1, 64, "", \
	    "runs executed at once; further ones wait in the queue") \
	_("log", "hosts", LIST, log.hosts, "", 1, SETTING_TEXT_MAX, "MYSQL_HOST", \
	    "MariaDB servers of the central log, tried in this order: HOST, HOST:PORT, " \
	    "[IPV6]:PORT or the path of a socket; none: no central log") \
	_("log", "user", TEXT, log.user, "", 1, 255, "MYSQL_USER", \
	    "user at the central log; default: the agent's own user name") \
	_("log", "password", SECRET, log.password, "", 1, 1024, "MYSQL_PASSWORD", \
	    "its password; a file that holds it must not be readable by others") \
	_("log", "password_file", TEXT, log.password_file, "", 1, SETTING_TEXT_MAX, "", \
	    "file whose first line is the password; not accessible to others") \
	_("log", "name", TEXT, log.name, "holdfast", 1, 192, "", \
	    "database of the central log; made at first contact") \
	_("log", "tls", BOOL, log.tls, "no", 0, 0, "", \
	    "encrypt, and refuse a server whose certificate does not prove its name") \
	_("log", "tls_ca", TEXT, log.tls_ca, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of who signed the server's certificate; default: who the system trusts") \
	_("log", "tls_cert", TEXT, log.tls_cert, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of our own certificate, where the server wants one") \
	_("log", "tls_key", TEXT, log.tls_key, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of its private key; not readable by others") \
	_("log", "connect_timeout", DURATION, log.connect_timeout_s, "10s", 1, 3600, "", \
	    "time in which one of the servers must have taken a connection") \
	_("log", "timeout", DURATION, log.timeout_s, "60s", 1, 86400, "", \
	    "time in which the server must have answered a statement") \
	_("log", "retention", DURATION, log_retention_s, "0", 0, 36525 * INT64_C(86400), "", \
	    "age at which rows leave the log, here and there; their daily sums stay; 0: never") \
	_("database", "hosts", LIST, database.server.hosts, "", 1, SETTING_TEXT_MAX, "MYSQL_HOST", \
	    "MariaDB servers whose tables are backed up, loaded and restored, tried in this order: " \
	    "HOST, HOST:PORT, [IPV6]:PORT or the path of a socket") \
	_("database", "user", TEXT, database.server.user, "", 1, 255, "MYSQL_USER", \
	    "user there; default: the agent's own user name") \
	_("database", "password", SECRET, database.server.password, "", 1, 1024, "MYSQL_PASSWORD", \
	    "its password; a file that holds it must not be readable by others") \
	_("database", "password_file", TEXT, database.server.password_file, "", 1, SETTING_TEXT_MAX, "", \
	    "file whose first line is the password; not accessible to others") \
	_("database", "name", TEXT, database.server.name, "company", 1, 192, "MYSQL_DATABASE", \
	    "database there; migrations make it if it is missing; [database NAME]: default NAME") \
	_("database", "tls", BOOL, database.server.tls, "no", 0, 0, "", \
	    "encrypt, and refuse a server whose certificate does not prove its name") \
	_("database", "tls_ca", TEXT, database.server.tls_ca, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of who signed the server's certificate; default: who the system trusts") \
	_("database", "tls_cert", TEXT, database.server.tls_cert, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of our own certificate, where the server wants one") \
	_("database", "tls_key", TEXT, database.server.tls_key, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of its private key; not readable by others") \
	_("database", "connect_timeout", DURATION, database.server.connect_timeout_s, "10s", 1, 3600, "", \
	    "time in which one of the servers must have taken a connection") \
	_("database", "timeout", DURATION, database.server.timeout_s, "10m", 1, 86400, "", \
	    "time in which the server must have answered a statement") \
	_("database", "migrations", TEXT, database.migrations, "", 1, SETTING_TEXT_MAX, "", \
	    "folder of NNNN_name.up.sql and .down.sql; default: the set that comes with holdfast " \
	    "(departments, jobs, hired_employees)") \
	_("database", "reports", TEXT, database.reports, "", 1, SETTING_TEXT_MAX, "", \
	    "folder of further reports, NAME.sql; one of the same name replaces one that comes " \
	    "with holdfast") \
	_("database", "connections", INTEGER, database.connections, "2", 1, 64, "", \
	    "connections that a backup of tables reads with, and a restore of several writes with") \
	_("database", "compression", INTEGER, database.compression, "1", 1, 19, "", \
	    "zstd level of tables; higher is smaller and slower") \
	_("exchange", "url", TEXT, exchange, "", 1, SETTING_TEXT_MAX, "", \
	    "where tables and files to load are exchanged: file:///absolute/folder") \
	_("repository", "url", TEXT, repository, "./backup", 1, SETTING_TEXT_MAX, \
	    "BACKUP-FOLDER BACKUP_FOLDER BACKUPFOLDER", \
	    "folder or URL of the repository") \
	_("repository", "passphrase_file", TEXT, passphrase_file, "", 1, SETTING_TEXT_MAX, \
	    "HOLDFAST_PASSPHRASE_FILE", \
	    "file whose first line opens the repository; not accessible to others; default: " \
	    "passphrase in the state folder") \
	_("repository", "compression", INTEGER, compression, "2", 1, 19, "", \
	    "zstd level of files; higher is smaller and slower") \
	_("repository", "threads", INTEGER, threads, "0", 0, 256, "", \
	    "threads of one run; 0: one per core") \
	_("repository", "verify", BOOL, verify, "yes", 0, 0, "", \
	    "open and hash all data once more before it is stored") \
	_("repository", "parity", TEXT, parity, "off", 1, 16, "", \
	    "what new packs get so that damage in them heals: off, a share as 10%, or K+M: any M of " \
	    "K+M blocks may be lost") \
	_("repository", "exclude", LIST, exclude, "", 1, SETTING_TEXT_MAX, "", \
	    "patterns left out of every backup, as in .gitignore") \
	_("repository", "exclude_caches", BOOL, exclude_caches, "no", 0, 0, "", \
	    "leave out folders marked by a CACHEDIR.TAG") \
	_("repository", "one_file_system", BOOL, one_file_system, "no", 0, 0, "", \
	    "do not cross into other file systems") \
	_("repository", "max_file_size", SIZE, max_file_size, "0", 0, INT64_MAX, "", \
	    "leave out files larger than this; 0: no limit") \
	_("repository", "grace", DURATION, grace_s, "24h", 0, 366 * 86400, "", \
	    "how long prune keeps data that no snapshot needs before it is removed") \
	_("repository", "rewrite_percent", INTEGER, rewrite_percent, "25", 1, 100, "", \
	    "prune rewrites a pack when so many per cent of it are dead") \
	_("repository", "join_packs", INTEGER, join_packs, "16", 0, JOIN_PACKS_MAX, "", \
	    "prune joins packs that are small, once there are so many; 0: never") \
	_("keep", "last", INTEGER, keep.last, "0", 0, KEEP_MAX, "", \
	    "how many snapshots prune keeps, the newest ones; all [keep] 0: it keeps every one") \
	_("keep", "hourly", INTEGER, keep.hourly, "0", 0, KEEP_MAX, "", \
	    "besides, the newest of each of the last so many hours that have one") \
	_("keep", "daily", INTEGER, keep.daily, "0", 0, KEEP_MAX, "", \
	    "the same of days") \
	_("keep", "weekly", INTEGER, keep.weekly, "0", 0, KEEP_MAX, "", \
	    "the same of weeks") \
	_("keep", "monthly", INTEGER, keep.monthly, "0", 0, KEEP_MAX, "", \
	    "the same of months") \
	_("keep", "yearly", INTEGER, keep.yearly, "0", 0, KEEP_MAX, "", \
	    "the same of years") \
	_("keep", "within", DURATION, keep.within_s, "0", 0, KEEP_WITHIN_MAX_S, "", \
	    "besides, all that are not older than the newest by more than this") \
	_("limits", "upload", SIZE, limit_upload, "0", 0, INT64_MAX, "", \
	    "bytes a second that all runs together write to the repository; 0: no limit") \
	_("limits", "download", SIZE, limit_download, "0", 0, INT64_MAX, "", \
	    "bytes a second that all runs together read from the repository; 0: no limit") \
	_("limits", "read", SIZE, limit_read, "0", 0, INT64_MAX, "", \
	    "bytes a second that all runs together read of files and tables to back up; 0: no limit") \
	_("limits", "files", INTEGER, limit_files, "0", 0, 1000000000, "", \
	    "files a second that all runs together open to back them up; 0: no limit") \
	_("limits", "nice", INTEGER, nice, "0", 0, 19, "", \
	    "how much the threads of a run step back from others for the processor") \
	_("limits", "io", TEXT, io, "normal", 1, 16, "", \
	    "how the threads of a run rank at the disk: normal, low, or idle: only when no other " \
	    "wants it")

#define JOB_SETTINGS(_) \
	_("job", "path", LIST, path, "", 1, SETTING_TEXT_MAX, "", \
	    "absolute folders that this job backs up, into one snapshot") \
	_("job", "tables", LIST, tables, "", 1, 192, "", \
	    "tables that this job backs up, * for all of the database; together with path they are " \
	    "one snapshot, of one moment") \
	_("job", "database", TEXT, database, "", 1, CONFIG_NAME_MAX, "", \
	    "NAME of the section [database NAME] that its tables lie in; without it [database]") \
	_("job", "exclude", LIST, exclude, "", 1, SETTING_TEXT_MAX, "", \
	    "patterns left out of it, besides those of every backup") \
	_("job", "before", TEXT, before, "", 1, SETTING_TEXT_MAX, "", \
	    "program with its arguments that runs before a backup of the job: with status 75 the " \
	    "run is skipped, with any other but 0 it fails") \
	_("job", "after", TEXT, after, "", 1, SETTING_TEXT_MAX, "", \
	    "the same after one that succeeded: with any status but 0 the run warns") \
	_("job", "on_failure", TEXT, on_failure, "", 1, SETTING_TEXT_MAX, "", \
	    "the same after one that failed or was cancelled") \
	_("job", "hook_timeout", DURATION, hook_timeout_s, "1h", 1, 7 * 86400, "", \
	    "how long each of them may take") \
	_("job", "schedule", TEXT, schedule, "", 1, 255, "", \
	    "when it starts: the five fields of cron, or @hourly, @daily, @weekly, @monthly, " \
	    "@yearly; default: only when it is asked for") \
	_("job", "timezone", TEXT, timezone, "", 1, 255, "", \
	    "whose clock its schedule goes by, as Europe/Berlin or UTC; default: the machine's") \
	_("job", "jitter", DURATION, jitter_s, "0", 0, 86400, "", \
	    "each start is up to so much later, always by as much for one job of one agent: " \
	    "spreads a fleet") \
	_("job", "expect", DURATION, expect_s, "0", 0, INT64_C(10) * 366 * 86400, "", \
	    "the job is overdue if no run succeeded for so long; 0: never") \
	_("job", "retry", INTEGER, retry, "0", 0, 100, "", \
	    "how often a run that failed, or was cut off, is tried again") \
	_("job", "retry_wait", DURATION, retry_wait_s, "5m", 1, 7 * 86400, "", \
	    "how long after its end") \
	_("job", "jump", INTEGER, jump, "50", 0, 99, "", \
	    "a backup whose files, bytes or share of changed files are off the job's usual by " \
	    "more than so many per cent warns, and nothing of the job is forgotten until that is " \
	    "acknowledged; 0: never") \
	_("job", "prove", TEXT, prove, "", 1, 255, "", \
	    "when a sample of its newest snapshot is restored for a test, as schedule has it; " \
	    "default: only when it is asked for") \
	_("job", "prove_files", INTEGER, prove_files, "20", 0, 10000, "", \
	    "files that such a test restores, half of them the newest ones") \
	_("job", "prove_tables", INTEGER, prove_tables, "1", 0, 1000, "", \
	    "tables that it restores, into a database made for it") \
	_("job", "prove_bytes", SIZE, prove_bytes, "256M", 1, INT64_MAX, "", \
	    "bytes of files, and of tables, that it restores at most") \
	_("job", "keep_last", INTEGER, keep.last, "0", 0, KEEP_MAX, "", \
	    "how many of its snapshots prune keeps, the newest ones; a job that has one keep_ " \
	    "has no other rules, and all 0 keeps every one; without any, those of [keep] hold") \
	_("job", "keep_hourly", INTEGER, keep.hourly, "0", 0, KEEP_MAX, "", \
	    "besides, the newest of each of the last so many hours that have one") \
	_("job", "keep_daily", INTEGER, keep.daily, "0", 0, KEEP_MAX, "", \
	    "the same of days") \
	_("job", "keep_weekly", INTEGER, keep.weekly, "0", 0, KEEP_MAX, "", \
	    "the same of weeks") \
	_("job", "keep_monthly", INTEGER, keep.monthly, "0", 0, KEEP_MAX, "", \
	    "the same of months") \
	_("job", "keep_yearly", INTEGER, keep.yearly, "0", 0, KEEP_MAX, "", \
	    "the same of years") \
	_("job", "keep_within", DURATION, keep.within_s, "0", 0, KEEP_WITHIN_MAX_S, "", \
	    "besides, all that are not older than its newest by more than this")

#define NOTICE_SETTINGS(_) \
	_("notice", "on", LIST, on, "failure, overdue, recovery, unproven", 1, 40, "", \
	    "what it tells of: success, warning, failure, cancelled, skipped, overdue, recovery, " \
	    "jump, proof, unproven") \
	_("notice", "jobs", LIST, jobs, "", 1, CONFIG_NAME_MAX, "", \
	    "jobs that it tells of; none: all") \
	_("notice", "webhook", TEXT, webhook, "", 1, SETTING_TEXT_MAX, "", \
	    "URL that the notice is sent to as JSON by POST") \
	_("notice", "ping_start", TEXT, ping_start, "", 1, SETTING_TEXT_MAX, "", \
	    "URL of a watch that is asked for when a backup begins") \
	_("notice", "ping_success", TEXT, ping_success, "", 1, SETTING_TEXT_MAX, "", \
	    "the same when it ended ok") \
	_("notice", "ping_fail", TEXT, ping_fail, "", 1, SETTING_TEXT_MAX, "", \
	    "the same when it ended otherwise, be it with a warning") \
	_("notice", "command", TEXT, command, "", 1, SETTING_TEXT_MAX, "", \
	    "program with its arguments that reads the notice as JSON") \
	_("notice", "mail", LIST, mail, "", 1, 254, "", \
	    "addresses that it is mailed to by the machine's own sendmail") \
	_("notice", "mail_from", TEXT, mail_from, "", 1, 254, "", \
	    "address that it is mailed from; default: what sendmail takes") \
	_("notice", "sendmail", TEXT, sendmail, "/usr/sbin/sendmail", 1, SETTING_TEXT_MAX, "", \
	    "program that takes a mail, called with -t -i") \
	_("notice", "headers_file", TEXT, headers_file, "", 1, SETTING_TEXT_MAX, "", \
	    "file of header fields for the URLs, one a line, as a token; not accessible to others") \
	_("notice", "tls_ca", TEXT, tls_ca, "", 1, SETTING_TEXT_MAX, "", \
	    "PEM file of authorities that the URLs' certificates are checked by; default: the " \
	    "system's") \
	_("notice", "timeout", DURATION, timeout_s, "30s", 1, 600, "", \
	    "how long one try may take")
/* clang-format on */

#endif
