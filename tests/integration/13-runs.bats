#!/usr/bin/env bats
# Goal: a run can be started, followed, paused and cancelled, and outlives its client.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	load lib/agent
	share_agent
	agent_config <<-END
	[agent]
	allow = $BATS_FILE_TMPDIR/allowed, /usr/share
	restore = $BATS_FILE_TMPDIR/allowed
	END
	mkdir "$BATS_FILE_TMPDIR/allowed"
	start_agent
}

teardown_file() {
	load lib/agent
	end_agents
}

setup() {
	ALLOWED=$BATS_FILE_TMPDIR/allowed
	SOURCE=$ALLOWED/source
	[ -d "$SOURCE" ] || make_small_tree "$SOURCE"
}

start_run() {
	api POST /v1/runs --json "{\"kind\": \"$1\", \"arguments\": $2}" "${@:3}"
	assert_status 202
	id=$(json .id)
}

is_in_state() {
	api GET "/v1/runs/$1"
	[[ $(json .state) == "$2" ]]
}

@test "backup, check, restore and prune each end ok with one row" {
	start_run backup "{\"path\": \"$SOURCE\"}"
	wait_run "$id" ok
	assert_json '.result.files == 6 and (.snapshot | length == 32) and .error == null'
	snapshot=$(json .snapshot)
	start_run check '{"read_data": true}'
	wait_run "$id" ok
	assert_json '.result.errors == 0 and .result.snapshots >= 1'
	start_run restore "{\"snapshot\": \"$snapshot\", \"target\": \"$ALLOWED/out\", \"verify\": true}"
	wait_run "$id" ok
	assert_json '.result.created > 0 and .loss_total == 0'
	assert_same_tree "$SOURCE" "$ALLOWED/out$SOURCE"
	start_run prune '{"keep": {"last": 100}}'
	wait_run "$id" ok
	assert_json '.result.forgotten == 0'
	[ "$(log_rows '[.[] | select(.run != null) | .action] | sort | unique | join(" ")')" = \
		'"Backup Check Prune Restore"' ]
	[ "$(log_rows '[.[] | select(.run != null) | .run] | length == (unique | length)')" = true ]
}

@test "a run is paused, goes on, and is cancelled" {
	start_run backup '{"path": "/usr/share", "force": true}'
	wait_for is_in_state "$id" running
	api POST "/v1/runs/$id/pause"
	[[ $API_STATUS == 2* ]]
	is_in_state "$id" paused
	assert_json '.progress.phase | length > 0'
	api POST "/v1/runs/$id/pause"
	assert_problem 409 conflict
	api POST "/v1/runs/$id/continue"
	[[ $API_STATUS == 2* ]]
	is_in_state "$id" running
	# Held again, so that it does not end before it is told to: /usr/share may be small.
	api POST "/v1/runs/$id/pause"
	[[ $API_STATUS == 2* ]]
	api DELETE "/v1/runs/$id"
	[[ $API_STATUS == 2* ]]
	wait_run "$id" cancelled
	assert_json '.snapshot == null and .error.code == "cancelled"'
	[ "$(log_rows "[.[] | select(.run == \"$id\" and .action == \"Backup\")][0].status")" = \
		'"ERROR"' ]
	api DELETE "/v1/runs/$id"
	assert_problem 409 conflict
}

@test "policy holds through links, for folders that are not there, and for targets" {
	ln -sfn /etc "$ALLOWED/sly"
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$ALLOWED/sly\"}}"
	assert_problem 403 forbidden
	api POST /v1/runs --json '{"kind": "backup", "arguments": {"path": "/no/such"}}'
	assert_problem 403 forbidden
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$ALLOWED/no\"}}"
	assert_problem 404 not-found
	api POST /backup -d path_to_folder="$SOURCE"
	assert_status 201
	for target in /etc/out "$ALLOWED/sly/out" "$ALLOWED/../out"; do
		api POST /v1/runs --json "{\"kind\": \"restore\", \"arguments\":
			{\"snapshot\": \"latest\", \"target\": \"$target\"}}"
		[[ $API_STATUS == 403 || $API_STATUS == 400 ]]
	done
	[ ! -e /etc/out ]
}

@test "a restore never goes into the repository or the state folder" {
	use_agent free
	start_agent
	api POST /backup -d path_to_folder="$SOURCE"
	assert_status 201
	for target in "$STATE" "$STATE/sub" "$REPOSITORY/packs"; do
		api POST /v1/runs --json "{\"kind\": \"restore\", \"arguments\":
			{\"snapshot\": \"latest\", \"target\": \"$target\"}}"
		assert_problem 403 forbidden 'lies within the'
	done
	stop_agent
}

@test "a repeated request with the same key is one run" {
	api POST /v1/runs -H 'Idempotency-Key: once' \
		--json "{\"kind\": \"backup\", \"arguments\": {\"path\": \"$SOURCE\"}}"
	first=$(json .id)
	wait_run "$first" ok
	api POST /v1/runs -H 'Idempotency-Key: once' \
		--json "{\"arguments\": {\"path\": \"$SOURCE\"}, \"kind\": \"backup\"}"
	[ "$(json .id)" = "$first" ]
	[ "$(log_rows "[.[] | select(.run == \"$first\")] | length")" = 1 ]
}

@test "runs are listed newest first, by pages, and by kind and state" {
	start_run check '{}'
	wait_run "$id" ok
	api GET '/v1/runs?limit=1'
	[ "$(json '.runs[0].id')" = "$id" ]
	next=$(json .next)
	api GET "/v1/runs?limit=1&cursor=$next"
	[ "$(json '.runs[0].id')" != "$id" ]
	api GET '/v1/runs?kind=check&state=ok'
	assert_json '(.runs | length > 0) and (.runs | all(.kind == "check" and .state == "ok"))'
	api GET "/v1/runs/${id:0:8}"
	[ "$(json .id)" = "$id" ]
}

@test "a run goes on when its client goes away" {
	curl -sS --max-time 0.2 -H "Authorization: Bearer $(<"$STATE/token")" \
		-d path_to_folder=/usr/share/doc "$URL/backup" -o /dev/null || true
	api GET '/v1/runs?limit=1'
	id=$(json '.runs[0].id')
	wait_run "$id" ok
	assert_json '.arguments.path == "/usr/share/doc" and (.snapshot | length == 32)'
}
