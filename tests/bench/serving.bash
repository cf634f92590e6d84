# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# What watching costs: requests a second that one client gets out of an agent at rest and of one
# that is backing up (wrk, 32 connections), the slowest hundredth of them, and the agent's resident
# memory at rest.  5,000 a second are the aim, so 0.2 ms for each.

SERVING_SECONDS=${SERVING_SECONDS:-5}

serving_serve() {
	exec "$HOLDFASTD" --config /dev/null --state "$work/serving.state" \
		--repository "$work/repositories/serving" --listen "127.0.0.1:$serving_port" \
		>"$work/serving.output" 2>&1 </dev/null
}

serving_get() {
	curl -sSf --max-time 20 -H "Authorization: Bearer $(<"$work/serving.state/token")" \
		"${@:2}" "http://127.0.0.1:$serving_port$1"
}

serving_wait() {
	local until=$((SECONDS + 60))
	until "$@" >/dev/null 2>&1; do
		((SECONDS < until)) || { cat "$work/serving.output" >&2 && exit 1; }
		sleep 0.05
	done
}

# Processor time of a process so far, in seconds.
serving_processor() {
	awk -v hertz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hertz }' "/proc/$1/stat"
}

# serving_wrk PATH MEASURE AGENT: a sample of seconds for a request, of the slowest hundredth, and
# of the agent's processor time for one.
serving_wrk() {
	local before
	before=$(serving_processor "$3")
	wrk -t1 -c32 -d"${SERVING_SECONDS}s" --latency \
		-H "Authorization: Bearer $(<"$work/serving.state/token")" \
		"http://127.0.0.1:$serving_port$1" >"$work/output"
	! grep -q 'Non-2xx\|Socket errors' "$work/output" || { cat "$work/output" >&2 && exit 1; }
	add_sample "$2.processor/holdfast" "$(awk -v before="$before" -v after="$(serving_processor "$3")" \
		'$2 == "requests" { print (after - before) / $1 }' "$work/output")"
	add_sample "$2/holdfast" "$(awk '/^Requests\/sec:/ { print 1 / $2 }' "$work/output")"
	add_sample "$2.slow/holdfast" "$(awk '$1 == "99%" { v = $2 + 0
		if ($2 ~ /us$/) v /= 1e6; else if ($2 ~ /ms$/) v /= 1e3
		print v }' "$work/output")"
}

serving_resident() {
	awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"
}

# The run's state; a backup that has ended is started again, with nothing known of before.
serving_keep_busy() {
	local id
	while :; do
		id=$(serving_get /v1/runs --json \
			"{\"kind\": \"backup\", \"arguments\": {\"path\": \"$source_folder\", \"force\": true}}" |
			jq -r .id)
		until serving_get "/v1/runs/$id" | jq -e '.outcome != null' >/dev/null; do
			sleep 0.1
		done
	done
}

serving_round() {
	local agent busy path
	rm -rf "$work/serving.state" "$work/repositories/serving"
	serving_port=$((10000 + RANDOM % 20000))
	serving_serve &
	agent=$!
	serving_wait test -s "$work/serving.state/token"
	serving_wait serving_get /livez
	# At rest is two seconds after the start, or after a run.
	sleep 4
	add_sample serving.memory/holdfast "$(serving_resident "$agent")"
	for path in /v1/status /metrics; do
		serving_wrk "$path" "serving$path" "$agent"
	done
	serving_keep_busy >/dev/null 2>&1 &
	busy=$!
	serving_wait eval 'serving_get /v1/status | jq -e ".runs.running > 0"'
	for path in /v1/status /metrics; do
		serving_wrk "$path" "serving.busy$path" "$agent"
	done
	kill "$busy"
	wait "$busy" || true
	serving_get /v1/runs | jq -r '.runs[] | select(.outcome == null).id' | while read -r id; do
		serving_get "/v1/runs/$id" -X DELETE >/dev/null || true
	done
	serving_wait eval 'serving_get /v1/status | jq -e ".runs.running == 0"'
	sleep 4
	add_sample serving.after/holdfast "$(serving_resident "$agent")"
	kill "$agent"
	wait "$agent" || true
}

measure_serving() {
	local round path
	bench_source "${data[0]}"
	for ((round = 0; round < rounds; round++)); do
		serving_round
	done
	add_row "resident memory at rest" MiB serving.memory
	add_row "resident memory at rest, after a backup" MiB serving.after
	add_limit "resident memory at rest" 12288 serving.memory/holdfast KiB
	add_limit "resident memory at rest, after a backup" 12288 serving.after/holdfast KiB
	for path in /v1/status /metrics; do
		add_row "GET $path, each, agent at rest" us "serving$path"
		add_row "GET $path, processor time of each, agent at rest" us "serving$path.processor"
		add_row "GET $path, each, while it backs up" us "serving.busy$path"
		add_row "GET $path, slowest hundredth, while it backs up" us "serving.busy$path.slow"
		add_limit "GET $path, processor time of each" 0.0002 "serving$path.processor/holdfast" s
		add_limit "GET $path, each, while it backs up" 0.0002 "serving.busy$path/holdfast" s
	done
	rm -rf "$work/serving.state" "$work/repositories/serving"
}
