# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# Everything restored into an empty file system: until the program ends, and until all of it is on
# the disk, for which some programs care themselves and others leave it to the kernel.

measure_restore() {
	local round program
	local -a taking_part=("${programs[@]}")
	need_repositories
	# As tar does it: without waiting for the disk.
	! "$HOLDFASTD" restore --help | grep -q -- --no-sync || taking_part+=(holdfast_no_sync)
	for ((round = 0; round < rounds; round++)); do
		while read -r program; do
			restore_once "$program"
		done < <(in_turn "$round" "${taking_part[@]}")
	done
	fresh_target_remove
	add_row "restore, until it ends" s restore
	add_row "restore, until it is on the disk" s restore.synced
	if [[ -n ${samples[restore.no_sync/holdfast]:-} ]]; then
		add_row "restore --no-sync, until it ends" s restore.no_sync
		add_row "restore --no-sync, until it is on the disk" s restore.no_sync.synced
		add_aim "restore --no-sync / zstd -dc, tar -x" 0.8 restore.no_sync/holdfast restore/tar
	fi
	add_aim "restore / zstd -dc, tar -x" 0.8 restore/holdfast restore/tar
	add_aim "restore to the disk / zstd -dc, tar -x, sync" 0.8 restore.synced/holdfast \
		restore.synced/tar
}

restore_once() {
	local program=$1 action=restore measure=restore
	if [[ $program == holdfast_no_sync ]]; then
		program=holdfast action=restore_no_sync measure=restore.no_sync
	fi
	fresh_target_make
	warm "$(repository_of "$program")"
	measure_run "$measure" "$program" "${program}_$action" "$(repository_of "$program")" "$target"
	sync -f "$target"
	add_sample "$measure.synced/$program" "$(seconds "$began" "${EPOCHREALTIME/./}")"
	restored_is_whole "$program"
}

# A restore that leaves things out would be fast, and worth nothing.  A few paths may have come or
# gone in the source meanwhile.
restored_is_whole() {
	local count
	count=$(find "$target$source_folder" | wc -l)
	if ((count * 100 < source_files * 99)); then
		note "$1 restored $count paths of $source_files"
		exit 1
	fi
}
