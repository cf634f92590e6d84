#!/usr/bin/env bats
# Goal: a full disk under the state folder refuses what it must, loses no row, and heals alone.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	SOURCE=$BATS_TEST_TMPDIR/source
	make_small_tree "$SOURCE"
	DISK=$BATS_TEST_TMPDIR/disk
	mkdir "$DISK"
	mount -t tmpfs -o size=4m,mode=0700 holdfast-test "$DISK" ||
		skip "a tmpfs cannot be mounted here"
	# shellcheck disable=SC2034 # of lib/agent
	STATE=$DISK/state
}

teardown() {
	end_agents || failed=1
	! mountpoint -q "$DISK" || umount "$DISK"
	[[ -z ${failed:-} ]]
}

fill_disk() {
	# dd fails when the disk is full, as it should.
	dd if=/dev/zero of="$DISK/filler" bs=4096 2>/dev/null || true
}

is_ready() {
	api GET /readyz
	[[ $API_STATUS == 200 ]]
}

is_unready() {
	api GET /readyz
	[[ $API_STATUS == 503 ]]
}

is_logged() {
	[ "$(log_rows "[.[] | select(.run == \"$1\" and .action == \"Backup\")] | length")" = 1 ]
}

@test "a start that cannot be recorded is 507, and works once there is room" {
	start_agent
	fill_disk
	api POST /backup -d path_to_folder="$SOURCE"
	assert_problem 507 no-space
	wait_for is_unready
	api GET /livez
	assert_status 200
	rm "$DISK/filler"
	api POST /backup -d path_to_folder="$SOURCE"
	assert_status 201
	# The probe's answer is kept for some seconds.
	wait_for is_ready
}

@test "a run that ends on a full disk is saved and logged as soon as there is room" {
	start_agent
	# Paused at its start, so that the disk fills up in between.
	api POST /v1/runs --json '{"kind": "backup", "arguments": {"path": "/usr/share/doc"}}'
	assert_status 202
	id=$(json .id)
	api POST "/v1/runs/$id/pause" || true
	fill_disk
	api POST "/v1/runs/$id/continue" || true
	wait_run "$id" ok
	snapshot=$(json .snapshot)
	offline snapshots --json | jq -e --arg id "$snapshot" 'any(.id == $id)'
	rm "$DISK/filler"
	wait_for is_logged "$id"
	stop_agent
	start_agent
	api GET "/v1/runs/$id"
	assert_json '.state == "ok" and .snapshot == "'"$snapshot"'"'
	is_logged "$id"
}

@test "an agent that is killed while its disk is full calls the run aborted later, once" {
	start_agent
	api POST /v1/runs --json '{"kind": "backup", "arguments": {"path": "/usr/share"}}'
	id=$(json .id)
	fill_disk
	stop_agent KILL
	rm "$DISK/filler"
	start_agent
	wait_run "$id"
	[[ $(json .state) =~ ^(aborted|ok)$ ]]
	wait_for is_logged "$id"
}
