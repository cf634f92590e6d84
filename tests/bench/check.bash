# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# The repository checked: only what stands where, and with every stored byte read back.  (borg
# checks its segments' checksums even then.)

check_rounds() {
	local action=$1 round program
	shift
	for ((round = 0; round < rounds; round++)); do
		while read -r program; do
			warm "$(repository_of "$program")"
			measure_run "$action" "$program" "${program}_$action" \
				"$(repository_of "$program")"
		done < <(in_turn "$round" "$@")
	done
}

measure_check() {
	need_repositories
	check_rounds structure holdfast restic borg
	check_rounds check "${programs[@]}"
	add_row "check of the structure" s structure
	add_row "check, reading all data" s check
	add_limit "check of the structure" 1 structure/holdfast s
	add_aim "check, reading all data / restic" 0.5 check/holdfast check/restic
}
