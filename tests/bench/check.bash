# shellcheck shell=bash disable=SC2154 # variables of run, lib.bash and programs.bash
#
# The repository checked, with every stored byte read back.

measure_check() {
	local round program
	need_repositories
	for ((round = 0; round < runs; round++)); do
		while read -r program; do
			measure_run check "$program" "${program}_check" "$(repository_of "$program")"
		done < <(in_turn "$round" "${programs[@]}")
	done
	add_row "check, reading all data" s check
	add_aim "check / restic" 0.5 check/holdfast check/restic
}
