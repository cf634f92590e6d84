#!/usr/bin/env bats
#
# Hooks of a job, and notices of what becomes of it: who is told, by which way, and what happens
# where nobody listens.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	home=$BATS_TEST_TMPDIR/home
	hooks=$BATS_TEST_TMPDIR/hooks
	mkdir -p "$home" "$hooks"
	echo one >"$home/letter"
}
teardown() {
	end_agents
}

# job [LINE...]: a job home with further settings.
job() {
	{
		printf '[job home]\npath = %s\n' "$home"
		(($# == 0)) || printf '%s\n' "$@"
	} | agent_config
}

# run_job OUTCOME: its document is then the last answer.
run_job() {
	api POST /v1/runs --json '{"job": "home"}'
	assert_status 202
	wait_run "$(json .id)" "$1"
}

conf() {
	offline --config "$AGENT_FOLDER/agent.conf" "$@"
}

# ---- hooks

@test "hooks run around a backup, with the facts in their environment" {
	job "before = /bin/sh -c 'env >$hooks/before; cp $home/letter $home/copy; echo copied'" \
		"after = /bin/sh -c 'env >$hooks/after; rm $home/copy'" \
		"on_failure = /usr/bin/touch $hooks/on_failure"
	start_agent
	run_job ok
	assert_json '.result.files == 2 and (.notes | map(select(.path == "/bin/sh").reason))
		== ["before ended with status 0: copied"]'
	[ ! -e "$home/copy" ]
	[ ! -e "$hooks/on_failure" ]
	grep -qx 'HOLDFAST_JOB=home' "$hooks/before"
	grep -qx "HOLDFAST_RUN=$(json .id)" "$hooks/before"
	grep -qx "HOLDFAST_PATHS=$home" "$hooks/before"
	! grep -q -e HOLDFAST_OUTCOME -e HOLDFAST_BUILD "$hooks/before"
	grep -qx 'HOLDFAST_OUTCOME=ok' "$hooks/after"
	grep -qx "HOLDFAST_SNAPSHOT=$(json .snapshot)" "$hooks/after"
	grep -qx 'HOLDFAST_FILES=2' "$hooks/after"
	# The same without an agent.
	rm "$hooks/after"
	conf backup --job home
	grep -qx 'HOLDFAST_OUTCOME=ok' "$hooks/after"
	rm "$hooks/after"
	conf backup --job home --dry-run
	[ ! -e "$hooks/after" ]
}

@test "before skips a run or makes it fail, and nothing is read then" {
	job "before = /bin/sh -c 'cat $hooks/say; exit \$(cat $hooks/status)'" \
		"after = /usr/bin/touch $hooks/after" \
		"on_failure = /bin/sh -c 'echo \"\$HOLDFAST_ERROR\" >$hooks/on_failure'"
	start_agent
	echo 75 >"$hooks/status"
	echo 'on battery' >"$hooks/say"
	run_job skipped
	assert_json '.snapshot == null and .error.message == "skipped by '"'/bin/sh'"': on battery"'
	[ ! -e "$hooks/on_failure" ]
	echo 3 >"$hooks/status"
	echo 'no mount' >"$hooks/say"
	run_job failed
	assert_json '.snapshot == null
		and .error.message == "before: '"'/bin/sh'"' ended with status 3: no mount"'
	grep -qF "before: '/bin/sh' ended with status 3: no mount" "$hooks/on_failure"
	[ ! -e "$hooks/after" ]
	api GET /v1/snapshots
	assert_json '.snapshots == []'
	log_rows | jq -e '[.[] | select(.action | startswith("Backup")) | [.action, .status]] ==
		[["BackupSkipped", "ERROR"], ["Backup", "ERROR"]]'
	run -1 conf backup --job home
	[[ $output == *"ended with status 3: no mount"* ]]
	echo 75 >"$hooks/status"
	run -1 conf backup --job home
	[[ $output == *"skipped by '/bin/sh'"* ]]
}

@test "after that fails makes a good backup warn, and is told everywhere" {
	job "after = /bin/sh -c 'echo could not thaw >&2; exit 1'"
	start_agent
	run_job warn
	assert_json '.error == null and .loss_total == 0 and (.snapshot | length == 32)
		and .result.hook_failed == "after: '"'/bin/sh'"' ended with status 1: could not thaw"'
	log_rows | jq -e 'last | .status == "SUCCESS" and .outcome == "warn"
		and (.message | contains("could not thaw"))'
	run -3 conf backup --job home
	[[ $output == *"could not thaw"* ]]
}

@test "a hook that hangs is ended, with its children, and on_failure follows" {
	job "before = /bin/sh -c 'sleep 1000 & echo \$! >$hooks/child; echo waiting; wait'" \
		'hook_timeout = 1s' "on_failure = /usr/bin/touch $hooks/on_failure"
	start_agent
	run_job failed
	assert_json '.error.message | contains("was stopped after 1 s") and contains("waiting")'
	[ -e "$hooks/on_failure" ]
	wait_for gone "$(<"$hooks/child")"
}

gone() {
	! kill -0 "$1" 2>/dev/null || grep -q ') Z ' "/proc/$1/stat"
}

@test "a run is cancelled while its hook goes" {
	job "before = /bin/sh -c 'touch $hooks/begun; exec sleep 1000'" \
		"on_failure = /bin/sh -c 'echo \$HOLDFAST_OUTCOME >$hooks/on_failure'"
	start_agent
	api POST /v1/runs --json '{"job": "home"}'
	id=$(json .id)
	wait_for test -e "$hooks/begun"
	api DELETE "/v1/runs/$id"
	wait_run "$id" cancelled
	[[ $(<"$hooks/on_failure") == cancelled ]]
}

@test "a hook that is written wrong is told with file and line" {
	local line
	while IFS='|' read -r line text; do
		printf '[job home]\npath = %s\n%s\n' "$home" "$line" >"$BATS_TEST_TMPDIR/wrong.conf"
		run -2 offline --config "$BATS_TEST_TMPDIR/wrong.conf" config check
		[[ $output == *"wrong.conf:3: "*"$text"* ]] || fail "$line: $output"
	done <<-'END'
	before = bin/true|'before' of job 'home': program 'bin/true' is no absolute path
	after = /bin/echo 'x|'after' of job 'home': a ' has no end
	on_failure = /bin/x >/dev/null|'on_failure' of job 'home': '>' stands outside of quotes
	hook_timeout = 0s|'hook_timeout' must be between 1 and 604800 seconds
	END
}
