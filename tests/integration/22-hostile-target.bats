#!/usr/bin/env bats
#
# Whatever lies in the target, and whatever is done to it meanwhile: nothing outside is touched.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	target=$BATS_TEST_TMPDIR/target
	outside=$BATS_TEST_TMPDIR/outside
	mkdir -p "$source/folder/inner" "$target" "$outside/inner"
	echo ours >"$source/folder/file"
	echo ours >"$source/folder/inner/file"
	echo theirs >"$outside/file"
	chmod 0600 "$outside/file"
	chmod 0751 "$outside"
	touch -d 2010-01-01T00:00:00Z "$outside/file" "$outside/inner" "$outside"
	offline init
	offline backup "$source"
	outside_before=$(outside_state)
}

# Contents and attributes of all that must stay as it is.
outside_state() {
	find "$outside" -printf '%P %m %u %g %T@ %C@ %s %n\n' | sort
}

teardown() {
	[ "$(outside_state)" = "$outside_before" ]
}

restore() {
	offline restore latest --target "$target" --strip "$source" "$@"
}

@test "a symlink in the place of a folder is not followed, whatever the rule" {
	local rule
	for rule in skip newer overwrite side-copy; do
		rm -rf "$target"
		mkdir "$target"
		ln -s "$outside" "$target/folder"
		run restore --conflict "$rule"
		[[ $status == 0 || $status == 3 ]]
		case $rule in
		skip | side-copy) [ -L "$target/folder" ] ;;
		overwrite) [ ! -L "$target/folder" ] && [ "$(cat "$target/folder/file")" = ours ] ;;
		esac
		[ "$(outside_state)" = "$outside_before" ]
	done
}

@test "a symlink in the place of a file is replaced, not written through" {
	mkdir "$target/folder"
	ln -s "$outside/file" "$target/folder/file"
	restore --conflict overwrite
	[ ! -L "$target/folder/file" ]
	[ "$(cat "$target/folder/file")" = ours ]
}

@test "a hard link to a file outside is replaced, not written into" {
	mkdir "$target/folder"
	ln "$outside/file" "$target/folder/file"
	restore --conflict overwrite
	[ "$(cat "$target/folder/file")" = ours ]
	[ "$(cat "$outside/file")" = theirs ]
	[ "$(stat -c '%a %Y' "$outside/file")" = "600 1262304000" ]
	# The number of its links, and with it ctime, is the test's own doing.
	outside_before=$(outside_state)
}

@test "a dangling symlink does not make a file elsewhere" {
	mkdir "$target/folder"
	ln -s "$outside/new" "$target/folder/file"
	ln -s "$outside/new-folder" "$target/folder/inner"
	restore --conflict overwrite
	[ "$(cat "$target/folder/inner/file")" = ours ]
}

@test "fifos and devices in the way do not stop the restore" {
	mkdir "$target/folder"
	mkfifo "$target/folder/file" "$target/folder/inner"
	run -3 timeout 20 "$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" \
		restore latest --target "$target" --strip "$source"
	[ -p "$target/folder/file" ]
	timeout 20 "$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" \
		restore latest --target "$target" --strip --conflict overwrite --verify "$source"
	assert_same_tree "$source" "$target"
}

@test "a snapshot's own symlink is not followed by what is restored after it" {
	local first
	# The first snapshot has a link where the second has a folder of that name.
	rm -r "$source/folder"
	ln -s "$outside" "$source/folder"
	offline backup "$source"
	restore
	[ "$(readlink "$target/folder")" = "$outside" ]
	first=$(offline snapshots --json | jq -r '.[0].id')
	run -3 offline restore "$first" --target "$target" --strip "$source"
	[ -L "$target/folder" ]
	offline restore "$first" --target "$target" --strip --conflict overwrite "$source"
	[ "$(cat "$target/folder/inner/file")" = ours ]
}

@test "a folder that is swapped for a symlink all the time leads nowhere" {
	local swapper i
	for i in $(seq 1 60); do
		mkdir "$source/folder/$i"
		echo "ours $i" >"$source/folder/$i/file"
		echo "ours $i" >"$source/folder/file-$i"
	done
	offline backup "$source"
	mkdir -p "$target/folder"
	cp -a "$source/folder/." "$target/folder/"
	(
		exec 3>&-
		while [[ ! -e $BATS_TEST_TMPDIR/stop ]]; do
			mv -T "$target/folder" "$target/aside" 2>/dev/null || rm -rf "$target/aside"
			ln -sT "$outside" "$target/folder" 2>/dev/null
			rm -f "$target/folder" 2>/dev/null
			mv -T "$target/aside" "$target/folder" 2>/dev/null
		done
	) &
	swapper=$!
	for i in $(seq 1 25); do
		run restore --conflict overwrite
		# Some of it may not be restored, which is told; but it ends.
		[[ $status == 0 || $status == 3 ]] || break
		find "$target" -name 'file*' -type f -exec touch -d 2000-01-01 {} + 2>/dev/null || true
	done
	touch "$BATS_TEST_TMPDIR/stop"
	wait "$swapper" || true
	[[ $status == 0 || $status == 3 ]]
}

@test "the target itself may be a symlink: that is the operator's own path" {
	rmdir "$target"
	mkdir "$BATS_TEST_TMPDIR/real"
	ln -s real "$target"
	restore
	assert_same_tree "$source" "$BATS_TEST_TMPDIR/real"
}

@test "a target that is no folder is refused" {
	rmdir "$target"
	echo file >"$target"
	run ! restore
	[[ $output == *"'$target' is not a folder"* ]]
	[ "$(cat "$target")" = file ]
}
