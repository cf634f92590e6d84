# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# First backup of large binaries: the programs and libraries of this machine, each content once, the
# largest first, up to 1.5 GB.

BINARIES_BYTES=${BINARIES_BYTES:-1500000000}

# Paths of ELF files of at least 64 KiB, by falling size: "size path".
list_binaries() {
	local size path magic
	find /usr/bin /usr/sbin /usr/lib /usr/libexec -xdev -type f -size +64k -printf '%s %p\n' 2>/dev/null | sort -rn |
		while read -r size path; do
			IFS= read -r -N 4 magic <"$path" 2>/dev/null || continue
			[[ $magic != $'\x7fELF' ]] || printf '%s %s\n' "$size" "$path"
		done
}

make_binaries() {
	local total=0 size path sum
	local -A seen=()
	mkdir -p "$work/binaries"
	while read -r size path; do
		((total + size <= BINARIES_BYTES)) || continue
		sum=$(head -c 65536 "$path" | sha256sum)
		[[ -z ${seen[$size $sum]:-} ]] || continue
		seen[$size $sum]=yes
		cp -p "$path" "$work/binaries/$(basename "$path").${#seen[@]}"
		total=$((total + size))
		((BINARIES_BYTES - total > 65536)) || break
	done < <(list_binaries)
}

measure_binaries() {
	make_binaries
	bench_source "$work/binaries" "programs and libraries"
	first_backup_rounds "$rounds" first
	add_row "first backup" s first
	add_aim "first backup / restic" 0.5 first/holdfast first/restic
	add_aim "first backup / tar, zstd" 0.8 first/holdfast first/tar
	measure_size
	add_row "peak memory" MiB first.memory
	rm -rf "$work/binaries"
}
