#!/usr/bin/env bats
#
# Loads that something goes wrong beneath: the server or the agent is killed, others hold locks or win
# a deadlock, the disk is full, rights are missing, the table changes.  What is told is what is in the
# table: whole batches, nothing twice, and nothing at all where it was to be all or nothing.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers
	sql "CREATE DATABASE company CHARACTER SET utf8mb4"
	mkdir "$AGENT_FOLDER/exchange"
	start_table_agent company 'timeout = 20s'
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
	mariadb_running || start_mariadb
	agent_running || start_agent
	sql -D company 'DROP TABLE IF EXISTS t, heavy, seen'
}

teardown() {
	end_session
	[[ -z ${disk:-} ]] || ! mountpoint -q "$disk" || {
		! agent_running || stop_agent KILL
		umount "$disk"
	}
}

# file_of TABLE: where its file to load is; the folders are made.
file_of() {
	mkdir -p "$exchange/$1/historic"
	echo "$exchange/$1/historic/$1.csv"
}

# make_file ROWS: id, n, text; every hundredth has an n that is none.
make_file() {
	awk -v rows="$1" 'BEGIN { for (i = 1; i <= rows; i++)
		print i "," (i % 100 == 0 ? "x" : i) ",some words to fill the row" }' >"$(file_of t)"
}

make_table() {
	sql -D company "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, n INT, t VARCHAR(99)) ${1:-}"
}

rows() {
	sql -D company 'SELECT COUNT(*) FROM t'
}

# start_load [QUERY]: in $id.
start_load() {
	api POST "/load_historic_data/t${1:+?$1}" -H 'Prefer: respond-async'
	assert_status 202
	id=$(json .id)
}

has_read() {
	api GET "/v1/runs/$id" && [ "$(json '.progress.files // .result.read // 0')" -ge "$1" ]
}

has_rows() {
	[ "$(rows)" -ge 1 ]
}

# Another session, kept open: say TEXT sends it statements, said waits until they are done.
begin_session() {
	mkfifo "$BATS_TEST_TMPDIR/said"
	mariadb --no-defaults --user=root --socket="$MARIADB_SOCKET" --batch --skip-column-names \
		--unbuffered company <"$BATS_TEST_TMPDIR/said" >"$BATS_TEST_TMPDIR/answers" 3>&- &
	session=$!
	exec 7>"$BATS_TEST_TMPDIR/said"
	words=0
}

say() {
	echo "$1" >&7
}

answered() {
	grep -qx "answer $words" "$BATS_TEST_TMPDIR/answers"
}

said() {
	words=$((words + 1))
	say "SELECT 'answer $words';"
	wait_for answered
}

end_session() {
	[[ -n ${session:-} ]] || return 0
	exec 7>&-
	kill "$session" 2>/dev/null || true
	wait "$session" || true
	rm "$BATS_TEST_TMPDIR/said"
	session=
}

metadata_awaited() {
	[ "$(sql "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE state LIKE 'Waiting for%lock'")" -ge 1 ]
}

# Nobody works for the agent any more.
left_alone() {
	[ "$(sql "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE user = 'agent'")" -eq 0 ]
}

# Whole batches of 10,000 rows of the file, one in a hundred of which is bad, from its beginning.
whole_batches() {
	local there
	there=$(rows)
	((there % 9900 == 0))
	((there == 0)) || [ "$(sql -D company 'SELECT MAX(id) FROM t')" -eq $((there / 9900 * 10000 - 1)) ]
	[ "$(sql -D company 'SELECT COUNT(*) FROM t WHERE id <> n OR id % 100 = 0')" -eq 0 ]
}

@test "a server that is killed and comes back has whole batches, and the rest goes in once" {
	make_file 1000000
	make_table
	start_load
	wait_for has_rows
	kill_mariadb
	wait_run "$id" failed
	assert_json '.error.code == "unavailable" and .result.read > .result.inserted + .result.rejected'
	cp "$API_BODY" "$BATS_TEST_TMPDIR/run"
	told=$(json .result.inserted)
	rejected=$(json .result.rejected)
	start_mariadb
	whole_batches
	there=$(rows)
	echo "told $told, there $there"
	# The answer to a COMMIT may be lost: then that is said, and it is one batch.
	[ "$told" -eq "$there" ] || {
		jq -e '.error.hint | test("perhaps those of the last batch")' "$BATS_TEST_TMPDIR/run"
		[ $((there - told)) -eq 9900 ]
	}
	jq -e --arg n "$told" '.error.hint | contains($n + " rows are in the table")' "$BATS_TEST_TMPDIR/run"
	# Rejected are those of the batches that are told, each once, and one may read which.
	[ "$rejected" -eq $((told / 99)) ]
	api GET "/v1/runs/$id/rejects" -H 'Accept: application/x-ndjson'
	jq -es 'map(.row) | (length == (unique | length)) and all(. % 100 == 0)' "$API_BODY"
	[ "$(wc -l <"$API_BODY")" -eq "$rejected" ]
	# By hand, and with the agent as it is.
	api POST '/load_historic_data/t?on_duplicate=ignore'
	assert_status 201
	assert_json '.read == 1000000 and .inserted == 990000 - $n and .ignored == $n and .rejected == 10000' --argjson n "$there"
	[ "$(rows)" -eq 990000 ]
	log_rows '[.[] | select(.action == "LoadHistoricData")]' >"$BATS_TEST_TMPDIR/log"
	jq -e 'length == 2 and .[0].status == "ERROR" and .[0].outcome == "failed" and .[1].status == "SUCCESS"' "$BATS_TEST_TMPDIR/log"
}

@test "all or nothing is nothing when the server or the agent is killed" {
	awk 'BEGIN { for (i = 1; i <= 1000000; i++) print i "," i ",some words to fill the row" }' >"$(file_of t)"
	make_table
	start_load on_error=abort
	wait_for has_read 100000
	kill_mariadb
	wait_run "$id" failed
	assert_json '.error.code == "unavailable" and .result.inserted == 0 and .result.read >= 100000 and .result.rejected == 0'
	assert_json '.error.hint | test("no row was loaded|perhaps all")'
	start_mariadb
	[ "$(rows)" -eq 0 ]
	start_load on_error=abort
	wait_for has_read 100000
	stop_agent KILL
	wait_for left_alone
	[ "$(rows)" -eq 0 ]
	start_agent
	wait_run "$id" aborted
	api POST '/load_historic_data/t?on_error=abort'
	assert_status 201
	assert_json '.inserted == 1000000'
	[ "$(rows)" -eq 1000000 ]
}

@test "an agent that is killed leaves whole batches, and the run is aborted" {
	make_file 1000000
	make_table
	start_load
	wait_for has_rows
	stop_agent KILL
	wait_for left_alone
	whole_batches
	there=$(rows)
	((there < 990000))
	start_agent
	wait_run "$id" aborted
	# What was rejected by then can be read: whole rows, of the batches that are in the table.
	api GET "/v1/runs/$id/rejects" -H 'Accept: application/x-ndjson'
	[ "$API_STATUS" = 404 ] || jq -es 'all(.row % 100 == 0 and .column == "n")' "$API_BODY"
	api POST '/load_historic_data/t?on_duplicate=ignore'
	assert_status 201
	assert_json '.ignored == $n and .inserted == 990000 - $n' --argjson n "$there"
	log_rows "[.[] | select(.run == \"$id\")]" >"$BATS_TEST_TMPDIR/log"
	jq -e 'length == 1 and .[0].status == "ERROR" and .[0].outcome == "aborted"' "$BATS_TEST_TMPDIR/log"
}

# lose_deadlock QUERY: the load of 20,000 rows waits for one that another session holds, which has
# done more than the load and then wants one of the load's.  Its status is then in $API_STATUS.
lose_deadlock() {
	make_table
	seq 1 20000 | sed 's/$/,1,new/' >"$(file_of t)"
	sql -D company "INSERT INTO t SELECT seq, 0, 'old' FROM seq_1_to_20000;
		CREATE OR REPLACE TABLE heavy (id INT PRIMARY KEY, n INT) SELECT seq AS id, 0 AS n FROM seq_1_to_100000"
	deadlocks=$(sql "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'" | cut -f2)
	begin_session
	say "BEGIN; UPDATE heavy SET n = 1; UPDATE t SET t = 'mine' WHERE id = 15000;"
	said
	start_load "on_duplicate=update$1"
	wait_for locks_awaited
	# The last that the load has changed by now.
	say "UPDATE t SET t = 'mine too' WHERE id = 12000;"
	said
	[ "$(sql "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'" | cut -f2)" -eq $((deadlocks + 1)) ]
	say 'COMMIT;'
	said
	wait_run "$id"
}

@test "a transaction that loses a deadlock is done again" {
	lose_deadlock ''
	assert_json '.state == "ok" and .result.updated == 20000 and .result.inserted == 0 and .result.rejected == 0'
	[ "$(sql -D company "SELECT COUNT(*) FROM t WHERE n = 1 AND t = 'new'")" -eq 20000 ]
}

@test "all or nothing that loses a deadlock is nothing, and says whose fault it is" {
	lose_deadlock '&on_error=abort'
	assert_json '.state == "failed" and .error.code == "unavailable" and .result.updated == 0 and .result.inserted == 0'
	assert_json ".error.message | contains(\"locks of others are in the way in table 't'\") and contains(\"Deadlock\")"
	assert_json '.error.hint | contains("load again")'
	[ "$(sql -D company "SELECT COUNT(*) FROM t WHERE t = 'new'")" -eq 0 ]
}

# An agent that waits less long.
hasty_agent() {
	use_agent hasty
	{
		mariadb_config database
		printf 'name = company\ntimeout = 5s\n[exchange]\nurl = file://%s\n' "${exchange%/database}"
	} | agent_config
	start_agent
}

@test "locks of rows that stay are waited for no longer than the server may take" {
	local setting
	hasty_agent
	for setting in OFF ON; do
		stop_mariadb
		start_mariadb --innodb-rollback-on-timeout=$setting
		make_table
		sql -D company "INSERT INTO t VALUES (15000, 0, 'old')"
		seq 1 20000 | sed 's/$/,1,new/' >"$(file_of t)"
		begin_session
		say "BEGIN; UPDATE t SET t = 'mine' WHERE id = 15000;"
		said
		api POST '/load_historic_data/t?on_duplicate=update'
		assert_problem 503 unavailable "locks of others are in the way in table 't'"
		# The first batch is in.
		assert_json '.inserted == 10000 and .updated == 0 and .rejected == 0'
		assert_json '.hint == "10000 rows are in the table; on_duplicate=ignore loads the rest"'
		[ "$(rows)" -eq 10001 ]
		api POST '/load_historic_data/t?on_duplicate=update&on_error=abort'
		assert_problem 503 unavailable 'SHOW ENGINE INNODB STATUS'
		assert_json '.inserted == 0 and .updated == 0'
		[ "$(rows)" -eq 10001 ]
		say 'COMMIT;'
		said
		end_session
		api POST '/load_historic_data/t?on_duplicate=update&on_error=abort'
		assert_status 201
		assert_json '.inserted == 9999 and .updated == 10001'
	done
	stop_agent
	use_agent agent
	stop_mariadb
}

@test "who locks the table, or all tables, is waited for" {
	make_table
	seq 1 20000 | sed 's/$/,1,new/' >"$(file_of t)"
	local lock query
	for lock in 'LOCK TABLES t READ' 'FLUSH TABLES WITH READ LOCK'; do
		for query in '' on_error=abort; do
			sql -D company 'DELETE FROM t'
			begin_session
			say "$lock;"
			said
			start_load "$query"
			wait_for metadata_awaited
			say 'UNLOCK TABLES;'
			said
			end_session
				wait_run "$id" ok
			assert_json '.result.inserted == 20000'
			[ "$(rows)" -eq 20000 ]
		done
	done
}

in_the_trigger() {
	[ "$(sql "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE state = 'User sleep'")" -ge 1 ]
}

# Longer than a statement of a batch waits: who gives up as soon has given up by then.
commit_awaited() {
	[ "$(sql "SELECT COUNT(*) FROM information_schema.PROCESSLIST
		WHERE user = 'agent' AND info LIKE 'COMMIT%' AND state LIKE 'Waiting for%lock' AND time_ms > 3500")" -eq 1 ]
}

@test "all or nothing is kept although the server is locked when it comes to that" {
	make_table "; CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW
		SET NEW.n = IF(NEW.id = 10000, 1 + SLEEP(2), NEW.n)"
	seq 1 10000 | sed 's/$/,1,new/' >"$(file_of t)"
	start_load on_error=abort
	wait_for in_the_trigger
	# It takes effect when the one batch is in the table, and nothing is left but to keep it.
	api POST "/v1/runs/$id/pause"
	assert_status 200
	waits() {
		! in_the_trigger && api GET "/v1/runs/$id" && [ "$(json .state)" = paused ]
	}
	wait_for waits
	begin_session
	say 'FLUSH TABLES WITH READ LOCK;'
	said
	api POST "/v1/runs/$id/continue"
	wait_for commit_awaited
	say 'UNLOCK TABLES;'
	said
	wait_run "$id" ok
	assert_json '.result.inserted == 10000'
	[ "$(rows)" -eq 10000 ]
}

@test "a table that changes, goes or is another while it is loaded" {
	make_file 1000000
	local change
	for change in 'DROP TABLE t' 'RENAME TABLE t TO heavy' 'ALTER TABLE t DROP COLUMN n'; do
		sql -D company 'DROP TABLE IF EXISTS heavy'
		make_table
		start_load
		wait_for has_rows
		sql -D company "$change"
		wait_run "$id" failed
		cp "$API_BODY" "$BATS_TEST_TMPDIR/run"
		told=$(json .result.inserted)
		case $change in
		DROP*) assert_json ".error.code == \"not-found\" and (.error.message | contains(\"'company.t' doesn't exist\"))" ;;
		RENAME*)
			assert_json '.error.code == "not-found"'
			[ "$(sql -D company 'SELECT COUNT(*) FROM heavy')" -eq "$told" ]
			;;
		ALTER*)
			assert_json ".error.code == \"database\" and (.error.message | contains(\"Unknown column 'n'\"))"
			[ "$(rows)" -eq "$told" ]
			;;
		esac
		assert_json '.error.hint | contains($n + " rows are in the table")' --arg n "$told"
	done
	# What still fits goes in; what does not is told row by row.
	make_table
	start_load
	wait_for has_rows
	sql -D company 'ALTER TABLE t ADD COLUMN more INT NOT NULL DEFAULT 7, ADD CHECK (n < 900000)'
	wait_run "$id" warn
	# Bad are one in a hundred, and from 900,000 on all.
	assert_json '.result.read == 1000000 and .result.inserted == 891000 and .result.rejected == 109000'
	[ "$(rows)" -eq "$(json .result.inserted)" ]
	[ "$(sql -D company 'SELECT COUNT(*) FROM t WHERE more <> 7 OR n >= 900000')" -eq 0 ]
}

# An agent whose user may do only so much: poor_agent NAME PRIVILEGES.
poor_agent() {
	use_agent "$1"
	sql "CREATE OR REPLACE USER $1@'%' IDENTIFIED BY 'p'; GRANT $2 ON company.t TO $1@'%'"
	(umask 077 && echo p >"$AGENT_FOLDER/password")
	printf '[database]\nhosts = 127.0.0.1:%s\nuser = %s\npassword_file = %s\nname = company\n[exchange]\nurl = file://%s\n' \
		"$MARIADB_PORT" "$1" "$AGENT_FOLDER/password" "${exchange%/database}" | agent_config
	start_agent
}

@test "too few rights are named, and enough are enough" {
	make_table
	printf '1,1,a\n2,2,b\n' >"$(file_of t)"
	poor_agent reader SELECT
	api POST /load_historic_data/t
	assert_problem 502 database "INSERT command denied to user 'reader'"
	assert_json '.hint | contains("needs INSERT on the table")'
	api POST '/load_historic_data/t?on_duplicate=update'
	assert_problem 502 database 'denied'
	assert_json '.hint | contains("needs INSERT and UPDATE on the table") '
	[ "$(rows)" -eq 0 ]
	# Taken away in the middle.
	poor_agent writer 'SELECT, INSERT'
	api POST /load_historic_data/t
	assert_status 201
	assert_json '.inserted == 2'
	make_file 1000000
	make_table
	start_load
	wait_for has_rows
	sql "REVOKE INSERT ON company.t FROM writer@'%'"
	wait_run "$id" failed
	assert_json '.error.code == "database" and (.error.message | contains("INSERT command denied"))'
	[ "$(rows)" -eq "$(json .result.inserted)" ]
	# Who may not even look is told that there is no such table, as the server does.
	sql "REVOKE SELECT ON company.t FROM writer@'%'"
	api POST /load_historic_data/t
	[ "$API_STATUS" -ge 400 ]
	[ "$(sql -D company 'SELECT COUNT(*) FROM t')" -lt 990000 ]
}

@test "a fault within a trigger that the agent may not see is that of the right row" {
	make_table
	sql -D company "CREATE TABLE seen (n INT PRIMARY KEY); INSERT INTO seen VALUES (7), (500);
		CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW INSERT INTO seen VALUES (-NEW.id), (NEW.id)"
	seq 1 1000 | sed 's/$/,1,new/' >"$(file_of t)"
	poor_agent blind 'SELECT, INSERT'
	api POST /load_historic_data/t
	assert_status 201
	assert_json '.inserted == 998 and [.rejects[].number] == [7, 500]'
	[ "$(rows)" -eq 998 ]
	[ "$(sql -D company 'SELECT COUNT(*) FROM seen')" -eq 1998 ]
}

# As in the other tests of full disks: a disk of its own for the agent's state.
small_disk() {
	disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk"
	mount -t tmpfs -o size=12m,mode=0700 holdfast-test "$disk" || skip "a tmpfs cannot be mounted here"
	use_agent small
	STATE=$disk/state
	{
		mariadb_config database
		printf 'name = company\n[exchange]\nurl = file://%s\n' "${exchange%/database}"
	} | agent_config
	start_agent
}

@test "a disk that is full of rejected rows ends the load, and the counts are true" {
	make_table
	# Half of the rows are rejected, each with more than 400 bytes.
	awk 'BEGIN { long = sprintf("%400s", ""); for (i = 1; i <= 200000; i++)
		print i "," i "," (i % 2 ? "short" : long) }' >"$(file_of t)"
	small_disk
	start_load
	wait_run "$id" failed
	assert_json '.error.code == "no-space" and (.error.message | contains("could not write the rejected rows"))'
	told=$(json .result.inserted)
	[ "$(rows)" -eq "$told" ]
	assert_json '.error.hint | contains($n + " rows are in the table")' --arg n "$told"
	assert_json '.result.rejected > 1000 and .result.rejected <= .result.inserted'
	rejected=$(json .result.rejected)
	# Those that are kept are whole, and the first; the agent has room for its own.
	api GET "/v1/runs/$id/rejects" -H 'Accept: application/x-ndjson'
	assert_status 200
	jq -es 'map(.row) | . == [range(2; 2 * length + 2; 2)]' "$API_BODY"
	kept=$(wc -l <"$API_BODY")
	echo "rejected $rejected, kept $kept"
	((kept > 1000 && kept <= rejected))
	log_rows "[.[] | select(.run == \"$id\")]" >"$BATS_TEST_TMPDIR/log"
	jq -e 'length == 1 and .[0].outcome == "failed"' "$BATS_TEST_TMPDIR/log"
	api GET /readyz
	assert_status 200
	# The next one has no room at all; with room, it is told why it did not do.
	make_table
	api POST '/load_historic_data/t?on_error=abort'
	assert_problem 507 no-space 'make room on that disk'
	assert_json '.inserted == 0 and .rejects[0].number == 2 and .rejects[0].column == "t"'
	rm "$STATE/rejects/$id"
	api POST '/load_historic_data/t?on_error=abort'
	assert_problem 400 bad-request "row 2: 't': 400 characters, varchar(99) takes 99"
	[ "$(rows)" -eq 0 ]
	stop_agent
	start_agent
	api GET "/v1/runs/$id"
	assert_json '.state == "failed" and .error.code == "no-space" and .result.inserted == $n' --argjson n "$told"
	stop_agent
	umount "$disk"
}
