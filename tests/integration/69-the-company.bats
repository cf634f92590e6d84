#!/usr/bin/env bats
#
# What the program is for where tables are concerned, from end to end: a fresh MariaDB, three CSV files,
# and nothing but curl.  Schema, loads, rows by JSON, both reports, a backup, rows deleted by hand, a
# restore; the table is what it was, and each step is a row in the central log.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup() {
	start_mariadb
	mkdir "$AGENT_FOLDER/exchange"
	{
		mariadb_config log database
		printf '[exchange]\nurl = file://%s\n' "$AGENT_FOLDER/exchange"
	} | agent_config
	start_agent
}

teardown() {
	end_agents
	end_mariadb
}

# As those of old: no header, ids, times in UTC; hired_employees with rows that lack something.
historic() {
	mkdir -p "$AGENT_FOLDER/exchange/database/$1/historic"
	cat >"$AGENT_FOLDER/exchange/database/$1/historic/$1.csv"
}

make_files() {
	historic departments <<-'END'
		1,Product Management
		2,Sales
		3,Research and Development
		4,"Legal, Náměstí"
	END
	historic jobs <<-'END'
		1,Marketing Assistant
		2,"VP ""Sales"""
		3,Biostatistician IV
	END
	# Sales hires in each quarter, Research in the third and fourth, Product Management once.
	historic hired_employees <<-'END'
		1,Harold Vogt,2021-01-07T02:48:42Z,2,1
		2,Ty Hofer,2021-05-30T05:43:46Z,2,
		3,Lyman Hadye,2021-04-01T00:00:00Z,2,1
		4,,2021-07-01T00:00:00Z,3,2
		5,Lotti Crowthe,,3,2
		6,Gretna Lording,2021-07-22T07:08:18Z,2,2
		7,Marlow Antecki,2021-12-31T23:59:59Z,2,2
		8,Joan Rillett,2021-08-10T03:01:34Z,3,3
		9,Ulrick Nucator,2021-10-01T00:00:00Z,3,3
		10,Zoë Ólafsdóttir,2021-03-31T23:59:59Z,1,1
		11,Late One,2022-01-01T00:00:00Z,4,1
		12,Nobody's Child,2021-05-05T05:05:05Z,77,1
	END
}

in_central_log() {
	[ "$(sql "SELECT COUNT(*) FROM holdfast.log WHERE $1" 2>/dev/null || echo 0)" -eq "$2" ]
}

@test "a company's tables: made, loaded, reported on, backed up, damaged and restored, by curl alone" {
	make_files
	api POST /run-migration
	assert_status 200
	assert_json '.version == 3 and .pending == 0'

	for table in departments jobs; do
		api POST "/load_historic_data/$table"
		assert_status 201
		assert_json '.rejected == 0 and .inserted == .read and .outcome == "ok"'
	done
	api POST /load_historic_data/hired_employees
	assert_status 201
	assert_json '.read == 12 and .inserted == 8 and .rejected == 4 and .outcome == "warn"'
	run_id=$(json .run)
	api GET "/v1/runs/$run_id/rejects"
	assert_status 200
	assert_json 'map(.row) == [2, 4, 5, 12]'
	assert_json '.[0].column == "job_id" and .[1].column == "name" and .[2].column == "datetime"'

	api POST /load_data_from_payload/hired_employees --json '[
		{"id": 13, "name": "By JSON", "datetime": "2021-11-11T11:11:11Z", "department_id": 3, "job_id": 3},
		{"id": 14, "name": "Too", "datetime": "2021-02-02T02:02:02Z", "department_id": 2, "job_id": 1}]'
	assert_status 201
	assert_json '.inserted == 2 and .rejected == 0'

	api GET /hired_by_quarter/2021
	assert_status 200
	jq -r '.[] | [.department, .job, .Q1, .Q2, .Q3, .Q4] | @tsv' "$API_BODY" | diff - <(printf '%s\t%s\t%d\t%d\t%d\t%d\n' \
		'Product Management' 'Marketing Assistant' 1 0 0 0 \
		'Research and Development' 'Biostatistician IV' 0 0 1 2 \
		Sales 'Marketing Assistant' 2 1 0 0 \
		Sales 'VP "Sales"' 0 0 1 1)
	# 9 hires of 4 departments: the mean is 2.25.
	api GET /departments_above_mean/2021
	assert_status 200
	jq -r '.[] | [.id, .department, .hired] | @tsv' "$API_BODY" | diff - <(printf '%d\t%s\t%d\n' \
		2 Sales 5 3 'Research and Development' 3)

	before=$(sql -D company 'CHECKSUM TABLE hired_employees, departments, jobs')
	sql -D company 'SELECT * FROM hired_employees; SHOW CREATE TABLE hired_employees' >"$BATS_TEST_TMPDIR/before"
	api POST /backup_table/hired_employees
	assert_status 201
	assert_json '.tables[0].rows == 10'
	[ "$(avrocat "$AGENT_FOLDER/exchange/database/hired_employees/backup/hired_employees.avro" | wc -l)" -eq 10 ]

	sql -D company "DELETE FROM hired_employees WHERE department_id = 2; UPDATE hired_employees SET name = 'x' WHERE id = 8"
	[ "$(sql -D company 'CHECKSUM TABLE hired_employees, departments, jobs')" != "$before" ]
	api POST /restore_backup/hired_employees
	assert_status 200
	assert_json '.outcome == "ok" and .tables[0].rows == 10 and .tables[0].verified'
	[ "$(sql -D company 'CHECKSUM TABLE hired_employees, departments, jobs')" = "$before" ]
	sql -D company 'SELECT * FROM hired_employees; SHOW CREATE TABLE hired_employees' | diff "$BATS_TEST_TMPDIR/before" -
	# From the exchange storage, too.
	sql -D company 'DELETE FROM hired_employees'
	api POST '/restore_backup/hired_employees?source=exchange'
	assert_status 200
	[ "$(sql -D company 'CHECKSUM TABLE hired_employees, departments, jobs')" = "$before" ]

	wait_for in_central_log "action = 'RestoreTable'" 2
	sql "SELECT action, parameter, status, command FROM holdfast.log ORDER BY id" | diff - <(printf '%s\t%s\tSUCCESS\t%s\n' \
		RunMigration '' 'POST /run-migration' \
		LoadHistoricData departments 'POST /load_historic_data/departments' \
		LoadHistoricData jobs 'POST /load_historic_data/jobs' \
		LoadHistoricData hired_employees 'POST /load_historic_data/hired_employees' \
		LoadDataFromPayload hired_employees 'POST /load_data_from_payload/hired_employees' \
		HiredByQuarter 2021 'GET /hired_by_quarter/2021' \
		DepartmentsAboveMean 2021 'GET /departments_above_mean/2021' \
		BackupTable hired_employees 'POST /backup_table/hired_employees' \
		RestoreTable hired_employees 'POST /restore_backup/hired_employees' \
		RestoreTable hired_employees 'POST /restore_backup/hired_employees')
	# The sums of the day, and a row that somebody else inserts as of old.
	sql "INSERT INTO holdfast.log(action, parameter, status) VALUES ('Backup', '/srv', 'SUCCESS')"
	[ "$(sql "SELECT SUM(actions) FROM holdfast.log_daily WHERE day = UTC_DATE() OR day = UTC_DATE() - INTERVAL 1 DAY")" -eq 11 ]
	# What goes wrong is a row as well.
	api POST /load_historic_data/nowhere
	assert_problem 404 not-found
	wait_for in_central_log "action = 'LoadHistoricData' AND parameter = 'nowhere' AND status = 'ERROR'" 1
}
