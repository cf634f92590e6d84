# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# Successive releases of a source tree, each backed up when it has replaced the one before in the
# same folder, where files that did not change stay untouched.

# Changed files get a new time, as an update gives them; only what differs is written.
to_release() {
	rsync -rlp --checksum --delete "$1/" "$source_folder/"
}

versions_backup() {
	local measure=$1 round=$2 program
	while read -r program; do
		warm "$source_folder"
		measure_run "$measure" "$program" "${program}_backup" "$(repository_of "$program")" \
			"$source_folder"
	done < <(in_turn "$round" "${programs[@]}")
}

measure_versions() {
	local -a programs=(holdfast restic borg) releases
	local release n=0 changed=0 program
	[[ -d $versions ]] || "$bench/fetch-versions.bash" "$versions"
	readarray -t releases < <(find "$versions" -mindepth 1 -maxdepth 1 -type d | sort -V)
	mkdir -p "$work/versions"
	bench_source "$work/versions" \
		"${#releases[@]} releases, ${releases[0]##*/} to ${releases[-1]##*/}"
	for program in "${programs[@]}"; do
		repository_make "$program"
	done
	for release in "${releases[@]}"; do
		touch "$work/before"
		to_release "$release"
		if ((n == 0)); then
			count_source
			versions_backup versions.first "$n"
		else
			changed=$((changed + $(find "$source_folder" -type f -newer "$work/before" -printf '%s\n' |
				awk '{ sum += $1 } END { print sum + 0 }')))
			versions_backup versions.next "$n"
		fi
		n=$((n + 1))
	done
	add_row "backup of the first" s versions.first
	add_row "read for the first" MB versions.first.read
	add_row "backup of each further one" s versions.next
	add_row "read for each further one" MB versions.next.read
	add_remark "A further release changes files of $(format_value $((changed / (n - 1))) MB) (mean)."
	measure_size
	add_aim "backup of a further release / restic" 0.5 versions.next/holdfast versions.next/restic
	rm -rf "$work/versions"
}
