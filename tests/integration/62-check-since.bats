#!/usr/bin/env bats
#
# A check of what was stored lately, offline and by a run.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	make_small_tree "$source"
	start_agent
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
}
teardown() {
	end_agents
}

@test "only packs that were written since are read" {
	run -0 offline check --since 7d --json
	jq -e '.result | .packs_read == .packs and .packs > 0 and .bytes_read > 0' <<<"$output"
	run -0 offline check --read-data=100% --since 2099-01-01 --json
	jq -e '.result | .packs_read == 0 and .packs > 0 and .bytes_read == 0' <<<"$output"
	run -0 offline check --read-data=5%
	[[ $output == *" of 2 packs in "* ]]
	run ! offline check --since yesterday
	[[ $output == *"not 'yesterday'"* && $output == *"write it as 7d"* ]]
}

@test "a run checks since a time, and says what it read" {
	api POST /v1/runs --json '{"kind": "check", "arguments": {"since": "1h"}}'
	wait_run "$(json .id)" ok
	assert_json '.result | .packs_read == .packs and .packs > 0'
	log_rows | jq -e '.[-1] | .action == "Check" and .parameter == "read-data since 1h"'
	api POST /v1/runs --json '{"kind": "check", "arguments": {"since": "2099-01-01T00:00:00Z"}}'
	wait_run "$(json .id)" ok
	assert_json '.result.packs_read == 0'
	api POST /v1/runs --json '{"kind": "check", "arguments": {"since": "soon"}}'
	assert_problem 400 bad-request "'since' takes a duration or a time"
}
