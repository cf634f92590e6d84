#!/usr/bin/env bats
# Goal: the sub-commands work without an agent, say what is wrong and end with the right status.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	SOURCE=$BATS_TEST_TMPDIR/source
	make_small_tree "$SOURCE"
}

@test "help names every command, and each command has its own" {
	"$HOLDFASTD" help >"$BATS_TEST_TMPDIR/help"
	names=$(sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$BATS_TEST_TMPDIR/help")
	for name in init backup restore snapshots ls cat archive forget check prune key token config; do
		grep -qx "$name" <<<"$names"
	done
	for name in $names; do
		run -0 "$HOLDFASTD" help "$name"
		[[ ${lines[0]} == "usage: holdfastd $name"* ]]
		run -0 "$HOLDFASTD" "$name" --help
		[[ ${lines[0]} == "usage: holdfastd $name"* ]]
	done
	run -0 "$HOLDFASTD" --version
	[[ $output =~ ^holdfastd\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "wrong usage ends with 2 and says where to read on" {
	for wrong in "bakup" "backup" "backup / --frob" "restore latest" "ls" "key frob" \
		"token add" "token list x" "config frob" "prune --keep-last many" \
		"check --read-data=200%" "help frob" "backup / --max-size big" "--frob"; do
		# shellcheck disable=SC2086 # words
		run -2 offline $wrong
		[[ ${lines[0]} == "holdfastd: "* ]]
	done
}

@test "a backup is listed, restored as it was, and its files can be read alone" {
	offline init
	run -0 offline backup "$SOURCE" --tag weekly
	[[ ${lines[0]} == "snapshot "* ]]
	[ "$(offline snapshots --json | jq -r '.[0].tags[0]')" = weekly ]
	[[ $(offline snapshots) == *"$SOURCE  #weekly"* ]]
	offline ls latest "$SOURCE" | grep -q 'letters/$'
	[ "$(offline ls latest "$SOURCE" --json | jq -r '.[] | select(.name == "link").target')" = \
		letters/first.txt ]
	offline cat latest "$SOURCE/letters/numbers.txt" | cmp - "$SOURCE/letters/numbers.txt"
	offline restore latest --target "$BATS_TEST_TMPDIR/out" --verify
	assert_same_tree "$SOURCE" "$BATS_TEST_TMPDIR/out$SOURCE"
}

@test "only the repository and the passphrase are needed to restore" {
	offline init
	offline backup "$SOURCE"
	offline key show >"$BATS_TEST_TMPDIR/copy"
	chmod 600 "$BATS_TEST_TMPDIR/copy"
	rm -r "$STATE"
	cd "$BATS_TEST_TMPDIR" || return
	"$HOLDFASTD" --config /dev/null --repository "$REPOSITORY" --passphrase-file copy \
		restore latest --target out "$SOURCE/letters" --strip
	assert_same_tree "$SOURCE/letters" out
	# And nothing was made on the way.
	[ ! -e "$STATE" ]
	[ ! -e state ]
}

@test "a passphrase can be typed where there is no file of it" {
	offline init
	offline backup "$SOURCE"
	typed=$(offline key show)
	mv "$STATE/passphrase" "$BATS_TEST_TMPDIR/copy"
	# script gives the command a terminal of its own.  What is typed before the question does
	# not count.
	cd "$BATS_TEST_TMPDIR" || return
	: >screen
	(
		wait_for grep -q 'passphrase of the repository:' screen
		echo "$typed"
		wait_for grep -q "$SOURCE" screen
	) | script -qefc "'$HOLDFASTD' --repository '$REPOSITORY' --state '$STATE' snapshots" screen
	grep -q "$SOURCE" screen
	run ! grep -qF -e "$typed" screen
	# An interrupt at the question ends it, and the terminal gets its echo back.
	: >screen
	(
		wait_for grep -q 'passphrase of the repository:' screen
		printf '\003'
		wait_for grep -q 'echo is' screen
	) | script -qfc "'$HOLDFASTD' --repository '$REPOSITORY' --state '$STATE' snapshots
		stty -a | grep -qw -e '-echo' && echo 'echo is lost' || echo 'echo is there'" screen
	grep -q interrupted screen
	grep -q 'echo is there' screen
	run -2 setsid "$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" snapshots </dev/null
	[[ $output == *"no terminal"* || $output == *"no passphrase"* ]]
}

@test "a wrong passphrase opens nothing" {
	offline init
	echo wrong >"$BATS_TEST_TMPDIR/wrong"
	chmod 600 "$BATS_TEST_TMPDIR/wrong"
	run -1 offline --passphrase-file "$BATS_TEST_TMPDIR/wrong" snapshots
	[[ $output == *"passphrase"* ]]
	chmod 644 "$BATS_TEST_TMPDIR/wrong"
	run -2 offline --passphrase-file "$BATS_TEST_TMPDIR/wrong" snapshots
	[[ $output == *"open to others"* ]]
}

@test "a changed passphrase opens, the old one does not, and backups stay" {
	offline init
	offline backup "$SOURCE"
	cp -p "$STATE/passphrase" "$BATS_TEST_TMPDIR/old"
	offline key change
	[ "$(offline key show)" != "$(<"$BATS_TEST_TMPDIR/old")" ]
	run -1 offline --passphrase-file "$BATS_TEST_TMPDIR/old" snapshots
	offline restore latest --target "$BATS_TEST_TMPDIR/out"
	assert_same_tree "$SOURCE" "$BATS_TEST_TMPDIR/out$SOURCE"
	echo 'my own words' >"$BATS_TEST_TMPDIR/own"
	chmod 600 "$BATS_TEST_TMPDIR/own"
	offline key change --new-passphrase-file "$BATS_TEST_TMPDIR/own"
	[ "$(offline key show)" = 'my own words' ]
}

@test "init makes a passphrase that others cannot read, and does it once" {
	run -0 offline init
	[[ $output == *"keep a copy of it elsewhere"* ]]
	[ "$(stat -c %a "$STATE/passphrase")" = 600 ]
	[ "$(stat -c %a "$STATE")" = 700 ]
	run -1 offline init
	[[ $output == *"already"* ]]
	run -1 offline --repository "$BATS_TEST_TMPDIR/none" snapshots
	[[ $output == *"holdfastd init"* ]]
}

@test "paths that cannot be read are told, and the status is 3" {
	[ "$(id -u)" = 0 ] || skip "only root can become somebody who may not read"
	chmod 755 "$BATS_TEST_TMPDIR" "$SOURCE"
	chmod 700 "$SOURCE/letters/old"
	chmod 600 "$SOURCE/random.bin"
	mkdir "$BATS_TEST_TMPDIR/theirs"
	chown nobody: "$BATS_TEST_TMPDIR/theirs"
	# Temporary folders of bats are closed to others, so the way there is opened by a copy.
	theirs=$(mktemp -d /tmp/holdfast-losses.XXXXXX)
	chmod 755 "$theirs"
	cp -a "$SOURCE" "$theirs/source"
	install -d -o nobody "$theirs/state"
	install -m 755 "$HOLDFASTD" "$theirs/holdfastd"
	as_nobody() {
		setpriv --reuid nobody --clear-groups "$theirs/holdfastd" --config /dev/null \
			--repository "$theirs/state/repository" --state "$theirs/state" "$@"
	}
	as_nobody init
	run -3 as_nobody backup "$theirs/source"
	[[ $output == *"lost: $theirs/source/letters/old: "* ]]
	[[ $output == *"lost: $theirs/source/random.bin: "*"Permission denied"* ]]
	run -3 --separate-stderr as_nobody backup "$theirs/source" --json
	[ "$(jq -r '.outcome, .loss_total' <<<"$output" | xargs)" = "warn 2" ]
	[ "$(as_nobody snapshots --json | jq '[.[].loss_total] | add')" = 4 ]
	rm -r "$theirs"
}

@test "a dry run changes nothing" {
	offline init
	run -0 offline backup "$SOURCE" --dry-run
	[[ $output == "would back up "* ]]
	[[ $(offline snapshots) == "no snapshots yet" ]]
	offline backup "$SOURCE"
	run -0 offline restore latest --target "$BATS_TEST_TMPDIR/out" --dry-run
	[[ $output == *"$SOURCE/letters/first.txt"* ]]
	[ ! -e "$BATS_TEST_TMPDIR/out" ]
}

@test "excludes come from options and files" {
	offline init
	printf '# not these\n\n*.bin\n' >"$BATS_TEST_TMPDIR/patterns"
	offline backup "$SOURCE" --exclude /letters/ --exclude 'old/' \
		--exclude-file "$BATS_TEST_TMPDIR/patterns"
	run -0 offline archive latest "$SOURCE" --format tar -o "$BATS_TEST_TMPDIR/a.tar"
	run -0 tar -tf "$BATS_TEST_TMPDIR/a.tar"
	[[ $output != *random.bin* ]]
	[[ $output != *letters/old* ]]
	[[ $output == *letters/first.txt* ]]
	# An archive that is there is not overwritten.
	run -1 offline archive latest -o "$BATS_TEST_TMPDIR/a.tar"
}

@test "an archive is read by tar, zstd and unzip" {
	offline init
	offline backup "$SOURCE"
	mkdir "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
	offline archive latest | tar -xf - -C "$BATS_TEST_TMPDIR/a"
	assert_same_tree "$SOURCE" "$BATS_TEST_TMPDIR/a$SOURCE"
	offline archive latest --format tar.zst | zstd -dc | tar -xf - -C "$BATS_TEST_TMPDIR/b"
	assert_same_tree "$SOURCE" "$BATS_TEST_TMPDIR/b$SOURCE"
	run -2 offline archive latest --format rar
}

@test "relative paths and names of any bytes are backed up" {
	offline init
	mkdir "$BATS_TEST_TMPDIR"/$'odd\xff\n'
	echo odd >"$BATS_TEST_TMPDIR"/$'odd\xff\n/file'
	cd "$BATS_TEST_TMPDIR" || return
	offline backup source $'odd\xff\n'
	[[ $(offline snapshots --json | jq -r '.[0].sources[]') == *'odd\xff\x0a'* ]]
	[ "$(offline cat latest "$BATS_TEST_TMPDIR/odd\\xff\\x0a/file")" = odd ]
}

@test "forget and prune leave what the rules keep" {
	offline init
	for _ in 1 2 3; do
		head -c 200000 /dev/urandom >"$SOURCE/random.bin"
		offline backup "$SOURCE"
	done
	first=$(offline snapshots --json | jq -r '.[0].id')
	run -1 offline forget "$first" ffffffffffffffff
	[ "$(offline snapshots --json | jq length)" = 3 ]
	offline forget "${first:0:8}"
	[ "$(offline snapshots --json | jq length)" = 2 ]
	run -0 offline prune --keep-last 1 --dry-run
	[ "$(offline snapshots --json | jq length)" = 2 ]
	offline prune --keep-last 1 --grace 0
	[ "$(offline snapshots --json | jq length)" = 1 ]
	run -0 offline check --read-data
	offline restore latest --target "$BATS_TEST_TMPDIR/out"
	assert_same_tree "$SOURCE" "$BATS_TEST_TMPDIR/out$SOURCE"
}

@test "an interrupt cancels a backup, which leaves nothing behind that counts" {
	offline init
	"$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" backup /usr/share --json \
		>"$BATS_TEST_TMPDIR/result" 2>/dev/null 3>&- &
	pid=$!
	something_is_written() {
		[ -n "$(find "$REPOSITORY/tmp" "$REPOSITORY/packs" -type f -size +0 2>/dev/null)" ]
	}
	wait_for something_is_written
	kill -TERM $pid
	status=0
	wait $pid || status=$?
	[ "$status" = 1 ]
	[ "$(jq -r .outcome "$BATS_TEST_TMPDIR/result")" = cancelled ]
	[[ $(offline snapshots) == "no snapshots yet" ]]
	run -0 offline check
	[ "$(log_rows '.[0,1] | select(.action == "Backup").outcome')" = '"cancelled"' ]
}
