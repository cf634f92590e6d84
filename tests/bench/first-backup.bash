# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# The first backup into an empty repository.  Leaves the last round's repositories for the measures
# that follow.

first_backup_rounds() {
	local count=$1 measure=$2 round program
	for ((round = 0; round < count; round++)); do
		while read -r program; do
			repository_make "$program"
			warm "$source_folder"
			measure_run "$measure" "$program" "${program}_backup" \
				"$(repository_of "$program")" "$source_folder"
		done < <(in_turn "$round" "${programs[@]}")
	done
}

# For measures that are run alone: one backup by each program, whose time nobody looks at.
need_repositories() {
	[[ -d $(repository_of holdfast) ]] || first_backup_rounds 1 unmeasured
}

measure_first_backup() {
	first_backup_rounds "$rounds" first
	add_row "first backup" s first
	add_aim "first backup / restic" 0.5 first/holdfast first/restic
	add_aim "first backup / tar, zstd" 0.8 first/holdfast first/tar
}
