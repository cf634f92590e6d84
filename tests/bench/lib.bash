# shellcheck shell=bash disable=SC2154 # variables of run, lib.bash and programs.bash
#
# Timing, collecting and printing for tests/bench/run, which sets $work, $runs and $top.
#
# A sample is kept under "MEASURE/PROGRAM" of the current source; a row of the table is what
# add_row says, an aim what add_aim says.

declare -A samples=()   # measure/program -> numbers, separated by spaces
declare -a rows=()      # of the current source: "title|unit|measure"
declare -a aims=()      # of all sources: finished table lines

# To the person who waits; the tables alone go to stdout.
note() {
	printf 'bench: %s\n' "$*" >&2
}

bench_end() {
	fresh_target_remove
	chmod -R u+rwX "$work" 2>/dev/null || true
	rm -rf "$work"
}

# Start with a new source: nothing measured, no repositories.
bench_source() {
	source_folder=$1
	samples=()
	rows=()
	rm -rf "$work/repositories"
	mkdir -p "$work/repositories"
	source_files=$(find "$source_folder" -xdev | wc -l)
	source_bytes=$(du -sxb "$source_folder" | cut -f1)
	note "$source_folder: reading it once, so that all find it in memory"
	tar -C / -cf - ".$source_folder" 2>/dev/null | cat >/dev/null
}

add_sample() {
	samples[$1]="${samples[$1]:-}${samples[$1]:+ }$2"
}

add_row() {
	rows+=("$1|$2|$3")
}

# Numbers on stdin, a line each.
median() {
	sort -g | awk '{ v[NR] = $1 } END {
		if (NR == 0) exit 1
		print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# value MEASURE/PROGRAM: the median of its samples; fails if there are none.
value() {
	[[ -n ${samples[$1]:-} ]] || return 1
	tr ' ' '\n' <<<"${samples[$1]}" | median
}

# seconds BEGAN ENDED: between two values of ${EPOCHREALTIME/./}.
seconds() {
	awk "BEGIN { print ($2 - $1) / 1e6 }"
}

# measure_run MEASURE PROGRAM COMMAND...: run it; its seconds become a sample of MEASURE, its
# largest process' peak memory (KiB) one of MEASURE.memory.  Its output is shown if it fails.
# When it began is left in $began.
measure_run() {
	local measure=$1 program=$2 ended status=0
	shift 2
	sync
	# shellcheck disable=SC2163 # the name of a function
	export -f "$1"
	began=${EPOCHREALTIME/./}
	/usr/bin/time -o "$work/time" -f %M bash -c 'set -eo pipefail; "$@"' bash "$@" \
		>"$work/output" 2>&1 </dev/null || status=$?
	ended=${EPOCHREALTIME/./}
	if ((status != 0)); then
		note "$program failed with status $status at $measure: $*"
		cat "$work/output" >&2
		exit 1
	fi
	add_sample "$measure/$program" "$(seconds "$began" "$ended")"
	add_sample "$measure.memory/$program" "$(tail -n 1 "$work/time")"
}

# in_turn ROUND PROGRAM...: the programs in this round's order.
in_turn() {
	local shift_by=$(($1 % ($# - 1))) i
	shift
	for ((i = 0; i < $#; i++)); do
		echo "${@:(i + shift_by) % $# + 1:1}"
	done
}

# ---- a file system for each restore

target=
can_mount=no

# An empty ext4 mounted at $target.  Its inode tables are written at once: the kernel would else
# do that behind the measured program's back.
fresh_target_make() {
	local size
	fresh_target_remove
	target=$work/target
	mkdir -p "$target"
	if [[ $can_mount == yes ]]; then
		size=$((source_bytes * 2 + source_files * 8192 + (1 << 30)))
		truncate -s "$size" "$work/target.img"
		mkfs.ext4 -q -F -m 0 -i 8192 -E lazy_itable_init=0,lazy_journal_init=0 \
			"$work/target.img"
		mount -o loop,noatime "$work/target.img" "$target"
	fi
	sync
}

fresh_target_remove() {
	[[ -n $target ]] || return 0
	if mountpoint -q "$target"; then
		umount "$target"
	fi
	rm -rf "$target" "$work/target.img"
	target=
}

# Root in a container may still not be allowed to mount.
find_out_mount() {
	((EUID == 0)) || return 0
	mkdir -p "$work/probe"
	truncate -s 16M "$work/probe.img"
	mkfs.ext4 -q -F "$work/probe.img"
	if mount -o loop "$work/probe.img" "$work/probe" 2>/dev/null; then
		umount "$work/probe"
		can_mount=yes
	fi
	rm -rf "$work/probe" "$work/probe.img"
}

# ---- tables

format_value() {
	local value=$1 unit=$2
	case $unit in
	s) awk "BEGIN { printf \"%.2f s\", $value }" ;;
	MB) awk "BEGIN { printf \"%.1f MB\", $value / 1e6 }" ;;
	MiB) awk "BEGIN { printf \"%.0f MiB\", $value / 1024 }" ;;
	esac
}

print_machine() {
	local cpu
	cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	find_out_mount
	printf '## Measured %s\n\n' "$(date -u +'%F %H:%M UTC')"
	printf -- '- machine: %s cores (%s), %s MiB of memory, Linux %s, work folder on %s\n' \
		"$(nproc)" "${cpu:-unknown}" "$(free -m | awk '/^Mem:/ { print $2 }')" \
		"$(uname -r)" "$(stat -f -c %T "$work")"
	printf -- '- programs: %s\n' "$(programs_versions)"
	printf -- '- medians of %s rounds; in brackets: least to most; x: ratio to holdfast\n' "$runs"
	if [[ $can_mount == yes ]]; then
		printf -- '- restores go to a fresh ext4 in a loop file\n'
	else
		printf -- '- restores go to an emptied folder: no loop file could be mounted here\n'
	fi
}

print_source() {
	local row title unit measure program cell own range
	printf '\n### %s: %s paths, %s\n\n' "$source_folder" "$source_files" \
		"$(format_value "$source_bytes" MB)"
	printf '| what |'
	printf ' %s |' "${programs[@]/%tar/tar, zstd}" 'find -printf'
	printf '\n| --- |'
	printf -- ' --- |%.0s' "${programs[@]}" find
	printf '\n'
	for row in "${rows[@]}"; do
		IFS='|' read -r title unit measure <<<"$row"
		printf '| %s |' "$title"
		own=$(value "$measure/holdfast")
		for program in "${programs[@]}" find; do
			if ! cell=$(value "$measure/$program"); then
				printf ' |'
				continue
			fi
			range=$(tr ' ' '\n' <<<"${samples[$measure/$program]}" | sort -g |
				sed -n '1p;$p' | while read -r v; do format_value "$v" "$unit"; echo; done |
				paste -sd: | sed 's/ [a-zA-Z]*:/ to /')
			printf ' %s' "$(format_value "$cell" "$unit")"
			[[ $unit != s ]] || printf ' (%s)' "$range"
			[[ $program == holdfast ]] ||
				awk "BEGIN { printf \", %.2f x\", $cell / $own }"
			printf ' |'
		done
		printf '\n'
	done
}

# add_aim TEXT LIMIT MEASURE/PROGRAM MEASURE/PROGRAM: the first is to be at most LIMIT times the
# second.
add_aim() {
	local own other
	own=$(value "$3") && other=$(value "$4") || return 0
	aims+=("$(awk "BEGIN {
		ratio = $own / $other
		printf \"| %s | %s | at most %s | %.3f | %s |\", \"$source_folder\", \"$1\", \"$2\",
		    ratio, ratio <= $2 ? \"met\" : \"missed\" }")")
}

print_aims() {
	((${#aims[@]} > 0)) || return 0
	printf '\n### Against the aims\n\n'
	printf '| source | what | aim | measured | |\n| --- | --- | --- | --- | --- |\n'
	printf '%s\n' "${aims[@]}"
}
