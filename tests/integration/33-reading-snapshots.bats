#!/usr/bin/env bats
#
# What a snapshot holds can be listed, read, and fetched as an archive, whole or from where a
# transfer broke off.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	share_agent
	export SOURCE=$BATS_FILE_TMPDIR/source
	make_small_tree "$SOURCE"
	mkfifo "$SOURCE/fifo"
	: >"$SOURCE/$(printf 'bytes \377 and \\ back\nslash')"
	truncate -s 1000000 "$SOURCE/sparse"
	printf 'in the middle' | dd of="$SOURCE/sparse" bs=1 seek=500000 conv=notrunc status=none
	start_agent
	api POST /backup -d "path_to_folder=$SOURCE"
	assert_status 201
	basename "$(header Location)" >"$BATS_FILE_TMPDIR/id"
}

teardown_file() {
	use_agent agent
	end_agents
}

setup() {
	use_agent agent
	id=$(<"$BATS_FILE_TMPDIR/id")
	at=/v1/snapshots/$id
	here=$BATS_TEST_TMPDIR
}

# Curl puts the parameter where it belongs, whatever it holds.
with() {
	local parameter=$1
	shift
	api GET "$@" -G --data-urlencode "$parameter"
}

@test "the backup is answered by its snapshot" {
	api GET "$at"
	assert_status 200
	assert_json '.id == $id and .kind == "files" and .outcome == "ok" and .sources == [$source]' \
		--arg id "$id" --arg source "$SOURCE"
}

@test "a snapshot is found by the beginning of its id, and as the latest" {
	api GET "/v1/snapshots/${id:0:8}"
	assert_json '.id == $id' --arg id "$id"
	api GET /v1/snapshots/latest
	assert_json '.id == $id' --arg id "$id"
	api GET "/v1/snapshots/${id:0:2}"
	assert_problem 404 not-found
}

@test "snapshots are listed by what they are" {
	local query
	for query in '' "source=$SOURCE" kind=files since=2020-01-01 "until=2100-01-01&limit=1"; do
		api GET "/v1/snapshots?$query"
		assert_status 200
		assert_json '.snapshots | map(.id) | index($id) == 0' --arg id "$id"
	done
	for query in source=/nowhere tag=none host=none kind=tables until=2020-01-01 since=2100-01-01; do
		api GET "/v1/snapshots?$query"
		assert_json '.snapshots == [] and .next == null'
	done
	api GET '/v1/snapshots?since=never'
	assert_problem 400 bad-request since
	api GET '/v1/snapshots?cursor=0123456789'
	assert_problem 400 bad-request cursor
}

@test "a list of snapshots goes on from its cursor, newest first" {
	local cursor="" seen=""
	for _ in 1 2 3; do
		api POST /backup --json "{\"path\": \"$SOURCE/letters\", \"tags\": [\"paged\"]}"
		assert_status 201
	done
	for _ in 1 2 3; do
		api GET "/v1/snapshots?tag=paged&limit=1$cursor"
		assert_json '.snapshots | length == 1'
		seen="$seen $(json '.snapshots[0].sequence')"
		cursor="&cursor=$(json .next)"
	done
	[[ $cursor == '&cursor=null' ]]
	[[ $(tr ' ' '\n' <<<"${seen# }" | sort -rn | uniq | tr '\n' ' ') == "${seen# } " ]]
	for _ in 1 2 3; do
		api GET '/v1/snapshots?tag=paged&limit=1'
		api DELETE "/v1/snapshots/$(json '.snapshots[0].id')"
		assert_status 204
	done
	api GET '/v1/snapshots?tag=paged'
	assert_json '.snapshots == []'
	log_rows '[.[] | select(.action == "DeleteSnapshot" and .status == "SUCCESS")] | length' |
		grep -qx 3
}

@test "a folder's entries are told with their attributes" {
	with "path=$SOURCE" "$at/tree"
	assert_status 200
	assert_json '.entry.kind == "directory"'
	assert_json '[.entries[] | {(.name): .kind}] | add | .fifo == "fifo" and .link == "symlink"
		and .letters == "directory" and .empty == "file"'
	assert_json '.entries[] | select(.name == "link") | .target == "letters/first.txt"'
	assert_json '.entries[] | select(.name == "sparse") | .size == 1000000 and .sparse'
	assert_json '.entries[] | select(.name == "hard link") | .links == 2 and .mode == "0640"'
	with "path=$SOURCE/letters/old" "$at/tree"
	assert_json '.entries[0].mtime == "2020-02-29T12:34:56.123456789Z"'
}

@test "a folder's entries come page by page, none twice and none left out" {
	local after=""
	with "path=$SOURCE" "$at/tree"
	json '.entries[].name' >"$here/all"
	while :; do
		api GET "$at/tree" -G --data-urlencode "path=$SOURCE" -d limit=2 ${after:+--data-urlencode "after=$after"}
		assert_status 200
		assert_json '.entries | length <= 2'
		json '.entries[].name' >>"$here/paged"
		after=$(json '.next // empty')
		[[ -n $after ]] || break
	done
	cmp "$here/all" "$here/paged"
}

@test "names of any bytes are shown printable, and lead back to their file" {
	with "path=$SOURCE" "$at/tree"
	local name
	name=$(json '.entries[].name | select(startswith("bytes"))')
	[[ $name == 'bytes \xff and \\ back\x0aslash' ]]
	with "path=$SOURCE/$name" "$at/file"
	assert_status 200
	[[ ! -s $API_BODY ]]
	with "path=$SOURCE/$name" "$at/tree"
	assert_json '.entry.kind == "file" and .entries == []'
}

@test "a file is read as it was" {
	local file
	for file in random.bin letters/numbers.txt sparse empty; do
		with "path=$SOURCE/$file" "$at/file"
		assert_status 200
		cmp "$SOURCE/$file" "$API_BODY"
		[[ $(header Content-Length) == $(stat -c %s "$SOURCE/$file") ]]
		assert_header Content-Disposition "filename=\"$(basename "$file")\""
	done
}

@test "HEAD tells the size of a file and sends nothing" {
	api HEAD "$at/file?path=$SOURCE/random.bin"
	assert_status 200
	assert_header Content-Length '^3000000$'
	assert_header Accept-Ranges '^bytes$'
}

@test "a range of a file is that part of it" {
	local range first last
	for range in 0-0 0-99 1000-2000 2999999-2999999 2500000- 999999-1000001; do
		with "path=$SOURCE/random.bin" "$at/file" -r "$range"
		assert_status 206
		first=${range%-*} last=${range#*-}
		: "${last:=2999999}"
		assert_header Content-Range "^bytes $first-$last/3000000\$"
		tail -c +$((first + 1)) "$SOURCE/random.bin" | head -c $((last - first + 1)) |
			cmp - "$API_BODY"
	done
	with "path=$SOURCE/random.bin" "$at/file" -r -100
	assert_status 206
	tail -c 100 "$SOURCE/random.bin" | cmp - "$API_BODY"
	with "path=$SOURCE/sparse" "$at/file" -r 499995-500020
	tail -c +499996 "$SOURCE/sparse" | head -c 26 | cmp - "$API_BODY"
}

@test "a range that lies behind the end is 416" {
	with "path=$SOURCE/random.bin" "$at/file" -r 3000000-
	assert_problem 416 bad-range
	assert_header Content-Range '^bytes \*/3000000$'
}

@test "a file that is known already is not sent again, and a changed one not resumed" {
	local etag
	with "path=$SOURCE/random.bin" "$at/file"
	etag=$(header ETag)
	with "path=$SOURCE/random.bin" "$at/file" -H "If-None-Match: $etag"
	assert_status 304
	with "path=$SOURCE/random.bin" "$at/file" -r 0-9 -H "If-Range: $etag"
	assert_status 206
	with "path=$SOURCE/random.bin" "$at/file" -r 0-9 -H 'If-Range: "another"'
	assert_status 200
	cmp "$SOURCE/random.bin" "$API_BODY"
}

@test "what is no file is told apart" {
	with "path=$SOURCE/letters" "$at/file"
	assert_problem 400 bad-request 'ask for its archive'
	with "path=$SOURCE/link" "$at/file"
	assert_problem 400 bad-request symlink
	with "path=$SOURCE/fifo" "$at/file"
	assert_problem 400 bad-request fifo
	with "path=$SOURCE/nothing" "$at/file"
	assert_problem 404 not-found
	with "path=$SOURCE/letters/../random.bin" "$at/file"
	assert_problem 404 not-found
	with path=etc/passwd "$at/file"
	assert_problem 400 bad-request absolute
}

@test "a folder as tar unpacks to what it was" {
	with "path=$SOURCE/letters" "$at/archive"
	assert_status 200
	assert_header Content-Type '^application/x-tar$'
	mkdir "$here/out"
	tar -xpf "$API_BODY" -C "$here/out"
	diff -r "$SOURCE/letters" "$here/out/${SOURCE#/}/letters"
}

@test "a folder as tar.zst and as zip unpacks to what it was" {
	with "path=$SOURCE/letters" "$at/archive?format=tar.zst"
	assert_status 200
	mkdir "$here/zst" "$here/zip"
	zstd -dcq <"$API_BODY" | tar -xpf - -C "$here/zst"
	diff -r "$SOURCE/letters" "$here/zst/${SOURCE#/}/letters"
	with "path=$SOURCE/letters" "$at/archive?format=zip"
	assert_status 200
	assert_header Content-Disposition 'letters\.zip'
	unzip -q "$API_BODY" -d "$here/zip"
	diff -r "$SOURCE/letters" "$here/zip/${SOURCE#/}/letters"
}

@test "a broken transfer of an archive goes on where it broke" {
	local format
	for format in tar tar.zst zip; do
		with "path=$SOURCE" "$at/archive?format=$format"
		assert_status 200
		cp "$API_BODY" "$here/whole"
		head -c 123457 "$here/whole" >"$here/part"
		curl -sS -C - -o "$here/part" -H "Authorization: Bearer $(<"$STATE/token")" -G \
			--data-urlencode "path=$SOURCE" -d "format=$format" "$URL$at/archive"
		cmp "$here/whole" "$here/part"
	done
	with "path=$SOURCE" "$at/archive" -r 99999999-
	assert_problem 416 bad-range
	with "path=$SOURCE" "$at/archive?format=rar"
	assert_problem 400 bad-request
	with path=/nowhere "$at/archive"
	assert_problem 404 not-found
}

@test "a client that leaves in mid-archive leaves nothing behind" {
	for _ in {1..40}; do
		curl -sS -o /dev/null --max-time 60 -H "Authorization: Bearer $(<"$STATE/token")" -G \
			--data-urlencode "path=$SOURCE" "$URL$at/archive" 2>/dev/null |
			head -c 10 >/dev/null || true
		printf 'GET %s/archive?path=%s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n' \
			"$at" "$SOURCE" "$(<"$STATE/token")" >"$here/request"
		(exec 9<>"/dev/tcp/127.0.0.1/$(agent_port)" && cat "$here/request" >&9)
	done
	# More than there may be at once: had they stayed, this would be 503.
	served() {
		with "path=$SOURCE/empty" "$at/file"
		[[ $API_STATUS == 200 ]]
	}
	wait_for served
}
