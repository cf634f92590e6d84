# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# Timing, collecting and printing for tests/bench/run, which sets $work, $rounds and $top.
#
# A sample is kept under "MEASURE/PROGRAM" of the current source; a row of the table is what
# add_row says, an aim what add_aim says.

source_folder=          # what is backed up now, and
source_name=            # what to call it
declare -A samples=()   # measure/program -> numbers, separated by spaces
declare -a rows=()      # of the current measure: "title|unit|measure"
declare -a aims=()      # of the current measure: finished table lines
declare -a remarks=()   # of the current measure: sentences
declare -a missed=()    # of all measures

# To the person who waits; the tables alone go to stdout.
note() {
	printf 'bench: %s\n' "$*" >&2
}

bench_end() {
	fresh_target_remove
	tables_server_end
	chmod -R u+rwX "$work" 2>/dev/null || true
	rm -rf "$work"
}

# bench_source FOLDER [NAME]: start with a new source: nothing measured, no repositories.
bench_source() {
	source_folder=$1
	source_name=${2:-$1}
	samples=()
	rm -rf "$work/repositories"
	mkdir -p "$work/repositories"
	count_source
}

count_source() {
	source_files=$(find "$source_folder" -xdev | wc -l)
	source_bytes=$(du -sxb "$source_folder" | cut -f1)
}

# warm PATH...: have the files in the page cache.
warm() {
	tar -C / -cf - "$@" 2>/dev/null | cat >/dev/null || true
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
# largest process' peak memory (KiB) one of MEASURE.memory, the bytes that it and its children
# read one of MEASURE.read.  Its output is left in $work/output, and shown if it fails.  When it
# began is left in $began.
measure_run() {
	local measure=$1 program=$2 ended status=0
	shift 2
	# shellcheck disable=SC2163 # the name of a function
	export -f "$1"
	sync
	began=${EPOCHREALTIME/./}
	# shellcheck disable=SC2016 # expanded there
	/usr/bin/time -o "$work/time" -f '%e %U %S %M' bash -c 'set -eo pipefail; "$@"; cp /proc/$$/io "$work/io"' \
		bash "$@" >"$work/output" 2>&1 </dev/null || status=$?
	ended=${EPOCHREALTIME/./}
	if ((status != 0)); then
		note "$program failed with status $status at $measure: $*"
		cat "$work/output" >&2
		exit 1
	fi
	add_sample "$measure/$program" "$(seconds "$began" "$ended")"
	add_sample "$measure.memory/$program" "$(sed -n '$s/.* //p' "$work/time")"
	add_sample "$measure.read/$program" "$(sed -n 's/^rchar: //p' "$work/io")"
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
	us) awk "BEGIN { printf \"%.0f us\", $value * 1000000 }" ;;
	ms) awk "BEGIN { printf \"%.1f ms\", $value * 1000 }" ;;
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
	printf -- '- medians; in brackets: least to most; x: ratio to holdfast\n'
	if [[ $can_mount == yes ]]; then
		printf -- '- restores go to a fresh ext4 in a loop file\n'
	else
		printf -- '- restores go to an emptied folder: no loop file could be mounted here\n'
	fi
}

# The programs that have a value in any of the rows.
columns() {
	local program row
	for program in "${programs[@]}" mydumper dump load-data mariadb-import find; do
		for row in "${rows[@]}"; do
			if [[ -n ${samples[${row##*|}/$program]:-} ]]; then
				echo "$program"
				break
			fi
		done
	done
}

print_cell() {
	local measure=$1 program=$2 unit=$3 own=$4 cell range
	cell=$(value "$measure/$program") || return 0
	format_value "$cell" "$unit"
	if [[ $unit == *s && ${samples[$measure/$program]} == *' '* ]]; then
		range=$(tr ' ' '\n' <<<"${samples[$measure/$program]}" | sort -g | sed -n '1p;$p' |
			while read -r v; do format_value "$v" "$unit" && echo; done |
			paste -sd: | sed 's/ [a-zA-Z]*:/ to /')
		printf ' (%s)' "$range"
	fi
	[[ $program == holdfast || -z $own ]] || awk "BEGIN { if ($own > 0) printf \", %.2f x\", $cell / $own }"
}

print_rows() {
	local row title unit measure program own
	local -a shown
	readarray -t shown < <(columns)
	printf '| what |'
	printf ' %s |' "${shown[@]}" | sed 's/ tar / tar, zstd /; s/ find / find -printf /; s/ dump / mariadb-dump /
		s/ load-data / LOAD DATA LOCAL /'
	printf '\n| --- |'
	printf -- ' --- |%.0s' "${shown[@]}"
	printf '\n'
	for row in "${rows[@]}"; do
		IFS='|' read -r title unit measure <<<"$row"
		printf '| %s |' "$title"
		own=$(value "$measure/holdfast") || own=
		for program in "${shown[@]}"; do
			printf ' %s |' "$(print_cell "$measure" "$program" "$unit" "$own")"
		done
		printf '\n'
	done
}

# print_measure NAME: what was added for it, and begin anew.
print_measure() {
	printf '\n### %s: %s, %s paths, %s; rounds: %s\n\n' "$1" "$source_name" \
		"$source_files" "$(format_value "$source_bytes" MB)" "$rounds"
	((${#rows[@]} == 0)) || print_rows
	if ((${#aims[@]} > 0)); then
		printf '\n| aim | at most | measured | |\n| --- | --- | --- | --- |\n'
		printf '%s\n' "${aims[@]}"
	fi
	((${#remarks[@]} == 0)) || printf '\n%s\n' "${remarks[@]}"
	rows=() aims=() remarks=()
}

# add_remark TEXT: a sentence below the table.
add_remark() {
	remarks+=("$*")
}

# add_limit TEXT LIMIT MEASURE/PROGRAM [UNIT]: it is to be at most LIMIT.
add_limit() {
	local own line
	own=$(value "$3") || return 0
	line=$(awk "BEGIN { printf \"| %s | %s | %.6g | %s |\", \"$1\", \"$2${4:+ $4}\", $own,
		$own <= $2 ? \"met\" : \"missed\" }")
	aims+=("$line")
	[[ $line != *missed* ]] || missed+=("${line% missed |}")
}

# add_aim TEXT LIMIT MEASURE/PROGRAM MEASURE/PROGRAM: the first is to be at most LIMIT times the
# second.
add_aim() {
	local own other
	own=$(value "$3") && other=$(value "$4") || return 0
	samples[ratio/ratio]=$(awk "BEGIN { print $own / $other }")
	add_limit "$1" "$2" ratio/ratio
	unset 'samples[ratio/ratio]'
}

print_missed() {
	((${#missed[@]} > 0)) || return 0
	printf '\n### Missed\n\n| aim | at most | measured |\n| --- | --- | --- |\n'
	printf '%s\n' "${missed[@]}"
}
