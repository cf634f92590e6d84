#!/usr/bin/env bats
#
# What holds for all routes: lists and documents are told by their tag to be unchanged, texts come
# packed to who takes that, and what keeps a client waiting can be left.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	share_agent
	agent_config <<-END
		[job a]
		path = $AGENT_FOLDER/tree
		[job b]
		path = $AGENT_FOLDER/tree
		[job c]
		path = $AGENT_FOLDER/tree
	END
	start_agent
	make_small_tree "$AGENT_FOLDER/tree"
	api POST /backup -d "path_to_folder=$AGENT_FOLDER/tree"
	assert_status 201
}

teardown_file() {
	end_agents
}

setup() {
	use_agent agent
}

# Some rows, so that the log is no short text.
fill_log() {
	local i
	for i in {1..12}; do
		api GET "/stat?action=$i"
	done
}

@test "a list is not sent again while it is as the client has it" {
	api GET /v1/snapshots
	assert_header ETag '^"[0-9a-f]{32}"$'
	local tag
	tag=$(header ETag)
	api GET /v1/snapshots -H "If-None-Match: $tag"
	assert_status 304
	[ "$(header ETag)" = "$tag" ]
	[ ! -s "$API_BODY" ]
	api HEAD /v1/snapshots -H "If-None-Match: \"other\", $tag"
	assert_status 304
	api GET /v1/snapshots -H 'If-None-Match: "0123456789abcdef0123456789abcdef"'
	assert_status 200
	# Something has changed: another tag, and the list.
	api POST '/v1/snapshots?name=one' --data-binary one -H Content-Type:
	assert_status 201
	api GET /v1/snapshots -H "If-None-Match: $tag"
	assert_status 200
	[ "$(header ETag)" != "$tag" ]
	assert_json '.snapshots | length == 2'
}

@test "what tells the time, and what is made while it is sent, has no tag" {
	for path in /v1/status /logs /v1/find?name=letter /livez; do
		api GET "$path" -H 'If-None-Match: *'
		assert_status 200
		[ -z "$(header ETag)" ]
	done
}

@test "a text is packed for who takes gzip, and curl --compressed sees no difference" {
	fill_log
	for path in /openapi.json '/logs?limit=10' '/v1/find?name=*' /metrics; do
		api GET "$path" -H 'Accept-Encoding: gzip'
		assert_status 200
		assert_header Content-Encoding '^gzip$'
		grep -qix $'vary: accept-encoding\r' "$API_HEADERS"
		gzip -t <"$API_BODY"
		[[ $path == /metrics ]] || {
			gzip -dc <"$API_BODY" >"$BATS_TEST_TMPDIR/unpacked"
			packed=$(stat -c %s "$API_BODY")
			api GET "$path"
			[ -z "$(header Content-Encoding)" ]
			grep -qix $'vary: accept-encoding\r' "$API_HEADERS"
			cmp "$API_BODY" "$BATS_TEST_TMPDIR/unpacked"
			((packed < $(stat -c %s "$API_BODY")))
			api GET "$path" --compressed
			cmp "$API_BODY" "$BATS_TEST_TMPDIR/unpacked"
		}
	done
}

@test "each coding has a tag of its own, and either says what the client has" {
	api GET /openapi.json
	plain=$(header ETag)
	api GET /openapi.json -H 'Accept-Encoding: gzip'
	packed=$(header ETag)
	[ "$packed" = "${plain%\"}-gzip\"" ]
	api GET /openapi.json -H 'Accept-Encoding: gzip' -H "If-None-Match: $packed"
	assert_status 304
	[ "$(header ETag)" = "$packed" ]
	[ -z "$(header Content-Encoding)" ]
	api GET /openapi.json -H 'Accept-Encoding: gzip' -H "If-None-Match: $plain"
	assert_status 304
	api GET /openapi.json -H "If-None-Match: $packed"
	assert_status 304
	[ "$(header ETag)" = "$plain" ]
}

@test "what is short, or no text, or not wanted packed, comes as it is" {
	api GET /v1/status -H 'Accept-Encoding: gzip'
	[ -z "$(header Content-Encoding)" ]
	api GET /openapi.json -H 'Accept-Encoding: gzip;q=0, identity'
	[ -z "$(header Content-Encoding)" ]
	json .openapi
	api GET "/v1/snapshots/latest/tree?limit=1" -H 'Accept-Encoding: br'
	[ -z "$(header Content-Encoding)" ]
	id=$(api GET '/v1/snapshots?kind=files' && json '.snapshots[0].id')
	for path in "file?path=$AGENT_FOLDER/tree/letters/numbers.txt" archive archive?format=zip \
		archive?format=tar.zst; do
		api GET "/v1/snapshots/$id/$path" -H 'Accept-Encoding: gzip'
		assert_status 200
		[ -z "$(header Content-Encoding)" ]
	done
	# A part of it is a part of what the whole is.
	api GET "/v1/snapshots/$id/file?path=$AGENT_FOLDER/tree/letters/numbers.txt" \
		-H 'Accept-Encoding: gzip' -H 'Range: bytes=0-8999'
	assert_status 206
	[ "$(stat -c %s "$API_BODY")" -eq 9000 ]
}

@test "a stream that fails before its first byte is a problem, packed or not" {
	api GET '/v1/versions?path=/not/there' -H 'Accept-Encoding: gzip'
	assert_problem 404 not-found
	[ -z "$(header Content-Encoding)" ]
}

@test "events are not packed, and come at once" {
	api GET '/v1/runs?limit=1'
	run_id=$(json '.runs[0].id')
	api GET "/v1/runs/$run_id/events" -H 'Accept-Encoding: gzip'
	assert_status 200
	[ -z "$(header Content-Encoding)" ]
	grep -q '^event: ended' "$API_BODY"
}

# walk PATH LIST KEY: the keys of all entries, asked for one by one, a line each
walk() {
	local cursor=''
	while :; do
		api GET "$1?limit=1$cursor"
		assert_status 200
		assert_json '.[$list] | length <= 1' --arg list "$2"
		json ".$2[] | $3"
		[[ $(json .next) != null ]] || break
		cursor="&cursor=$(json .next)"
	done
}

@test "lists come in pages that hold each entry once" {
	api GET /v1/jobs
	assert_json '[.jobs[].name] == ["a", "b", "c"] and .next == null'
	[ "$(walk /v1/jobs jobs .name)" = $'a\nb\nc' ]
	for i in 1 2 3; do
		api POST "/v1/snapshots?name=old-$i" --data-binary "$i" -H Content-Type:
		api DELETE "/v1/snapshots/$(json .id)"
		assert_status 204
	done
	api GET /v1/trash
	assert_json '.trash | length == 3'
	ids=$(json '.trash[].snapshot.id')
	[ "$(walk /v1/trash trash .snapshot.id)" = "$ids" ]
	[ "$(walk /v1/snapshots snapshots .id)" = "$(api GET /v1/snapshots && json '.snapshots[].id')" ]
	[ "$(walk /v1/runs runs .id)" = "$(api GET /v1/runs && json '.runs[].id')" ]
	for path in jobs snapshots runs; do
		api GET "/v1/$path?cursor=nothing"
		assert_problem 400 bad-request cursor
	done
}

@test "a step back that is asked for again would be another one, and takes no key" {
	api POST '/run-migration?to=down' -H 'Idempotency-Key: back'
	assert_problem 400 bad-request '?to=3'
}

@test "the same key starts one run, whether the client waits or not" {
	args=(-d "path_to_folder=$AGENT_FOLDER/tree" -H 'Idempotency-Key: once')
	api POST /backup "${args[@]}"
	assert_status 201
	first=$(json .id)
	api POST /backup "${args[@]}"
	assert_status 201
	[ "$(json .id)" = "$first" ]
	api POST /backup "${args[@]}" -H 'Prefer: respond-async'
	assert_status 200
	assert_header Preference-Applied '^respond-async$'
	assert_header Location '^/v1/runs/'
	[ "$(json .snapshot)" = "$first" ]
	api POST /backup -d path_to_folder=/etc -H 'Idempotency-Key: once'
	assert_problem 409 conflict
}
