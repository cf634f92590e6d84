#!/usr/bin/env bats
#
# Reports on a real MariaDB: the two that come with holdfast against rows whose answer is known,
# a user's own, each format, wrong parameters, a server that refuses or goes away.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_mariadb
	start_mariadb
}

teardown_file() {
	end_mariadb
}

setup() {
	use_mariadb
	mariadb_running || start_mariadb
	REPORTS=$BATS_TEST_TMPDIR/reports
	mkdir "$REPORTS"
	sql 'DROP DATABASE IF EXISTS company'
	{
		mariadb_config database
		printf 'reports = %s\n' "$REPORTS"
	} | agent_config
	start_agent
	api POST /run-migration
	assert_status 200
	sql -D company "INSERT INTO departments VALUES (1, 'Sales'), (2, 'Büro'), (3, 'Empty'), (4, 'IT');
		INSERT INTO jobs VALUES (1, 'Clerk'), (2, 'Boss');
		INSERT INTO hired_employees VALUES
		(1, 'a', '2021-01-01 00:00:00', 1, 1), (2, 'b', '2021-03-31 23:59:59', 1, 1),
		(3, 'c', '2021-04-01 00:00:00', 1, 2), (4, 'd', '2021-12-31 23:59:59', 2, 1),
		(5, 'e', '2020-12-31 23:59:59', 2, 1), (6, 'f', '2022-01-01 00:00:00', 2, 1),
		(7, 'g', '2021-07-01 12:00:00', 1, 1), (8, 'h', '2021-10-01 00:00:00', 4, 2),
		(9, 'i', '2021-10-02 00:00:00', 4, 2)"
}

teardown() {
	end_agents
}

report() {
	cat >"$REPORTS/$1.sql"
}

@test "hires by quarter, and departments above the mean, of a year" {
	api GET /hired_by_quarter/2021
	assert_status 200
	assert_header Content-Type '^application/json'
	assert_json '. == [
		{"department": "Büro", "job": "Clerk", "Q1": 0, "Q2": 0, "Q3": 0, "Q4": 1},
		{"department": "IT", "job": "Boss", "Q1": 0, "Q2": 0, "Q3": 0, "Q4": 2},
		{"department": "Sales", "job": "Boss", "Q1": 0, "Q2": 1, "Q3": 0, "Q4": 0},
		{"department": "Sales", "job": "Clerk", "Q1": 2, "Q2": 0, "Q3": 1, "Q4": 0}]'
	# 7 hires of 4 departments: the mean is 1.75.
	api GET /departments_above_mean/2021
	assert_json '. == [{"id": 1, "department": "Sales", "hired": 4},
		{"id": 4, "department": "IT", "hired": 2}]'
	api GET /hired_by_quarter/1999
	assert_json '. == []'
	api GET '/v1/reports/departments_above_mean?year=2020'
	assert_json '. == [{"id": 2, "department": "Büro", "hired": 1}]'
	[ "$(log_rows 'map(select(.action == "HiredByQuarter")) | map(.parameter) == ["2021", "1999"]')" = true ]
	[ "$(log_rows 'map(select(.action == "DepartmentsAboveMean")) | length')" -eq 1 ]
}

@test "CSV, NDJSON and a text table by Accept" {
	api GET /hired_by_quarter/2021 -H 'Accept: text/csv'
	assert_header Content-Type '^text/csv'
	[ "$(head -2 "$API_BODY")" = $'department,job,Q1,Q2,Q3,Q4\r\nBüro,Clerk,0,0,0,1\r' ]
	api GET /hired_by_quarter/2021 -H 'Accept: application/x-ndjson'
	[ "$(jq -s length "$API_BODY")" -eq 4 ]
	api GET /departments_above_mean/2021 -H 'Accept: text/plain'
	diff "$API_BODY" - <<-'END'
		id  department  hired
		--  ----------  -----
		 1  Sales           4
		 4  IT              2
	END
	api GET /hired_by_quarter/2021 -H 'Accept: image/png'
	assert_problem 406 not-acceptable
}

@test "wrong years and parameters are refused before the server is asked" {
	for year in x 21 99999 2021.5 '2021%20OR%201' '%27'; do
		api GET "/hired_by_quarter/$year"
		assert_problem 400 bad-request year
	done
	api GET /hired_by_quarter/
	assert_status 404
	api GET '/hired_by_quarter/2021?year=2022'
	assert_problem 400 bad-request
	api GET /v1/reports/hired_by_quarter
	assert_problem 400 bad-request "needs 'year' (integer)"
	api GET /v1/reports/nobody
	assert_problem 404 not-found 'nobody'
	api GET '/v1/reports/..%2fnobody'
	assert_problem 404 not-found
}

@test "a file in the folder is a report, with every kind of value in its place" {
	report mine <<-'END'
		-- report: what is given comes back
		-- parameter: n integer -10 10
		-- parameter: d decimal
		-- parameter: day date
		-- parameter: t text
		SELECT :n AS n, CAST(:d AS DECIMAL(20, 4)) AS d, DATE_ADD(:day, INTERVAL 1 DAY) AS day,
			:t AS t, ':t' AS literal, NULL AS nothing, 18446744073709551615 AS big, 1e300 AS e,
			X'00ff' AS b, '=1+1' AS formula, -5 AS minus, 1 AS twice, 2 AS twice;
	END
	api GET /v1/reports
	assert_json '[.reports[].name] == ["departments_above_mean", "hired_by_quarter", "mine"]'
	assert_json '.reports[2] | .title == "what is given comes back" and .parameters[0] ==
		{"name": "n", "type": "integer", "min": -10, "max": 10}'
	query='n=-3&d=0.5&day=2024-02-28&t=%27%3B%20DROP%20TABLE%20jobs%3B%20--%20%22%0a%C3%A9'
	api GET "/v1/reports/mine?$query"
	assert_status 200
	assert_json '.[0] | .n == -3 and .d == 0.5 and .day == "2024-02-29" and .nothing == null
		and .t == "'"'"'; DROP TABLE jobs; -- \"\né" and .literal == ":t" and .e == 1e300
		and .b == "\\x00\\xff" and .twice == 1 and .twice_2 == 2'
	grep -q '"big": 18446744073709551615' "$API_BODY"
	api GET "/v1/reports/mine?$query" -H 'Accept: text/csv'
	grep -q "\"'=1+1\",-5,1,2" "$API_BODY"
	api GET "/v1/reports/mine?$query" -H 'Accept: text/plain'
	grep -q '\\x0aé' "$API_BODY"
	[ "$(sql 'SELECT count(*) FROM company.jobs')" -eq 2 ]
}

@test "one of the same name replaces one that came along; a broken one says why" {
	report hired_by_quarter <<-'END'
		-- report: my own
		-- parameter: year integer
		SELECT :year AS y
	END
	api GET /hired_by_quarter/7
	assert_json '. == [{"y": 7}]'
	report broken <<<'SELECT 1'
	api GET /v1/reports/broken
	assert_problem 500 config "broken.sql': it does not begin with '-- report:"
	api GET /v1/reports
	assert_json '.reports | map(select(.name == "broken")) | .[0].error | contains("does not begin")'
	report wrong <<<$'-- report: wrong\nSELECT * FROM no_such_table'
	api GET /v1/reports/wrong
	assert_problem 404 not-found "no_such_table"
	report syntax <<<$'-- report: wrong\nSELECT FROM'
	api GET /v1/reports/syntax
	assert_problem 502 database 'syntax.sql'
}

@test "a report cannot write" {
	mariadb --no-defaults -u root -S "$MARIADB_SOCKET" --delimiter=// company -e \
		"CREATE FUNCTION add_job() RETURNS INT BEGIN INSERT INTO jobs VALUES (99, 'x'); RETURN 1; END"
	report writes <<<$'-- report: writes\nSELECT add_job()'
	api GET /v1/reports/writes
	assert_problem 502 database 'READ ONLY'
	[ "$(sql 'SELECT count(*) FROM company.jobs')" -eq 2 ]
}

@test "a large result is streamed, and a client that leaves ends it" {
	report large <<<$'-- report: large\nSELECT seq, REPEAT("x", 100) AS text FROM seq_1_to_2000000'
	before=$(awk '/^VmHWM/ { print $2 }' "/proc/$(agent_pid)/status")
	api GET /v1/reports/large -H 'Accept: text/csv'
	assert_status 200
	[ "$(wc -l <"$API_BODY")" -eq 2000001 ]
	after=$(awk '/^VmHWM/ { print $2 }' "/proc/$(agent_pid)/status")
	# AddressSanitizer keeps what is freed.
	grep -qa __asan_init "$HOLDFASTD" || ((after - before < 65536))
	head -c 100000 < <(curl -sS -H "Authorization: Bearer $(<"$STATE/token")" "$URL/v1/reports/large" 2>/dev/null) >/dev/null
	nobody_reads() {
		[ "$(sql "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%seq_1_to_2000000%'
			AND info NOT LIKE '%processlist%'")" -eq 0 ]
	}
	wait_for nobody_reads
}

@test "a server that is away, or hangs, is told; other requests go on" {
	stop_mariadb
	api GET /hired_by_quarter/2021
	assert_problem 503 unavailable "127.0.0.1:$MARIADB_PORT"
	start_mariadb
	api GET /hired_by_quarter/2021
	assert_status 200
	stop_agent
	printf '[database]\ntimeout = 2s\nconnect_timeout = 2s\n' | agent_config
	start_agent
	freeze_mariadb
	for i in {1..8}; do
		curl -s -o "$BATS_TEST_TMPDIR/out.$i" -w '%{http_code}\n' -H "Authorization: Bearer $(<"$STATE/token")" \
			"$URL/hired_by_quarter/2021" >"$BATS_TEST_TMPDIR/code.$i" 3>&- &
	done
	api GET /v1/snapshots --max-time 10
	assert_status 200
	wait_for grep -q 503 "$BATS_TEST_TMPDIR/code.8"
	thaw_mariadb
	wait
	[ "$(cat "$BATS_TEST_TMPDIR"/code.* | sort -u)" = 503 ]
}
