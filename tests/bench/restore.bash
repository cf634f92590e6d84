# shellcheck shell=bash disable=SC2154 # variables of run, lib.bash and programs.bash
#
# Everything restored into an empty file system.

measure_restore() {
	local round program
	need_repositories
	for ((round = 0; round < runs; round++)); do
		while read -r program; do
			fresh_target_make
			measure_run restore "$program" "${program}_restore" \
				"$(repository_of "$program")" "$target"
			restored_is_whole "$program"
		done < <(in_turn "$round" "${programs[@]}")
	done
	fresh_target_remove
	add_row restore s restore
	add_aim "restore / zstd -dc, tar -x" 0.8 restore/holdfast restore/tar
}

# A restore that leaves things out would be fast: the numbers of paths must be those of the source.
restored_is_whole() {
	local count
	count=$(find "$target$source_folder" | wc -l)
	if ((count != source_files)); then
		note "$1 restored $count paths of $source_files"
		exit 1
	fi
}
