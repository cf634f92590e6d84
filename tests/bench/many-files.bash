# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# A million small files, in folders of a thousand.  (borg takes minutes and no part.)

MANY_FOLDERS=${MANY_FOLDERS:-1000}

# The tree and repositories that hold it, which the measure of latencies uses again.
need_many() {
	local -a programs=(holdfast restic)
	[[ $source_folder == "$work/many" ]] && return 0
	"$bench_data" many "$work/many" "$MANY_FOLDERS" 1000
	bench_source "$work/many" "small files"
	first_backup_rounds 1 first
}

measure_many_files() {
	local -a programs=(holdfast restic)
	need_many
	unchanged_rounds "${programs[@]}"
	add_row "first backup" s first
	add_row "unchanged backup" s unchanged
	add_row "unchanged backup: read" MB unchanged.read
	add_aim "first backup / restic" 0.5 first/holdfast first/restic
	add_aim "unchanged backup / restic" 0.1 unchanged/holdfast unchanged/restic
	add_aim "unchanged backup / find -printf" 10 unchanged/holdfast unchanged/find
	measure_size
	measure_memory
}
