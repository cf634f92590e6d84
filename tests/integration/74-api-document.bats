#!/usr/bin/env bats
#
# GET /openapi.json is true: it is an OpenAPI document, its examples are what its schemas say, and a
# running agent that is sent each of them answers as it says, with no field, status or type besides.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb
load lib/api_document

setup_file() {
	need_replay
	share_mariadb
	share_agent
	start_mariadb
	make_api_fixture
}

teardown_file() {
	[[ -n ${URL:-} || -e $BATS_FILE_TMPDIR/agent/agent.conf ]] || return 0
	end_agents
	end_mariadb
}

setup() {
	use_agent agent
	use_mariadb
}

@test "the document is an OpenAPI document, and its examples are what its schemas say" {
	api GET /openapi.json
	assert_status 200
	assert_header Content-Type '^application/json'
	run replay check "$API_BODY"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "a fault in the document is found" {
	api GET /openapi.json
	# A field that is not declared, in an example; and a schema that is none.
	jq '.paths["/v1/runs"].get.responses["200"].content["application/json"].example.colour = "blue"' \
		"$API_BODY" >"$BATS_TEST_TMPDIR/field"
	run ! replay check "$BATS_TEST_TMPDIR/field"
	[[ $output == *"listRuns 200"* ]]
	jq '.paths["/v1/runs"].get.responses["200"].description = 7' "$API_BODY" \
		>"$BATS_TEST_TMPDIR/form"
	run ! replay check "$BATS_TEST_TMPDIR/form"
	[[ $output == *"no OpenAPI document"* ]]
}

@test "the document holds every route, and no other" {
	"$HOLDFAST_BUILD/tests/tools/routes" | awk '{ print $1, $2, $3 }' | sort >"$BATS_TEST_TMPDIR/routes"
	api GET /openapi.json
	json '.paths | to_entries[] | .key as $path | .value | to_entries[] |
		"\(.key | ascii_upcase) \($path) \(.value["x-role"])"' | sort >"$BATS_TEST_TMPDIR/described"
	diff "$BATS_TEST_TMPDIR/routes" "$BATS_TEST_TMPDIR/described"
}

@test "each example is answered by a running agent as the document says" {
	run replay run "$(api_fixture)"
	echo "$output"
	[ "$status" -eq 0 ]
}
