#!/usr/bin/env bats
# Goal: every action is exactly one row, whoever did it, and the statistics count them all.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	SOURCE=$BATS_TEST_TMPDIR/source
	make_small_tree "$SOURCE"
	start_agent
}

teardown() {
	end_agents
}

@test "a backup is one row with the ancestor's columns and the further ones" {
	api POST /backup -d path_to_folder="$SOURCE"
	assert_status 201
	snapshot=$(json .id)
	[ "$(log_rows length)" = 1 ]
	# shellcheck disable=SC2016 # jq's variables
	log_rows ".[0]" | jq -e --arg source "$SOURCE" --arg snapshot "$snapshot" \
		'.id == 1 and .sequence == 1 and .action == "Backup" and .parameter == $source
		and .status == "SUCCESS" and .agent == "agent" and .command == "POST /backup"
		and .outcome == "ok" and .snapshot == $snapshot and .files == 6 and .bytes > 3000000
		and .stored_bytes > 0 and (.origin | contains("token:first"))'
}

@test "rows that the ancestor's programs insert are listed and counted" {
	stop_agent
	sqlite3 "$STATE/log.sqlite" \
		"INSERT INTO log(action, parameter, status) VALUES('Backup', '/old', 'SUCCESS');
		INSERT INTO log(date, action, parameter, status)
			VALUES('2020-01-02 03:04:05', 'Backup', '/older', 'ERROR')"
	start_agent
	api GET /stat
	assert_json '."number-of-backups" == 2 and ."failed-operations" == 1'
	api GET '/logs?startdate=2020-01-01&enddate=2020-12-31'
	assert_json 'length == 1 and .[0].parameter == "/older"
		and .[0].date == "2020-01-02T03:04:05.000Z"'
}

@test "the ancestor's insert works also while the agent runs" {
	sqlite3 -cmd '.timeout 5000' "$STATE/log.sqlite" \
		"INSERT INTO log(action, parameter, status) VALUES('Backup', '/old', 'SUCCESS')"
	api GET '/logs?action=Backup'
	assert_json 'length == 1 and .[0].parameter == "/old"'
}

@test "commands beside the agent leave their rows, at once visible" {
	offline backup "$SOURCE" --tag beside
	run -1 offline backup /no/such/folder
	api GET '/logs?action=Backup'
	assert_json 'length == 2 and .[0].command == "holdfastd backup" and .[0].status == "SUCCESS"
		and .[1].status == "ERROR" and (.[0].origin | startswith("cli uid:"))'
	api GET /stat
	assert_json '."number-of-backups" == 2 and ."successful-backups" == 1'
	[ "$(find "$STATE/log.spool" -type f | wc -l)" = 0 ]
}

@test "commands without an agent write the same log" {
	stop_agent
	offline check
	offline token add reader --role read >/dev/null
	[ "$(log_rows '[.[].command] | join(",")')" = '"holdfastd check,holdfastd token add"' ]
	start_agent
	api GET '/logs?action=Check'
	assert_json 'length == 1'
}

@test "statistics are sums of what the log lists, for any range" {
	api POST /backup -d path_to_folder="$SOURCE"
	api POST /backup -d path_to_folder=/no/such
	api GET /logs
	api GET /stat
	assert_json '."number-of-backups" == 2 and ."successful-operations" == 2
		and ."failed-operations" == 1 and ."last-backup".parameter == "'"$SOURCE"'"'
	[ "$(log_rows 'length')" = 4 ]
}

@test "a killed agent's log has every row that was answered" {
	for _ in 1 2 3 4 5; do
		api GET /logs
		assert_status 200
	done
	stop_agent KILL
	start_agent
	[ "$(log_rows '[.[] | select(.action == "Logs")] | length')" = 5 ]
}

@test "the log of many clients at once has each of their actions once" {
	seq 40 | xargs -P 8 -I{} curl -sS -o /dev/null -H "Authorization: Bearer $(<"$STATE/token")" \
		"$URL/logs?q=client-{}"
	[ "$(log_rows '[.[] | select(.action == "Logs")] | length')" = 40 ]
	[ "$(log_rows '[.[].parameter] | unique | length')" = 40 ]
}
