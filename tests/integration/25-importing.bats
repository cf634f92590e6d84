#!/usr/bin/env bats
#
# What other programs write becomes a snapshot like any other: by curl while it comes, or offline;
# and what does not come to its end becomes none.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	share_agent
	agent_config <<-'END'
	[agent]
	max_body = 64K
	upload_idle = 3s
	END
	start_agent
	offline token add --role read reader >"$AGENT_FOLDER/reader"
	# Some hundred megabytes that no compression makes small, quickly.
	openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 00 -in /dev/zero 2>/dev/null |
		head -c 20M >"$AGENT_FOLDER/noise"
}

teardown_file() {
	use_agent agent
	end_agents
}

setup() {
	use_agent agent
	rows_before=$(log_rows length)
	snapshots_before=$(count_snapshots)
}

count_snapshots() {
	offline snapshots --json | jq length
}

# Nothing was kept since the test began.
assert_no_snapshot() {
	[ "$(count_snapshots)" -eq "$snapshots_before" ]
}

# Exactly one row since the test began: ACTION STATUS.
assert_one_row() {
	log_rows ".[$rows_before:]" | jq -e --arg action "$1" --arg status "$2" \
		'length == 1 and .[0].action == $action and .[0].status == $status' >/dev/null ||
		fail "expected one row $1 $2: $(log_rows ".[$rows_before:]")"
}

last_import() {
	api GET '/v1/runs?kind=import&limit=1'
	json '.runs[0].id'
}

import_is() {
	[ "$(last_import >/dev/null; json '.runs[0].state')" = "$1" ]
}

# upload PATH [CURL ARGUMENT...]: what comes on the standard input.
upload() {
	local path=$1
	shift
	api POST "$path" -T - "$@"
}

# The file at PATH of the snapshot that the last answer made.
stored() {
	curl -sS -H "Authorization: Bearer $(<"$STATE/token")" "$URL$(header Location)/file?path=$1"
}

# ---- files

@test "what a program writes into curl is kept, by POST and by PUT" {
	upload '/v1/snapshots?name=db/dump.sql' < <(seq 1 200000)
	assert_status 201
	assert_header Location '^/v1/snapshots/[0-9a-f]{32}$'
	assert_json '.kind == "stream" and .sources == ["/db/dump.sql"] and .files == 1'
	assert_json '.bytes == 1288895 and .outcome == "ok"'
	stored /db/dump.sql | cmp - <(seq 1 200000)
	assert_one_row Import SUCCESS
	log_rows '.[-1]' | jq -e '.parameter == "/db/dump.sql" and .command == "POST /v1/snapshots"
		and .files == 1 and .bytes == 1288895'
	# curl -T alone sends PUT; a body of known length.
	seq 1 200001 >"$BATS_TEST_TMPDIR/dump"
	api PUT '/v1/snapshots?name=db/dump.sql' -T "$BATS_TEST_TMPDIR/dump"
	assert_status 201
	assert_json '.changed_files == 1 and .parent != null'
	# The snapshots of one name are versions of one file.
	api GET '/v1/versions?path=/db/dump.sql'
	assert_json '[.versions[].size] == [1288895, 1288902]'
	api GET "/v1/snapshots?source=/db/dump.sql"
	assert_json '.snapshots | length == 2'
}

@test "a body that is as before changes nothing and stores nothing" {
	upload '/v1/snapshots?name=same' < <(head -c 3M "$AGENT_FOLDER/noise")
	assert_status 201
	first=$(json .id)
	upload '/v1/snapshots?name=same' < <(head -c 3M "$AGENT_FOLDER/noise")
	assert_status 201
	assert_json '.unmodified_files == 1 and .added_bytes < 10000'
	api GET "/v1/snapshots/$first/diff/$(json .id)"
	assert_status 200
	assert_json '.changes == []'
}

@test "it is a run that can be followed, and answered at once" {
	upload '/v1/snapshots?name=async' -H 'Prefer: respond-async' < <(seq 1 1000)
	assert_status 202
	assert_header Location '^/v1/runs/[0-9a-f]{32}$'
	id=$(json .id)
	wait_run "$id" ok
	assert_json '.kind == "import" and .arguments.name == "/async" and .result.files == 1'
	assert_json '.snapshot != null'
}
