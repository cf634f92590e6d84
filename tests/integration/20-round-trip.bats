#!/usr/bin/env bats
#
# What was backed up comes back as it was: every kind of entry, real trees, chosen paths.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	target=$BATS_TEST_TMPDIR/target
}

teardown() {
	end_agents
}

# Root has to be able to make everything; others get what they can.
make_every_kind() {
	"$HOLDFAST_BUILD/tests/tools/mktree" "$1" 2>"$BATS_TEST_TMPDIR/skipped"
	if [[ $EUID == 0 ]]; then
		cat "$BATS_TEST_TMPDIR/skipped"
		[[ ! -s $BATS_TEST_TMPDIR/skipped ]]
	fi
}

@test "a tree of every kind of entry comes back entry by entry" {
	make_every_kind "$source"
	offline init
	run -0 offline backup "$source"
	run -0 offline restore latest --target "$target" --strip --set-id --verify "$source"
	[[ $output == *"special/socket: a socket is not restored"* ]]
	[[ $output == *"verified "* ]]
	run -0 assert_same_tree --top "$source" "$target"
	[[ $output == *" 0 differences" ]]
	# The comparison was not of nothing.
	[ "${lines[-1]%% *}" -gt 3800 ]
}

@test "an unchanged second backup of every kind of entry gives the same tree" {
	make_every_kind "$source"
	offline init
	offline backup "$source"
	offline backup "$source"
	[ "$(offline snapshots --json | jq -r '.[1].changed_files')" = 0 ]
	[ "$(offline snapshots --json | jq -r '.[1].new_files')" = 0 ]
	offline restore latest --target "$target" --set-id
	assert_same_tree --top "$source" "$target$source"
}

@test "real trees come back as they are" {
	local folder
	offline init
	for folder in /usr/share/doc /etc /usr/bin; do
		# Some of these hold what only root may read.
		[[ $EUID == 0 || $folder != /etc ]] || continue
		offline backup "$folder"
		offline restore latest --target "$target" --set-id
		assert_same_tree --top "$folder" "$target$folder"
	done
}

@test "a run of the agent restores what a request has backed up" {
	make_small_tree "$source"
	start_agent
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	snapshot=$(header Location)
	api POST /v1/runs --json "{\"kind\": \"restore\", \"arguments\":
		{\"snapshot\": \"${snapshot##*/}\", \"target\": \"$target\"}}"
	assert_status 202
	wait_run "$(json .id)" ok
	assert_same_tree --top "$source" "$target$source"
}

@test "chosen paths are restored with the folders above them, and nothing else is" {
	mkdir -p "$source/a/b/c" "$source/a/other" "$source/z"
	echo 1 >"$source/a/b/c/one"
	echo 2 >"$source/a/b/two"
	echo 3 >"$source/a/other/three"
	echo 4 >"$source/a.b"
	chmod 0711 "$source/a"
	touch -d '2001-02-03T04:05:06.7Z' "$source/a/b" "$source/a"
	offline init
	offline backup "$source"
	offline restore latest --target "$target" "$source/a/b/c/one" "$source/a/b/c" "$source/a.b" \
		"$source//a/b/two/"
	(cd "$target$source" && find . -mindepth 1 | sort) >"$BATS_TEST_TMPDIR/found"
	printf '%s\n' ./a ./a.b ./a/b ./a/b/c ./a/b/c/one ./a/b/two | diff - "$BATS_TEST_TMPDIR/found"
	# Folders on the way have their attributes too.
	[ "$(stat -c '%a %Y' "$target$source/a")" = "711 $(stat -c %Y "$source/a")" ]
	[ "$(stat -c %y "$target$source/a/b")" = "$(stat -c %y "$source/a/b")" ]
}

@test "a path that the snapshot does not have is told before anything is written" {
	make_small_tree "$source"
	offline init
	offline backup "$source"
	run -1 offline restore latest --target "$target" "$source/letters" "$source/no such thing"
	[[ $output == *"has no path '$source/no such thing'"* ]]
	[ ! -e "$target" ]
	for wrong in relative/path "$source/letters/../empty" "$source/./letters"; do
		run ! offline restore latest --target "$target" "$wrong"
		[ ! -e "$target" ]
	done
}

@test "paths are given as they are shown, whatever their bytes" {
	mkdir -p "$source"
	printf 1 >"$source"/$'new\nline'
	printf 2 >"$source"/$'bad\xff'
	printf 3 >"$source"/'back\slash'
	printf 4 >"$source"/plain
	offline init
	offline backup "$source"
	offline restore latest --target "$target" --strip "$source/new\\x0aline" \
		"$source/bad\\xff" "$source/back\\\\slash"
	[ "$(cat "$target"/$'new\nline' "$target"/$'bad\xff' "$target"/'back\slash')" = 123 ]
	[ ! -e "$target/plain" ]
}

@test "hard links among chosen paths are one file again" {
	mkdir -p "$source/a" "$source/b"
	echo content >"$source/a/one"
	ln "$source/a/one" "$source/b/two"
	ln "$source/a/one" "$source/b/three"
	ln -s nowhere "$source/a/link"
	ln "$source/a/link" "$source/b/link"
	offline init
	offline backup "$source"
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
	[ "$target/a/one" -ef "$target/b/three" ]
	rm -r "$target"
	# Without the first name, the next one holds the content.
	offline restore latest --target "$target" --strip "$source/b"
	[ "$target/two" -ef "$target/three" ]
	[ "$(cat "$target/two")" = content ]
}

@test "set-ID bits come back only when they are asked for" {
	mkdir -p "$source"
	cp /bin/true "$source/program"
	chmod 6755 "$source/program"
	mkdir -m 2755 "$source/shared"
	offline init
	offline backup "$source"
	offline restore latest --target "$target" --strip "$source"
	[ "$(stat -c %a "$target/program")" = 755 ]
	# On a folder the bit lends nobody any right.
	[ "$(stat -c %a "$target/shared")" = 2755 ]
	rm -r "$target"
	offline restore latest --target "$target" --strip --set-id "$source"
	[ "$(stat -c %a "$target/program")" = 6755 ]
}

as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
		"$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" "$@"
}

@test "one who is not root restores for himself, into folders that he may not write to as well" {
	[[ $EUID == 0 ]] || skip "only root can become somebody else"
	local home=$BATS_TEST_TMPDIR/home
	mkdir -p "$source/read-only"
	echo content >"$source/read-only/file"
	echo daemon >"$source/owned"
	chown 1:1 "$source/owned"
	chmod 0555 "$source/read-only"
	offline init
	offline backup "$source"
	mkdir -p "$home"
	chown -R 65534:65534 "$home" "$AGENT_FOLDER"
	# Others have to get here, but need not see what else is on the way.
	chmod a+x "$BATS_RUN_TMPDIR" "${BATS_TEST_TMPDIR%/*}" "$BATS_TEST_TMPDIR"
	as_nobody restore latest --target "$home/out" --strip "$source"
	[ "$(stat -c %u "$home/out/owned")" = 65534 ]
	assert_same_tree --no-owner "$source" "$home/out"
	# And once more into what is now a folder of his own that he may not write to.
	rm -f "$home/out/read-only/file"
	as_nobody restore latest --target "$home/out" --strip "$source"
	[ "$(cat "$home/out/read-only/file")" = content ]
	[ "$(stat -c %a "$home/out/read-only")" = 555 ]
}
