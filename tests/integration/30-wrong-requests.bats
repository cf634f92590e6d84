#!/usr/bin/env bats
#
# Every wrong request gets a problem document that says what was wrong and, where it was an action
# or came from somebody unknown, one row in the log with ERROR.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	share_agent
	agent_config <<-'END'
	[agent]
	max_body = 64K
	allow = /usr/share/doc, /etc
	END
	start_agent
	offline token add --role read reader >"$AGENT_FOLDER/reader"
	offline token add --role operate operator >"$AGENT_FOLDER/operator"
}

teardown_file() {
	use_agent agent
	end_agents
}

setup() {
	use_agent agent
	rows_before=$(log_rows length)
}

# The tokens of the roles, made in setup_file; the text is the last word of what was printed.
token_of() {
	grep -oE 'hf_[A-Za-z0-9_-]{43}' "$AGENT_FOLDER/$1"
}

# "!" does not fail a test.
refute() {
	if "$@"; then
		fail "succeeded, but must not: $*"
	fi
}

new_rows() {
	log_rows ".[$rows_before:] | ${1:-.}"
}

# Exactly one row since the test began: ACTION, with ERROR.
assert_one_error_row() {
	local rows
	rows=$(new_rows)
	jq -e --arg action "$1" 'length == 1 and .[0].status == "ERROR" and .[0].action == $action
		and (.[0].message | length > 0)' <<<"$rows" >/dev/null ||
		fail "expected one row '$1' with ERROR: $rows"
}

# METHOD PATH ROLE BODY ACTION of every route, {id} replaced by something that is not there.
each_route() {
	"$HOLDFAST_BUILD/tests/tools/routes" | sed 's/{id}/0123456789abcdef/'
}

@test "without a token every route but the probes answers 401, and says so in the log" {
	local method path role body action
	while read -r method path role body action; do
		rows_before=$(log_rows length)
		api "$method" "$path" -H Authorization:
		if [[ $role == none ]]; then
			assert_status 200
			continue
		fi
		assert_problem 401 unauthorized token
		assert_header WWW-Authenticate '^Bearer'
		[[ $action != - ]] || action=Request
		assert_one_error_row "$action"
	done < <(each_route)
}

@test "a wrong token is 401 on every route, also where none is needed" {
	local method path role body action
	while read -r method path role body action; do
		api "$method" "$path" -H 'Authorization: Bearer hf_wrong'
		assert_problem 401 unauthorized 'unknown, revoked or expired'
		api "$method" "$path" -H 'Authorization: Basic cm9vdDpyb290'
		assert_problem 401 unauthorized 'no bearer token'
	done < <(each_route)
	refute grep -rq -e hf_wrong -e cm9vdDpyb290 "$STATE" "$(agent_log)"
}

@test "a role that is too low is 403 on every route" {
	local method path role body action
	while read -r method path role body action; do
		rows_before=$(log_rows length)
		if [[ $role == operate || $role == admin ]]; then
			api "$method" "$path" -H "Authorization: Bearer $(token_of reader)"
			assert_problem 403 forbidden "the role '$role'"
			[[ $action != - ]] || action=Request
			assert_one_error_row "$action"
		fi
		if [[ $role == admin ]]; then
			api "$method" "$path" -H "Authorization: Bearer $(token_of operator)"
			assert_problem 403 forbidden "the role 'admin'"
		fi
	done < <(each_route)
}

@test "an operator may back up, but neither restore nor prune" {
	local kind
	for kind in restore prune; do
		api POST /v1/runs -H "Authorization: Bearer $(token_of operator)" --json "{\"kind\": \"$kind\"}"
		assert_problem 403 forbidden "the role 'admin'"
	done
	api POST /backup -H "Authorization: Bearer $(token_of operator)" \
		-d path_to_folder=/usr/share/doc/base-files
	assert_status 201
	[[ $(new_rows '.[-1].origin') == '"127.0.0.1 token:operator"' ]]
}

@test "a method that a path has not is 405 with what it has" {
	local method path role body action
	while read -r method path role body action; do
		api BREW "$path"
		assert_problem 405 method-not-allowed BREW
		assert_header Allow "(^|, )$method(,|$)"
	done < <(each_route)
	api PUT /v1/runs
	assert_header Allow '^GET, HEAD, POST$'
	api GET /backup
	assert_problem 405 method-not-allowed
	assert_header Allow '^POST$'
}

@test "GET /backup is a failed backup in the log, once" {
	api GET /backup
	assert_problem 405 method-not-allowed
	assert_one_error_row Backup
}

@test "what is not there is 404" {
	local path
	for path in / /nothing /backup/ /v1 /v1/runs/0123456789abcdef/nothing /openapi; do
		api GET "$path"
		assert_problem 404 not-found
	done
	api GET /v1/runs/0123456789abcdef
	assert_problem 404 not-found
	api GET /v1/snapshots/0123456789abcdef
	assert_problem 404 not-found
	api GET /v1/runs/0123456789abcdef/events
	assert_problem 404 not-found
	api DELETE /v1/runs/0123456789abcdef
	assert_problem 404 not-found
	api DELETE /v1/snapshots/0123456789abcdef
	assert_problem 404 not-found
}

@test "polls that find nothing leave no row" {
	api GET /v1/snapshots/0123456789abcdef
	assert_status 404
	api GET /v1/runs
	assert_status 200
	api GET '/v1/runs?limit=many'
	assert_problem 400 bad-request "'limit' is no number"
	[[ $(log_rows length) == "$rows_before" ]]
}

@test "what changes something leaves a row, also if it fails" {
	api DELETE /v1/snapshots/0123456789abcdef
	assert_one_error_row DeleteSnapshot
	rows_before=$(log_rows length)
	api DELETE /v1/runs/0123456789abcdef
	assert_one_error_row Cancel
	rows_before=$(log_rows length)
	api POST /v1/runs/0123456789abcdef/pause
	assert_one_error_row Pause
}

@test "unknown parameters are refused wherever there are parameters" {
	local method path role body action
	while read -r method path role body action; do
		[[ $path != /livez && $path != /readyz ]] || continue
		# The snapshot or run is not there either: the parameter may come second.
		[[ $path != *0123456789abcdef* ]] || continue
		[[ $body == - ]] || continue
		# Each report has parameters of its own.
		[[ $path != '/v1/reports/{name}' ]] || path=/v1/reports/hired_by_quarter
		api "$method" "$path?colour=blue"
		assert_problem 400 bad-request "no parameter 'colour'"
	done < <(each_route)
}

@test "a body where none belongs is refused" {
	api GET /stat -d x=y -X GET
	assert_problem 400 bad-request 'takes no body'
	api POST /v1/runs/0123456789abcdef/pause -d x=y
	assert_problem 400 bad-request 'takes no body'
}

@test "folders that cannot be backed up are told apart, each with one row" {
	local -a cases=(
		'path_to_folder=/etc/is-not-there 404 not-found'
		'path_to_folder=usr/share 400 bad-request'
		'path_to_folder= 400 bad-request'
		'path_to_folder=/etc/passwd 400 bad-request'
		'path_to_folder=/root 403 forbidden'
		'nothing=1 400 bad-request'
		'path_to_folder=/etc&path=/etc 400 bad-request'
		'path_to_folder=/usr/share/doc/%00 400 bad-request'
		'path_to_folder=%zz 400 bad-request'
	)
	local form status word
	while read -r form status word; do
		rows_before=$(log_rows length)
		api POST /backup -d "$form"
		assert_problem "$status" "$word"
		assert_one_error_row Backup
	done < <(printf '%s\n' "${cases[@]}")
}

@test "JSON bodies are refused with the reason, each with one row" {
	local -a cases=(
		'|400|empty'
		'{|400|line 1, column 1'
		'[]|400|object'
		'{"path": 5}|400|path'
		'{"path": "/etc", "path": "/etc"}|400|duplicate'
		'{"path": "/etc", "colour": "blue"}|400|colour'
		'{"path": "/etc", "path_to_folder": "/etc"}|400|both'
		'{"path": "/etc", "tags": [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}|400|nested'
		'{"path": "/etc\u0000/x"}|400|'
	)
	local body status text
	while IFS='|' read -r body status text; do
		rows_before=$(log_rows length)
		api POST /backup -H 'Content-Type: application/json' --data-binary "$body"
		assert_problem "$status" bad-request "$text"
		assert_one_error_row Backup
	done < <(printf '%s\n' "${cases[@]}")
}

@test "bodies of other types are 415" {
	local type
	for type in text/plain application/xml multipart/mixed; do
		api POST /backup -H "Content-Type: $type" --data-binary x
		assert_problem 415 bad-media-type
		api POST /v1/runs -H "Content-Type: $type" --data-binary x
		assert_problem 415 bad-media-type
	done
	api POST /backup -H 'Content-Encoding: gzip' -d path_to_folder=/etc
	assert_problem 415 bad-media-type
}

@test "bodies that are too large are 413, by their length and in chunks" {
	local big=$BATS_TEST_TMPDIR/big
	head -c 70000 /dev/zero | tr '\0' x >"$big"
	api POST /backup --data-binary "@$big"
	assert_problem 413 too-large max_body
	assert_one_error_row Backup
	rows_before=$(log_rows length)
	api POST /backup -H 'Transfer-Encoding: chunked' --data-binary "@$big"
	assert_problem 413 too-large max_body
	assert_one_error_row Backup
	api POST /backup -H 'Expect: 100-continue' --data-binary "@$big"
	assert_problem 413 too-large max_body
}

@test "a body of exactly the limit is read" {
	local body=$BATS_TEST_TMPDIR/body
	{
		printf '{"path": "/usr/share/doc/base-files", "tags": ["'
		head -c $((65536 - 51)) /dev/zero | tr '\0' x
		printf '"]}'
	} >"$body"
	[[ $(stat -c %s "$body") == 65536 ]]
	api POST /backup -H 'Content-Type: application/json' --data-binary "@$body"
	[[ $API_STATUS != 413 ]]
}

@test "right bodies are taken by length, in chunks, after 100-continue, and by HTTP/1.0" {
	local form=path_to_folder=/usr/share/doc/base-files
	api POST /backup -d "$form"
	assert_status 201
	api POST /backup -H 'Transfer-Encoding: chunked' -d "$form"
	assert_status 201
	api POST /backup -H 'Expect: 100-continue' -d "$form"
	assert_status 201
	grep -q '^HTTP/1.1 100 ' "$API_HEADERS"
	api POST /backup -F "$form"
	assert_status 201
	api POST /backup --http1.0 -d "$form"
	assert_status 201
	api POST /backup -H 'Content-Type: application/json; charset=utf-8' \
		-d '{"path_to_folder": "/usr/share/doc/base-files"}'
	assert_status 201
	[[ $(new_rows 'map(.action + " " + .status) | unique | join(",")') == '"Backup SUCCESS"' ]]
}

@test "addresses and headers that are too long are refused" {
	api GET "/v1/status?$(head -c 9000 /dev/zero | tr '\0' a)"
	assert_problem 413 too-large 'address'
	api GET /v1/status -H "X-Long: $(head -c 17000 /dev/zero | tr '\0' a)"
	assert_problem 431 header-too-large
}

@test "wrong dates of the log are 400, and an empty range is an empty list" {
	local query
	for query in startdate=2026-02-30 enddate=yesterday start=2026-01-02\&end=2026-01-01 \
		startdate=2026-01-01\&start=2026-01-01 limit=-1 status=maybe; do
		rows_before=$(log_rows length)
		api GET "/logs?$query"
		assert_problem 400 bad-request
		assert_one_error_row Logs
	done
	api GET '/log?startdate=2001-01-01&enddate=2001-01-02'
	assert_status 200
	assert_json '. == []'
}

@test "a form of the log that is not there is 406 and names those that are" {
	api GET /logs -H 'Accept: image/png'
	assert_problem 406 not-acceptable text/csv
	assert_one_error_row Logs
}

@test "text of a request is printable in the log" {
	api POST /backup --data-binary 'path_to_folder=/srv/%1B%5B31mred%0A'
	assert_status 403
	log_rows '.[-1]' | jq -e '.parameter == "/srv/\\x1b[31mred\\x0a"'
	log_rows '.[-1].message' >"$BATS_TEST_TMPDIR/message"
	refute grep -q $'[\033]' "$BATS_TEST_TMPDIR/message"
	refute grep -q '\\u001b' "$BATS_TEST_TMPDIR/message"
}

@test "an Idempotency-Key that means two things is 409" {
	api POST /backup -H 'Idempotency-Key: one' -d path_to_folder=/usr/share/doc/base-files
	assert_status 201
	local first
	first=$(header Location)
	api POST /backup -H 'Idempotency-Key: one' -d path_to_folder=/usr/share/doc/base-files
	[[ $API_STATUS == 20[01] && $(header Location) == "$first" ]]
	api POST /backup -H 'Idempotency-Key: one' -d path_to_folder=/usr/share/doc/bash
	assert_problem 409 conflict
}
