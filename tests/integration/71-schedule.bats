#!/usr/bin/env bats
#
# Jobs run by schedule: what was missed is made up for once, whenever the agent was killed there is
# exactly one run of each start, and people hold, skip and acknowledge over HTTP.
# No test waits for the clock: between two lives of the agent the due time is put into the past.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	home=$BATS_TEST_TMPDIR/home
	mkdir -p "$home"
	seq 1 100 | while read -r i; do echo "$i" >"$home/letter$i"; done
}
teardown() {
	end_agents
}

# The agent is killed, and when it starts again the job has been due for days.
start_overslept() {
	stop_agent KILL
	sqlite3 "$STATE/state.sqlite" \
		"UPDATE jobs SET next_ms = next_ms - 8 * 86400000, armed_ms = armed_ms - 8 * 86400000
		WHERE name = '$1'"
	start_agent
}

runs_are() {
	api GET /v1/runs
	[[ $(json '[.runs[] | .state] | reverse | join(" ")') == "$1" ]]
}

# Over a limit of 20 KB a second: the third is waited for, in whatever order two threads take them.
make_home_large() {
	for i in 1 2 3; do
		head -c 1000000 /dev/urandom >"$home/large$i"
	done
}

run_job() {
	api POST /v1/runs --json "{\"job\": \"$1\"}"
	assert_status 202
	wait_run "$(json .id)" "$2"
}

conf() {
	offline --config "$AGENT_FOLDER/agent.conf" "$@"
}

@test "a missed start is made up for once, and told of everywhere" {
	agent_config <<-END
	[job home]
	path = $home
	schedule = 30 2 * * *
	timezone = Europe/Berlin
	expect = 26h
	[job gone]
	path = $BATS_TEST_TMPDIR/gone
	schedule = @weekly
	END
	start_agent
	api GET /v1/jobs/home
	assert_json '.schedule == "30 2 * * *" and .timezone == "Europe/Berlin" and .expect_s == 93600
		and .next > (now | todate) and .last_success == null and .overdue == false
		and .held == null and .jump == null and .running == null and .trend == []
		and .last_proof == null'
	start_overslept home
	wait_for runs_are "ok"
	api GET /v1/runs
	assert_json '.runs[0] | .command == "schedule" and .origin == "agent"
		and .arguments == {"job": "home"}'
	log_rows | jq -e '[.[] | select(.action == "Backup")] | length == 1
		and .[0].command == "schedule" and .[0].parameter == "job home" and .[0].status == "SUCCESS"'
	api GET /v1/jobs/home
	assert_json '.next > (now | todate) and .last_outcome == "ok" and .last_files == 100
		and .last_success != null and (.trend | length) == 1 and .trend[0].files == 100'
	# Not again.
	stop_agent KILL
	start_agent
	runs_are "ok"
	# A path that vanished is a run that failed.
	start_overslept gone
	wait_for runs_are "ok failed"
	api GET /v1/jobs/gone
	assert_json '.last_outcome == "failed" and .last_success == null
		and (.last_run.error.message | contains("gone"))'
	log_rows | jq -e '[.[] | select(.action == "Backup" and .status == "ERROR")] | length == 1'
	run -0 conf jobs
	[[ $output == *"home "*"30 2 * * *"*" ok "* && $output == *"gone "*"@weekly"*" failed "* ]]
	run -0 conf jobs --json
	jq -e '.[0].name == "home" and .[0].last_outcome == "ok" and .[1].last_success == null' \
		<<<"$output"
	run -0 conf run home
	[[ $output == *"snapshot "*"100 files"* ]]
}

@test "killed while a start's run goes: it is aborted once, and tried again" {
	make_home_large
	agent_config <<-END
	[limits]
	read = 20K
	[job home]
	path = $home
	schedule = @daily
	retry = 1
	retry_wait = 1s
	END
	start_agent
	start_overslept home
	wait_for runs_are "running"
	api GET /v1/jobs/home
	assert_json '.running == .last_run.id'
	stop_agent KILL
	sed -i 's/^read = .*/read = 0/' "$AGENT_FOLDER/more.conf"
	start_agent
	wait_for runs_are "aborted ok"
	api GET /v1/runs
	assert_json '.runs[0].command == "retry"'
	log_rows | jq -e '[.[] | select(.action == "Backup") | .outcome] == ["aborted", "ok"]'
	api GET /v1/jobs/home
	assert_json '.last_outcome == "ok" and .retry.made == 0 and .retry.next == null'
}

@test "a start while a run of the job waits or goes is recorded as skipped" {
	mkdir "$BATS_TEST_TMPDIR/slow"
	make_home_large
	# What is over the limit is waited for before the next file.
	cp "$home"/* "$BATS_TEST_TMPDIR/slow"
	agent_config <<-END
	[agent]
	run_workers = 1
	[job home]
	path = $home
	schedule = @daily
	[job slow]
	path = $BATS_TEST_TMPDIR/slow
	END
	start_agent
	api POST /v1/runs --json \
		'{"job": "slow", "arguments": {"limits": {"read": 20000}}}'
	assert_status 202
	wait_for runs_are "running"
	api POST /v1/runs --json '{"job": "home", "arguments": {"limits": {"read": 20000}}}'
	assert_status 202
	waiting=$(json .id)
	start_overslept home
	wait_for runs_are "aborted running skipped"
	api DELETE "/v1/runs/$waiting"
	wait_for runs_are "aborted cancelled skipped"
	api GET "/v1/runs?state=skipped"
	assert_json '.runs | length == 1 and .[0].outcome == "skipped"
		and (.[0].error.message | contains("was not done yet"))'
	log_rows | jq -e '[.[] | select(.action == "BackupSkipped")] | length == 1
		and .[0].status == "ERROR" and .[0].outcome == "skipped"
		and (.[0].message | contains("was not done yet"))'
	api GET /stat
	assert_json '."number-of-backups" == 2 and ."failed-backups" == 2'
}

@test "a job is held, released and skipped over HTTP" {
	agent_config <<-END
	[job home]
	path = $home
	schedule = @daily
	[job byhand]
	path = $home
	END
	start_agent
	api POST /v1/jobs/home/hold --json '{"reason": "new disks"}'
	assert_status 200
	assert_json '.held.reason == "new disks" and (.held.by | contains("token:")) and .next == null'
	api POST /v1/jobs/home/hold
	assert_problem 409 conflict "held already"
	api POST /v1/jobs/home/hold --json '{"why": "new disks"}'
	assert_status 400
	api POST /v1/jobs/nothing/hold
	assert_problem 404 not-found "no job 'nothing'"
	# It outlives the agent, and nothing is made up for.
	start_overslept home
	api GET /v1/jobs/home
	assert_json '.held.reason == "new disks" and .last_run == null'
	run -0 conf jobs
	[[ $output == *"home "*" held"* ]]
	# By hand it runs.
	run_job home ok
	api DELETE /v1/jobs/home/hold
	assert_status 200
	assert_json '.held == null and .next > (now | todate)'
	api POST /v1/jobs/home/release
	assert_problem 409 conflict "is not held"
	api POST /v1/jobs/home/skip
	assert_json '.skip_next == true'
	api POST /v1/jobs/byhand/skip
	assert_problem 409 conflict "has no schedule"
	start_overslept home
	wait_for runs_are "ok skipped"
	api GET /v1/jobs/home
	assert_json '.skip_next == false and (.last_run.error.message | contains("left out"))'
	log_rows '[.[] | select(.action | test("Job$")) | [.action, .parameter, .status]]' | jq -e '
		. == [["HoldJob", "home: new disks", "SUCCESS"], ["HoldJob", "home", "ERROR"],
		["HoldJob", "home", "ERROR"], ["HoldJob", "nothing", "ERROR"],
		["ReleaseJob", "home", "SUCCESS"], ["ReleaseJob", "home", "ERROR"],
		["SkipJob", "home", "SUCCESS"], ["SkipJob", "byhand", "ERROR"]]'
}

@test "figures that jump warn, and hold retention back until they are acknowledged" {
	agent_config <<-END
	[job home]
	path = $home
	keep_last = 1
	END
	start_agent
	for _ in 1 2 3 4 5; do
		run_job home ok
	done
	rm "$home"/letter[1-8]*
	run_job home warn
	assert_json '.loss_total == 0 and .result.jumps == [{"figure": "files", "value": 11,
		"usual": 100, "runs": 5}]'
	log_rows | jq -e '.[-1] | .outcome == "warn" and .status == "SUCCESS"
		and .message == "jump: 11 files, usually 100"'
	api GET /v1/jobs/home
	assert_json '.jump.figures[0].value == 11 and .last_outcome == "warn"'
	api POST /v1/runs --json '{"kind": "prune"}'
	wait_run "$(json .id)" ok
	assert_json '.result.forgotten == 0 and (.notes[0].reason | contains("acknowledge"))
		and (.result.snapshots[0].rule | contains("held back"))'
	# Nor by a command beside the agent, nor by rules of a request.
	run -0 conf prune --job home --keep-last 1
	[[ $output != *"forgot "[1-9]* ]]
	run -0 --separate-stderr conf snapshots --json
	jq -e 'length == 6' <<<"$output"
	api POST /v1/jobs/home/acknowledge
	assert_json '.jump == null'
	api POST /v1/jobs/home/acknowledge
	assert_problem 409 conflict "no figures of job 'home' jumped"
	api POST /v1/runs --json '{"kind": "prune"}'
	wait_run "$(json .id)" ok
	assert_json '.result.forgotten == 5'
	run_job home ok
}

@test "an expectation that its schedule cannot meet is told of" {
	printf '[job home]\npath = %s\nschedule = 0 3 * * 1-5\nexpect = 26h\n' "$home" \
		>"$BATS_TEST_TMPDIR/hasty.conf"
	run -0 "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/hasty.conf" --state "$STATE" config check
	[[ $output == *"hasty.conf:4: job 'home' will be overdue between its starts"* ]]
	sed -i 's/26h/74h/' "$BATS_TEST_TMPDIR/hasty.conf"
	run -0 "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/hasty.conf" --state "$STATE" config check
	[[ $output != *warning* ]]
}

# refused TEXT: this configuration, from stdin, is refused with that, file and line.
refused() {
	{
		echo "[job home]"
		echo "path = $home"
		cat
	} >"$BATS_TEST_TMPDIR/wrong.conf"
	run -2 "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/wrong.conf" --state "$STATE" config check
	[[ $output == *"wrong.conf:"[0-9]*": "*"$1"* ]] || fail "$output"
}

@test "a schedule that is wrong, or never fires, keeps the agent from starting" {
	refused "job 'home'" <<<"schedule = 30 2 31 2 *"
	refused "job 'home'" <<<"schedule = 61 2 * * *"
	refused "Mars/Base" <<<"$(printf 'schedule = @daily\ntimezone = Mars/Base')"
	refused "no schedule" <<<"timezone = UTC"
	refused "there is a job 'home' already" <<<"$(printf '[job home]\npath = /srv')"
	refused "'retry' must be between" <<<"retry = 1000"
}
