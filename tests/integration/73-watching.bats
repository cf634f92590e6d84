#!/usr/bin/env bats
#
# Who watches the agent from outside sees what it is: figures for Prometheus, readiness with
# reasons, alerts, a log that systemd's journal can be asked of.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup() {
	SOURCE=$BATS_TEST_TMPDIR/source
	make_small_tree "$SOURCE"
	disk=
}

teardown() {
	end_agents || failed=1
	end_mariadb
	[[ -z $disk ]] || ! mountpoint -q "$disk" || umount "$disk"
	[[ -z ${failed:-} ]]
}

# Debian's, from the package "prometheus"; ./bootstrap test brings it.
need_promtool() {
	promtool=$(type -P promtool || echo "$HOLDFAST_BUILD/tests/prometheus/promtool")
	[[ -x $promtool ]] || skip "there is no promtool"
}

# An agent whose root may not read and write what modes forbid: so backups have losses, and fail.
start_bounded_agent() {
	local real=$HOLDFASTD
	[[ $(id -u) == 0 ]] || skip "needs root"
	cat >"$BATS_TEST_TMPDIR/holdfastd" <<-END
	#!/bin/sh
	exec setpriv --bounding-set -dac_override,-dac_read_search \
		--inh-caps -dac_override,-dac_read_search "$real" "\$@"
	END
	chmod +x "$BATS_TEST_TMPDIR/holdfastd"
	HOLDFASTD=$BATS_TEST_TMPDIR/holdfastd
	start_agent
	HOLDFASTD=$real
}

# run_job NAME OUTCOME
run_job() {
	api POST /v1/runs --json "{\"job\": \"$1\"}"
	assert_status 202
	wait_run "$(json .id)" "$2"
}

# The value of a series, as it stands in the text; "" if there is none.
metric() {
	api GET /metrics
	assert_status 200
	awk -v series="$1" '{ n = length($0) - length($NF) - 1 }
		substr($0, 1, n) == series { print $NF }' "$API_BODY"
}

metric_is() {
	[[ $(metric "$1") == "$2" ]]
}

metric_is_above() {
	local value
	value=$(metric "$1")
	awk -v value="${value:-0}" -v bound="$2" 'BEGIN { exit !(value + 0 > bound + 0) }'
}

# ready_is CODE [REASON]: and if not ready, for this reason among others.
ready_is() {
	api GET /readyz
	[[ $API_STATUS == "$1" ]] || return 1
	[[ -z ${2:-} ]] || assert_json ".reasons | index(\"$2\") != null"
}

@test "every metric is there after a good, a warned and a failed run" {
	mkdir -p "$SOURCE.warned/locked" "$SOURCE.failed"
	echo x >"$SOURCE.warned/file"
	chmod 0000 "$SOURCE.warned/locked"
	agent_config <<-END
	[job good]
	path = $SOURCE
	schedule = 0 3 * * *
	[job warned]
	path = $SOURCE.warned
	[job failed]
	path = $SOURCE.failed
	END
	start_bounded_agent
	run_job good ok
	run_job warned warn
	chmod 0500 "$REPOSITORY/packs" "$REPOSITORY/claims" "$REPOSITORY/tmp" "$REPOSITORY"
	echo new >"$SOURCE.failed/file"
	run_job failed failed
	chmod 0700 "$REPOSITORY/packs" "$REPOSITORY/claims" "$REPOSITORY/tmp" "$REPOSITORY"

	wait_for metric_is 'holdfast_job_last_outcome{job_name="failed",outcome="failed"}' 1
	metric_is 'holdfast_job_last_outcome{job_name="failed",outcome="ok"}' 0
	metric_is 'holdfast_job_last_outcome{job_name="warned",outcome="warn"}' 1
	metric_is 'holdfast_job_last_outcome{job_name="warned",outcome="ok"}' 0
	metric_is 'holdfast_job_last_outcome{job_name="good",outcome="ok"}' 1
	metric_is 'holdfast_job_last_success_timestamp_seconds{job_name="failed"}' 0
	metric_is_above 'holdfast_job_last_success_timestamp_seconds{job_name="warned"}' 1700000000
	metric_is_above 'holdfast_job_last_success_timestamp_seconds{job_name="good"}' 1700000000
	metric_is_above 'holdfast_job_last_finish_timestamp_seconds{job_name="failed"}' 1700000000
	metric_is_above 'holdfast_job_next_start_timestamp_seconds{job_name="good"}' "$(date +%s)"
	metric_is 'holdfast_job_next_start_timestamp_seconds{job_name="failed"}' 0
	metric_is 'holdfast_job_last_files{job_name="good"}' 6
	metric_is_above 'holdfast_job_last_size_bytes{job_name="good"}' 3000000
	metric_is_above 'holdfast_job_last_added_bytes{job_name="good"}' 3000000
	metric_is 'holdfast_runs_total{kind="backup",outcome="ok"}' 1
	metric_is 'holdfast_runs_total{kind="backup",outcome="warn"}' 1
	metric_is 'holdfast_runs_total{kind="backup",outcome="failed"}' 1
	metric_is 'holdfast_runs_total{kind="backup",outcome="aborted"}' 0
	metric_is holdfast_jobs 3
	wait_for metric_is holdfast_repository_snapshots 2
	wait_for metric_is_above holdfast_repository_size_bytes 3000000
	metric_is_above holdfast_repository_capacity_bytes "$(metric holdfast_repository_free_bytes)"

	# The agent's own log tells each once, with the job's name.
	for name in good:ok warned:warn failed:failed; do
		[ "$(grep -c "\"event\":\"run-ended\".*\"job\":\"${name%:*}\",\"outcome\":\"${name#*:}\"" \
			"$(agent_log)")" = 1 ]
	done
	[ "$(grep -c '"event":"run-started".*"job":"failed"' "$(agent_log)")" = 1 ]

	# All but those of a central log, which is not configured; each with help and type.
	api GET /metrics
	for name in $(sed -n 's/^# HELP \([a-z_]*\) .*/\1/p' "$API_BODY"); do
		grep -q "^# TYPE $name \(gauge\|counter\)$" "$API_BODY"
		grep -q "^${name}[ {]" "$API_BODY" || fail "$name has no series"
	done
	[ "$(grep -c '^# HELP' "$API_BODY")" -ge 30 ]
}

@test "promtool finds nothing to say about the metrics" {
	need_promtool
	printf '[job good]\npath = %s\n' "$SOURCE" | agent_config
	start_agent
	run_job good ok
	api GET /metrics
	run "$promtool" check metrics <"$API_BODY"
	[ "$status" -eq 0 ] || fail "$output"
	[ -z "$output" ] || fail "$output"
}

@test "the manual page tells every metric" {
	printf '[job good]\npath = %s\n' "$SOURCE" | agent_config
	start_agent
	api GET /metrics
	for name in $(sed -n 's/^# HELP \([a-z_]*\) .*/\1/p' "$API_BODY"); do
		grep -qx "\.It Li $name" "$HOLDFAST_TOP/agent/holdfastd.8" || fail "missing: $name"
	done
}

@test "metrics need a token of any role, come by HEAD too, and take no parameters" {
	start_agent
	api GET /metrics -H Authorization:
	assert_problem 401 unauthorized
	token=$(offline token add prometheus --role read)
	api GET /metrics -H "Authorization: Bearer $token"
	assert_status 200
	assert_header Content-Type '^text/plain; version=0\.0\.4; charset=utf-8$'
	api HEAD /metrics
	assert_status 200
	assert_header Content-Length '^[1-9]'
	api GET '/metrics?x=1'
	assert_problem 400 bad-request
	# A poll is no action; only what was refused is in the log.
	[ "$(log_rows '[.[] | select(.command | startswith("GET /metrics")) | .status] | join(" ")')" = \
		'"ERROR"' ]
}

@test "requests are counted by method, status and reason of refusal" {
	start_agent
	api GET /nowhere
	assert_status 404
	api GET /v1/status -H Authorization:
	assert_status 401
	api GET /v1/status -H Authorization:
	api DELETE /v1/runs/00000000
	assert_status 404
	wait_for metric_is 'holdfast_http_refused_requests_total{reason="unauthorized"}' 2
	metric_is 'holdfast_http_refused_requests_total{reason="not-found"}' 1
	metric_is 'holdfast_http_requests_total{method="DELETE",status="4xx"}' 1
	metric_is_above 'holdfast_http_requests_total{method="GET",status="2xx"}' 0
	metric_is 'holdfast_http_requests_total{method="PUT",status="2xx"}' 0
}

rests_within() {
	(($(metric holdfast_resident_memory_bytes) <= $1))
}

@test "an agent at rest has at most 12 MiB resident, after a backup too" {
	! ldd "$HOLDFASTD" | grep -q 'lib[at]san' || skip "a sanitizer's memory is in the way"
	start_agent
	wait_for rests_within $((12 << 20))
	api POST /backup -d path_to_folder=/usr/share/doc
	assert_status 201
	wait_for rests_within $((12 << 20))
}

@test "an agent whose repository is gone is alive but not ready" {
	start_agent
	ready_is 200
	mv "$REPOSITORY/keys" "$REPOSITORY/keys.away"
	wait_for ready_is 503 'the repository cannot be read'
	assert_problem 503 unavailable 'the repository cannot be read'
	assert_header Retry-After '^[0-9]+$'
	# Nobody has to say who he is: no names of files.
	run grep -F "$REPOSITORY" "$API_BODY"
	[ "$status" -ne 0 ]
	api GET /livez -H Authorization:
	assert_status 200
	mv "$REPOSITORY/keys.away" "$REPOSITORY/keys"
	wait_for ready_is 200
	# Our own log has it, and once, however often somebody asked.
	[ "$(grep -c '"event":"not-ready".*'"$REPOSITORY" "$(agent_log)")" = 1 ]
	[ "$(grep -c '"event":"ready-again"' "$(agent_log)")" = 1 ]
}

@test "an agent whose state folder is full is not ready, until there is room" {
	disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk"
	mount -t tmpfs -o size=4m,mode=0700 holdfast-test "$disk" ||
		{ disk='' && skip "a tmpfs cannot be mounted here"; }
	# shellcheck disable=SC2034 # of lib/agent
	STATE=$disk/state
	start_agent
	dd if=/dev/zero of="$disk/filler" bs=4096 2>/dev/null || true
	wait_for ready_is 503 'the state database takes no writes'
	rm "$disk/filler"
	wait_for ready_is 200
}

@test "MariaDB away and back: readiness, metrics, and no request that waits" {
	start_mariadb
	{
		mariadb_config log database
		printf '[log]\nconnect_timeout = 2s\ntimeout = 5s\n'
	} | agent_config
	start_agent
	wait_for metric_is holdfast_central_log_up 1
	wait_for ready_is 200
	stop_mariadb
	# Something to ship.
	api GET /logs
	assert_status 200
	wait_for ready_is 503 'the central log takes no rows'
	wait_for metric_is holdfast_central_log_up 0
	wait_for metric_is_above holdfast_log_waiting_rows 0
	wait_for metric_is_above holdfast_log_waiting_age_seconds 0
	start_mariadb
	wait_for ready_is 200
	wait_for metric_is holdfast_log_waiting_rows 0
	metric_is holdfast_log_waiting_age_seconds 0
	metric_is holdfast_central_log_up 1
}

database_note() {
	ready_is 200 && grep -q '^note: 1 server of \[database\] cannot be used; ' "$API_BODY"
}

@test "a database that is away is told of, and does not make the agent unready" {
	start_mariadb
	mariadb_config database | agent_config
	stop_mariadb
	start_agent
	wait_for database_note
	start_mariadb
	wait_for -t 60 eval 'ready_is 200 && ! database_note'
}

@test "the alert rules are as promtool wants them, and fire when they should" {
	need_promtool
	"$promtool" check rules "$HOLDFAST_TOP/agent/holdfast.rules.yml"
	"$promtool" test rules "$HOLDFAST_TOP"/tests/data/alerts/*.test.yml
}

@test "each metric of an alert is one that the agent has" {
	{
		printf '[log]\nhosts = 127.0.0.1:1\n'
		printf '[job good]\npath = %s\n' "$SOURCE"
	} | agent_config
	start_agent
	api GET /metrics
	for name in $(grep '^ *expr:' "$HOLDFAST_TOP/agent/holdfast.rules.yml" |
		grep -o 'holdfast_[a-z_]*' | sort -u); do
		grep -q "^${name}[ {]" "$API_BODY" || fail "the agent has no $name"
	done
}

@test "systemd finds no fault in the unit" {
	command -v systemd-analyze >/dev/null || skip "there is no systemd-analyze"
	unit=$BATS_TEST_TMPDIR/holdfastd.service
	sed -n '/^ExecStart=/p' "$HOLDFAST_BUILD/agent/holdfastd.service" |
		grep -qx 'ExecStart=/.*/holdfastd'
	# Where it will be installed there is nothing yet; nor need there be a manual page.
	sed "s|^ExecStart=.*|ExecStart=$HOLDFASTD|; /^Documentation=/d" \
		"$HOLDFAST_BUILD/agent/holdfastd.service" >"$unit"
	run systemd-analyze verify "$unit"
	[ "$status" -eq 0 ] || fail "$output"
	[ -z "$(grep holdfastd.service <<<"$output")" ] || fail "$output"
}

@test "the journal gets the agent's log with fields" {
	journald=/lib/systemd/systemd-journald
	[[ -x $journald ]] && command -v journalctl >/dev/null || skip "there is no journal"
	unshare -m true 2>/dev/null || skip "no name space can be made here"
	# A journal of its own, below a /run of its own.
	cat >"$BATS_TEST_TMPDIR/inside" <<-'END'
	set -eu
	mount -t tmpfs journal /run
	mkdir -p /run/log/journal /run/systemd/journal
	"$journald" >/dev/null 2>&1 &
	journal=$!
	trap 'kill $journal; wait $journal || true' EXIT
	for _ in $(seq 200); do [ -S /run/systemd/journal/socket ] && break; sleep 0.05; done
	exec 9>"$folder/stderr"
	export JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/9)"
	"$HOLDFASTD" --config /dev/null --listen "unix:$folder/s" --repository "$folder/r" \
		--state "$folder/st" 2>&9 &
	agent=$!
	for _ in $(seq 200); do [ -S "$folder/s" ] && break; sleep 0.05; done
	curl -sS --unix-socket "$folder/s" -d "path_to_folder=$SOURCE" http://x/backup >/dev/null
	kill -TERM $agent
	wait $agent
	for _ in $(seq 200); do
		journalctl -D /run/log/journal -o json HOLDFAST_EVENT=stopped >"$folder/stopped"
		[ -s "$folder/stopped" ] && break
		sleep 0.05
	done
	journalctl -D /run/log/journal -o json SYSLOG_IDENTIFIER=holdfastd >"$folder/entries"
	END
	journald=$journald HOLDFASTD=$HOLDFASTD SOURCE=$SOURCE folder=$BATS_TEST_TMPDIR/agent \
		unshare -m bash "$BATS_TEST_TMPDIR/inside" 3>&- || fail "$(cat "$BATS_TEST_TMPDIR/agent/stderr")"
	entries=$BATS_TEST_TMPDIR/agent/entries
	[ "$(jq -s '[.[] | select(.HOLDFAST_EVENT == "started")] | length' "$entries")" = 1 ]
	jq -s -e '[.[] | select(.HOLDFAST_EVENT == "run-ended")] | length == 1 and
		(.[0] | .PRIORITY == "6" and .HOLDFAST_OUTCOME == "ok" and (.HOLDFAST_RUN | length) == 32
			and (.MESSAGE | startswith("run-ended: ") and contains("outcome=ok")))' "$entries"
	# Nothing of it a second time, as a line.
	[ "$(grep -c '"event"' "$BATS_TEST_TMPDIR/agent/stderr")" = 0 ]
}
