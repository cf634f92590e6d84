#!/usr/bin/env bats
#
# Runs are started, followed by server-sent events, paused and cancelled over HTTP; each is one row.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	mkdir "$source"
	head -c 30000000 /dev/urandom | split -b 100000 -a 3 - "$source/f-"
	start_agent
}

teardown() {
	end_agents
}

start_run() {
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$source\"}}"
	assert_status 202
	run=$(json .id)
	assert_header Location "^/v1/runs/$run\$"
}

# Follow events into FILE in the background.
follow() {
	curl -sS -N --max-time 60 -H "Authorization: Bearer $(<"$STATE/token")" "$URL$1" >"$2" 3>&- &
	follower=$!
	wait_for grep -q '^retry:' "$2"
}

events() {
	sed -n 's/^event: //p' "$1" | sort -u | tr '\n' ' '
}

@test "the events of a run end with its end" {
	local file=$BATS_TEST_TMPDIR/events
	start_run
	curl -sS -N --max-time 60 -D "$BATS_TEST_TMPDIR/head" \
		-H "Authorization: Bearer $(<"$STATE/token")" "$URL/v1/runs/$run/events" >"$file"
	grep -qi '^content-type: text/event-stream' "$BATS_TEST_TMPDIR/head"
	[[ $(grep -c '^event: ended' "$file") == 1 ]]
	tac "$file" | sed -n 's/^data: //p' | head -n 1 | jq -e --arg run "$run" '.id == $run and .outcome == "ok"'
	# Each number is higher than the one before.
	sed -n 's/^id: //p' "$file" >"$BATS_TEST_TMPDIR/ids"
	sort -nu "$BATS_TEST_TMPDIR/ids" | cmp - "$BATS_TEST_TMPDIR/ids"
	sed -n 's/^data: //p' "$file" | jq -e --arg run "$run" '.run == $run' >/dev/null
}

@test "the events of a run that has ended are its end" {
	local file=$BATS_TEST_TMPDIR/events
	start_run
	wait_run "$run" ok
	curl -sS -N --max-time 60 -H "Authorization: Bearer $(<"$STATE/token")" \
		"$URL/v1/runs/$run/events" >"$file"
	[[ $(grep -c '^event: ' "$file") == 1 ]]
	grep -q '^event: ended' "$file"
}

@test "all runs can be followed at once" {
	local file=$BATS_TEST_TMPDIR/events
	follow /v1/events "$file"
	start_run
	wait_run "$run" ok
	wait_for grep -q "^event: ended" "$file"
	grep -q "\"run\":\"$run\"" "$file"
	# It goes on: the next run is there too.
	start_run
	wait_for grep -q "\"run\":\"$run\"" "$file"
	kill "$follower"
}

@test "followers that left, and those that do not read, disturb nobody" {
	for _ in {1..20}; do
		(
			exec 9<>"/dev/tcp/127.0.0.1/$(agent_port)"
			printf 'GET /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n' \
				"$(<"$STATE/token")" >&9
		)
	done
	exec 9<>"/dev/tcp/127.0.0.1/$(agent_port)"
	printf 'GET /v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n' \
		"$(<"$STATE/token")" >&9
	start_run
	wait_run "$run" ok
	exec 9>&-
}

@test "a run is cancelled, and its waiting client is told" {
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"/usr\"}}"
	run=$(json .id)
	api DELETE "/v1/runs/$run"
	assert_status 202
	wait_run "$run" cancelled
	api DELETE "/v1/runs/$run"
	assert_problem 409 conflict
	log_rows | jq -e '[.[] | select(.action == "Backup")] | length == 1 and .[0].outcome == "cancelled"'
	log_rows | jq -e '[.[] | select(.action == "Cancel")] | map(.status) == ["SUCCESS", "ERROR"]'
}

@test "a run is paused and goes on" {
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"/usr/share\"}}"
	run=$(json .id)
	can_pause() {
		api POST "/v1/runs/$run/pause" && [[ $API_STATUS == 200 ]]
	}
	wait_for can_pause
	api GET "/v1/runs/$run"
	assert_json '.state == "paused"'
	api POST "/v1/runs/$run/pause"
	assert_problem 409 conflict
	api POST "/v1/runs/$run/continue"
	assert_status 200
	assert_json '.state == "running"'
	api DELETE "/v1/runs/$run"
	wait_run "$run" cancelled
}

@test "respond-async answers at once with the run" {
	api POST /backup -H 'Prefer: respond-async' -d "path_to_folder=$source"
	assert_status 202
	assert_header Location '^/v1/runs/[0-9a-f]{32}$'
	assert_header Preference-Applied respond-async
	wait_run "$(json .id)" ok
}

@test "an Idempotency-Key starts one run" {
	local first
	api POST /v1/runs -H 'Idempotency-Key: k1' \
		--json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$source\"}}"
	assert_status 202
	first=$(json .id)
	api POST /v1/runs -H 'Idempotency-Key: k1' \
		--json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$source\"}}"
	assert_status 200
	[[ $(json .id) == "$first" ]]
	api GET /v1/runs
	assert_json '.runs | length == 1'
	wait_run "$first" ok
}

@test "a backup with losses is stored, and lists them" {
	[[ $(id -u) == 0 ]] || skip 'needs root'
	mkdir "$source/locked"
	echo x >"$source/locked/file"
	# Not even root opens a file whose name leads nowhere on another file system: a dangling
	# mount cannot be made here, so the reader is an agent without the right to override modes.
	chmod 0000 "$source/locked"
	stop_agent
	HOLDFASTD_REAL=$HOLDFASTD
	cat >"$BATS_TEST_TMPDIR/holdfastd" <<-END
	#!/bin/sh
	exec setpriv --bounding-set -dac_override,-dac_read_search \
		--inh-caps -dac_override,-dac_read_search "$HOLDFASTD_REAL" "\$@"
	END
	chmod +x "$BATS_TEST_TMPDIR/holdfastd"
	HOLDFASTD=$BATS_TEST_TMPDIR/holdfastd
	start_agent
	HOLDFASTD=$HOLDFASTD_REAL
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	assert_json '.outcome == "warn" and .loss_total == 1
		and (.losses[0].path | endswith("/locked"))'
	log_rows | jq -e '[.[] | select(.action == "Backup")][-1] | .status == "SUCCESS"
		and .outcome == "warn" and (.message | contains("locked"))'
}

@test "fields of a run's start that are wrong are refused" {
	local body
	while read -r body; do
		api POST /v1/runs --json "$body"
		assert_problem 400 bad-request
	done <<-'END'
	{}
	{"kind": 5}
	{"kind": "nothing"}
	{"kind": "backup", "argument": {}}
	{"kind": "backup", "arguments": []}
	{"kind": "backup", "arguments": {"path": "/etc", "nothing": 1}}
	{"kind": "check", "arguments": {"percent": 0}}
	{"kind": "restore", "arguments": {"snapshot": "latest"}}
	END
	api GET /v1/runs
	assert_json '.runs == []'
}

@test "the status counts snapshots and runs" {
	api GET /v1/status
	assert_json '.name == "agent" and .runs == {"queued": 0, "running": 0} and .repository.free > 0'
	start_run
	wait_run "$run" ok
	one_snapshot() {
		api GET /v1/status && [[ $(json .repository.snapshots) == 1 ]]
	}
	wait_for one_snapshot
}
