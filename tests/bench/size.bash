# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# Bytes of the repository, after the first backup (and, if measured, the unchanged ones).

measure_size() {
	local program
	need_repositories
	for program in "${programs[@]}"; do
		add_sample "size/$program" "$(du -sb "$(repository_of "$program")" | cut -f1)"
	done
	add_row "repository" MB size
	add_aim "repository / tar.zst" 1 size/holdfast size/tar
	add_aim "repository / restic" 1 size/holdfast size/restic
}
