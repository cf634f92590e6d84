#!/usr/bin/env bats
#
# Several at work on one repository, or on one state folder.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	make_small_tree "$source"
}

teardown() {
	end_agents
}

snapshot_ids() {
	offline snapshots --json | jq -r '.[].id'
}

assert_restores() {
	local target
	target=$(mktemp -d "$BATS_TEST_TMPDIR/restored.XXXXXX")
	offline restore "$1" --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
}

@test "writers at once on one repository each store a whole snapshot" {
	local -a pids=()
	local i pid id
	offline init >/dev/null
	for i in 1 2 3 4; do
		offline backup "$source" >"$BATS_TEST_TMPDIR/out.$i" 2>&1 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	[[ $(snapshot_ids | wc -l) == 4 ]]
	offline check --read-data
	for id in $(snapshot_ids); do
		assert_restores "$id"
	done
}

@test "a backup by the agent, one by the command and a prune do not harm each other" {
	local i
	start_agent
	for i in 1 2 3; do
		head -c 2000000 /dev/urandom >"$source/new-$i"
		offline backup "$source" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
		backup=$!
		offline prune --keep-last 2 --grace 0s >"$BATS_TEST_TMPDIR/prune" 2>&1 3>&- &
		prune=$!
		api POST /backup -d "path_to_folder=$source"
		assert_status 201
		wait "$backup"
		# Done, or it gave way to a backup; either way nothing is harmed.
		wait "$prune" || grep -q 'in use' "$BATS_TEST_TMPDIR/prune"
		id=$(header Location)
		offline check --read-data
		assert_restores "${id##*/}"
	done
}

@test "a second agent on the same state folder refuses, naming the first" {
	start_agent
	run -1 --separate-stderr "$HOLDFASTD" --state "$STATE" \
		--repository "$BATS_TEST_TMPDIR/other" --listen "127.0.0.1:$(random_port)"
	# shellcheck disable=SC2154 # set by run
	[[ $stderr == *"$STATE"* ]]
	[[ $stderr == *"$(agent_pid)"* ]]
	# The first one does not mind.
	api GET /v1/status
	assert_status 200
}

@test "the state folder of an agent that was killed is free again" {
	start_agent
	stop_agent KILL
	start_agent
	api GET /v1/status
	assert_status 200
}
