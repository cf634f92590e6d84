# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# Peak resident memory of the largest process while it backs up: 64 MiB and 48 bytes a blob is the
# aim.

measure_memory() {
	local own blobs limit
	need_repositories
	if [[ -n ${samples[first.memory/holdfast]:-} ]]; then
		add_row "peak memory, first backup" MiB first.memory
		own=$(value first.memory/holdfast)
	else
		add_row "peak memory, first backup" MiB unmeasured.memory
		own=$(value unmeasured.memory/holdfast)
	fi
	if [[ -n ${samples[unchanged.memory/holdfast]:-} ]]; then
		add_row "peak memory, unchanged backup" MiB unchanged.memory
	fi
	if [[ -n ${samples[restore.memory/holdfast]:-} ]]; then
		add_row "peak memory, restore" MiB restore.memory
	fi
	blobs=$("$HOLDFASTD" --repository "$(repository_of holdfast)" \
		--state "$(repository_of holdfast).state" check --json | jq -e .result.blobs)
	limit=$(awk "BEGIN { print 64 * 1024 + 48 * $blobs / 1024 }")
	add_sample memory.limit/holdfast "$limit"
	add_sample memory.own/holdfast "$own"
	add_aim "peak memory / (64 MiB + 48 bytes x $blobs blobs)" 1 memory.own/holdfast \
		memory.limit/holdfast
}
