#!/usr/bin/env bats
#
# The log of agents in a MariaDB: every row once, whatever happens to the server or the agent,
# sums that are right, and no request that waits for it.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup() {
	start_mariadb
}

teardown() {
	end_agents
	end_mariadb
}

# The agent of that name, shipping to the server.
start_shipping() {
	use_agent "$1"
	[[ -s $AGENT_FOLDER/more.conf ]] || {
		mariadb_config log
		printf '[log]\ntimeout = 5s\nconnect_timeout = 2s\n'
	} | agent_config
	start_agent
}

# Rows that somebody else wrote into the file of an agent that does not run.
add_rows() {
	sqlite3 -cmd '.timeout 5000' "$STATE/log.sqlite" "WITH RECURSIVE n(x) AS
		(SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < $1)
		INSERT INTO log(date, action, parameter, status, files, bytes, duration_ms)
		SELECT strftime('%Y-%m-%dT%H:%M:%fZ', '2026-01-01', '+' || (x * 600) || ' seconds'),
		CASE x % 3 WHEN 0 THEN 'Backup' ELSE 'Restore' END, '/srv/' || x,
		CASE x % 7 WHEN 0 THEN 'ERROR' ELSE 'SUCCESS' END, x, x * 10, 5 FROM n"
}

journal_rows() {
	sqlite3 -readonly -cmd '.timeout 5000' "$STATE/log.sqlite" 'SELECT count(*) FROM log'
}

# Of a name; or of the present agent's journal, whatever its rows are named: those of commands
# without a configuration have the host's name.
central_rows() {
	local which="agent = '${1:-}'"
	[[ -n ${1:-} ]] ||
		which="journal = '$(sqlite3 -readonly -cmd '.timeout 5000' "$STATE/log.sqlite" \
			'SELECT journal FROM ship')'"
	sql "SELECT count(*) FROM holdfast.log WHERE $which" 2>/dev/null || echo 0
}

all_shipped() {
	[ "$(central_rows)" -eq "$(journal_rows)" ]
}

# Each row is there once, in order, and the sums are those of the rows.
assert_sound() {
	local what
	[ "$(sql "SELECT count(*) - count(DISTINCT journal, sequence) FROM holdfast.log
		WHERE agent <> ''")" -eq 0 ]
	[ "$(sql 'SELECT count(*) FROM holdfast.log a JOIN holdfast.log b
		ON a.journal = b.journal AND a.sequence = b.sequence + 1 AND a.id <= b.id')" -eq 0 ]
	what='COUNT(*), SUM(files), SUM(bytes), SUM(stored_bytes), SUM(duration_ms)'
	diff <(sql "SELECT DATE(date), agent, action, status, $what FROM holdfast.log
		GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4") \
		<(sql 'SELECT day, agent, action, status, actions, files, bytes, stored_bytes, duration_ms
		FROM holdfast.log_daily ORDER BY 1, 2, 3, 4')
}

@test "an action is in the central log in a moment, with all that is known of it" {
	start_shipping web1
	make_small_tree "$BATS_TEST_TMPDIR/tree"
	api POST /backup -d "path_to_folder=$BATS_TEST_TMPDIR/tree"
	assert_status 201
	api POST /backup -d 'path_to_folder=/nonexistent/é`"'
	assert_status 404
	wait_for all_shipped
	[ "$(sql "SELECT action, status, command, outcome, files > 4, bytes > 3000000, snapshot <> ''
		FROM holdfast.log WHERE agent = 'web1' AND status = 'SUCCESS'")" = \
		$'Backup\tSUCCESS\tPOST /backup\tok\t1\t1\t1' ]
	[ "$(sql "SELECT parameter FROM holdfast.log WHERE status = 'ERROR'")" = '/nonexistent/é`"' ]
	# The same as the journal's, to the millisecond.
	diff <(sql "SELECT DATE_FORMAT(date, '%Y-%m-%dT%H:%i:%s.%f'), sequence FROM holdfast.log
		ORDER BY id" | sed 's/000\t/Z\t/') \
		<(log_rows '.[] | "\(.date)\t\(.id)"' | tr -d '"' | sed 's/\\t/\t/')
	# A command's row comes, too.
	offline forget latest
	forgotten() {
		[ "$(sql "SELECT count(*) FROM holdfast.log WHERE action = 'Forget'")" -eq 1 ]
	}
	wait_for forgotten
	api GET /v1/status
	assert_json '.central_log.state == "connected" and .central_log.waiting == 0
		and .central_log.last_shipped != null and .central_log.oldest_waiting == null'
	assert_sound
}

@test "ten agents that ship at once lose nothing and double nothing" {
	for i in {0..9}; do
		use_agent "a$i"
		offline init
		start_agent
		stop_agent
		add_rows 3000
	done
	for i in {0..9}; do
		start_shipping "a$i"
	done
	# Meanwhile somebody inserts as of old.
	for i in {1..20}; do
		sql "INSERT INTO holdfast.log(action, parameter, status) VALUES ('Backup', '/old', 'SUCCESS')" \
			2>/dev/null || true
	done
	for i in {0..9}; do
		use_agent "a$i"
		wait_for -t 120 all_shipped
	done
	[ "$(sql "SELECT count(DISTINCT agent) FROM holdfast.log_agents")" -eq 10 ]
	assert_sound
}

@test "the server is killed again and again: each row is there once" {
	use_agent k
	offline init
	start_agent
	stop_agent
	add_rows 60000
	start_shipping k
	for i in 1 2 3; do
		some_shipped() {
			[ "$(central_rows)" -gt $((i * 8000)) ]
		}
		wait_for -t 60 some_shipped
		kill_mariadb
		# No request waits for it.
		api GET /logs?limit=1
		assert_status 200
		wait_away() {
			api GET /v1/status
			[ "$(json .central_log.state)" = away ]
		}
		wait_for wait_away
		assert_json '.central_log.waiting > 1000 and (.central_log.oldest_waiting | startswith("2026-"))
			and (.central_log.last_error | contains("127.0.0.1"))'
		start_mariadb
	done
	wait_for -t 120 all_shipped
	assert_sound
	grep -q '"event":"central-log-away"' "$(agent_log)"
	grep -q '"event":"central-log-back"' "$(agent_log)"
}

@test "the agent is killed in the middle: each row is there once" {
	use_agent k
	offline init
	start_agent
	stop_agent
	add_rows 40000
	for i in 1 2 3; do
		start_shipping k
		some_shipped() {
			[ "$(central_rows)" -gt $((i * 6000)) ]
		}
		wait_for -t 60 some_shipped
		stop_agent KILL
	done
	start_shipping k
	wait_for -t 120 all_shipped
	assert_sound
}

@test "a server that hangs holds no request up, and no stop" {
	start_shipping h
	api GET /stat
	wait_for all_shipped
	freeze_mariadb
	for i in {1..5}; do
		api GET /stat
		assert_status 200
	done
	hangs() {
		api GET /v1/status
		[ "$(json .central_log.waiting)" -ge 5 ]
	}
	wait_for hangs
	thaw_mariadb
	wait_for all_shipped
	freeze_mariadb
	api GET /stat
	stop_agent
	thaw_mariadb
	start_shipping h
	wait_for all_shipped
	assert_sound
}

@test "rows from before the server was known are shipped, and a schema that was taken back is made anew" {
	use_agent early
	offline init
	start_agent
	api GET /stat
	api GET /v1/status
	assert_json '.central_log == {"state": "off"}'
	stop_agent
	start_shipping early
	wait_for all_shipped
	sql 'DROP DATABASE holdfast'
	api GET /stat
	wait_for all_shipped
	assert_sound
}

@test "an agent that got another name goes on, without doubles" {
	start_shipping one
	api GET /stat
	wait_for all_shipped
	stop_agent
	rows=$(journal_rows)
	mv "$AGENT_FOLDER" "${AGENT_FOLDER%one}two"
	sed -i '/^\[agent\]/,/^\[repository\]/d' "${AGENT_FOLDER%one}two/agent.conf"
	start_shipping two
	api GET /stat
	shipped_on() {
		[ "$(central_rows two)" -eq 1 ]
	}
	wait_for shipped_on
	[ "$(central_rows one)" -eq "$rows" ]
	[ "$(sql 'SELECT count(DISTINCT journal) FROM holdfast.log_agents')" -eq 2 ]
	assert_sound
}

@test "rows leave when they are too old, there and here; sums stay" {
	use_agent r
	offline init
	start_agent
	stop_agent
	add_rows 5000
	mariadb_config log | agent_config
	sql 'CREATE DATABASE holdfast'
	(cd "$HOLDFAST_TOP/sql" && mariadb --no-defaults -u root -S "$MARIADB_SOCKET" <log.sql)
	sql "INSERT INTO holdfast.log(date, action, parameter, status) VALUES
		('2020-01-01', 'Backup', '/old', 'SUCCESS'), (UTC_TIMESTAMP(), 'Backup', '/new', 'SUCCESS')"
	printf '[log]\nretention = 1d\n' | agent_config
	start_agent
	api GET /stat
	only_new() {
		[ "$(sql "SELECT count(*) FROM holdfast.log WHERE date < UTC_DATE() - INTERVAL 1 DAY")" -eq 0 ] &&
			[ "$(sql 'SELECT count(*) FROM holdfast.log_daily')" -gt 50 ] &&
			[ "$(journal_rows)" -lt 200 ]
	}
	wait_for -t 60 only_new
	[ "$(sql "SELECT count(*) FROM holdfast.log WHERE agent = ''")" -eq 1 ]
	[ "$(sql "SELECT SUM(actions) FROM holdfast.log_daily WHERE agent = 'r' AND action <> 'Stats'")" -eq 5000 ]
	[ "$(sql "SELECT SUM(actions) FROM holdfast.log_daily WHERE agent = ''")" -eq 2 ]
	api GET '/stat?startdate=2026-01-01'
	assert_json '.["number-of-backups"] == 1666'
}

@test "a row that no column takes does not stop those behind it" {
	use_agent odd
	offline init
	start_agent
	stop_agent
	sqlite3 "$STATE/log.sqlite" "INSERT INTO log(action, parameter, status, bytes) VALUES
		(printf('%.*c', 5000, 'a'), printf('%.*c', 200000, 'p'), 'a status that is long', -5),
		(CAST(x'ff00fe' AS TEXT), CAST(x'c3' AS TEXT), 'SUCCESS', 9223372036854775807),
		('😀', '', 'SUCCESS', 0)"
	sqlite3 "$STATE/log.sqlite" "UPDATE log SET date = '0000-00-00' WHERE id = 1" || true
	start_shipping odd
	wait_for all_shipped
	[ "$(sql "SELECT count(*) FROM holdfast.log WHERE action = '😀'")" -eq 1 ]
	[ "$(sql 'SELECT length(parameter), bytes FROM holdfast.log WHERE length(action) = 255')" = $'60000\t0' ]
}
