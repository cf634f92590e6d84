#!/usr/bin/env bats
#
# Archives of a snapshot are what other programs understand, hold what the source held, and are
# the same bytes each time.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	out=$BATS_TEST_TMPDIR/out
	mkdir "$out"
}

teardown() {
	end_agents
}

# Names that tar can take; what lies beyond PATH_MAX it cannot extract,
make_source() {
	"$HOLDFAST_BUILD/tests/tools/mktree" "$source"
	rm -rf "$source/deep-beyond-path-max"
	# nor does it know how libarchive writes a device's minor number above 262143.
	rm -f "$source/special/large-numbers"
	offline init
	offline backup "$source"
}

untar() {
	tar --xattrs '--xattrs-include=*' --acls --numeric-owner -xpf "$@"
}

@test "tar extracts an archive of every kind of entry to what the source was" {
	[[ $EUID == 0 ]] || skip "only root can extract owners and devices"
	make_source
	offline archive latest "$source" >"$out/a.tar"
	# GNU tar has nothing to complain about but strange times, and the mark of those names
	# that are no UTF-8.
	untar "$out/a.tar" -C "$out" 2>"$out/complaints"
	grep -v -e hdrcharset -e 'time stamp' "$out/complaints" && fail "tar complains"
	# The one second before 1970 cannot be written with its fraction.
	touch -d @-1 "$source/times/before-1970"
	touch --reference="$out$source/times" "$source/times"
	assert_same_tree --top "$source" "$out$source"
	tar --quoting-style=escape -tf "$out/a.tar" >"$out/list"
	grep -qE '/caf(\\303\\251|é)$' "$out/list"
}

@test "a compressed archive is the same archive" {
	make_small_tree "$source"
	offline init
	offline backup "$source"
	offline archive latest "$source" --format tar >"$out/a.tar"
	offline archive latest "$source" --format tar.zst >"$out/a.tar.zst"
	zstd -q --test "$out/a.tar.zst"
	zstd -dcq "$out/a.tar.zst" | cmp - "$out/a.tar"
	[ "$(stat -c %s "$out/a.tar.zst")" -lt "$(stat -c %s "$out/a.tar")" ]
}

@test "unzip extracts a zip with contents, modes, links and names" {
	make_small_tree "$source"
	printf x >"$source"/$'caf\xc3\xa9'
	printf y >"$source"/$'bad\xff'
	mkfifo "$source/fifo"
	chmod 0755 "$source/letters/first.txt"
	offline init
	offline backup "$source"
	offline archive latest "$source" --format zip -o "$out/a.zip"
	unzip -tqq "$out/a.zip"
	(cd "$out" && unzip -q a.zip)
	diff -r "$source/letters" "$out$source/letters"
	cmp "$source/random.bin" "$out$source/random.bin"
	[ "$(readlink "$out$source/link")" = letters/first.txt ]
	[ "$(stat -c %a "$out$source/letters/first.txt")" = 755 ]
	[ "$(cat "$out$source"/$'caf\xc3\xa9')" = x ]
	[ "$(cat "$out$source/bad\\xff")" = y ]
	[ -d "$out$source/empty folder" ]
	# Each name of a file has its content, as a zip has no links of that kind.
	cmp "$source/hard link" "$out$source/hard link"
	[ ! -e "$out$source/fifo" ]
}

@test "an archive of one file, of one folder and of everything" {
	make_small_tree "$source"
	offline init
	offline backup "$source"
	[ "$(offline archive latest "$source/letters/first.txt" | tar -xO)" = "one line" ]
	offline archive latest "$source/letters" | tar -t | sort >"$out/list"
	printf '%s\n' "${source#/}/letters/" "${source#/}/letters/first.txt" \
		"${source#/}/letters/numbers.txt" "${source#/}/letters/old/" \
		"${source#/}/letters/old/letter" | sort | diff - "$out/list"
	offline archive latest / | tar -x -C "$out"
	assert_same_tree "$source" "$out$source"
	run ! offline archive latest "$source/none" -o "$out/none.tar"
	[[ $output == *"has no path '$source/none'"* ]]
}

@test "the same snapshot gives the same bytes, and a download goes on where it was cut" {
	local format
	make_small_tree "$source"
	start_agent
	api POST /backup -d "path_to_folder=$source"
	assert_status 201
	snapshot=$(header Location)
	for format in tar tar.zst zip; do
		api GET "$snapshot/archive?format=$format&path=$source"
		assert_status 200
		cp "$API_BODY" "$out/first"
		api GET "$snapshot/archive?format=$format&path=$source"
		cmp "$API_BODY" "$out/first"
		head -c 1000003 "$out/first" >"$out/cut"
		api GET "$snapshot/archive?format=$format&path=$source" -H 'Range: bytes=1000003-'
		assert_status 206
		cat "$out/cut" "$API_BODY" | cmp - "$out/first"
	done
}

@test "a large sparse file goes into a tar without its holes" {
	mkdir "$source"
	truncate -s 6G "$source/sparse"
	echo middle | dd of="$source/sparse" bs=1M seek=4200 conv=notrunc status=none
	offline init
	offline backup "$source"
	offline archive latest "$source" >"$out/a.tar"
	[ "$(stat -c %s "$out/a.tar")" -lt 1000000 ]
	tar -xf "$out/a.tar" -C "$out"
	assert_same_tree "$source" "$out$source"
}
