# shellcheck shell=bash
#
# How each program does each thing.  All encrypt, but for tar; all compress by zstd at about the
# same level; restic's compression is its default.
#
#	PROGRAM_init REPOSITORY           an empty repository
#	PROGRAM_backup REPOSITORY SOURCE
#	PROGRAM_restore REPOSITORY TARGET
#	PROGRAM_check REPOSITORY          reading all data
#	PROGRAM_structure REPOSITORY      checking no more than that all is there
#
# They run in a shell of their own, so what they need is exported.

programs=(holdfast restic borg tar)

programs_setup() {
	local program action
	export HOLDFASTD work
	# Only the repository's folder is a program's own; caches lie beside it.
	export RESTIC_PASSWORD=measure RESTIC_CACHE_DIR=$work/repositories/restic.cache
	export BORG_PASSPHRASE=measure BORG_BASE_DIR=$work/repositories/borg.base
	export BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
	for program in "${programs[@]}"; do
		for action in init backup restore check structure; do
			! declare -F "${program}_$action" >/dev/null || export -f "${program}_$action"
		done
	done
	export -f find_list
}

programs_versions() {
	printf '%s, %s, %s, %s, %s' "$("$HOLDFASTD" version | head -n 1)" \
		"$(restic version | cut -d' ' -f1,2)" "$(borg --version)" \
		"$(tar --version | head -n 1)" "$(zstd --version | sed 's/.*\(v[0-9.]*\),.*/zstd \1/')"
}

repository_of() {
	echo "$work/repositories/$1"
}

# An empty one, for each first backup.
repository_make() {
	rm -rf "$work/repositories/$1" "$work/repositories/$1".*
	"${1}_init" "$(repository_of "$1")" >"$work/output" 2>&1 </dev/null ||
		{ cat "$work/output" >&2 && exit 1; }
}

holdfast_init() {
	"$HOLDFASTD" --repository "$1" --state "$1.state" init
}
holdfast_backup() {
	"$HOLDFASTD" --repository "$1" --state "$1.state" backup "$2"
}
holdfast_restore() {
	"$HOLDFASTD" --repository "$1" --state "$1.state" restore latest --target "$2"
}
holdfast_restore_no_sync() {
	"$HOLDFASTD" --repository "$1" --state "$1.state" restore latest --target "$2" --no-sync
}
holdfast_check() {
	"$HOLDFASTD" --repository "$1" --state "$1.state" check --read-data
}
holdfast_structure() {
	"$HOLDFASTD" --repository "$1" --state "$1.state" check
}

restic_init() {
	restic -q --repo "$1" init
}
restic_backup() {
	restic -q --repo "$1" backup "$2"
}
restic_restore() {
	restic -q --repo "$1" restore latest --target "$2"
}
restic_check() {
	restic -q --repo "$1" check --read-data
}
restic_structure() {
	restic -q --repo "$1" check
}

borg_init() {
	borg init --encryption repokey-blake2 "$1"
}
borg_backup() {
	borg create --compression zstd,3 "$1::{now:%Y%m%d%H%M%S%f}" "$2"
}
borg_restore() {
	cd "$2" && borg extract "$1::$(borg list --short --last 1 "$1")"
}
borg_check() {
	borg check --verify-data "$1"
}
borg_structure() {
	borg check "$1"
}

# The archive is its repository.
tar_init() {
	mkdir -p "$1"
}
tar_backup() {
	tar -C / -cf - ".$2" | zstd -q -3 -T0 -f -o "$1/archive.tar.zst"
}
tar_restore() {
	zstd -q -dc "$1/archive.tar.zst" | tar -C "$2" -xpf -
}
tar_check() {
	zstd -q -t "$1/archive.tar.zst"
}

# What any program must at least do to know that nothing changed: look at each file.
find_list() {
	find "$1" -printf '%s %T@ %i\n' >/dev/null
}
