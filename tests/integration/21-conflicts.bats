#!/usr/bin/env bats
#
# What is in the target already is treated by the rule, and a dry run tells the same beforehand.

bats_require_minimum_version 1.5.0
load lib/agent

# Of each file, what the target has is: the same, older, newer, or nothing.
setup() {
	source=$BATS_TEST_TMPDIR/source
	target=$BATS_TEST_TMPDIR/target
	mkdir -p "$source/folder"
	for name in same older newer absent; do
		echo "ours: $name" >"$source/folder/$name"
		touch -d 2020-01-01T00:00:00Z "$source/folder/$name"
	done
	touch -d 2020-01-01T00:00:00Z "$source/folder"
	offline init
	offline backup "$source"
	cp -a "$source" "$target"
	for name in older newer; do
		echo "theirs, $name" >"$target/folder/$name"
	done
	touch -d 2019-01-01T00:00:00Z "$target/folder/older"
	touch -d 2021-01-01T00:00:00Z "$target/folder/newer"
	rm "$target/folder/absent"
	chmod 0700 "$target/folder"
	echo kept >"$target/folder/theirs-only"
}

restore() {
	offline restore latest --target "$target" --strip --conflict "$@" "$source"
}

content() {
	cat "$target/folder/$1"
}

# The dry run lists these lines and changes nothing; then it is done.
expect_dry_run() {
	local rule=$1 before after
	before=$(find "$target" -printf '%p %s %T@ %i\n' | sort)
	restore "$rule" --dry-run | sed -n "s|^\([a-z-]* *\)$target/folder/|\1|p" | sort \
		>"$BATS_TEST_TMPDIR/listed"
	after=$(find "$target" -printf '%p %s %T@ %i\n' | sort)
	[ "$before" = "$after" ]
	diff - "$BATS_TEST_TMPDIR/listed"
}

@test "skip leaves what is there and adds what is missing" {
	expect_dry_run skip <<-'END'
		create    absent
		skip      newer
		skip      older
	END
	run -0 restore skip
	[[ $output == *"1 created, 0 replaced, 2 skipped, 2 the same"* ]]
	[ "$(content absent)" = "ours: absent" ]
	[ "$(content older)" = "theirs, older" ]
	[ "$(content newer)" = "theirs, newer" ]
	[ "$(stat -c %a "$target/folder")" = 700 ]
}

@test "newer replaces what is older" {
	expect_dry_run newer <<-'END'
		create    absent
		replace   older
		skip      newer
	END
	restore newer
	[ "$(content older)" = "ours: older" ]
	[ "$(content newer)" = "theirs, newer" ]
	[ "$(stat -c %Y "$target/folder/older")" = 1577836800 ]
}

@test "overwrite makes everything as it was, and keeps what was never backed up" {
	expect_dry_run overwrite <<-'END'
		create    absent
		replace   newer
		replace   older
	END
	restore overwrite
	[ "$(content theirs-only)" = kept ]
	rm "$target/folder/theirs-only"
	touch -d 2020-01-01T00:00:00Z "$target/folder"
	assert_same_tree "$source" "$target"
}

@test "overwrite finds damage that neither size nor time shows" {
	rm "$target/folder/older" "$target/folder/newer"
	echo "OURS: same" >"$target/folder/same"
	touch -d 2020-01-01T00:00:00Z "$target/folder/same"
	restore skip
	[ "$(content same)" = "OURS: same" ]
	restore overwrite
	[ "$(content same)" = "ours: same" ]
}

@test "side-copy puts ours beside theirs, and once more beside that" {
	expect_dry_run side-copy <<-'END'
		create    absent
		side-copy newer.restored-1
		side-copy older.restored-1
	END
	run -0 restore side-copy --verify
	[[ $output == *"2 beside"* ]]
	[[ $output == *"verified 3 files"* ]]
	[ "$(content older)" = "theirs, older" ]
	[ "$(content older.restored-1)" = "ours: older" ]
	[ "$(content newer.restored-1)" = "ours: newer" ]
	restore side-copy
	[ "$(content older.restored-2)" = "ours: older" ]
	[ "$(content absent)" = "ours: absent" ]
	[ ! -e "$target/folder/absent.restored-1" ]
}

@test "side copies of the longest name are possible" {
	local name
	name=$(printf 'n%.0s' {1..255})
	echo ours >"$source/$name"
	offline backup "$source"
	echo theirs >"$target/$name"
	restore side-copy
	[ "$(cat "$target/$name")" = theirs ]
	[ "$(cat "$target/${name:0:244}.restored-1")" = ours ]
}

@test "things of another kind in the way stay under skip, with a loss for a folder" {
	rm -r "$target/folder"
	echo file >"$target/folder"
	run -3 restore skip
	[[ $output == *"something that is no folder is in the way"* ]]
	[ "$(cat "$target/folder")" = file ]
}

@test "overwrite replaces a file by a folder and an empty folder by a file" {
	rm -r "$target/folder"
	echo file >"$target/folder"
	restore overwrite
	[ "$(content older)" = "ours: older" ]
	rm "$target/folder/older"
	mkdir "$target/folder/older"
	restore overwrite
	[ "$(content older)" = "ours: older" ]
}

@test "a folder that is not empty is never removed for a file" {
	rm "$target/folder/older"
	mkdir "$target/folder/older"
	echo precious >"$target/folder/older/file"
	run -3 restore overwrite
	[[ $output == *"a folder that is not empty is in the way"* ]]
	[ "$(cat "$target/folder/older/file")" = precious ]
}

@test "side-copy puts a folder beside a file that bears its name" {
	rm -r "$target/folder"
	echo file >"$target/folder"
	restore side-copy --verify
	[ "$(cat "$target/folder")" = file ]
	assert_same_tree "$source/folder" "$target/folder.restored-1"
}

@test "hard links are put together again under overwrite" {
	ln "$source/folder/same" "$source/folder/same-too"
	offline backup "$source"
	cp -a "$source/folder/same" "$target/folder/same-too"
	restore overwrite
	[ "$target/folder/same" -ef "$target/folder/same-too" ]
	# And when they already are, nothing is done.
	run -0 restore overwrite --dry-run
	[[ $output != *same-too* ]]
}

@test "a name that is missing is linked to the one that is there already" {
	ln "$source/folder/same" "$source/folder/a-name-before"
	offline backup "$source"
	rm -r "$target"
	restore skip
	rm "$target/folder/same"
	restore skip
	[ "$target/folder/same" -ef "$target/folder/a-name-before" ]
}

@test "an unknown rule is refused with those that there are" {
	run ! restore frobnicate
	[[ $output == *"skip|newer|overwrite|side-copy"* ]]
}

@test "a default ACL of the target does not reach what is restored" {
	setfacl -d -m u:1:rwx "$target" || skip "no ACLs on this file system"
	rm -r "$target/folder"
	restore skip
	assert_same_tree --no-owner "$source/folder" "$target/folder"
	getfacl -p "$target/folder/older" | grep -q '^user:daemon' && fail "the ACL was inherited"
	rm "$target/folder/older"
	setfacl -d -m u:1:rwx "$target/folder"
	restore skip
	[ "$(getfacl -cp "$target/folder/older" | grep -c :)" = 3 ]
}
