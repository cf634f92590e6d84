#!/usr/bin/env bats
#
# The log is read in every form, page after page, and each reading is one row itself.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	share_agent
	start_agent
	# As the ancestor's programs write them; a few are what a spreadsheet would run.
	{
		echo 'BEGIN;'
		for i in {1..2499}; do
			echo "INSERT INTO log (action, parameter, status) VALUES ('Old', 'row $i', 'SUCCESS');"
		done
		echo "INSERT INTO log (action, parameter, status) VALUES ('Odd', '=cmd(\"x\"), y', 'ERROR');"
		echo 'COMMIT;'
	} | sqlite3 -cmd '.timeout 10000' "$STATE/log.sqlite"
}

teardown_file() {
	use_agent agent
	end_agents
}

@test "thousands of rows come whole, in order, oldest first" {
	api GET '/logs?action=Old'
	assert_status 200
	assert_json 'length == 2499 and (map(.id) | . == (sort | unique))'
	assert_json '.[0].parameter == "row 1" and .[-1].parameter == "row 2499"'
	assert_header Content-Type '^application/json$'
}

@test "a page goes on after the last id of the one before" {
	local after=0 seen=0 pages=0
	while :; do
		api GET "/logs?action=Old&limit=1001&after=$after"
		assert_status 200
		[[ $(json length) != 0 ]] || break
		assert_json '.[0].parameter == "row " + $n' --arg n $((seen + 1))
		seen=$((seen + $(json length)))
		after=$(json '.[-1].id')
		pages=$((pages + 1))
	done
	[[ $seen == 2499 && $pages == 3 ]]
	api GET '/logs?action=Old&limit=1000'
	assert_json 'length == 1000'
	api GET '/logs?action=Old&limit=2000'
	assert_json 'length == 2000'
}

@test "NDJSON has one row a line" {
	api GET '/logs?action=Old' -H 'Accept: application/x-ndjson'
	assert_header Content-Type '^application/x-ndjson$'
	[[ $(wc -l <"$API_BODY") == 2499 ]]
	head -n 1 "$API_BODY" | jq -e '.parameter == "row 1"'
}

@test "CSV has a header line, quotes, and no formulas" {
	api GET '/logs?action=Odd' -H 'Accept: text/csv, application/json;q=0.5'
	assert_header Content-Type '^text/csv$'
	head -n 1 "$API_BODY" | grep -q $'^id,date,action,command,parameter,status,.*\r$'
	tail -n 1 "$API_BODY" | grep -qF ",Odd,,\"'=cmd(\"\"x\"\"), y\",ERROR,"
	api GET '/logs?action=None' -H 'Accept: text/csv'
	[[ $(wc -l <"$API_BODY") == 1 ]]
}

@test "rows are chosen by status, text and time" {
	api GET '/log?status=ERROR&action=Odd'
	assert_json 'length == 1'
	api GET '/logs?q=row+2499'
	assert_json 'length == 1'
	api GET "/logs?action=Old&startdate=$(date -u +%F)&enddate=$(date -u +%F)"
	assert_json 'length == 2499'
	api GET "/logs?action=Old&end=2001-01-01"
	assert_json '. == []'
	# What SQL could take for more than text is only text.
	api GET "/logs" -G --data-urlencode "q=' OR 1=1 --"
	assert_json 'length == 0'
}

@test "each reading is one row, with what was asked for" {
	local before
	before=$(log_rows length)
	api GET '/logs?limit=1&action=Old'
	api HEAD /logs
	assert_status 200
	[[ ! -s $API_BODY ]] || ! grep -q '"id"' "$API_BODY"
	api GET /stats
	log_rows ".[$before:]" | jq -e 'map(.action) == ["Logs", "Logs", "Stats"]
		and map(.status) == ["SUCCESS", "SUCCESS", "SUCCESS"]
		and map(.command) == ["GET /logs", "HEAD /logs", "GET /stats"]
		and .[0].parameter == "limit=1&action=Old"'
}

@test "a client that leaves in mid-log leaves one row that says so" {
	local before
	before=$(log_rows '[.[] | select(.action == "Logs")] | length')
	# Bigger than all buffers on the way, or it would be whole before the client has left.
	{
		echo 'BEGIN;'
		for i in {1..3000}; do
			echo "INSERT INTO log (action, parameter, status)
				VALUES ('Big', hex(zeroblob(2000)), 'SUCCESS');"
		done
		echo 'COMMIT;'
	} | sqlite3 -cmd '.timeout 10000' "$STATE/log.sqlite"
	exec 9<>"/dev/tcp/127.0.0.1/$(agent_port)"
	printf 'GET /logs?action=Big HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n' \
		"$(<"$STATE/token")" >&9
	head -c 1000 <&9 >/dev/null
	exec 9>&-
	cancelled() {
		log_rows "[.[] | select(.action == \"Logs\")][$before:]" |
			jq -e 'length == 1 and .[0].status == "ERROR" and .[0].outcome == "cancelled"' >/dev/null
	}
	wait_for cancelled
}
