# shellcheck shell=bash disable=SC2154 # variables of run, lib.bash and programs.bash
#
# Everything restored into an empty file system: until the program ends, and until all of it is on
# the disk, for which some programs care themselves and others leave it to the kernel.

measure_restore() {
	local round program
	need_repositories
	for ((round = 0; round < runs; round++)); do
		while read -r program; do
			fresh_target_make
			measure_run restore "$program" "${program}_restore" \
				"$(repository_of "$program")" "$target"
			sync -f "$target"
			add_sample "restore.synced/$program" "$(seconds "$began" "${EPOCHREALTIME/./}")"
			restored_is_whole "$program"
		done < <(in_turn "$round" "${programs[@]}")
	done
	fresh_target_remove
	add_row "restore, until it ends" s restore
	add_row "restore, until it is on the disk" s restore.synced
	add_aim "restore / zstd -dc, tar -x" 0.8 restore/holdfast restore/tar
	add_aim "restore to the disk / zstd -dc, tar -x, sync" 0.8 restore.synced/holdfast \
		restore.synced/tar
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
