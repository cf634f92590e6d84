#!/usr/bin/env bats
# Goal: the agent comes up with nothing but itself, ends well, and leaves nothing half done.

bats_require_minimum_version 1.5.0
load lib/agent

teardown() {
	end_agents
}

@test "the first start makes repository, passphrase and token, closed to others, and says so" {
	start_agent
	for secret in passphrase token; do
		[ "$(stat -c %a "$STATE/$secret")" = 600 ]
	done
	[ "$(stat -c %a "$STATE")" = 700 ]
	[ "$(stat -c %a "$REPOSITORY")" = 700 ]
	grep -q 'KEEP A COPY OF IT ELSEWHERE' "$(agent_log)"
	grep -q "listening on $URL" "$(agent_log)"
	run ! grep -qF -e "$(<"$STATE/passphrase")" -e "$(<"$STATE/token")" "$(agent_log)"
	stop_agent
	[ "$(agent_status)" = 0 ]
	: >"$(agent_log)"
	start_agent
	run ! grep -q 'KEEP A COPY' "$(agent_log)"
	api GET /v1/status
	assert_status 200
}

@test "what the daemon says is one JSON object a line, but for words to people" {
	start_agent
	make_small_tree "$BATS_TEST_TMPDIR/source"
	api POST /backup -d path_to_folder="$BATS_TEST_TMPDIR/source"
	stop_agent
	grep '^{' "$(agent_log)" | jq -se 'map(.event) | contains(["started", "run-started",
		"run-ended", "stopping", "stopped"])'
	grep '^{' "$(agent_log)" | jq -se 'all(.ts and .level and .event)'
}

@test "SIGTERM and SIGINT end it with 0, also while a run is going" {
	for signal in TERM INT; do
		start_agent
		api POST /v1/runs --json '{"kind": "backup", "arguments": {"path": "/usr/share"}}'
		id=$(json .id)
		stop_agent "$signal"
		[ "$(agent_status)" = 0 ]
		start_agent
		api GET "/v1/runs/$id"
		# It had not begun, or was cancelled, or was quick.
		[[ $(json .state) =~ ^(queued|running|cancelled|ok)$ ]]
		wait_run "$id"
		[ "$(log_rows "[.[] | select(.run == \"$id\" and .action == \"Backup\")] | length")" = 1 ]
		stop_agent
	done
}

@test "a missing passphrase is not replaced by a new one" {
	start_agent
	stop_agent
	mv "$STATE/passphrase" "$BATS_TEST_TMPDIR/copy"
	run -1 offline --listen 127.0.0.1:1
	[[ $output == *"bring the copy of the passphrase"* ]]
	[ ! -e "$STATE/passphrase" ]
	mv "$BATS_TEST_TMPDIR/copy" "$STATE/passphrase"
	start_agent
}

@test "a repository that is not there any more is not replaced by an empty one" {
	start_agent
	stop_agent
	mv "$REPOSITORY" "$BATS_TEST_TMPDIR/unmounted"
	run -1 offline --listen 127.0.0.1:1
	[[ $output == *"was there and is not any more"*"is its disk mounted?"* ]]
	[ ! -e "$REPOSITORY" ]
	# Nor in the empty folder on which it would be mounted.
	mkdir "$REPOSITORY"
	run -1 offline --listen 127.0.0.1:1
	[[ $output == *"was there and is not any more"* ]]
	rmdir "$REPOSITORY"
	mv "$BATS_TEST_TMPDIR/unmounted" "$REPOSITORY"
	start_agent
	stop_agent
	# Another place is a wish, and this one can be given up.
	offline --repository "$BATS_TEST_TMPDIR/other" init
	rm -r "$REPOSITORY" "$STATE/repository"
	start_agent
}

@test "SIGHUP ends it well, too" {
	start_agent
	stop_agent HUP
	[ "$(agent_status)" = 0 ]
}

@test "an address that is taken is said, and the state folder is free again" {
	start_agent
	port=$(agent_port)
	use_agent other
	run -1 timeout 30 "$HOLDFASTD" --config /dev/null --state "$STATE" \
		--repository "$REPOSITORY" --listen "127.0.0.1:$port"
	[[ $output == *"127.0.0.1:$port"* ]]
	start_agent
}

@test "a damaged state database or log is set aside and said so" {
	start_agent
	stop_agent
	for name in log state; do
		head -c 100000 /dev/urandom >"$STATE/$name.sqlite"
		rm -f "$STATE/$name.sqlite-wal" "$STATE/$name.sqlite-shm"
	done
	start_agent
	ls "$STATE"/log.sqlite.damaged-* "$STATE"/state.sqlite.damaged-*
	grep -q '"event":"log-damaged"' "$(agent_log)"
	grep -q '"event":"runs-damaged"' "$(agent_log)"
	api GET /logs
	assert_json '[.[] | select(.action == "Log" and .status == "ERROR")] | length == 1'
}

@test "at rest it takes little memory and no processor" {
	start_agent
	make_small_tree "$BATS_TEST_TMPDIR/source"
	api POST /backup -d path_to_folder="$BATS_TEST_TMPDIR/source"
	assert_status 201
	pid=$(agent_pid)
	ticks() {
		awk '{ print $14 + $15 }' "/proc/$pid/stat"
	}
	# Numbers are for the reader; only what no machine could excuse fails.
	echo "resident: $(awk '/VmRSS/ { print $2 " " $3 }' "/proc/$pid/status")"
	before=$(ticks)
	wait_for -t 3 false 2>/dev/null || true
	after=$(ticks)
	echo "processor ticks in three seconds: $((after - before))"
	[ $((after - before)) -lt 100 ]
}
