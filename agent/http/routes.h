/*
 * Every route once: method, path, the role it needs, flags, the action of its row in the log
 * ("" for none), handler, one sentence.
 * Dispatch, 405 with Allow and the tests come from here.  HEAD is served wherever GET is.
 */
/* clang-format off */
#define ROUTES(_) \
	_(POST, "/backup", ROLE_OPERATE, ROUTE_BODY, "Backup", http_backup, \
	  "back a folder up; answers when it is stored") \
	_(GET, "/logs", ROLE_READ, 0, "Logs", http_logs, \
	  "actions of a date range, oldest first, as JSON, CSV or NDJSON") \
	_(GET, "/log", ROLE_READ, 0, "Logs", http_logs, \
	  "the same as /logs") \
	_(GET, "/stat", ROLE_READ, 0, "Stats", http_stat, \
	  "how many backups there were, how many operations succeeded and failed") \
	_(GET, "/stats", ROLE_READ, 0, "Stats", http_stat, \
	  "the same as /stat") \
	_(POST, "/run-migration", ROLE_ADMIN, 0, "RunMigration", http_migration_run, \
	  "bring the schema of the database to its newest version, or by ?to= to another") \
	_(GET, "/run-migration", ROLE_READ, 0, "Migrations", http_migration_list, \
	  "which migrations there are, and which are applied") \
	_(POST, "/backup_table/{table}", ROLE_OPERATE, 0, "BackupTable", http_backup_table, \
	  "back a table of the database up; answers when it is stored") \
	_(POST, "/restore_backup/{table}", ROLE_ADMIN, 0, "RestoreTable", http_restore_table, \
	  "restore a table from a snapshot or the exchange storage") \
	_(POST, "/load_historic_data/{table}", ROLE_ADMIN, 0, "LoadHistoricData", \
	  http_load_historic, "load a table's CSV file of the exchange storage into it") \
	_(POST, "/load_data_from_payload/{table}", ROLE_ADMIN, ROUTE_BODY, "LoadDataFromPayload", \
	  http_load_payload, "insert 1 to 1000 rows of JSON into a table") \
	_(GET, "/hired_by_quarter/{year}", ROLE_READ, 0, "HiredByQuarter", http_hired_by_quarter, \
	  "employees hired in each quarter of a year, by department and job") \
	_(GET, "/departments_above_mean/{year}", ROLE_READ, 0, "DepartmentsAboveMean", \
	  http_departments_above_mean, \
	  "departments that hired more than the mean of all departments in a year") \
	_(GET, "/v1/tables", ROLE_READ, 0, "", http_tables_list, \
	  "the tables of the databases, each with the newest snapshot that holds it") \
	_(GET, "/v1/tables/{table}", ROLE_READ, 0, "", http_table_get, \
	  "one table: columns, how each is carried, foreign keys, snapshots that hold it") \
	_(GET, "/v1/reports", ROLE_READ, 0, "", http_reports_list, \
	  "the reports there are, with their parameters") \
	_(GET, "/v1/reports/{name}", ROLE_READ, 0, "", http_report, \
	  "a report as JSON, NDJSON, CSV or text") \
	_(GET, "/v1/status", ROLE_READ, ROUTE_INLINE, "", http_status, \
	  "name, version, repository, runs and free space of the agent") \
	_(GET, "/v1/runs", ROLE_READ, 0, "", http_runs_list, \
	  "runs, newest first") \
	_(POST, "/v1/runs", ROLE_OPERATE, ROUTE_BODY, "Run", http_runs_start, \
	  "start a backup, restore, check, prune, repair, backup or restore of tables") \
	_(GET, "/v1/runs/{id}", ROLE_READ, 0, "", http_run_get, \
	  "one run with its progress, losses and result") \
	_(DELETE, "/v1/runs/{id}", ROLE_OPERATE, 0, "Cancel", http_run_cancel, \
	  "ask a run to end") \
	_(GET, "/v1/runs/{id}/events", ROLE_READ, 0, "", http_run_events, \
	  "follow a run by server-sent events until it has ended") \
	_(GET, "/v1/runs/{id}/rejects", ROLE_ADMIN, 0, "", http_run_rejects, \
	  "the rows that a load did not take, each with its reason") \
	_(POST, "/v1/runs/{id}/pause", ROLE_OPERATE, 0, "Pause", http_run_pause, \
	  "make a run wait") \
	_(POST, "/v1/runs/{id}/continue", ROLE_OPERATE, 0, "Continue", http_run_continue, \
	  "let a paused run go on") \
	_(GET, "/v1/events", ROLE_READ, 0, "", http_events, \
	  "follow all runs by server-sent events") \
	_(GET, "/v1/jobs", ROLE_READ, 0, "", http_jobs_list, \
	  "the jobs of the configuration: schedules, last and next runs, overdue or not") \
	_(GET, "/v1/jobs/{name}", ROLE_READ, 0, "", http_job_get, \
	  "one of them, with the figures of its last runs") \
	_(POST, "/v1/jobs/{name}/hold", ROLE_OPERATE, ROUTE_BODY, "HoldJob", http_job_hold, \
	  "start a job no more, until it is released") \
	_(DELETE, "/v1/jobs/{name}/hold", ROLE_OPERATE, 0, "ReleaseJob", http_job_release, \
	  "let a held job start again") \
	_(POST, "/v1/jobs/{name}/release", ROLE_OPERATE, 0, "ReleaseJob", http_job_release, \
	  "the same as DELETE of its hold") \
	_(POST, "/v1/jobs/{name}/skip", ROLE_OPERATE, 0, "SkipJob", http_job_skip, \
	  "leave the next start of a job out") \
	_(POST, "/v1/jobs/{name}/acknowledge", ROLE_OPERATE, 0, "AcknowledgeJump", \
	  http_job_acknowledge, "say that figures that jumped are right, so that retention goes on") \
	_(GET, "/v1/notices", ROLE_READ, 0, "", http_notices_list, \
	  "what was told of jobs and what waits to be, newest first, and the ways to tell it") \
	_(POST, "/v1/notices/{name}/test", ROLE_OPERATE, 0, "TestNotice", http_notice_test, \
	  "send a test by one of them") \
	_(GET, "/v1/snapshots", ROLE_READ, 0, "", http_snapshots_list, \
	  "snapshots, newest first") \
	_(POST, "/v1/snapshots", ROLE_OPERATE, ROUTE_BODY | ROUTE_STREAM, "Import", \
	  http_snapshot_import, "keep the body as a snapshot: a file, or what a tar holds") \
	_(PUT, "/v1/snapshots", ROLE_OPERATE, ROUTE_BODY | ROUTE_STREAM, "Import", \
	  http_snapshot_import, "the same as POST") \
	_(GET, "/v1/snapshots/{id}", ROLE_READ, 0, "", http_snapshot_get, \
	  "one snapshot, by id, by the beginning of its id, or 'latest'") \
	_(DELETE, "/v1/snapshots/{id}", ROLE_ADMIN, 0, "DeleteSnapshot", http_snapshot_delete, \
	  "forget a snapshot; prune frees its space") \
	_(GET, "/v1/snapshots/{id}/tree", ROLE_READ, 0, "", http_snapshot_tree, \
	  "the entries of a folder in a snapshot") \
	_(GET, "/v1/snapshots/{id}/file", ROLE_ADMIN, 0, "", http_snapshot_file, \
	  "the content of a file in a snapshot") \
	_(GET, "/v1/snapshots/{id}/archive", ROLE_ADMIN, 0, "", http_snapshot_archive, \
	  "a folder of a snapshot as tar, tar.zst or zip") \
	_(GET, "/v1/snapshots/{id}/diff/{other}", ROLE_READ, 0, "", http_snapshot_diff, \
	  "what changed from one snapshot to another") \
	_(GET, "/v1/snapshots/{id}/size", ROLE_READ, 0, "", http_snapshot_size, \
	  "what a snapshot alone holds") \
	_(PUT, "/v1/snapshots/{id}/pin", ROLE_OPERATE, 0, "Pin", http_snapshot_pin, \
	  "keep a snapshot whatever the rules say") \
	_(DELETE, "/v1/snapshots/{id}/pin", ROLE_ADMIN, 0, "Unpin", http_snapshot_unpin, \
	  "take a pin away") \
	_(GET, "/v1/find", ROLE_READ, 0, "", http_find, \
	  "a name in all snapshots, or in one") \
	_(GET, "/v1/versions", ROLE_READ, 0, "", http_versions, \
	  "the versions of a path over all snapshots") \
	_(GET, "/v1/trash", ROLE_READ, 0, "", http_trash, \
	  "the forgotten snapshots that can still be brought back") \
	_(POST, "/v1/trash/{id}/recall", ROLE_ADMIN, 0, "Recall", http_trash_recall, \
	  "bring a forgotten snapshot back") \
	_(GET, "/openapi.json", ROLE_READ, 0, "", http_openapi, \
	  "this API as an OpenAPI 3.1 document") \
	_(GET, "/livez", ROLE_NONE, ROUTE_INLINE, "", http_livez, \
	  "the agent answers") \
	_(GET, "/metrics", ROLE_READ, ROUTE_INLINE, "", http_metrics, \
	  "figures for Prometheus") \
	_(GET, "/readyz", ROLE_NONE, ROUTE_INLINE, "", http_readyz, \
	  "the agent can read its repository and write its state")
/* clang-format on */
