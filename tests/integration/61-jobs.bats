#!/usr/bin/env bats
#
# Jobs of the configuration: they are run by name, their snapshots carry it, and each is kept by
# its own rules.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	home=$BATS_TEST_TMPDIR/home
	etc=$BATS_TEST_TMPDIR/etc
	mkdir -p "$home" "$etc"
	echo one >"$home/letter"
	echo scratch >"$home/x.tmp"
	echo two >"$etc/hosts"
	agent_config <<-END
	[keep]
	last = 2
	[job home]
	path = $home
	exclude = *.tmp
	keep_last = 1
	[job etc]
	path = $etc
	END
}
teardown() {
	end_agents
}

# The backups of a test differ, so that there is something to free.
run_job() {
	head -c 200000 /dev/urandom >"$home/noise"
	api POST /v1/runs --json "{\"job\": \"$1\"}"
	assert_status 202
	wait_run "$(json .id)" ok
}

conf() {
	offline --config "$AGENT_FOLDER/agent.conf" "$@"
}

@test "a job is run by name, and is listed with its last run and snapshot" {
	start_agent
	api GET /v1/jobs
	assert_status 200
	assert_json '[.jobs[].name] == ["home", "etc"]
		and all(.jobs[]; .last_run == null and .last_snapshot == null)'
	assert_json '.jobs[0].keep.last == 1 and .jobs[0].keep.rule == "job"
		and .jobs[1].keep.last == 2 and .jobs[1].keep.rule == "default"'
	run_job home
	assert_json '.kind == "backup" and .arguments == {"job": "home"}'
	id=$(json .id) snapshot=$(json .snapshot)
	api GET "/v1/snapshots/$snapshot"
	assert_json '.job == "home" and .sources == [$home]' --arg home "$home"
	api GET "/v1/snapshots/$snapshot/tree?path=$home"
	assert_json '[.entries[].name] == ["letter", "noise"]'
	api GET /v1/jobs/home
	assert_json '.last_run.id == $id and .last_run.state == "ok" and .last_snapshot.id == $snapshot
		and .paths == [$home] and .exclude == ["*.tmp"]' \
		--arg id "$id" --arg snapshot "$snapshot" --arg home "$home"
	api GET /v1/jobs/nothing
	assert_problem 404 not-found "no job 'nothing'"
	api POST /v1/runs --json '{"kind": "backup", "arguments": {"job": "nothing"}}'
	assert_problem 404 not-found "no job 'nothing'"
	log_rows | jq -e '[.[] | select(.action == "Backup")] |
		map(.parameter) == ["job home", "job nothing"]'
	# The same without an agent.
	conf backup --job etc
	api GET /v1/jobs/etc
	assert_json '.last_snapshot.files == 1'
	run -2 conf backup
	[[ $output == *"needs a path, or --job"* ]]
}

@test "a run of a job takes nothing besides" {
	local body
	start_agent
	while read -r body; do
		api POST /v1/runs --json "$body"
		assert_problem 400 bad-request
	done <<-END
	{"job": 5}
	{"job": "home", "arguments": {"path": "$home"}}
	{"job": "home", "arguments": {"job": "etc"}}
	{"job": "home", "arguments": []}
	{"job": "home", "kind": "check"}
	END
}

# fates FILTER: of the last answer's snapshots, in order.
fates() {
	jq -c "[.result.snapshots[] | $1]" "$API_BODY"
}

@test "prune keeps each snapshot by the rules of its job, and says so before" {
	start_agent
	for _ in 1 2 3; do
		run_job home
		run_job etc
	done
	for _ in 1 2 3; do
		api POST /backup -d "path_to_folder=$etc"
		assert_status 201
	done
	api POST /v1/runs --json '{"kind": "prune", "arguments": {"dry_run": true}}'
	wait_run "$(json .id)" ok
	[[ $(fates '[.job, .keep]') == '[["home",false],["etc",false],["home",false],["etc",true],'*\
'["home",true],["etc",true],[null,false],[null,true],[null,true]]' ]]
	[[ $(fates .rule | jq -r 'unique | join(",")') == "default,job home" ]]
	assert_json '.result.forgotten == 4 and .result.bytes_to_free > 400000
		and .result.bytes_removed == 0'
	assert_json '.result.snapshots[4].reasons == ["last 1"] and .result.snapshots[0].reasons == []'
	run -0 conf prune --dry-run
	[[ $output == *"$home  last 1 (job home)"* && $output == *"this frees "* ]]
	# What was foreseen comes true.
	foreseen=$(json .result.bytes_to_free)
	api POST /v1/runs --json '{"kind": "prune", "arguments": {"grace": 0}}'
	wait_run "$(json .id)" ok
	assert_json '.result.forgotten == 4 and (.result.bytes_removed >= ($foreseen | tonumber))' \
		--arg foreseen "$foreseen"
	api POST /v1/runs --json '{"kind": "prune", "arguments": {"grace": 0}}'
	wait_run "$(json .id)" ok
	assert_json '.result | .forgotten == 0 and .packs_marked == 0 and .packs_removed == 0'
	offline check --read-data
}

@test "snapshots of a job that is gone all stay, until somebody says what" {
	start_agent
	for _ in 1 2 3; do
		run_job home
	done
	stop_agent
	sed -i 's/job home/job house/' "$AGENT_FOLDER/more.conf"
	start_agent
	api POST /v1/runs --json '{"kind": "prune"}'
	wait_run "$(json .id)" ok
	assert_json '.result.forgotten == 0'
	[[ $(fates '.reasons[0]' | jq -r 'unique[]') == "no rule is set for job home of host agent" ]]
	run -0 conf forget --rules --job home --keep-last 1 --dry-run
	[[ $output == *"would have forgotten 2 snapshots"* ]]
	run -0 conf forget --rules --job home --keep-last 1
	[[ $output == *"forgot 2 snapshots"* ]]
	api GET /v1/trash
	assert_json '.trash | length == 2'
	run -2 conf forget
	[[ $output == *"or --rules"* ]]
	run -2 conf forget --rules latest
	# Removing alone forgets nobody.
	run_job house
	run_job house
	run -0 conf prune --only-remove --json
	jq -e '.result.forgotten == 0 and (.result.snapshots | length == 0)' <<<"$output"
}

@test "a job outside of what is allowed keeps the agent from starting" {
	sed -i "1i [agent]\nallow = $etc" "$AGENT_FOLDER/more.conf"
	run -2 conf_of_more config check
	[[ $output == *"more.conf:6: '$home' of job 'home' is outside the allowed folders"* ]]
}

conf_of_more() {
	offline --config "$AGENT_FOLDER/more.conf" "$@"
}
