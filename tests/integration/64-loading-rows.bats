#!/usr/bin/env bats
#
# Rows of JSON go into a table: good ones exactly as they are, each bad one is named with its reason,
# and whatever happens to the server in between, the counts are what is in the table.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers
	sql "CREATE DATABASE company CHARACTER SET utf8mb4"
	start_table_agent company 'timeout = 20s' 'connect_timeout = 5s'
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
	mariadb_running || start_mariadb
	sql -D company "DROP TABLE IF EXISTS people, plain, t, deps, every, seen;
		CREATE TABLE deps (id INT PRIMARY KEY);
		INSERT INTO deps VALUES (1), (2), (3);
		CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(10) NOT NULL,
			dep INT, mail VARCHAR(20) UNIQUE, note VARCHAR(20) DEFAULT 'none',
			shout VARCHAR(20) AS (upper(name)) VIRTUAL,
			FOREIGN KEY (dep) REFERENCES deps (id), CHECK (name <> 'nobody'))"
}

# load TABLE[?QUERY] JSON
load_rows() {
	api POST "/load_data_from_payload/$1" --json "$2"
}

rows_of() {
	sql -D company "SELECT $2 FROM $1 ORDER BY 1"
}

# N rows; FILTER may change each: . is {"id": number}.
make_rows() {
	jq -nc "[range(1; $1 + 1) | {id: .} | ${2:-.}]"
}

@test "an object is a row, an array is rows, and what is left out has its default" {
	load_rows people '{"name": "Ann", "dep": 2}'
	assert_status 201
	assert_json '.read == 1 and .inserted == 1 and .rejected == 0 and .updated == 0 and .ignored == 0'
	assert_json '.table == "people" and .schema == "company" and .outcome == "ok" and .rejects == []'
	load_rows people '[{"name": "Bob", "mail": "b@x", "note": null}, {"id": 9, "NAME": "Čeněk", "dep": null}]'
	assert_status 201
	assert_json '.inserted == 2'
	diff <(rows_of people 'id, name, dep, mail, note, shout') - <<-'END'
		1	Ann	2	NULL	none	ANN
		2	Bob	NULL	b@x	NULL	BOB
		9	Čeněk	NULL	NULL	none	ČENĚK
	END
}

@test "good rows go in, each bad one is told with its number, column and reason" {
	load_rows people '[{"name": "Ann"}, {"name": "far too long a name"}, {"name": "Bob", "dep": 77},
		{"dep": 1}, {"name": null}, {"name": "nobody"}, {"name": "Cid", "age": 7}, {},
		{"name": "Dan", "shout": "x"}, {"name": "Eva", "dep": 99999999999}, {"name": "Flo", "dep": 3},
		{"name": "Gus", "dep": [1]}, {"name": true}]'
	assert_status 201
	assert_json '.read == 13 and .inserted == 2 and .rejected == 11 and .outcome == "warn"'
	assert_json '.rejects | length == 10'
	json '.rejects[] | "\(.number) \(.column) \(.reason)"' >"$BATS_TEST_TMPDIR/rejects"
	diff "$BATS_TEST_TMPDIR/rejects" - <<-'END'
		2 name 'name': 19 characters, varchar(10) takes 10
		3 dep Cannot add or update a child row: a foreign key constraint fails (`company`.`people`, CONSTRAINT `people_ibfk_1` FOREIGN KEY (`dep`) REFERENCES `deps` (`id`))
		4 name 'name': is missing, and has no default
		5 name 'name': cannot be NULL
		6 null CONSTRAINT `CONSTRAINT_1` failed for `company`.`people`
		7 null there is no column 'age', or it is generated
		8 null the row is empty
		9 null there is no column 'shout', or it is generated
		10 dep 'dep': 99999999999 is beyond what int(11) can be
		12 dep 'dep': an array is no value for int(11)
	END
	[ "$(rows_of people name)" = $'Ann\nFlo' ]
	# The run has them as losses, the log tells of them.
	api GET "/v1/runs/$(json .run)"
	assert_json '.kind == "load-rows" and .outcome == "warn" and .loss_total == 11'
	assert_json '.losses[0] == {path: "row 2", reason: "'"'name': 19 characters, varchar(10) takes 10"'"}'
	assert_json '.arguments | has("sha256") and .rows == 13 and (tostring | contains("Ann") | not)'
	assert_json_log LoadDataFromPayload '.status == "SUCCESS" and .outcome == "warn" and .parameter == "people"
		and (.message | startswith("11 rows rejected: row 2 ("))'
}

assert_json_log() {
	log_rows "[.[] | select(.action == \"$1\")] | last" >"$BATS_TEST_TMPDIR/row"
	jq -e "$2" "$BATS_TEST_TMPDIR/row" || { cat "$BATS_TEST_TMPDIR/row"; return 1; }
}

@test "all rows rejected is a failure that names the first, with the counts" {
	load_rows people '[{"name": null}, {"name": "x", "dep": 8}]'
	assert_problem 400 bad-request "no row was taken: all 2 were rejected; row 1: 'name': cannot be NULL"
	assert_json '.read == 2 and .rejected == 2 and .inserted == 0 and (.rejects | length == 2)'
	assert_json_log LoadDataFromPayload '.status == "ERROR" and .outcome == "failed"'
	[ -z "$(rows_of people id)" ]
}

@test "on_error=abort stores all or nothing" {
	load_rows 'people?on_error=abort' '[{"name": "Ann"}, {"name": "Bob", "dep": 77}, {"name": "Cid"}, {"name": 1.50}]'
	assert_problem 400 bad-request 'row 2: Cannot add or update a child row'
	assert_json '.inserted == 0 and .rejected == 1 and .rejects[0].number == 2'
	[ -z "$(rows_of people id)" ]
	load_rows 'people?on_error=abort' '[{"name": "Ann"}, {"name": "Cid", "dep": "x"}]'
	assert_problem 400 bad-request "row 2: 'dep': 'x' is no whole number"
	[ -z "$(rows_of people id)" ]
	# The first one counts, whether we or the server see it.
	load_rows 'people?on_error=abort' '[{"name": "nobody"}, {"name": "Cid", "dep": "x"}]'
	assert_problem 400 bad-request 'row 1: CONSTRAINT'
	load_rows 'people?on_error=abort' '[{"name": "Ann"}, {"name": 1.50}]'
	assert_status 201
	[ "$(rows_of people name)" = $'1.50\nAnn' ]
	sql -D company 'CREATE OR REPLACE TABLE t (id INT PRIMARY KEY) ENGINE=MyISAM'
	load_rows 't?on_error=abort' '{"id": 1}'
	assert_problem 400 bad-request "the engine of table 't' knows no transactions"
	[ -z "$(rows_of t id)" ]
}

@test "rows whose key is there are rejected, renewed or left" {
	load_rows people '[{"id": 1, "name": "Ann", "mail": "a@x", "note": "old"}, {"id": 2, "name": "Bob"}]'
	load_rows people '[{"id": 1, "name": "Eve"}, {"id": 3, "name": "Cid"}]'
	assert_status 201
	assert_json '.inserted == 1 and .rejected == 1 and .rejects[0].reason == "Duplicate entry '"'1' for key 'PRIMARY'"'"'
	load_rows 'people?on_duplicate=update' '[{"id": 1, "name": "Eve"}, {"id": 4, "name": "Dan"}, {"id": 4, "name": "Dora"}, {"id": 2, "name": "Bob"}]'
	assert_status 201
	assert_json '.inserted == 1 and .updated == 3 and .ignored == 0 and .rejected == 0'
	load_rows 'people?on_duplicate=ignore' '[{"id": 1, "name": "Zoe"}, {"id": 5, "name": "Eli"}, {"name": "Kim", "mail": "a@x"}]'
	assert_status 201
	assert_json '.inserted == 1 and .updated == 0 and .ignored == 2 and .rejected == 0'
	# What is not given stays; and by its other key a row keeps its number.
	load_rows 'people?on_duplicate=update' '{"id": null, "mail": "a@x", "name": "Ada"}'
	assert_json '.updated == 1'
	diff <(rows_of people 'id, name, mail, note') - <<-'END'
		1	Ada	a@x	old
		2	Bob	NULL	none
		3	Cid	NULL	none
		4	Dora	NULL	none
		5	Eli	NULL	none
	END
	load_rows 'people?on_duplicate=ignore' '{"id": 1, "name": "Zoe"}'
	assert_status 200
	assert_json '.ignored == 1 and .inserted == 0 and .outcome == "ok"'
	# Neither hides another fault.
	for how in ignore update; do
		load_rows "people?on_duplicate=$how" '[{"id": 1, "name": "Eve", "dep": 77}, {"id": 8, "name": "x", "dep": 77}, {"id": 1, "name": "nobody"}, {"id": 7, "name": "Kay"}, {"id": 2, "name": "Bob"}]'
		assert_status 201
		if [ $how = update ]; then
			assert_json '.rejected == 3 and .updated == 1 and .inserted == 1'
		else
			assert_json '.rejected >= 1 and .rejected + .ignored == 4 and .inserted == 1'
		fi
		[ "$(sql -D company 'SELECT name FROM people WHERE id = 1')" = Ada ]
		sql -D company 'DELETE FROM people WHERE id = 7'
	done
}

@test "to ignore a row sets off no UPDATE trigger, and needs no right to update" {
	sql -D company "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9));
		CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW SET NEW.v = 'touched';
		INSERT INTO t VALUES (1, 'a'), (2, 'b')"
	load_rows 't?on_duplicate=ignore' '[{"id": 1, "v": "x"}, {"id": 3, "v": "c"}, {"id": 2, "v": "y"}]'
	assert_status 201
	assert_json '.inserted == 1 and .ignored == 2 and .rejected == 0'
	[ "$(rows_of t v)" = $'a\nb\nc' ]
}

@test "what a trigger refuses is found among many" {
	sql -D company "CREATE TABLE t (id INT PRIMARY KEY)"
	sql -D company "DELIMITER //
		CREATE TRIGGER odd BEFORE INSERT ON t FOR EACH ROW IF NEW.id IN (17, 500, 1000) THEN
			SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF //"
	load_rows t "$(make_rows 1000)"
	assert_status 201
	assert_json '.inserted == 997 and .rejected == 3 and [.rejects[].number] == [17, 500, 1000]'
	assert_json '.rejects[0].reason == "not this one"'
	[ "$(rows_of t 'count(*)')" -eq 997 ]
}

@test "a fault within a trigger is that of the row which set it off" {
	sql -D company "CREATE TABLE seen (n INT PRIMARY KEY); INSERT INTO seen VALUES (7), (500);
		CREATE TABLE t (id INT PRIMARY KEY);
		CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW INSERT INTO seen VALUES (-NEW.id), (NEW.id)"
	load_rows t "$(make_rows 1000)"
	assert_status 201
	assert_json '.inserted == 998 and [.rejects[].number] == [7, 500]'
	assert_json '.rejects[0].reason | startswith("Duplicate entry '"'7'"'")'
	[ "$(rows_of t 'count(*)')" -eq 998 ]
	[ "$(rows_of seen 'count(*)')" -eq 1998 ]
}

@test "an engine without transactions has each row once" {
	local engine
	for engine in MyISAM Aria MEMORY; do
		sql -D company "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v VARCHAR(5) CHECK (v <> 'bad')) ENGINE=$engine;
			INSERT INTO t VALUES (3, 'old')"
		load_rows t "$(make_rows 1000 '.v = if .id % 100 == 50 then "bad" else "ok" end')"
		assert_status 201
		assert_json '.inserted == 989 and .rejected == 11'
		[ "$(rows_of t 'count(*), sum(id)')" = "990	$((1000 * 1001 / 2 - 500 * 10))" ]
		load_rows 't?on_duplicate=update' '[{"id": 3, "v": "new"}, {"id": 50, "v": "bad"}, {"id": 50, "v": "ok"}]'
		assert_json '.inserted == 1 and .rejected == 1 and .updated == 1'
		[ "$(sql -D company 'SELECT v FROM t WHERE id = 3')" = new ]
	done
}

@test "every type takes its extremes exactly, and nothing beyond" {
	sql -D company "CREATE TABLE every (id INT PRIMARY KEY, i8 TINYINT, u64 BIGINT UNSIGNED, i64 BIGINT,
		d DECIMAL(65,30), f FLOAT, g DOUBLE, b BIT(64), day DATE, t TIME(6), dt DATETIME(6), ts TIMESTAMP NULL,
		y YEAR, c CHAR(3), v VARCHAR(4) CHARACTER SET latin1, x VARBINARY(4), e ENUM('a','it''s','é'), s SET('x','y'),
		j JSON, u UUID, i4 INET4, i6 INET6, ok BOOLEAN)"
	load_rows every '[
		{"id": 1, "i8": -128, "u64": 18446744073709551615, "i64": -9223372036854775808,
		 "d": -12345678901234567890123456789012345.123456789012345678901234567891, "f": 3.4e38, "g": 1.7976931348623157e308,
		 "b": 18446744073709551615, "day": "2024-02-29", "t": "-838:59:59.999999", "dt": "2021-07-27T16:02:08.123456Z",
		 "ts": "2038-01-19T04:14:07+01:00", "y": 2155, "c": "äöü", "v": "€uro", "x": "\u0000\u00e9a", "e": "it'"'"'s", "s": "x,y",
		 "j": {"a": [1.50, "\u00e9"]}, "u": "123e4567-e89b-12d3-a456-426655440000", "i4": "1.2.3.4", "i6": "::1", "ok": true},
		{"id": 2, "i8": "127", "u64": 1e3, "i64": 9223372036854775807, "d": 1e-30, "f": 0.1, "g": 0.1, "b": false,
		 "day": "0001-01-01", "t": "00:00", "dt": "2021-12-31 23:30:00-01:30", "ts": "1970-01-01 00:00:01", "y": "1901",
		 "c": "", "e": "É", "s": "", "j": "[1]", "u": "123E4567E89B12D3A456426655440000", "i6": "::ffff:1.2.3.4", "ok": 0}]'
	assert_status 201
	assert_json '.inserted == 2'
	diff <(sql -D company "SET time_zone = '+00:00'; SELECT id, i8, u64, i64, d, f, g, b + 0, day, t, dt, ts, y, c, hex(v), hex(x), e + 0, s, j, u, i4, i6, ok FROM every") - <<-'END'
		1	-128	18446744073709551615	-9223372036854775808	-12345678901234567890123456789012345.123456789012345678901234567891	3.4e38	1.7976931348623157e308	18446744073709551615	2024-02-29	-838:59:59.999999	2021-07-27 16:02:08.123456	2038-01-19 03:14:07	2155	äöü	8075726F	00C3A961	2	x,y	{"a": [1.50, "\\u00e9"]}	123e4567-e89b-12d3-a456-426655440000	1.2.3.4	::1	1
		2	127	1000	9223372036854775807	0.000000000000000000000000000001	0.1	0.1	0	0001-01-01	00:00:00.000000	2022-01-01 01:00:00.000000	1970-01-01 00:00:01	1901		NULL	NULL	3		[1]	123e4567-e89b-12d3-a456-426655440000	NULL	::ffff:1.2.3.4	0
	END
	local -a bad=('"i8": 128' '"i8": 1.5' '"i8": "1 2"' '"u64": -1' '"u64": 18446744073709551616' '"d": 1e-31' '"d": 1e35' '"f": 1e39'
		'"g": 1e309' '"g": "inf"' '"b": -1' '"day": "2023-02-29"' '"day": "2023-13-01"' '"day": "2021-07-27T10:00:00Z"' '"t": "839:00:00"'
		'"t": "12:60"' '"dt": "2021-07-27 24:00:00"' '"dt": "yesterday"' '"ts": "2038-01-19T03:14:08Z"' '"ts": "1970-01-01T00:00:00Z"'
		'"ts": "2020-01-01 00:00:00.5"' '"y": 1900' '"y": 99' '"c": "abcd"' '"v": "ař"' '"x": "abcde"' '"e": "b"' '"e": 1' '"s": "x,z"'
		'"j": "{"' '"u": "12"' '"i4": "1.2.3"' '"i6": "1.2.3.4"' '"ok": "yes"' '"c": {"a": 1}' '"c": false')
	load_rows every "[{\"id\": 3}$(printf ', {%s}' "${bad[@]/#/\"id\": 4, }")]"
	assert_status 201
	assert_json ".inserted == 1 and .rejected == ${#bad[@]}"
	# Each by us, for its own column, before the server saw it.
	api GET "/v1/runs/$(json .run)"
	[ "$(json '.losses[].reason' | cut -d"'" -f2)" = "$(printf '%s\n' "${bad[@]}" | cut -d'"' -f2)" ]
}

@test "what is no such document is refused as a whole" {
	local body many
	many=$(make_rows 1001)
	for body in '[]' '"x"' '3' 'null' '[1]' '[[{"name": "x"}]]' '{"name": "x"' '{"name": "x"} x' '{"name": "a", "name": "b"}' \
		'{"name": "a", "n\u0061me": "b"}' '{"name": 01}' '{"name": nan}' "$many" '[{"name": "x"},]' $'{"name": "\xff"}' \
		"{\"name\": $(printf '[%.0s' {1..40})1$(printf ']%.0s' {1..40})}" '{"name": "\ud800"}'; do
		load_rows people "$body"
		assert_problem 400 bad-request
	done
	api POST /load_data_from_payload/people -d ''
	assert_problem 415 bad-media-type
	api POST /load_data_from_payload/people -d 'name=x'
	assert_problem 415 bad-media-type
	api POST /load_data_from_payload/people -H 'Content-Type: application/json' -d ''
	assert_problem 400 bad-request 'the body is empty'
	api POST /load_data_from_payload/people -H 'Content-Type: text/csv' -d 'name'
	assert_problem 415 bad-media-type
	head -c 17000000 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/large"
	api POST /load_data_from_payload/people -H 'Content-Type: application/json' -T "$BATS_TEST_TMPDIR/large" || true
	[ "$API_STATUS" = 413 ]
	load_rows 'people?on_error=ignore' '{"name": "x"}'
	assert_problem 400 bad-request "on_error"
	load_rows 'people?on_duplicate=replace' '{"name": "x"}'
	assert_problem 400 bad-request "on_duplicate"
	load_rows 'people?mode=x' '{"name": "x"}'
	assert_problem 400 bad-request "there is no parameter 'mode'"
	[ -z "$(rows_of people id)" ]
	assert_json_log LoadDataFromPayload '.status == "ERROR"'
	load_rows people "$(make_rows 1000 '.name = "a"')"
	assert_status 201
	assert_json '.inserted == 1000'
}

@test "names are data: of tables, of columns, in reasons" {
	local name
	load_rows nothing '{"a": 1}'
	assert_problem 404 not-found "there is no table 'nothing'"
	load_rows 'people%3B%20DROP%20TABLE%20deps' '{"a": 1}'
	assert_problem 404 not-found
	load_rows "$(printf 'x%.0s' {1..65})" '{"a": 1}'
	assert_problem 400 bad-request
	load_rows 'a%20' '{"a": 1}'
	assert_problem 400 bad-request
	load_rows '%FF' '{"a": 1}'
	assert_problem 404 not-found
	load_rows _holdfast_x '{"a": 1}'
	assert_problem 400 bad-request
	sql -D company 'CREATE OR REPLACE VIEW v AS SELECT * FROM deps; CREATE OR REPLACE SEQUENCE sq'
	load_rows v '{"id": 7}'
	assert_problem 400 bad-request "'v' is a view"
	load_rows sq '{"id": 7}'
	assert_problem 400 bad-request "'sq' is a sequence"
	sql -D company 'DROP VIEW v; DROP SEQUENCE sq'
	for name in "it's" '"quoted"' 'a`b' 'a.b' '; DROP TABLE deps; --' 'žluťoučký kůň' "$(printf 'n%.0s' {1..64})"; do
		sql -D company "CREATE TABLE \`${name//\`/\`\`}\` (\`${name//\`/\`\`}\` INT PRIMARY KEY)"
		load_rows "$(jq -rn --arg n "$name" '$n | @uri')" "$(jq -nc --arg n "$name" '[{($n): 5}, {($n): "x"}]')"
		assert_status 201
		assert_json '.inserted == 1 and .rejects[0].column == $n and .table == $n' --arg n "$name"
		sql -D company "DROP TABLE \`${name//\`/\`\`}\`"
	done
	[ "$(rows_of deps 'count(*)')" -eq 3 ]
}

@test "the same key is the same load, other rows under it are a conflict" {
	load_rows people '{"name": "Ann"}'
	local first
	api POST /load_data_from_payload/people -H 'Idempotency-Key: k1' --json '{"name": "Bob"}'
	assert_status 201
	first=$(json .run)
	api POST /load_data_from_payload/people -H 'Idempotency-Key: k1' --json '{"name": "Bob"}'
	assert_status 201
	[ "$(json .run)" = "$first" ]
	api POST /load_data_from_payload/people -H 'Idempotency-Key: k1' --json '{"name": "Cid"}'
	assert_problem 409 conflict
	[ "$(rows_of people name)" = $'Ann\nBob' ]
	api POST /load_data_from_payload/people -H 'Prefer: respond-async' --json '{"name": "Dan"}'
	assert_status 202
	wait_run "$(json .id)" ok
	assert_json '.result.inserted == 1 and .command == "POST /load_data_from_payload/people"'
	# Nobody else can start one: it has no rows.
	api POST /v1/runs --json '{"kind": "load-rows", "arguments": {"table": "people"}}'
	[ "$API_STATUS" -ge 400 ]
}

@test "who may not insert is told so" {
	use_agent poor
	sql "CREATE OR REPLACE USER poor@'%' IDENTIFIED BY 'p'; GRANT SELECT ON company.* TO poor@'%'"
	(umask 077 && echo p >"$BATS_TEST_TMPDIR/password")
	printf '[database]\nhosts = 127.0.0.1:%s\nuser = poor\npassword_file = %s\nname = company\n' "$MARIADB_PORT" \
		"$BATS_TEST_TMPDIR/password" | agent_config
	start_agent
	load_rows people '{"name": "Ann"}'
	assert_problem 502 database 'INSERT command denied'
	assert_json '.hint | contains("needs INSERT")'
	# To leave rows as they are needs no right to update.
	sql "GRANT INSERT ON company.* TO poor@'%'; INSERT INTO company.people (id, name) VALUES (1, 'Ann')"
	load_rows 'people?on_duplicate=update' '{"id": 1, "name": "Bob"}'
	assert_problem 502 database 'UPDATE command denied'
	load_rows 'people?on_duplicate=ignore' '[{"id": 1, "name": "Bob"}, {"id": 2, "name": "Cid"}]'
	assert_status 201
	assert_json '.ignored == 1 and .inserted == 1'
	[ "$(rows_of people name)" = $'Ann\nCid' ]
}

@test "a lock is waited for, and a run that waits can be cancelled" {
	load_rows people '{"id": 1, "name": "Ann"}'
	(sql -D company 'BEGIN; UPDATE people SET note = "locked" WHERE id = 1; SELECT SLEEP(5); COMMIT' &) >/dev/null
	wait_for locked
	load_rows 'people?on_duplicate=update' '[{"id": 1, "name": "Eve"}]'
	assert_status 201
	[ "$(rows_of people 'name, note')" = $'Eve\tlocked' ]
	(sql -D company 'BEGIN; UPDATE people SET note = "again" WHERE id = 1; SELECT SLEEP(3000)' &) >/dev/null
	wait_for locked
	api POST '/load_data_from_payload/people?on_duplicate=update' -H 'Prefer: respond-async' --json '[{"id": 5, "name": "Dan"}, {"id": 1, "name": "Bob"}]'
	local run
	run=$(json .id)
	wait_for locks_awaited
	api DELETE "/v1/runs/$run"
	wait_run "$run" cancelled
	assert_json '.result.inserted == 0'
	sql "KILL $(sql "SELECT id FROM information_schema.PROCESSLIST WHERE info LIKE '%SLEEP(3000)%' AND id <> connection_id()")"
	[ "$(rows_of people 'id, name')" = $'1\tEve' ]
}

locked() {
	[ "$(sql "SELECT count(*) FROM information_schema.PROCESSLIST WHERE info LIKE 'SELECT SLEEP%' AND id <> connection_id()")" -ge 1 ]
}

@test "a server that is away, or goes away in the middle, is told, and the counts are true" {
	sql -D company "CREATE TABLE t (id INT PRIMARY KEY);
		CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW SET NEW.id = IF(NEW.id = 600, 600 + SLEEP(60), NEW.id)"
	api POST /load_data_from_payload/t -H 'Prefer: respond-async' --json "$(make_rows 1000)"
	local run
	run=$(json .id)
	wait_for in_the_trigger
	kill_mariadb
	wait_run "$run" failed
	assert_json '.error.code == "unavailable" and .result.inserted == 0 and .result.read == 1000'
	load_rows t '{"id": 1}'
	assert_problem 503 unavailable
	assert_json_log LoadDataFromPayload '.status == "ERROR"'
	start_mariadb
	[ "$(rows_of t 'count(*)')" -eq 0 ]
	sql -D company 'DROP TRIGGER slow'
	load_rows t "$(make_rows 1000)"
	assert_status 201
	[ "$(rows_of t 'count(*)')" -eq 1000 ]
}

in_the_trigger() {
	[ "$(sql "SELECT count(*) FROM information_schema.PROCESSLIST WHERE state = 'User sleep'")" -eq 1 ]
}
