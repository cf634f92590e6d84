#!/usr/bin/env bats
#
# Slow clients are cut by a total deadline; idle connections, however many, keep nobody out;
# what waits holds no thread.

bats_require_minimum_version 1.5.0
load lib/agent

teardown() {
	[[ -z ${idlers_pid:-} ]] || kill "$idlers_pid" 2>/dev/null || true
	end_agents
}

rawhttp() {
	"$HOLDFAST_BUILD/tests/tools/rawhttp" "$@" 127.0.0.1 "$(agent_port)"
}

short_deadlines() {
	agent_config <<-'END'
	[agent]
	header_deadline = 1s
	request_deadline = 2s
	idle = 3s
	END
}

# Hold so many idle connections until the test ends; with -r before, each after one request.
hold_idle() {
	mkfifo "$BATS_TEST_TMPDIR/hold"
	"$HOLDFAST_BUILD/tests/tools/idlers" "$@" 127.0.0.1 "$(agent_port)" \
		<"$BATS_TEST_TMPDIR/hold" >"$BATS_TEST_TMPDIR/idlers" 2>&1 3>&- &
	idlers_pid=$!
	exec 8>"$BATS_TEST_TMPDIR/hold"
	wait_for grep -q . "$BATS_TEST_TMPDIR/idlers"
	grep -q ready "$BATS_TEST_TMPDIR/idlers" || fail "$(cat "$BATS_TEST_TMPDIR/idlers")"
}

@test "a header that comes byte by byte is cut" {
	short_deadlines
	start_agent
	head -c 600 /dev/zero | tr '\0' a >"$BATS_TEST_TMPDIR/filler"
	{
		printf 'GET /livez HTTP/1.1\r\nHost: h\r\nX-Slow: '
		cat "$BATS_TEST_TMPDIR/filler"
		printf '\r\n\r\n'
	} | rawhttp -s 20 >"$BATS_TEST_TMPDIR/answer"
	# Closed (else rawhttp would have failed), by 408, and never run.
	head -n 1 "$BATS_TEST_TMPDIR/answer" | grep -q '^HTTP/1\.1 408 '
	tail -n 1 "$BATS_TEST_TMPDIR/answer" | jq -e '.type == "urn:holdfast:problem:request-timeout"'
}

@test "a body that comes byte by byte is cut, and is a failed action" {
	short_deadlines
	start_agent
	{
		printf 'POST /backup HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n' \
			"$(<"$STATE/token")"
		printf 'Content-Type: application/json\r\nContent-Length: 600\r\n\r\n'
		head -c 600 /dev/zero | tr '\0' ' '
	} >"$BATS_TEST_TMPDIR/request"
	rawhttp -s 20 <"$BATS_TEST_TMPDIR/request" >"$BATS_TEST_TMPDIR/answer"
	head -n 1 "$BATS_TEST_TMPDIR/answer" | grep -q '^HTTP/1\.1 408 '
	row_is_there() {
		log_rows '[.[] | select(.action == "Backup" and .status == "ERROR")] | length' |
			grep -qx 1
	}
	wait_for row_is_there
}

@test "a connection that says nothing is closed" {
	short_deadlines
	start_agent
	rawhttp -w 20 </dev/null
}

@test "a connection that has been used is kept for the next request, then closed" {
	short_deadlines
	start_agent
	printf 'GET /livez HTTP/1.1\r\nHost: h\r\n\r\n' | rawhttp -w 20 >"$BATS_TEST_TMPDIR/answer"
	head -n 1 "$BATS_TEST_TMPDIR/answer" | grep -q '^HTTP/1\.1 200 '
}

@test "10,000 idle connections from one address do not keep a fresh client waiting" {
	local i
	start_agent
	hold_idle 10000
	for i in 1 2 3; do
		curl -sS --max-time 5 -o /dev/null "$URL/livez"
		api GET /v1/status --max-time 5
		assert_status 200
	done
}

@test "more idle connections than are allowed make room, oldest first" {
	agent_config <<-'END'
	[agent]
	max_connections = 200
	max_connections_per_address = 100
	END
	start_agent
	hold_idle 2000
	api GET /v1/status --max-time 5
	assert_status 200
	(($(open_descriptors) < 300))
}

open_descriptors() {
	find "/proc/$(agent_pid)/fd" -mindepth 1 | wc -l
}

@test "of many connections that were used only some are kept, as each holds memory" {
	start_agent
	hold_idle -r 3000
	few_are_left() {
		(($(open_descriptors) < 700))
	}
	wait_for few_are_left
	(($(open_descriptors) > 500))
	api GET /v1/status
	assert_status 200
}

@test "clients that wait for a backup hold no thread" {
	local i source=$BATS_TEST_TMPDIR/source
	make_small_tree "$source"
	agent_config <<-'END'
	[agent]
	run_workers = 1
	END
	start_agent
	for i in {1..20}; do
		curl -sS -o "$BATS_TEST_TMPDIR/answer.$i" -w '%{http_code}' --max-time 120 \
			-H "Authorization: Bearer $(<"$STATE/token")" -d "path_to_folder=$source" \
			"$URL/backup" >"$BATS_TEST_TMPDIR/status.$i" 3>&- &
	done
	api GET /v1/status --max-time 10
	assert_status 200
	wait
	for i in {1..20}; do
		[[ $(<"$BATS_TEST_TMPDIR/status.$i") == 201 ]] || fail "$(cat "$BATS_TEST_TMPDIR/answer.$i")"
	done
	[[ $(log_rows '[.[] | select(.action == "Backup")] | length') == 20 ]]
}

@test "a client that waits longer than an idle connection may is answered" {
	local run
	short_deadlines
	make_small_tree "$BATS_TEST_TMPDIR/source"
	agent_config <<-'END'
	[agent]
	run_workers = 1
	END
	start_agent
	# Keeps the only worker until the other has waited long enough.
	api POST /v1/runs --json '{"kind": "backup", "arguments": {"path": "/usr/share"}}'
	run=$(json .id)
	can_pause() {
		api POST "/v1/runs/$run/pause" && [[ $API_STATUS == 200 ]]
	}
	wait_for can_pause
	curl -sS -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}' --max-time 60 \
		-H "Authorization: Bearer $(<"$STATE/token")" \
		-d "path_to_folder=$BATS_TEST_TMPDIR/source" "$URL/backup" \
		>"$BATS_TEST_TMPDIR/status" 3>&- &
	# The time-out of the agent's settings is three seconds: a silent connection shows it.
	rawhttp -w 20 </dev/null
	printf 'GET /livez HTTP/1.1\r\nHost: h\r\n\r\n' | rawhttp -w 20 >/dev/null
	api DELETE "/v1/runs/$run"
	wait_run "$run" cancelled
	wait
	[[ $(<"$BATS_TEST_TMPDIR/status") == 201 ]] || fail "$(cat "$BATS_TEST_TMPDIR/answer")"
}

@test "an agent that is stopped answers who waits, and says where to ask" {
	local source=$BATS_TEST_TMPDIR/source run
	mkdir "$source"
	head -c 20000000 /dev/urandom >"$source/data"
	agent_config <<-'END'
	[agent]
	run_workers = 1
	END
	start_agent
	# The first run is paused and keeps the only worker, so the second one waits for ever.
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$source\"}}"
	assert_status 202
	run=$(json .id)
	api POST "/v1/runs/$run/pause"
	curl -sS -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}' --max-time 60 \
		-H "Authorization: Bearer $(<"$STATE/token")" -d "path_to_folder=$source" \
		"$URL/backup" >"$BATS_TEST_TMPDIR/status" 3>&- &
	both_are_there() {
		api GET /v1/runs && [[ $(json '.runs | length') == 2 ]]
	}
	wait_for both_are_there
	stop_agent
	wait
	[[ $(agent_status) == 0 ]]
	# Where the first one had ended before it could be paused, there was nothing to wait for.
	case $(<"$BATS_TEST_TMPDIR/status") in
	503) jq -e '.instance | startswith("/v1/runs/")' "$BATS_TEST_TMPDIR/answer" ;;
	201) ;;
	*) fail "$(cat "$BATS_TEST_TMPDIR/status" "$BATS_TEST_TMPDIR/answer")" ;;
	esac
}

@test "an agent that is stopped does not wait for ever for a client that reads slowly" {
	local source=$BATS_TEST_TMPDIR/source slow
	mkdir "$source"
	head -c 30000000 /dev/urandom >"$source/data"
	start_agent
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	curl -sS --limit-rate 1K -o "$BATS_TEST_TMPDIR/part" --max-time 100 \
		-H "Authorization: Bearer $(<"$STATE/token")" \
		"$URL/v1/snapshots/latest/file?path=$source/data" 2>/dev/null 3>&- &
	slow=$!
	curl -sS -N -o "$BATS_TEST_TMPDIR/events" --max-time 100 \
		-H "Authorization: Bearer $(<"$STATE/token")" "$URL/v1/events" 2>/dev/null 3>&- &
	wait_for test -s "$BATS_TEST_TMPDIR/part"
	wait_for test -s "$BATS_TEST_TMPDIR/events"
	stop_agent
	[[ $(agent_status) == 0 ]]
	# It would go on to read what lies in its buffers, a kilobyte a second.
	kill "$slow"
}

@test "streams beyond the limit are told to come back, and are let in once others have ended" {
	local i source=$BATS_TEST_TMPDIR/source token
	mkdir "$source"
	head -c 30000000 /dev/urandom >"$source/data"
	start_agent
	token=$(<"$STATE/token")
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	# So slow that none of them ends meanwhile.
	for i in {1..32}; do
		curl -sS --limit-rate 1K -o /dev/null --max-time 100 -H "Authorization: Bearer $token" \
			"$URL/v1/snapshots/latest/file?path=$source/data" 3>&- &
		echo $! >>"$BATS_TEST_TMPDIR/slow"
	done
	too_many() {
		api GET "/v1/snapshots/latest/file?path=$source/data" -r 0-9
		[[ $API_STATUS == 503 ]]
	}
	wait_for too_many
	assert_problem 503 unavailable
	assert_header Retry-After '^[0-9]+$'
	api GET /v1/status
	assert_status 200
	xargs kill <"$BATS_TEST_TMPDIR/slow"
	let_in() {
		api GET "/v1/snapshots/latest/file?path=$source/data" -r 0-9
		[[ $API_STATUS == 206 ]]
	}
	wait_for let_in
}
