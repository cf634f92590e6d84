# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# How long a person waits, from a cold process, with the page cache warm and (as root) cold:
# opening a repository of a million files, listing 1,000 snapshots, listing a folder of a snapshot.
# restic has 30 snapshots to list: making a thousand would take it a quarter of an hour.

LATENCY_SNAPSHOTS=${LATENCY_SNAPSHOTS:-1000}

# quick MEASURE PROGRAM COMMAND...: seconds of a single process; nothing but it is started.
quick() {
	local measure=$1 program=$2 ended
	shift 2
	began=${EPOCHREALTIME/./}
	"$@" >"$work/output" 2>&1 </dev/null || { cat "$work/output" >&2 && exit 1; }
	ended=${EPOCHREALTIME/./}
	add_sample "$measure/$program" "$(seconds "$began" "$ended")"
}

drop_caches() {
	sync
	echo 3 2>/dev/null >/proc/sys/vm/drop_caches
}

# latency MEASURE PROGRAM COMMAND...: warm and cold.
latency() {
	local measure=$1 program=$2 round
	shift 2
	"$@" >/dev/null
	for ((round = 0; round < rounds; round++)); do
		quick "$measure" "$program" "$@"
	done
	for ((round = 0; round < rounds; round++)); do
		drop_caches || return 0
		quick "$measure.cold" "$program" "$@"
	done
}

hold() {
	"$HOLDFASTD" --repository "$1" --state "$1.state" "${@:2}"
}

# Many snapshots of one small folder.
make_snapshots() {
	local repository=$1 i
	mkdir -p "$work/little"
	echo text >"$work/little/file"
	hold "$repository" init >/dev/null
	for ((i = 0; i < LATENCY_SNAPSHOTS; i++)); do
		hold "$repository" backup "$work/little" >/dev/null
	done
	restic -q --repo "$repository.restic" init
	for ((i = 0; i < 30; i++)); do
		restic -q --repo "$repository.restic" backup "$work/little"
	done
}

add_latency() {
	add_row "$1" ms "$2"
	add_row "$1, cold cache" ms "$2.cold"
	add_limit "$1" 0.05 "$2/holdfast" s
	add_limit "$1, cold cache" 0.05 "$2.cold/holdfast" s
}

measure_latency() {
	local many folder thousand=$work/repositories/thousand chosen=$work/repositories/chosen
	need_many
	many=$(repository_of holdfast)
	folder=$(printf '%s/%04d' "$source_folder" $((MANY_FOLDERS / 2)))
	make_snapshots "$thousand"
	echo "a passphrase that somebody chose" >"$work/passphrase"
	chmod 0600 "$work/passphrase"
	"$HOLDFASTD" --repository "$chosen" --state "$chosen.state" --passphrase-file \
		"$work/passphrase" init >/dev/null
	latency open holdfast "$HOLDFASTD" --repository "$many" --state "$many.state" snapshots
	latency open restic restic -q --repo "$(repository_of restic)" snapshots
	latency chosen holdfast "$HOLDFASTD" --repository "$chosen" --state "$chosen.state" \
		--passphrase-file "$work/passphrase" snapshots
	latency thousand holdfast "$HOLDFASTD" --repository "$thousand" --state "$thousand.state" \
		snapshots
	latency thousand restic restic -q --repo "$thousand.restic" snapshots
	latency folder holdfast "$HOLDFASTD" --repository "$many" --state "$many.state" ls latest \
		"$folder"
	latency folder restic restic -q --repo "$(repository_of restic)" ls latest \
		"$folder"
	add_latency "opening the repository" open
	add_row "opening with a chosen passphrase (Argon2id)" ms chosen
	add_latency "listing $LATENCY_SNAPSHOTS snapshots (restic: 30)" thousand
	add_latency "listing a folder of 1,000 files" folder
	rm -rf "$work/little" "$thousand" "$thousand".* "$chosen" "$chosen".*
}
