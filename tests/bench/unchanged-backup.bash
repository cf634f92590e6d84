# shellcheck shell=bash disable=SC2154 # variables of run, lib.bash and programs.bash
#
# A backup of what is in the repository already, beside a plain walk that looks at each file.

measure_unchanged_backup() {
	local round program
	need_repositories
	for ((round = 0; round < runs; round++)); do
		while read -r program; do
			case $program in
			find) measure_run unchanged find find_list "$source_folder" ;;
			*)
				measure_run unchanged "$program" "${program}_backup" \
					"$(repository_of "$program")" "$source_folder"
				;;
			esac
		done < <(in_turn "$round" holdfast restic borg find)
	done
	add_row "unchanged backup" s unchanged
	add_aim "unchanged backup / restic" 0.1 unchanged/holdfast unchanged/restic
	add_aim "unchanged backup / find -printf" 3 unchanged/holdfast unchanged/find
}
