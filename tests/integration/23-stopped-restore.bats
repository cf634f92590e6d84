#!/usr/bin/env bats
#
# A restore that is killed, or that fills the disk, leaves whole files only, and the next one
# goes on where it ended and removes what was left over.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	target=$BATS_TEST_TMPDIR/target
	disk=$BATS_TEST_TMPDIR/disk
}

teardown() {
	! mountpoint -q "$disk" || umount "$disk"
}

# Many small files in many folders, and some large ones: some 70 MB.
make_source() {
	local i
	for i in $(seq 1 40); do
		mkdir -p "$source/$i/inner/most"
		head -c 100000 /dev/urandom | split -b 1000 -a 3 - "$source/$i/f-"
		head -c 20000 /dev/urandom | split -b 1000 -a 3 - "$source/$i/inner/most/g-"
		chmod 0555 "$source/$i/inner"
	done
	mkdir "$source/large"
	for i in 1 2 3; do
		head -c 20000000 /dev/urandom >"$source/large/$i"
	done
	ln "$source/1/f-aaa" "$source/2/linked"
	offline init
	offline backup "$source"
}

leftovers() {
	find "$1" -name '.holdfast-restore-*'
}

restore() {
	offline restore latest --target "$target" --strip "$source" "$@"
}

# Kill a restore after so many milliseconds, or leave it if it has ended by then.
kill_restore_after() {
	local pid status=0
	"$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" restore latest \
		--target "$target" --strip "$source" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	pid=$!
	sleep "$(printf '0.%03d' "$1")"
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" || status=$?
	[[ $status == 0 || $status == 137 ]]
	if [[ $status == 137 ]]; then
		killed=$((killed + 1))
	fi
	if [[ -n $(leftovers "$target") ]]; then
		littered=$((littered + 1))
	fi
}

@test "a restore killed at random moments leaves only whole files, and the next goes on" {
	local killed=0 littered=0 i
	make_source
	for i in $(seq 1 25); do
		# Into nothing now and then, and else on top of what the last one left.
		if ((i % 5 == 1)); then
			chmod -R u+w "$target" 2>/dev/null || true
			rm -rf "$target"
		fi
		mkdir -p "$target"
		kill_restore_after $((20 + RANDOM % 400))
		run assert_same_tree --partial "$source" "$target"
		[[ $status == 0 ]] || fail "$output"
	done
	echo "# killed $killed restores of 25, $littered left something over" >&3
	((killed > 0))
	restore --verify
	[[ -z $(leftovers "$target") ]]
	# Also the folders that had got their names, but not their attributes.
	assert_same_tree "$source" "$target"
}

@test "leftovers of a living restore are left alone" {
	local holder
	make_small_tree "$source"
	offline init
	offline backup "$source"
	mkdir -p "$target/.holdfast-restore-0123456789abcdef-1/inner/deep"
	echo half >"$target/.holdfast-restore-0123456789abcdef-1/inner/deep/file"
	mkdir "$target/.holdfast-restore-0123456789abcdef-2"
	echo half >"$target/.holdfast-restore-0123456789abcdef-3"
	ln -s /etc "$target/.holdfast-restore-0123456789abcdef-4"
	mkdir -m 0 "$target/.holdfast-restore-0123456789abcdef-1/closed"
	# This one is held, as a living restore holds its own.
	flock -F "$target/.holdfast-restore-0123456789abcdef-2" sleep 60 3>&- &
	holder=$!
	wait_for locked "$target/.holdfast-restore-0123456789abcdef-2"
	restore
	[[ $(leftovers "$target") == "$target/.holdfast-restore-0123456789abcdef-2" ]]
	kill "$holder"
	wait "$holder" || true
	wait_for unlocked "$target/.holdfast-restore-0123456789abcdef-2"
	restore
	[[ -z $(leftovers "$target") ]]
	assert_same_tree "$source" "$target"
}

locked() {
	! flock -n "$1" true
}

unlocked() {
	flock -n "$1" true
}

@test "a full disk ends the restore with its reason and without half files" {
	make_source
	mkdir "$disk"
	mount -t tmpfs -o size=30m,mode=0700 holdfast-test "$disk" ||
		skip "a tmpfs cannot be mounted here"
	ln -s disk/target "$target"
	mkdir "$disk/target"
	run -1 restore
	[[ $output == *"No space left on device"* ]]
	# What is there is whole, and nothing else is there.
	[[ -z $(leftovers "$disk") ]]
	assert_same_tree --partial "$source" "$target/"
	find "$disk" -type f | grep -q .
	# With room again it goes on.
	mount -o remount,size=200m "$disk"
	restore
	assert_same_tree --partial "$source" "$target/"
	diff <(cd "$source" && find . | sort) <(cd "$target" && find . | sort)
}

started_or_ended() {
	[[ -d $target ]] || ! kill -0 "$1" 2>/dev/null
}

@test "a cancelled restore stops with whole files" {
	make_source
	"$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" restore latest \
		--target "$target" --strip "$source" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local pid=$! status=0
	wait_for started_or_ended "$pid"
	kill -INT "$pid" 2>/dev/null || true
	wait "$pid" || status=$?
	[[ $status != 139 && $status != 134 ]]
	[[ -z $(leftovers "$target") ]]
	assert_same_tree --partial "$source" "$target"
}

@test "damaged data costs the files that it was in, which are told, and no others" {
	local pack
	mkdir -p "$source"
	head -c 6000000 /dev/urandom >"$source/large"
	echo small >"$source/small"
	offline init
	offline backup "$source"
	cp -a "$source" "$BATS_TEST_TMPDIR/before"
	head -c 5000000 /dev/urandom >"$source/other"
	offline backup "$source"
	# In the middle of the largest pack lies a piece of "large".
	pack=$(find "$REPOSITORY" -type f -size +5M -printf '%T@ %p\n' | sort -n | head -n 1)
	pack=${pack#* }
	chmod u+w "$pack"
	printf 'damage' | dd of="$pack" bs=1 seek=3000000 conv=notrunc status=none
	run -3 restore
	[[ $output == *"$target/large: "* ]]
	[ ! -e "$target/large" ]
	[[ -z $(leftovers "$target") ]]
	cmp "$source/other" "$target/other"
	cmp "$source/small" "$target/small"
}
