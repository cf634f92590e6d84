#!/usr/bin/env bats
#
# Over HTTP: what changed, where a name is, which versions there were; pins, the trash, repairs.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	share_agent
	export SOURCE=$BATS_FILE_TMPDIR/source
	mkdir -p "$SOURCE/sub"
	echo one >"$SOURCE/changed"
	echo gone >"$SOURCE/gone"
	echo stays >"$SOURCE/sub/stays"
	start_agent
	back_up_as first
	echo three >"$SOURCE/changed"
	rm "$SOURCE/gone"
	echo new >"$SOURCE/sub/new"
	echo a >"$SOURCE/sub/$(printf 'bytes \377')"
	back_up_as second
}

teardown_file() {
	use_agent agent
	end_agents
}

setup() {
	use_agent agent
	first=$(<"$BATS_FILE_TMPDIR/first")
	second=$(<"$BATS_FILE_TMPDIR/second")
	rows_before=$(log_rows length)
}

# Back up what is there, and keep the snapshot's id under this name.
back_up_as() {
	api POST /backup -d "path_to_folder=$SOURCE"
	assert_status 201
	basename "$(header Location)" >"$BATS_FILE_TMPDIR/$1"
}

# The rows of the log since the test began.
assert_new_rows() {
	log_rows ".[$rows_before:] | map([.action, .parameter, .status])" |
		jq -e --argjson expected "$1" '. == $expected' >/dev/null ||
		fail "rows: $(log_rows ".[$rows_before:]")"
}

@test "a diff names each change, and sums up" {
	api GET "/v1/snapshots/$first/diff/$second?path=$SOURCE"
	assert_status 200
	assert_header Content-Type '^application/json'
	assert_json '(.changes | map(select(.change != "metadata") | .change + " " + .path)) == [
		"changed \($s)/changed", "removed \($s)/gone", "added \($s)/sub/bytes \\xff",
		"added \($s)/sub/new"]' --arg s "$SOURCE"
	assert_json '.before == $a and .after == $b and .next == null and .totals.added == 2
		and .totals.removed == 1 and .totals.changed == 1 and .totals.added_bytes == 12' \
		--arg a "$first" --arg b "$second"
	api GET "/v1/snapshots/$first/diff/$first"
	assert_json '.changes == [] and .totals.added == 0'
	api GET "/v1/snapshots/${first:0:8}/diff/latest"
	assert_json '.totals.added == 2'
	assert_new_rows '[]'
}

@test "a diff goes on behind the last path, and its pages are the whole" {
	local after='' whole pages=''
	api GET "/v1/snapshots/$first/diff/$second"
	whole=$(json '.changes[].path')
	while :; do
		api GET "/v1/snapshots/$first/diff/$second?limit=1" -G \
			--data-urlencode "after=${after:-/}"
		assert_status 200
		assert_json '.changes | length == 1'
		pages+=$(json '.changes[0].path')$'\n'
		after=$(json '.next')
		[[ $after != null ]] || break
	done
	[[ $pages == "$whole"$'\n' ]]
}

@test "diff, find and versions are NDJSON on request" {
	api GET "/v1/snapshots/$first/diff/$second?path=$SOURCE" -H 'Accept: application/x-ndjson'
	assert_header Content-Type '^application/x-ndjson'
	jq -es 'length >= 5 and .[-1].totals.added == 2 and all(.[:-1][]; .path)' "$API_BODY"
	api GET '/v1/find?name=gone' -H 'Accept: application/x-ndjson'
	jq -es 'length == 2 and .[0].size == 5 and .[1].more == false' "$API_BODY"
	api GET "/v1/versions?path=$SOURCE/changed" -H 'Accept: application/x-ndjson'
	jq -es 'map(.size) == [4, 6]' "$API_BODY"
	api GET '/v1/find?name=gone' -H 'Accept: text/html'
	assert_problem 406 not-acceptable
}

@test "a wrong diff is told what is wrong" {
	api GET "/v1/snapshots/$first/diff/0123456789"
	assert_problem 404 not-found
	api GET "/v1/snapshots/0123456789/diff/$first"
	assert_problem 404 not-found
	api GET "/v1/snapshots/$first/diff/$second?path=/nowhere"
	assert_problem 404 not-found 'neither snapshot'
	api GET "/v1/snapshots/$first/diff/$second?path=srv"
	assert_problem 400 bad-request 'not an absolute path'
	api GET "/v1/snapshots/$first/diff/$second?after=x"
	assert_problem 400 bad-request after
	api GET "/v1/snapshots/$first/diff/$second?limit=x"
	assert_problem 400 bad-request limit
	api GET "/v1/snapshots/$first/diff/$second?depth=1"
	assert_problem 400 bad-request depth
}

@test "a name is found in all snapshots, or in one, or as often as wanted" {
	api GET '/v1/find?name=stays'
	assert_status 200
	assert_json '(.found | length) == 2 and .more == false and .found[0].snapshot == $id
		and .found[0].path == $path and .found[0].kind == "file"' \
		--arg id "$first" --arg path "$SOURCE/sub/stays"
	api GET "/v1/find?name=stays&snapshot=$second"
	assert_json '(.found | map(.snapshot)) == [$id]' --arg id "$second"
	api GET '/v1/find?name=s*s&limit=1'
	assert_json '(.found | length) == 1 and .more == true'
	api GET '/v1/find?name=no-such-name'
	assert_json '.found == [] and .more == false'
	api GET /v1/find -G --data-urlencode 'name=bytes \xff'
	assert_json '(.found | length) == 1'
	api GET /v1/find
	assert_problem 400 bad-request name
	api GET '/v1/find?name='
	assert_problem 400 bad-request name
	api GET '/v1/find?name=x&snapshot=0123456789'
	assert_problem 404 not-found
}

@test "the versions of a path tell when it came, changed and went" {
	api GET "/v1/versions?path=$SOURCE/gone"
	assert_status 200
	assert_json '(.versions | length) == 2 and .versions[0].size == 5
		and .versions[1].gone == true'
	api GET '/v1/versions?path=/never'
	assert_problem 404 not-found 'in no snapshot'
	api GET '/v1/versions?path=relative'
	assert_problem 400 bad-request 'not absolute'
	api GET /v1/versions
	assert_problem 400 bad-request path
}

@test "the size of a snapshot is what it alone holds" {
	api GET "/v1/snapshots/$second/size"
	assert_status 200
	assert_json '.snapshot == $id and .blobs > 0 and .bytes > 12' --arg id "$second"
	api GET /v1/snapshots/0123456789/size
	assert_problem 404 not-found
}

@test "a pinned snapshot is shown as such, and not forgotten; both acts are in the log" {
	api PUT "/v1/snapshots/${first:0:8}/pin"
	assert_status 204
	api GET "/v1/snapshots/$first"
	assert_json '.pinned == true'
	api DELETE "/v1/snapshots/$first"
	assert_problem 409 conflict pinned
	api DELETE "/v1/snapshots/$first/pin"
	assert_status 204
	api GET "/v1/snapshots/$first"
	assert_json '.pinned != true'
	api PUT /v1/snapshots/0123456789/pin
	assert_problem 404 not-found
	assert_new_rows "[[\"Pin\", \"$first\", \"SUCCESS\"],
		[\"DeleteSnapshot\", \"$first\", \"ERROR\"],
		[\"Unpin\", \"$first\", \"SUCCESS\"], [\"Pin\", \"0123456789\", \"ERROR\"]]"
}

@test "a forgotten snapshot lies in the trash and comes back out of it" {
	api GET /v1/trash
	assert_json '.trash == []'
	api DELETE "/v1/snapshots/$first"
	assert_status 204
	api GET /v1/trash
	assert_json '(.trash | length) == 1 and .trash[0].snapshot.id == $id
		and (.trash[0].forgotten | startswith("20"))' --arg id "$first"
	api POST "/v1/trash/${first:0:8}/recall"
	assert_status 200
	assert_json '.id == $id and .kind == "files"' --arg id "$first"
	api GET /v1/trash
	assert_json '.trash == []'
	api GET "/v1/snapshots/$first"
	assert_status 200
	api POST "/v1/trash/$first/recall"
	assert_problem 404 not-found 'no forgotten snapshot'
	assert_new_rows "[[\"DeleteSnapshot\", \"$first\", \"SUCCESS\"],
		[\"Recall\", \"${first:0:8}\", \"SUCCESS\"], [\"Recall\", \"$first\", \"ERROR\"]]"
}

start_repair() {
	api POST /v1/runs --json "{\"kind\": \"repair\", \"arguments\": $1}"
	assert_status 202
	run_id=$(basename "$(header Location)")
}

@test "a repair is a run, and changes nothing unless it is asked to" {
	local before after
	before=$(find "$REPOSITORY/index" "$REPOSITORY/snapshots" -type f | sort)
	start_repair '{"what": "index"}'
	wait_run "$run_id" ok
	assert_json '.result.applied == false and .result.packs >= 2 and .result.unreadable == []'
	start_repair '{"what": "snapshots", "read_data": true}'
	wait_run "$run_id" ok
	assert_json '.result.snapshots == []'
	after=$(find "$REPOSITORY/index" "$REPOSITORY/snapshots" -type f | sort)
	[[ $before == "$after" ]]
	start_repair '{"what": "index", "apply": true}'
	wait_run "$run_id" ok
	assert_json '.result.applied == true'
	api GET "/v1/snapshots/$second/file?path=$SOURCE/sub/new"
	assert_status 200
	[[ $(<"$API_BODY") == new ]]
	assert_new_rows '[["RepairDryRun", "index", "SUCCESS"],
		["RepairDryRun", "snapshots read-data", "SUCCESS"], ["Repair", "index", "SUCCESS"]]'
}

@test "a repair of nothing is refused, and one that changes something needs an admin" {
	local token
	api POST /v1/runs --json '{"kind": "repair"}'
	assert_problem 400 bad-request what
	api POST /v1/runs --json '{"kind": "repair", "arguments": {"what": "all"}}'
	assert_problem 400 bad-request index
	api POST /v1/runs \
		--json '{"kind": "repair", "arguments": {"what": "index", "read_data": true}}'
	assert_problem 400 bad-request read_data
	token=$(offline token add operator --role operate | grep -o 'hf[^ ]*' | head -n 1)
	api POST /v1/runs -H "Authorization: Bearer $token" \
		--json '{"kind": "repair", "arguments": {"what": "index", "apply": true}}'
	assert_problem 403 forbidden admin
	api POST /v1/runs -H "Authorization: Bearer $token" \
		--json '{"kind": "repair", "arguments": {"what": "index"}}'
	assert_status 202
	wait_run "$(basename "$(header Location)")" ok
}

# A stream that nobody ends would keep one of the few places for streams.
@test "the work for a client that leaves in the midst ends" {
	local long i
	long=$(printf 'n%.0s' {1..120})
	mkdir "$SOURCE/many"
	for i in {1..3000}; do
		: >"$SOURCE/many/$long$i"
	done
	for i in 1 2 3 4; do
		api POST /backup -d "path_to_folder=$SOURCE"
		assert_status 201
	done
	for i in {1..40}; do
		curl -sN -H "Authorization: Bearer $(<"$STATE/token")" "$URL/v1/find?name=nnnn*" |
			head -c 1 >/dev/null || true
	done
	wait_for finds_something
}

finds_something() {
	api GET '/v1/find?name=stays'
	[[ $API_STATUS == 200 ]]
}
