#!/usr/bin/env bats
#
# Malformed or ambiguous HTTP gets one 400 and a closed connection; nothing that follows on the
# connection is run.  See lessons: libmicrohttpd takes most of these.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	share_agent
	start_agent
}

teardown_file() {
	use_agent agent
	end_agents
}

setup() {
	use_agent agent
	answer=$BATS_TEST_TMPDIR/answer
	# Would be seen in the log, as a row of action Stats.
	follow="GET /stat HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer $(<"$STATE/token")\r\n\r\n"
	stats_before=$(stats_rows)
}

# "!" does not fail a test.
refute() {
	if "$@"; then
		fail "succeeded, but must not: $*"
	fi
}

stats_rows() {
	log_rows '[.[] | select(.action == "Stats")] | length'
}

# Send what printf makes of $1, and after it a request that must not be run.
raw() {
	raw_status=0
	# shellcheck disable=SC2059 # that is what it is for
	printf "$1$follow" | "$HOLDFAST_BUILD/tests/tools/rawhttp" 127.0.0.1 "$(agent_port)" \
		>"$answer" || raw_status=$?
}

show_raw() {
	echo "--- sent: $1"
	cat -v "$answer"
	echo "--- exit status $raw_status"
}

# One answer of this status, closed by the agent, and the request behind it was not run.
assert_refused() {
	raw "$1"
	{
		[[ $raw_status == 0 ]] &&
			[[ $(grep -ac '^HTTP/1\.1 ' "$answer") == 1 ]] &&
			head -n 1 "$answer" | grep -aq "^HTTP/1\.1 $2 " &&
			grep -aqi '^Connection: close' "$answer" &&
			[[ $(stats_rows) == "$stats_before" ]]
	} || {
		show_raw "$1"
		return 1
	}
}

# The same with a problem document.
assert_malformed() {
	assert_refused "$1" 400
	grep -aq '"urn:holdfast:problem:malformed-http"' "$answer" || {
		show_raw "$1"
		return 1
	}
}

@test "an ordinary request is run, and so is the one behind it" {
	raw 'GET /livez HTTP/1.1\r\nHost: h\r\n\r\n'
	[[ $raw_status == 3 ]]
	[[ $(grep -ac '^HTTP/1\.1 200' "$answer") == 2 ]]
	wait_for test "$(stats_rows)" -gt "$stats_before"
}

@test "an ordinary request in small pieces is run" {
	printf 'GET /livez HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nX-Two:\t2 \r\n\r\n' |
		"$HOLDFAST_BUILD/tests/tools/rawhttp" -s 1 -w 1 127.0.0.1 "$(agent_port)" >"$answer" ||
		[[ $? == 3 ]]
	head -n 1 "$answer" | grep -aq '^HTTP/1\.1 200 '
}

@test "two lengths are refused" {
	assert_malformed 'POST /backup HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef'
	assert_malformed 'POST /backup HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n'
}

@test "a length with chunks is refused, whichever comes first" {
	assert_malformed 'POST /backup HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
	assert_malformed 'POST /backup HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n'
}

@test "a transfer encoding other than chunked is refused" {
	local te
	for te in xchunked 'gzip, chunked' identity chunked,chunked '' ' chunked x'; do
		assert_malformed "POST /backup HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: $te\r\n\r\n0\r\n\r\n"
	done
	assert_malformed 'POST /backup HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
}

@test "a space before the colon is refused" {
	assert_malformed 'POST /backup HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nabcde'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost : h\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX\t: y\r\n\r\n'
}

@test "NUL is refused wherever it is" {
	assert_malformed 'GET /livez\0 HTTP/1.1\r\nHost: h\r\n\r\n'
	assert_malformed 'GET /li\0vez HTTP/1.1\r\nHost: h\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX: a\0b\r\nY: c\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\n\0X: a\r\n\r\n'
	assert_refused 'GET /livez HTTP/1.1\r\nHost: h\r\nX\0Y: a\r\n\r\n' 400
}

@test "control characters are refused" {
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX: a\001b\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX: \033[31m\r\n\r\n'
	assert_malformed 'GET /livez\177 HTTP/1.1\r\nHost: h\r\n\r\n'
	assert_malformed 'GET /livez\377 HTTP/1.1\r\nHost: h\r\n\r\n'
	assert_malformed 'GET /livez\t HTTP/1.1\r\nHost: h\r\n\r\n'
}

@test "folded lines are refused" {
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\nY: c\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost:\r\n h\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\n X: a\r\nHost: h\r\n\r\n'
}

@test "bare LF and bare CR are refused" {
	assert_malformed 'GET /livez HTTP/1.1\nHost: h\n\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\nX: y\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\n\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nX: a\r\r\n\r\n'
}

@test "no Host and two Hosts are refused" {
	assert_malformed 'GET /livez HTTP/1.1\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n'
	assert_malformed 'GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n'
}

@test "two of a field that can be there once are refused" {
	assert_malformed 'GET /v1/status HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n'
	assert_malformed 'GET /v1/status HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n'
}

@test "request lines of other shapes are refused" {
	assert_malformed 'GET  /livez HTTP/1.1\r\nHost: h\r\n\r\n'
	assert_malformed 'GET /livez x HTTP/1.1\r\nHost: h\r\n\r\n'
	assert_refused 'GET /livez\r\nHost: h\r\n\r\n' 400
	assert_refused 'GET /livez HTTP/2.0\r\nHost: h\r\n\r\n' 505
	assert_refused 'GET /livez HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n' 400
}

@test "lengths that are no numbers close the connection" {
	local length
	for length in +5 5,5 0x5 -1 99999999999999999999999 '5 5'; do
		raw "POST /backup HTTP/1.1\r\nHost: h\r\nContent-Length: $length\r\n\r\nabcde"
		[[ $raw_status == 0 ]]
		head -n 1 "$answer" | grep -aqE '^HTTP/1\.1 4(00|13) '
		refute grep -aq '^HTTP/1\.1 2' "$answer"
		[[ $(stats_rows) == "$stats_before" ]]
	done
}

@test "broken chunks close the connection" {
	local token chunk
	token=$(<"$STATE/token")
	for chunk in 'zz\r\nab\r\n0\r\n\r\n' '-1\r\na\r\n0\r\n\r\n' '1\r\nabc\r\n0\r\n\r\n' \
		'ffffffffffffffff1\r\na\r\n0\r\n\r\n'; do
		raw "POST /backup HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n$chunk"
		[[ $raw_status == 0 ]]
		refute grep -aq '^HTTP/1\.1 2' "$answer"
		[[ $(stats_rows) == "$stats_before" ]]
	done
}

@test "nothing follows a request that came in chunks" {
	local token
	token=$(<"$STATE/token")
	raw "POST /backup HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
	[[ $raw_status == 0 ]]
	[[ $(grep -ac '^HTTP/1\.1 ' "$answer") == 1 ]]
	[[ $(stats_rows) == "$stats_before" ]]
}

@test "a malformed request to an action is a failed action in the log" {
	assert_malformed 'POST /backup HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef'
	log_rows '.[-1]' | jq -e '.action == "Backup" and .status == "ERROR"
		and .command == "POST /backup" and (.message | contains("more than one Content-Length"))'
}

@test "escapes of a NUL and broken escapes are refused" {
	api GET '/v1/snapshots/%00'
	assert_problem 400 bad-request NUL
	api GET '/v1/snapshots/%zz'
	assert_problem 400 bad-request hexadecimal
	api GET '/logs?start=%'
	assert_problem 400 bad-request hexadecimal
}
