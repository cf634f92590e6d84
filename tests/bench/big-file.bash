# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# One large file: a first backup, and what a backup adds after 1 % of it was overwritten in places of
# 1 MiB, after bytes were inserted at its start, and after 1 % in places of 64 and of 4 KiB.

BIG_FILE_BYTES=${BIG_FILE_BYTES:-4000000000}

# big_file_backup MEASURE PROGRAM...
big_file_backup() {
	local measure=$1 program before after
	shift
	for program in "$@"; do
		warm "$source_folder"
		before=$(du -sb "$(repository_of "$program")" | cut -f1)
		measure_run "$measure" "$program" "${program}_backup" "$(repository_of "$program")" \
			"$source_folder"
		after=$(du -sb "$(repository_of "$program")" | cut -f1)
		add_sample "$measure.added/$program" "$((after - before))"
	done
}

# Of what a first backup stores.
add_share() {
	add_row "$1" s "$2"
	add_row "$1: repository grows by" MB "$2.added"
}

measure_big_file() {
	local -a programs=(holdfast restic borg)
	local program
	mkdir -p "$work/big"
	"$bench_data" file "$work/big/file" "$BIG_FILE_BYTES"
	bench_source "$work/big" "one file"
	for program in "${programs[@]}"; do
		repository_make "$program"
	done
	big_file_backup big.first "${programs[@]}"
	"$bench_data" change "$work/big/file" $((1 << 20)) 10
	big_file_backup big.mib "${programs[@]}"
	{ head -c 12345 "$HOLDFASTD" && cat "$work/big/file"; } >"$work/big/new"
	mv "$work/big/new" "$work/big/file"
	big_file_backup big.inserted "${programs[@]}"
	"$bench_data" change "$work/big/file" 65536 10
	big_file_backup big.64kib holdfast restic
	"$bench_data" change "$work/big/file" 4096 10
	big_file_backup big.4kib holdfast restic
	add_share "first backup" big.first
	add_share "1 % overwritten, 1 MiB at a time" big.mib
	add_share "12,345 bytes inserted at its start" big.inserted
	add_share "1 % overwritten, 64 KiB at a time" big.64kib
	add_share "1 % overwritten, 4 KiB at a time" big.4kib
	add_aim "added by 1 % in places of 1 MiB / first" 0.03 big.mib.added/holdfast big.first.added/holdfast
	add_aim "added by 1 % in places of 64 KiB / first" 0.03 big.64kib.added/holdfast big.first.added/holdfast
	add_aim "added by an insertion / first" 0.03 big.inserted.added/holdfast big.first.added/holdfast
	add_remark "A changed place costs about one chunk and its own size: holdfast's chunks are of" \
		"72 KiB, restic's of 1 MiB, borg's of 2 MiB (borg has no part in the small places)."
	rm -rf "$work/big"
}
