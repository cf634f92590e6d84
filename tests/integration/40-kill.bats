#!/usr/bin/env bats
#
# Killed at any moment: every finished snapshot restores, the next backup works, and nothing that
# the dead one held keeps others waiting.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	make_many_files "$source"
}

teardown() {
	end_agents
}

# Enough work that there is something to kill: 400 files, 40 MB.
make_many_files() {
	local i
	mkdir -p "$1/small" "$1/large"
	head -c 400000 /dev/urandom | split -b 1000 -a 3 - "$1/small/f-"
	for i in 1 2 3 4; do
		head -c 10000000 /dev/urandom >"$1/large/$i"
	done
}

change_files() {
	head -c 10000000 /dev/urandom >"$source/large/$1-new"
	head -c 100000 /dev/urandom | split -b 1000 -a 3 - "$source/small/$1-"
}

snapshot_ids() {
	offline snapshots --json | jq -r '.[].id'
}

assert_restores() {
	local target=$BATS_TEST_TMPDIR/restored
	rm -rf "$target"
	offline restore "$1" --target "$target" --strip "$source"
	assert_same_tree "$2" "$target"
}

# Start a backup and kill it after so many milliseconds, or leave it if it has ended by then.
kill_backup_after() {
	local pid status=0
	"$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" backup "$source" \
		>"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	pid=$!
	sleep "$(printf '0.%03d' "$1")"
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" || status=$?
	[[ $status == 0 || $status == 137 ]]
	if [[ $status == 137 ]]; then
		killed=$((killed + 1))
	fi
}

@test "a command that is killed at random moments leaves a repository that is sound and goes on" {
	local killed=0 finished i
	offline init >/dev/null
	offline backup "$source"
	first=$(snapshot_ids)
	cp -a "$source" "$BATS_TEST_TMPDIR/first"
	for i in $(seq 1 20); do
		change_files "$i"
		kill_backup_after $((RANDOM % 150))
		offline check --read-data
		[[ $(snapshot_ids | head -n 1) == "$first" ]]
	done
	echo "# killed $killed backups of 20" >&3
	assert_restores "$first" "$BATS_TEST_TMPDIR/first"
	offline backup "$source"
	finished=$(snapshot_ids | tail -n 1)
	assert_restores "$finished" "$source"
	# No dead one's claim is in the way, and what they left behind goes.
	offline prune --keep-last 1 --grace 0s
	offline prune --keep-last 1 --grace 0s
	[[ $(snapshot_ids) == "$finished" ]]
	offline check --read-data
	assert_restores "$finished" "$source"
}

@test "an agent that is killed in mid-run calls the run aborted after its restart, and goes on" {
	local i run id
	start_agent
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	first=$(snapshot_ids)
	cp -a "$source" "$BATS_TEST_TMPDIR/first"
	for i in 1 2 3 4; do
		change_files "$i"
		api POST /v1/runs -H 'Content-Type: application/json' \
			-d "{\"kind\": \"backup\", \"arguments\": {\"paths\": [\"$source\"]}}"
		assert_status 202
		run=$(json .id)
		sleep "0.0$((RANDOM % 10))"
		stop_agent KILL
		[[ $(agent_status) == 137 ]]
		start_agent
		api GET "/v1/runs/$run"
		assert_status 200
		# Either the kill came in time, or the run had ended already; but it does not go on.
		[[ $(json .state) =~ ^(aborted|ok)$ ]]
		if [[ $(json .state) == aborted ]]; then
			# One row in the log, and it says so.
			[[ $(log_rows "map(select(.run == \"$run\")) | length") == 1 ]]
			[[ $(log_rows "map(select(.run == \"$run\"))[0].status" | jq -r .) == ERROR ]]
		fi
		offline check --read-data
	done
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	id=$(header Location)
	assert_restores "${id##*/}" "$source"
	assert_restores "$first" "$BATS_TEST_TMPDIR/first"
}

@test "a restore that is killed can be repeated" {
	local i pid target=$BATS_TEST_TMPDIR/target
	offline init >/dev/null
	offline backup "$source"
	for i in 1 2 3 4 5; do
		"$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" restore latest \
			--target "$target" --strip --conflict overwrite "$source" \
			>/dev/null 2>&1 3>&- &
		pid=$!
		sleep "0.0$((RANDOM % 10))"
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	offline restore latest --target "$target" --strip --conflict overwrite "$source"
	assert_same_tree "$source" "$target"
}
