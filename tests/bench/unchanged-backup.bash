# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# A backup of what is in the repository already, beside a plain walk that looks at each file.

# unchanged_rounds PROGRAM...
unchanged_rounds() {
	local round program
	for ((round = 0; round < rounds; round++)); do
		while read -r program; do
			find_list "$source_folder"
			case $program in
			find) measure_run unchanged find find_list "$source_folder" ;;
			*)
				measure_run unchanged "$program" "${program}_backup" \
					"$(repository_of "$program")" "$source_folder"
				;;
			esac
		done < <(in_turn "$round" "$@" find)
	done
}

measure_unchanged_backup() {
	need_repositories
	unchanged_rounds holdfast restic borg
	add_row "unchanged backup" s unchanged
	add_row "read" MB unchanged.read
	add_aim "unchanged backup / restic" 0.1 unchanged/holdfast unchanged/restic
	add_aim "unchanged backup / find -printf" 3 unchanged/holdfast unchanged/find
}
