#!/usr/bin/env bats
#
# Limits: a run under one says so, can be paused and cancelled at once however slow it is, and
# nothing but its pace changes.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	mkdir -p "$source"
	for i in {1..20}; do
		head -c 100000 /dev/urandom >"$source/$i"
	done
}
teardown() {
	end_agents
}

# Slow enough that, were it waited for, no bound of a test would do.
slow_run() {
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$source\",
		\"limits\": $1}}"
	assert_status 202
	run=$(json .id)
}

is_limited() {
	api GET "/v1/runs/$run" && jq -e "$1" "$API_BODY" >/dev/null
}

@test "a run with a limit tells it, and is cancelled while it waits" {
	local nice=$(($(nice) + 2))
	start_agent
	slow_run "{\"upload\": 4, \"nice\": $nice, \"io\": \"idle\"}"
	wait_for is_limited '.state == "running" and .progress.limits.upload == 4
		and .progress.limits.read == null and .progress.limits.nice == '"$nice"'
		and .progress.limits.io == "idle"'
	# Its threads have stepped back, those that answer have not.
	awk '{ print $19 }' "/proc/$(agent_pid)"/task/*/stat >"$BATS_TEST_TMPDIR/nice"
	grep -qx "$nice" "$BATS_TEST_TMPDIR/nice"
	grep -qx "$(nice)" "$BATS_TEST_TMPDIR/nice"
	for task in /proc/"$(agent_pid)"/task/*; do
		ionice -p "${task##*/}"
	done >"$BATS_TEST_TMPDIR/io"
	grep -qx idle "$BATS_TEST_TMPDIR/io"
	api DELETE "/v1/runs/$run"
	wait_run "$run" cancelled
	# Nothing of it lasts: the next one runs at full speed, in threads of full rank.
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	wait_for no_thread_has_stepped_back
	offline check --read-data
}

no_thread_has_stepped_back() {
	! awk '{ print $19 }' "/proc/$(agent_pid)"/task/*/stat | grep -vqx "$(nice)"
}

@test "a run that waits for a limit is paused, continued and cancelled" {
	start_agent
	slow_run '{"read": 4}'
	wait_for is_limited '.state == "running" and .progress.limits.read == 4'
	api POST "/v1/runs/$run/pause"
	assert_status 200
	api POST "/v1/runs/$run/continue"
	assert_status 200
	api POST "/v1/runs/$run/pause"
	assert_status 200
	api DELETE "/v1/runs/$run"
	wait_run "$run" cancelled
}

@test "files a second are a limit, too, and every kind of run can be held back" {
	start_agent
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	echo more >"$source/more"
	slow_run '{"files": 1, "read": "1G", "upload": "1G", "download": "1G"}'
	wait_run "$run" ok
	assert_json '.result.limits.files == 1 and .result.limits.upload == 1073741824
		and .result.limits.waited_ms >= 0'
	for kind in check prune; do
		api POST /v1/runs --json "{\"kind\": \"$kind\", \"arguments\":
			{\"limits\": {\"download\": \"1G\", \"io\": \"low\"}}}"
		wait_run "$(json .id)" ok
		assert_json '.result.limits.download == 1073741824 and .result.limits.io == "low"'
	done
	api POST /v1/runs --json "{\"kind\": \"restore\", \"arguments\": {\"snapshot\": \"latest\",
		\"target\": \"$BATS_TEST_TMPDIR/restored\", \"limits\": {\"download\": \"1G\"}}}"
	wait_run "$(json .id)" ok
	assert_same_tree "$source" "$BATS_TEST_TMPDIR/restored$source"
}

@test "the limits of the settings hold for every run, and a run may only be slower" {
	agent_config <<-'END'
	[limits]
	upload = 1G
	files = 500
	nice = 3
	io = low
	END
	start_agent
	slow_run '{"upload": "2G", "files": 400, "nice": 0, "io": "normal"}'
	wait_run "$run" ok
	assert_json '.result.limits.upload == 1073741824 and .result.limits.files == 400
		and .result.limits.nice == 3 and .result.limits.io == "low"'
	# At the machine itself, whoever may run the command decides.
	run -0 offline --config "$AGENT_FOLDER/agent.conf" backup --json --limit-upload 2G --limit-nice 0 --limit-io normal "$source"
	jq -e '.result.limits.upload == 2147483648 and .result.limits.files == 500
		and .result.limits.nice == 0 and .result.limits.io == "normal"' <<<"$output"
}

@test "without a limit there is no word of one" {
	start_agent
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$source\"}}"
	wait_run "$(json .id)" ok
	assert_json '.result | has("limits") | not'
}

@test "limits that are none are refused" {
	local body
	start_agent
	while read -r body; do
		api POST /v1/runs --json "{\"kind\": \"check\", \"arguments\": {\"limits\": $body}}"
		assert_problem 400 bad-request limits
	done <<-'END'
	5
	{"upload": -1}
	{"upload": "fast"}
	{"nice": 20}
	{"io": "realtime"}
	{"speed": 1}
	END
	run -2 offline check --limit-nice much
	[[ $output == *--limit-nice* ]]
	HOLDFAST_LIMITS_IO=quick run -2 offline check
	[[ $output == *"'io' cannot be 'quick'"* ]]
}
