#!/usr/bin/env bats
#
# Hooks of a job, and notices of what becomes of it: who is told, by which way, and what happens
# where nobody listens.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	home=$BATS_TEST_TMPDIR/home
	hooks=$BATS_TEST_TMPDIR/hooks
	mkdir -p "$home" "$hooks"
	echo one >"$home/letter"
}
teardown() {
	stop_receiver
	end_agents
}

# ---- a receiver of notices, in $heard

# start_receiver [CERTIFICATE KEY]: at the port it had before, if there was one.
start_receiver() {
	command -v node >/dev/null || skip "no node to receive notices with"
	heard=$BATS_TEST_TMPDIR/heard
	local before=0
	[[ ! -e $heard/port ]] || before=$(<"$heard/port")
	mkdir -p "$heard"
	rm -f "$heard/port"
	node "$HOLDFAST_TOP/tests/integration/lib/receiver.js" "$heard" "$before" "$@" \
		>"$heard/log" 2>&1 3>&- </dev/null &
	echo $! >"$heard/pid"
	wait_for test -s "$heard/port"
	receiver=127.0.0.1:$(<"$heard/port")
}

stop_receiver() {
	[[ -s ${heard:-}/pid ]] || return 0
	kill "$(<"$heard/pid")" 2>/dev/null || true
	wait "$(<"$heard/pid")" 2>/dev/null || true
	rm -f "$heard/pid"
}

# heard_is FILTER: true of the array of all requests.
heard_is() {
	[[ -e $heard/heard ]] && jq -s -e "($1) == true" "$heard/heard" >/dev/null
}

# job [LINE...]: a job home with further settings.
job() {
	{
		printf '[job home]\npath = %s\n' "$home"
		(($# == 0)) || printf '%s\n' "$@"
	} | agent_config
}

# The same, which fails from break_job on.
breakable_job() {
	job "before = /bin/sh -c 'test ! -e $hooks/broken'"
}

break_job() {
	: >"$hooks/broken"
}

# run_job OUTCOME: its document is then the last answer.
run_job() {
	api POST /v1/runs --json '{"job": "home"}'
	assert_status 202
	wait_run "$(json .id)" "$1"
}

conf() {
	offline --config "$AGENT_FOLDER/agent.conf" "$@"
}

# ---- hooks

@test "hooks run around a backup, with the facts in their environment" {
	job "before = /bin/sh -c 'env >$hooks/before; cp $home/letter $home/copy; echo copied'" \
		"after = /bin/sh -c 'env >$hooks/after; rm $home/copy'" \
		"on_failure = /usr/bin/touch $hooks/on_failure"
	start_agent
	run_job ok
	assert_json '.result.files == 2 and (.notes | map(select(.path == "/bin/sh").reason))
		== ["before ended with status 0: copied"]'
	[ ! -e "$home/copy" ]
	[ ! -e "$hooks/on_failure" ]
	grep -qx 'HOLDFAST_JOB=home' "$hooks/before"
	grep -qx "HOLDFAST_RUN=$(json .id)" "$hooks/before"
	grep -qx "HOLDFAST_PATHS=$home" "$hooks/before"
	run ! grep -q -e HOLDFAST_OUTCOME -e HOLDFAST_BUILD "$hooks/before"
	grep -qx 'HOLDFAST_OUTCOME=ok' "$hooks/after"
	grep -qx "HOLDFAST_SNAPSHOT=$(json .snapshot)" "$hooks/after"
	grep -qx 'HOLDFAST_FILES=2' "$hooks/after"
	# The same without an agent.
	rm "$hooks/after"
	conf backup --job home
	grep -qx 'HOLDFAST_OUTCOME=ok' "$hooks/after"
	rm "$hooks/after"
	conf backup --job home --dry-run
	[ ! -e "$hooks/after" ]
}

@test "before skips a run or makes it fail, and nothing is read then" {
	job "before = /bin/sh -c 'cat $hooks/say; exit \$(cat $hooks/status)'" \
		"after = /usr/bin/touch $hooks/after" \
		"on_failure = /bin/sh -c 'echo \"\$HOLDFAST_ERROR\" >$hooks/on_failure'"
	start_agent
	echo 75 >"$hooks/status"
	echo 'on battery' >"$hooks/say"
	run_job skipped
	assert_json '.snapshot == null and .error.message == "skipped by '"'/bin/sh'"': on battery"'
	[ ! -e "$hooks/on_failure" ]
	echo 3 >"$hooks/status"
	echo 'no mount' >"$hooks/say"
	run_job failed
	assert_json '.snapshot == null
		and .error.message == "before: '"'/bin/sh'"' ended with status 3: no mount"'
	grep -qF "before: '/bin/sh' ended with status 3: no mount" "$hooks/on_failure"
	[ ! -e "$hooks/after" ]
	api GET /v1/snapshots
	assert_json '.snapshots == []'
	log_rows | jq -e '[.[] | select(.action | startswith("Backup")) | [.action, .status]] ==
		[["BackupSkipped", "ERROR"], ["Backup", "ERROR"]]'
	run -1 conf backup --job home
	[[ $output == *"ended with status 3: no mount"* ]]
	echo 75 >"$hooks/status"
	run -1 conf backup --job home
	[[ $output == *"skipped by '/bin/sh'"* ]]
}

@test "after that fails makes a good backup warn, and is told everywhere" {
	job "after = /bin/sh -c 'echo could not thaw >&2; exit 1'"
	start_agent
	run_job warn
	assert_json '.error == null and .loss_total == 0 and (.snapshot | length == 32)
		and .result.hook_failed == "after: '"'/bin/sh'"' ended with status 1: could not thaw"'
	log_rows | jq -e 'last | .status == "SUCCESS" and .outcome == "warn"
		and (.message | contains("could not thaw"))'
	run -3 conf backup --job home
	[[ $output == *"could not thaw"* ]]
}

@test "a hook that hangs is ended, with its children, and on_failure follows" {
	job "before = /bin/sh -c 'sleep 1000 & echo \$! >$hooks/child; echo waiting; wait'" \
		'hook_timeout = 1s' "on_failure = /usr/bin/touch $hooks/on_failure"
	start_agent
	run_job failed
	assert_json '.error.message | contains("was stopped after 1 s") and contains("waiting")'
	[ -e "$hooks/on_failure" ]
	wait_for gone "$(<"$hooks/child")"
}

gone() {
	! kill -0 "$1" 2>/dev/null || grep -q ') Z ' "/proc/$1/stat"
}

@test "a run is cancelled while its hook goes" {
	job "before = /bin/sh -c 'touch $hooks/begun; exec sleep 1000'" \
		"on_failure = /bin/sh -c 'echo \$HOLDFAST_OUTCOME >$hooks/on_failure'"
	start_agent
	api POST /v1/runs --json '{"job": "home"}'
	id=$(json .id)
	wait_for test -e "$hooks/begun"
	api DELETE "/v1/runs/$id"
	wait_run "$id" cancelled
	[[ $(<"$hooks/on_failure") == cancelled ]]
}

@test "a hook that is written wrong is told with file and line" {
	local line
	while IFS='|' read -r line text; do
		printf '[job home]\npath = %s\n%s\n' "$home" "$line" >"$BATS_TEST_TMPDIR/wrong.conf"
		run -2 offline --config "$BATS_TEST_TMPDIR/wrong.conf" config check
		[[ $output == *"wrong.conf:3: "*"$text"* ]] || fail "$line: $output"
	done <<-'END'
	before = bin/true|'before' of job 'home': program 'bin/true' is no absolute path
	after = /bin/echo 'x|'after' of job 'home': a ' has no end
	on_failure = /bin/x >/dev/null|'on_failure' of job 'home': '>' stands outside of quotes
	hook_timeout = 0s|'hook_timeout' must be between 1 and 604800 seconds
	END
}

# ---- notices

# notice NAME LINE...
notice() {
	{
		printf '[notice %s]\n' "$1"
		printf '%s\n' "${@:2}"
	} | agent_config
}

@test "a webhook hears of a failure, with what only its file knows" {
	start_receiver
	breakable_job
	printf 'Authorization: Bearer s3cret\n' >"$BATS_TEST_TMPDIR/fields"
	chmod 600 "$BATS_TEST_TMPDIR/fields"
	notice ops "webhook = http://$receiver/hook/T1?key=x" \
		"headers_file = $BATS_TEST_TMPDIR/fields"
	notice all 'on = success, failure' 'jobs = home' "command = /bin/sh -c 'cat >>$hooks/all'"
	start_agent
	run_job ok
	break_job
	run_job failed
	id=$(json .id)
	wait_for heard_is 'length == 1'
	# shellcheck disable=SC2016
	heard_is '.[0] | .method == "POST" and .url == "/hook/T1?key=x"
		and .headers.authorization == "Bearer s3cret"
		and .headers["content-type"] == "application/json"
		and (.headers["user-agent"] | startswith("holdfast/"))'
	jq -r '.body' "$heard/heard" | jq -e --arg id "$id" '.notice == "ops" and .kind == "failure"
		and .agent == "agent" and .job == "home" and .run.id == $id
		and .run.outcome == "failed" and (.run.error.message | length > 0)
		and (.text | startswith("agent: job home failed: ")) and .merged == 0'
	wait_for two_of_all
	jq -s -e 'map(.kind) == ["success", "failure"]' "$hooks/all"
	wait_for nothing_waits
	api GET /v1/notices
	assert_json '[.notices[] | select(.notice == "ops")] | length == 1
		and .[0].state == "sent" and .[0].said == "HTTP 200: status 200 "
		and .[0].tries == 1'
	assert_json '.targets | map([.name, .on]) ==
		[["ops", ["failure", "overdue", "recovery", "unproven"]], ["all", ["success", "failure"]]]'
	# Neither the token nor the rest of the address is anywhere to be seen.
	assert_json 'tostring | contains("s3cret") or contains("/hook") | not'
	run ! grep -q -e s3cret -e /hook/T1 "$(agent_log)"
}

two_of_all() {
	[[ -e $hooks/all ]] && [[ $(jq -s length "$hooks/all") == 2 ]]
}

nothing_waits() {
	api GET '/v1/notices?state=waiting' && [[ $(json '.notices | length') == 0 ]]
}

@test "a target that is down hears all in its order once it is back, also after a restart" {
	start_receiver
	stop_receiver
	breakable_job
	notice ops "webhook = http://$receiver/" 'on = success, failure' 'timeout = 5s'
	start_agent
	run_job ok
	wait_for has_tried
	api GET /v1/notices
	assert_json '.notices[0] | .state == "waiting" and (.error | contains("127.0.0.1"))
		and .next != null'
	break_job
	run_job failed
	stop_agent KILL
	start_receiver
	start_agent
	wait_for -t 60 heard_is 'map(.body | fromjson.kind) == ["success", "failure"]'
	wait_for nothing_waits
	# One line for all the tries in vain, and one for the end of them, if it was this process.
	[[ $(grep -c '"notice-not-sent"' "$(agent_log)") -le 2 ]]
}

has_tried() {
	api GET /v1/notices && [[ $(json '.notices[0].tries') -ge 1 ]]
}

@test "a target that refuses is told, and a redirection is not followed" {
	start_receiver
	job
	notice ops "webhook = http://$receiver/"
	start_agent
	echo 403 >"$heard/status"
	api POST /v1/notices/ops/test
	assert_problem 500 io "answered HTTP 403: status 403"
	echo 302 >"$heard/status"
	api POST /v1/notices/ops/test
	assert_problem 500 io "write the address that it leads to"
	echo 503 >"$heard/status"
	api POST /v1/notices/ops/test
	assert_problem 503 unavailable "answered HTTP 503"
	rm "$heard/status"
	api POST /v1/notices/ops/test
	assert_status 200
	assert_json '.notice == "ops" and .said == "HTTP 200: status 200 "
		and (.to | startswith("webhook http://127.0.0.1:"))'
	heard_is 'map(.url) | unique == ["/"]'
	stop_receiver
	api POST /v1/notices/ops/test
	assert_problem 503 unavailable "127.0.0.1"
	api POST /v1/notices/none/test
	assert_problem 404 not-found "no notice 'none'"
	api GET '/v1/notices?limit=2'
	assert_json '(.notices | map(.state)) == ["given-up", "sent"] and .next != null'
	api GET '/v1/notices?state=lost'
	assert_problem 400 bad-request "the states are waiting, sent and given-up"
	log_rows | jq -e '[.[] | select(.action == "TestNotice")] | length == 6
		and (map(.status) | sort | unique == ["ERROR", "SUCCESS"])'
}

@test "a certificate is checked, by the system's authorities or those that are named" {
	command -v node >/dev/null || skip "no node to receive notices with"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=receiver \
		-addext 'subjectAltName = IP:127.0.0.1' -keyout "$BATS_TEST_TMPDIR/key" \
		-out "$BATS_TEST_TMPDIR/certificate" 2>/dev/null
	start_receiver "$BATS_TEST_TMPDIR/certificate" "$BATS_TEST_TMPDIR/key"
	job
	notice system "webhook = https://$receiver/"
	notice named "webhook = https://$receiver/" "tls_ca = $BATS_TEST_TMPDIR/certificate"
	notice other "webhook = https://localhost:${receiver#*:}/" \
		"tls_ca = $BATS_TEST_TMPDIR/certificate"
	start_agent
	api POST /v1/notices/system/test
	assert_problem 500 io "certificate"
	api POST /v1/notices/other/test
	assert_problem 500 io "localhost"
	api POST /v1/notices/named/test
	assert_status 200
	heard_is 'length == 1'
}

@test "a watch is asked for at the start and the end of each backup" {
	start_receiver
	breakable_job
	notice watch "ping_start = http://$receiver/start" "ping_success = http://$receiver/ok" \
		"ping_fail = http://$receiver/fail"
	start_agent
	run_job ok
	wait_for heard_is 'length == 2'
	break_job
	run_job failed
	wait_for heard_is 'length == 4'
	heard_is 'map([.method, .url]) ==
		[["GET", "/start"], ["GET", "/ok"], ["GET", "/start"], ["GET", "/fail"]]'
}

@test "mail goes through sendmail, and a name in it is no field" {
	cat >"$hooks/sendmail" <<-END
	#!/bin/sh
	echo "\$*" >$hooks/arguments
	cat >$hooks/mail.new && mv $hooks/mail.new $hooks/mail
	END
	chmod +x "$hooks/sendmail"
	mkdir "$home/x"
	job "before = /bin/sh -c 'printf \"a\\nBcc: all@example.org\" >&2; exit 1'"
	notice post 'mail = ops@example.org, root' "sendmail = $hooks/sendmail" \
		'mail_from = holdfast@example.org'
	start_agent
	run_job failed
	wait_for test -e "$hooks/mail"
	[[ $(<"$hooks/arguments") == "-t -i" ]]
	grep -qx 'To: ops@example.org,' "$hooks/mail"
	grep -qx 'From: holdfast@example.org' "$hooks/mail"
	[[ $(sed '/^$/q' "$hooks/mail" | grep -c -i -e ^bcc -e '^subject: ') == 1 ]]
	sed '1,/^$/d' "$hooks/mail" | base64 -d | grep -q '"kind": "failure"'
	# It takes no mail: that is told, and tried again.
	printf '#!/bin/sh\necho no queue >&2\nexit 75\n' >"$hooks/sendmail"
	api POST /v1/notices/post/test
	assert_problem 500 io "ended with status 75: no queue"
}

@test "a run waits for nobody who is told of it" {
	job
	notice slow 'on = success' 'timeout = 60s' \
		"command = /bin/sh -c 'echo \$\$ >$hooks/pid; exec sleep 1000'"
	start_agent
	run_job ok
	run_job ok
	wait_for slow_is_asked
	wait_for test -s "$hooks/pid"
	# And neither does the end of the agent.
	stop_agent
	[[ $(agent_status) == 0 ]]
	wait_for gone "$(<"$hooks/pid")"
}

slow_is_asked() {
	api GET '/v1/notices?state=waiting' && [[ $(json '.notices | length') == 2 ]]
}

@test "a notice that is written wrong is told with file and line" {
	local line text
	: >"$BATS_TEST_TMPDIR/open"
	chmod 644 "$BATS_TEST_TMPDIR/open"
	while IFS='|' read -r line text; do
		printf '[job home]\npath = %s\n[notice ops]\n%b\n' "$home" "$line" \
			>"$BATS_TEST_TMPDIR/wrong.conf"
		run -2 offline --config "$BATS_TEST_TMPDIR/wrong.conf" config check
		[[ $output == *wrong.conf*"$text"* ]] || fail "$line: $output"
	done <<-END
	on = failure|:3: notice 'ops' has no way to tell
	webhook = http://a/\\nmail = ops|:3: notice 'ops' has more than one way to tell
	webhook = ftp://a/|:4: 'webhook' of notice 'ops' is no address of the web
	webhook = http://a b/|:4: 'webhook' of notice 'ops' is no address of the web
	webhook = https:///x|names no host
	webhook = https://user:pw@a/|has a user or password in it
	webhook = http://a/\\nheaders_file = /x|would cross the network readable
	webhook = https://a/\\nheaders_file = $BATS_TEST_TMPDIR/open|is open to others
	webhook = https://a/\\ntls_ca = /nowhere|could not read authorities '/nowhere'
	webhook = https://a/\\non = everything|:5: 'on' of notice 'ops' takes no 'everything'
	webhook = https://a/\\njobs = hime|there is no job 'hime' for notice 'ops'
	webhook = https://a/\\nsendmail = /bin/true|'sendmail' says nothing where notice 'ops' tells by webhook
	ping_fail = https://a/\\non = failure|'on' says nothing where notice 'ops' tells by ping_...
	mail = a b@example.org|'mail' of notice 'ops' is no mail address
	mail = -oQ/tmp|is no mail address
	mail = ops\\nsendmail = sendmail|'sendmail' takes an absolute path
	command = tell-ops|'command' of notice 'ops': program 'tell-ops' is no absolute path
	webook = x|did you mean 'webhook'
	mail = ops\\n[notice ops]\\nmail = ops|there is a notice 'ops' already
	mail = ops\\n[notice a/b]\\nmail = ops|'a/b' is no name of a notice
	END
}
