#!/usr/bin/env bats
#
# A full disk: 507 with a reason, every earlier snapshot whole, and the next backup works once
# there is room.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	disk=$BATS_TEST_TMPDIR/disk
	mkdir -p "$source" "$disk"
	mount -t tmpfs -o size=12m,mode=0700 holdfast-test "$disk" ||
		skip "a tmpfs cannot be mounted here"
	seq 1 50000 >"$source/numbers"
	head -c 1000000 /dev/urandom >"$source/noise"
}

teardown() {
	end_agents || failed=1
	! mountpoint -q "$disk" || umount "$disk"
	[[ -z ${failed:-} ]]
}

on_disk() {
	REPOSITORY=$disk/repository
}

no_unfinished_files() {
	[[ -z $(find "$REPOSITORY/tmp" -type f) ]]
}

@test "a full disk is 507, what was stored before is whole, and with room again all goes on" {
	on_disk
	start_agent
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	first=$(header Location)
	cp -a "$source" "$BATS_TEST_TMPDIR/first"

	head -c 30000000 /dev/urandom >"$source/too-much"
	api POST /backup -d "path_to_folder=$source"
	assert_problem 507 no-space 'No space left on device'
	[[ $(log_rows '.[-1] | .action + " " + .status' | jq -r .) == "Backup ERROR" ]]
	# What was half written is gone: the disk is not left full.
	no_unfinished_files

	api GET /v1/snapshots
	assert_status 200
	[[ $(json '[.. | objects | select(has("id"))] | length') == 1 ]]
	offline check --read-data
	offline restore "${first##*/}" --target "$BATS_TEST_TMPDIR/restored" --strip "$source"
	assert_same_tree "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/restored"

	rm "$source/too-much"
	echo more >"$source/more"
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	second=$(header Location)
	offline check --read-data
	offline restore "${second##*/}" --target "$BATS_TEST_TMPDIR/second" --strip "$source"
	assert_same_tree "$source" "$BATS_TEST_TMPDIR/second"
}

@test "a disk without any room left can still be read and pruned" {
	on_disk
	offline init >/dev/null
	offline backup "$source"
	head -c 3000000 /dev/urandom >"$source/noise"
	offline backup "$source"
	# Fill it to the last byte.
	cat /dev/zero >"$disk/ballast" 2>/dev/null || true
	run -1 offline backup --force "$source" --tag x
	offline check --read-data
	offline restore latest --target "$BATS_TEST_TMPDIR/restored" --strip "$source"
	assert_same_tree "$source" "$BATS_TEST_TMPDIR/restored"
	rm "$disk/ballast"
	offline prune --keep-last 1 --grace 0s
	offline prune --keep-last 1 --grace 0s
	offline check --read-data
	[[ $(offline snapshots --json | jq length) == 1 ]]
}

@test "a command says that the disk is full, and exits with 1" {
	on_disk
	offline init >/dev/null
	head -c 30000000 /dev/urandom >"$source/too-much"
	run -1 --separate-stderr offline backup "$source"
	# shellcheck disable=SC2154 # set by run
	[[ $stderr == *"No space left on device"* ]]
	no_unfinished_files
	[[ $(offline snapshots --json | jq length) == 0 ]]
	offline check
}

@test "a restore to a full disk fails and says so" {
	offline init >/dev/null
	head -c 30000000 /dev/urandom >"$source/too-much"
	offline backup "$source"
	run -1 --separate-stderr offline restore latest --target "$disk/restored" --strip "$source"
	[[ $stderr == *"No space left on device"* ]]
	# Nothing half written stands under the name of a whole file.
	[[ ! -e $disk/restored/too-much ]]
}
