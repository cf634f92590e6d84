#!/usr/bin/env bats
#
# Tokens, the unix socket, and TLS off loopback.

bats_require_minimum_version 1.5.0
load lib/agent

teardown() {
	end_agents
}

refute() {
	if "$@"; then
		fail "succeeded, but must not: $*"
	fi
}

# The unix socket besides the address that the harness talks to.
start_with_socket() {
	socket=$AGENT_FOLDER/socket
	agent_config <<-END
	[agent]
	listen = unix:$socket
	END
	start_agent
}

token_in() {
	grep -oE 'hf_[A-Za-z0-9_-]{43}' <<<"$1"
}

make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=agent \
		-addext subjectAltName=IP:127.0.0.1 -keyout "$AGENT_FOLDER/key.pem" \
		-out "$AGENT_FOLDER/cert.pem" 2>/dev/null
	chmod 0600 "$AGENT_FOLDER/key.pem"
}

@test "the first token is for its owner only, and opens everything" {
	start_agent
	[[ $(stat -c %a "$STATE/token") == 600 ]]
	[[ $(stat -c %a "$STATE/tokens.json") == 600 ]]
	api GET /v1/status
	assert_status 200
	refute grep -q "$(<"$STATE/token")" "$STATE/tokens.json"
}

@test "a token that is added or revoked counts at the next request" {
	local out token
	start_agent
	out=$(offline token add --role read ci)
	token=$(token_in "$out")
	api GET /v1/status -H "Authorization: Bearer $token"
	assert_status 200
	api POST /backup -H "Authorization: Bearer $token" -d path_to_folder=/etc
	assert_problem 403 forbidden operate
	offline token list | grep -q ci
	refute grep -q "$token" <(offline token list)
	offline token revoke ci
	api GET /v1/status -H "Authorization: Bearer $token"
	assert_problem 401 unauthorized revoked
	refute grep -rqF "$token" "$STATE" "$(agent_log)"
}

@test "who asked is in the log by name" {
	start_agent
	api GET /stat
	[[ $(log_rows '.[-1].origin') == '"127.0.0.1 token:first"' ]]
}

@test "a damaged token file opens nothing, and does not stop the agent" {
	start_agent
	cp "$STATE/tokens.json" "$BATS_TEST_TMPDIR/kept"
	echo '{' >"$STATE/tokens.json"
	api GET /v1/status
	assert_problem 503 unavailable tokens
	cp "$BATS_TEST_TMPDIR/kept" "$STATE/tokens.json"
	api GET /v1/status
	assert_status 200
}

@test "over the unix socket root needs no token, and a wrong one is refused" {
	local socket
	start_with_socket
	[[ $(stat -c %a "$socket") == 660 ]]
	curl -sS --fail-with-body --unix-socket "$socket" http://agent/stat | jq -e '."number-of-backups" == 0'
	[[ $(log_rows '.[-1].origin') == "\"unix uid:$(id -u)\"" ]]
	[[ $(curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$socket" \
		-H 'Authorization: Bearer wrong' http://agent/v1/status) == 401 ]]
}

@test "over the unix socket another user needs a token" {
	[[ $(id -u) == 0 ]] || skip 'needs root'
	local socket
	start_with_socket
	chmod 0666 "$socket"
	chmod o+x "$AGENT_FOLDER" "$(dirname "$AGENT_FOLDER")"
	as_nobody() {
		setpriv --reuid=65534 --clear-groups curl -sS -o /dev/null -w '%{http_code}' \
			--unix-socket "$socket" "$@" http://agent/v1/status
	}
	# Where a folder above is closed to others, the socket can be handed in.
	setpriv --reuid=65534 --clear-groups test -w "$socket" || {
		ln "$socket" "/tmp/holdfast-test-$$.socket"
		socket=/tmp/holdfast-test-$$.socket
	}
	[[ $(as_nobody) == 401 ]]
	[[ $(as_nobody -H "Authorization: Bearer $(<"$STATE/token")") == 200 ]]
	rm -f "/tmp/holdfast-test-$$.socket"
}

@test "a stale socket is replaced, one that is served is not" {
	local socket
	start_with_socket
	stop_agent KILL
	[[ -S $socket ]]
	start_agent
	run timeout 60 "$HOLDFASTD" --listen "unix:$socket" --state "$BATS_TEST_TMPDIR/state" \
		--repository "$BATS_TEST_TMPDIR/repository"
	[[ $status == 1 && $output == *'listens there already'* ]] || fail "$status: $output"
	curl -sS --fail-with-body --unix-socket "$socket" http://agent/v1/status >/dev/null
	stop_agent
	[[ ! -e $socket ]]
}

@test "a file in the place of the socket is not removed" {
	echo precious >"$AGENT_FOLDER/socket"
	refute start_with_socket
	grep -q 'is no socket' "$(agent_log)"
	[[ $(<"$AGENT_FOLDER/socket") == precious ]]
}

@test "off loopback the agent does not start without TLS, unless it is written" {
	refute start_agent --listen 0.0.0.0:0
	grep -qi TLS "$(agent_log)"
	agent_config <<-'END'
	[agent]
	insecure_http = yes
	listen = 0.0.0.0:0
	END
	start_agent
	grep -q 'listening on http://0\.0\.0\.0:' "$(agent_log)"
}

@test "TLS serves requests, streams and waiting clients" {
	local url
	make_certificate
	make_small_tree "$BATS_TEST_TMPDIR/source"
	agent_config <<-END
	[agent]
	tls_cert = $AGENT_FOLDER/cert.pem
	tls_key = $AGENT_FOLDER/key.pem
	END
	# The harness asks by plain HTTP whether it is up; here the log tells.
	port=$(random_port)
	{
		printf '[agent]\nname = agent\nlisten = 0.0.0.0:%s\nstate = %s\n' "$port" "$STATE"
		printf '[repository]\nurl = %s\n' "$REPOSITORY"
		cat "$AGENT_FOLDER/more.conf"
	} >"$AGENT_FOLDER/agent.conf"
	launch_agent
	secure() {
		curl -sS --fail-with-body --cacert "$AGENT_FOLDER/cert.pem" --max-time 60 \
			-H "Authorization: Bearer $(<"$STATE/token")" "$@"
	}
	url=https://127.0.0.1:$port
	wait_for test -s "$STATE/token"
	wait_for secure -o /dev/null "$url/livez"
	secure -d "path_to_folder=$BATS_TEST_TMPDIR/source" "$url/backup" | jq -e '.outcome == "ok"'
	secure "$url/v1/snapshots/latest/file?path=$BATS_TEST_TMPDIR/source/random.bin" |
		cmp - "$BATS_TEST_TMPDIR/source/random.bin"
	secure "$url/v1/snapshots/latest/archive" | tar -tf - >/dev/null
	# Plain HTTP is not answered.
	refute curl -sS --max-time 10 -o /dev/null "http://127.0.0.1:$port/livez"
	refute curl -sS --max-time 10 --tls-max 1.1 -o /dev/null --cacert "$AGENT_FOLDER/cert.pem" "$url/livez"
	stop_agent
}

@test "a key that others can read is refused" {
	make_certificate
	chmod 0644 "$AGENT_FOLDER/key.pem"
	agent_config <<-END
	[agent]
	tls_cert = $AGENT_FOLDER/cert.pem
	tls_key = $AGENT_FOLDER/key.pem
	END
	refute start_agent
	grep -q 'key' "$(agent_log)"
}
