#!/usr/bin/env bats
#
# What other programs write becomes a snapshot like any other: by curl while it comes, or offline;
# and what does not come to its end becomes none.

bats_require_minimum_version 1.5.0
load lib/agent

setup_file() {
	share_agent
	agent_config <<-'END'
	[agent]
	max_body = 64K
	upload_idle = 60s
	END
	start_agent
	offline token add --role read reader >"$AGENT_FOLDER/reader"
	# Twenty megabytes that no compression makes small, quickly.
	openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 00 -in /dev/zero 2>/dev/null |
		head -c 20M >"$AGENT_FOLDER/noise"
}

teardown_file() {
	use_agent agent
	end_agents
}

setup() {
	use_agent agent
	noise=$AGENT_FOLDER/noise
	rows_before=$(log_rows length)
	snapshots_before=$(count_snapshots)
}

count_snapshots() {
	offline snapshots --json | jq length
}

# Nothing was kept since the test began.
assert_no_snapshot() {
	[ "$(count_snapshots)" -eq "$snapshots_before" ]
}

# Exactly one row since the test began: ACTION STATUS.
assert_one_row() {
	log_rows ".[$rows_before:]" | jq -e --arg action "$1" --arg status "$2" \
		'length == 1 and .[0].action == $action and .[0].status == $status' >/dev/null ||
		fail "expected one row $1 $2: $(log_rows ".[$rows_before:]")"
}

last_import() {
	api GET '/v1/runs?kind=import&limit=1'
	json '.runs[0].id'
}

import_is() {
	[ "$(last_import >/dev/null; json '.runs[0].state')" = "$1" ]
}

# upload PATH [CURL ARGUMENT...]: what comes on the standard input.
upload() {
	local path=$1
	shift
	api POST "$path" -T - "$@"
}

# The file at PATH of the snapshot that the last answer made.
stored() {
	curl -sS -H "Authorization: Bearer $(<"$STATE/token")" "$URL$(header Location)/file?path=$1"
}

# ---- files

@test "what a program writes into curl is kept, by POST and by PUT" {
	upload '/v1/snapshots?name=db/dump.sql' < <(seq 1 200000)
	assert_status 201
	assert_header Location '^/v1/snapshots/[0-9a-f]{32}$'
	assert_json '.kind == "stream" and .sources == ["/db/dump.sql"] and .files == 1'
	assert_json '.bytes == 1288895 and .outcome == "ok"'
	stored /db/dump.sql | cmp - <(seq 1 200000)
	assert_one_row Import SUCCESS
	log_rows '.[-1]' | jq -e '.parameter == "/db/dump.sql" and .command == "POST /v1/snapshots"
		and .files == 1 and .bytes == 1288895'
	# curl -T alone sends PUT; a body of known length.
	seq 1 200001 >"$BATS_TEST_TMPDIR/dump"
	api PUT '/v1/snapshots?name=db/dump.sql' -T "$BATS_TEST_TMPDIR/dump"
	assert_status 201
	assert_json '.changed_files == 1 and .parent != null'
	# The snapshots of one name are versions of one file.
	api GET '/v1/versions?path=/db/dump.sql'
	assert_json '[.versions[].size] == [1288895, 1288902]'
	api GET "/v1/snapshots?source=/db/dump.sql"
	assert_json '.snapshots | length == 2'
}

@test "a body that is as before changes nothing and stores nothing" {
	upload '/v1/snapshots?name=same' < <(head -c 3M "$noise")
	assert_status 201
	first=$(json .id)
	upload '/v1/snapshots?name=same' < <(head -c 3M "$noise")
	assert_status 201
	assert_json '.unmodified_files == 1 and .added_bytes < 10000'
	api GET "/v1/snapshots/$first/diff/$(json .id)"
	assert_status 200
	assert_json '.changes == []'
}

@test "it is a run that can be followed, and answered at once" {
	upload '/v1/snapshots?name=async' -H 'Prefer: respond-async' < <(seq 1 1000)
	assert_status 202
	assert_header Location '^/v1/runs/[0-9a-f]{32}$'
	id=$(json .id)
	wait_run "$id" ok
	assert_json '.kind == "import" and .arguments.name == "/async" and .result.files == 1'
	assert_json '.snapshot != null'
}

# ---- tar

# What GNU tar makes of $1 in the format $2 is, restored, as $1; $3: what treecmp is not to compare.
round_trip() {
	local tree=$1 format=$2
	shift 2
	rm -rf "$BATS_TEST_TMPDIR/restored"
	upload '/v1/snapshots?name=srv/tree&format=tar' \
		< <(tar -C "$tree" --format="$format" -S "$@" -cf - .)
	assert_status 201
	assert_json '.sources == ["/srv/tree"] and .outcome == "ok" and .loss_total == 0'
	offline restore "$(json .id)" --target "$BATS_TEST_TMPDIR/restored" --set-id \
		--strip /srv/tree
	assert_same_tree "$tree" "$BATS_TEST_TMPDIR/restored"
}

make_tree() {
	make_small_tree "$1"
	chmod 2750 "$1/letters"
	chmod 4711 "$1/letters/numbers.txt"
	truncate -s 3M "$1/sparse"
	printf 'in the middle' | dd of="$1/sparse" bs=1 seek=1M conv=notrunc status=none
	truncate -s 2M "$1/hole"
	: >"$1/$(printf 'no utf-8 \xff')"
	ln -s "$(printf 'to \xfe')" "$1/strange link"
	# Longer than the fields of old headers.
	mkdir -p "$1/$(printf 'n%.0s' {1..120})/$(printf 'm%.0s' {1..120})"
	echo long >"$1/$(printf 'n%.0s' {1..120})/$(printf 'm%.0s' {1..120})/file"
	mkfifo "$1/fifo"
	# Whole seconds: only pax holds more.
	find "$1" -depth -exec touch -h -d '2021-03-04T05:06:07Z' {} +
}

@test "what GNU tar writes in its own formats and in pax comes back as it was" {
	make_tree "$BATS_TEST_TMPDIR/tree"
	round_trip "$BATS_TEST_TMPDIR/tree" gnu
	round_trip "$BATS_TEST_TMPDIR/tree" oldgnu
	# In pax with all that it can hold.
	touch -d '2021-03-04T05:06:07.123456789Z' "$BATS_TEST_TMPDIR/tree/empty"
	touch -d '1965-03-04T05:06:07.75Z' "$BATS_TEST_TMPDIR/tree/random.bin"
	setfattr -n user.colour -v blue "$BATS_TEST_TMPDIR/tree/empty" 2>/dev/null || true
	! command -v setfacl || setfacl -m u:4242:rwx "$BATS_TEST_TMPDIR/tree/empty"
	round_trip "$BATS_TEST_TMPDIR/tree" posix --xattrs --acls
	first=$(json .id)
	# Sent again it is the same, to the last byte of its trees.
	round_trip "$BATS_TEST_TMPDIR/tree" posix --xattrs --acls
	assert_json '.unmodified_files == .files and .added_blobs == 0'
	api GET "/v1/snapshots/$first/diff/$(json .id)"
	assert_json '.changes == []'
}

@test "ustar and v7 come back as far as they hold it" {
	make_small_tree "$BATS_TEST_TMPDIR/tree"
	find "$BATS_TEST_TMPDIR/tree" -depth -exec touch -h -d '2021-03-04T05:06:07Z' {} +
	for format in ustar v7; do
		rm -rf "$BATS_TEST_TMPDIR/restored"
		upload '/v1/snapshots?name=srv/tree' -H 'Content-Type: application/x-tar' \
			< <(tar -C "$BATS_TEST_TMPDIR/tree" --format=$format -cf - .)
		assert_status 201
		assert_json '.loss_total == 0 and .files > 3'
		offline restore "$(json .id)" --target "$BATS_TEST_TMPDIR/restored" \
			--strip /srv/tree
		assert_same_tree "$BATS_TEST_TMPDIR/tree" "$BATS_TEST_TMPDIR/restored"
	done
}

@test "a compressed tar is recognised, and one of the repository's own comes back the same" {
	make_small_tree "$BATS_TEST_TMPDIR/tree"
	tar -C "$BATS_TEST_TMPDIR/tree" -cf "$BATS_TEST_TMPDIR/plain" .
	api PUT '/v1/snapshots?name=z&format=tar' -T "$BATS_TEST_TMPDIR/plain"
	assert_status 201
	roots=$(json '.roots[]')
	for program in gzip zstd xz bzip2; do
		command -v "$program" >/dev/null || continue
		upload '/v1/snapshots?name=z&format=tar' < <("$program" <"$BATS_TEST_TMPDIR/plain")
		assert_status 201
		[ "$(json '.roots[]')" = "$roots" ]
	done
	# Out as an archive of ours, and in again.
	curl -sS -H "Authorization: Bearer $(<"$STATE/token")" -o "$BATS_TEST_TMPDIR/out" \
		"$URL/v1/snapshots/latest/archive?path=/&format=tar.zst"
	api PUT '/v1/snapshots?name=/&format=tar' -T "$BATS_TEST_TMPDIR/out"
	assert_status 201
	[ "$(json '.roots[]')" = "$roots" ]
}

@test "an archive that is cut off, damaged or none is refused with the member and kept nowhere" {
	make_small_tree "$BATS_TEST_TMPDIR/tree"
	tar -C "$BATS_TEST_TMPDIR/tree" --sort=name -cf "$BATS_TEST_TMPDIR/tar" .
	upload '/v1/snapshots?name=x&format=tar' < <(head -c 3000000 "$BATS_TEST_TMPDIR/tar")
	assert_problem 400 bad-request "cut off at or behind 'x/random.bin'"
	upload '/v1/snapshots?name=x&format=tar' < <(echo '-- no tar')
	assert_problem 400 bad-request 'this is no tar archive'
	upload '/v1/snapshots?name=x&format=tar' < <(tar -cPf - --transform 's,^,../,' /etc/hostname)
	assert_problem 400 bad-request "'../"
	assert_no_snapshot
	assert_rows_failed 3
	import_is failed
}

# So many rows since the test began, all of failed imports.
assert_rows_failed() {
	log_rows ".[$rows_before:]" | jq -e --argjson count "$1" 'length == $count and
		all(.[]; .action == "Import" and .status == "ERROR" and (.message | length > 0))' ||
		fail "expected $1 failed imports: $(log_rows ".[$rows_before:]")"
}

# ---- refused before the body is sent

# Headers of an upload that waits for the word to go on; ARGUMENT... are further header lines.
ask_first() {
	local path=$1
	shift
	printf 'POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n' "$path"
	printf '%s\r\n' "$@" ''
}

@test "a client that asks first is refused without a body" {
	operator="Authorization: Bearer $(<"$STATE/token")"
	reader="Authorization: Bearer $(grep -oE 'hf_[A-Za-z0-9_-]{43}' "$AGENT_FOLDER/reader")"
	# Status, path, header lines.
	while IFS='|' read -r status path one two; do
		ask_first "$path" "$one" ${two:+"$two"} | "$HOLDFAST_BUILD/tests/tools/rawhttp" \
			127.0.0.1 "$(agent_port)" >"$BATS_TEST_TMPDIR/answer" ||
			fail "$path $one: the connection stayed open"
		head -1 "$BATS_TEST_TMPDIR/answer" | grep -q "^HTTP/1.1 $status " || {
			cat "$BATS_TEST_TMPDIR/answer"
			fail "$path $one: expected $status"
		}
	done <<-END
		401|/v1/snapshots?name=x|X-Nothing: 1
		401|/v1/snapshots?name=x|Authorization: Bearer hf_wrong
		403|/v1/snapshots?name=x|$reader
		400|/v1/snapshots|$operator
		400|/v1/snapshots?name=|$operator
		400|/v1/snapshots?name=../x|$operator
		400|/v1/snapshots?name=/|$operator
		400|/v1/snapshots?name=x&format=zip|$operator
		400|/v1/snapshots?name=x&colour=blue|$operator
		400|/v1/snapshots?name=x|$operator|Idempotency-Key: 1
		415|/v1/snapshots?name=x|$operator|Content-Encoding: gzip
	END
	assert_no_snapshot
}

@test "curl is told to go on where all is well, and why not where it is not" {
	upload '/v1/snapshots?name=continued' -H 'Expect: 100-continue' < <(echo 1)
	assert_status 201
	grep -q '^HTTP/1.1 100 ' "$API_HEADERS"
	upload '/v1/snapshots?name=..' -H 'Expect: 100-continue' < <(cat "$noise")
	assert_problem 400 bad-request "holds '..'"
	! grep -q '^HTTP/1.1 100 ' "$API_HEADERS" || fail "the body was asked for"
	# Those that do not ask are answered, too.
	upload '/v1/snapshots?name=..' -H Expect: < <(echo small)
	assert_problem 400 bad-request "holds '..'"
	upload '/v1/snapshots?name=..' -H Expect: < <(cat "$noise")
	assert_problem 400 bad-request "holds '..'"
	api POST '/v1/snapshots?name=x'
	assert_problem 400 bad-request 'no body'
	upload '/v1/snapshots?name=x' </dev/null
	assert_problem 400 bad-request 'nothing came'
	api POST /v1/runs --json '{"kind": "import", "arguments": {"name": "x"}}'
	assert_problem 400 bad-request 'comes with the data'
}

# ---- bodies that do not come to their end

# An agent that soon loses its patience; on a busy machine it must not be the tests' own.
impatient_agent() {
	use_agent impatient
	rm -f "$AGENT_FOLDER/more.conf"
	agent_config <<-'END'
	[agent]
	upload_idle = 4s
	END
	start_agent
	rows_before=$(log_rows length)
	snapshots_before=$(count_snapshots)
}

# Sends a part and waits, in the background; its process id is in $sender.  ("-T ." reads its input
# without waiting for it, so that it sees an answer in mid-body.)
send_part() {
	local path=$1
	shift
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	curl -sS -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}' -X POST \
		-H "Authorization: Bearer $(<"$STATE/token")" "$@" -T . "$URL$path" \
		<"$BATS_TEST_TMPDIR/pipe" >"$BATS_TEST_TMPDIR/status" 2>"$BATS_TEST_TMPDIR/complaint" 3>&- &
	sender=$!
	exec 7>"$BATS_TEST_TMPDIR/pipe"
	cat "$noise" >&7
	wait_for import_is running
}

run_has_read() {
	api GET "/v1/runs/$1"
	[ "$(json '.progress.bytes // 0')" -ge "$2" ]
}

@test "a client that goes away in mid-body leaves no snapshot, whatever the framing" {
	send_part '/v1/snapshots?name=cut'
	run=$(last_import)
	wait_for run_has_read "$run" 20000000
	kill -KILL "$sender"
	exec 7>&-
	wait_run "$run" failed
	assert_json '.error.message | contains("client went away")'
	assert_json '.snapshot == null'
	# A length that is told, and not kept.
	{
		printf 'PUT /v1/snapshots?name=cut HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n' \
			"$(<"$STATE/token")"
		printf 'Content-Length: 21000000\r\n\r\n'
		cat "$noise"
	} >"/dev/tcp/127.0.0.1/$(agent_port)"
	wait_for two_have_failed
	api GET "/v1/runs/$(last_import)"
	assert_json '.error.message | contains("client went away")'
	assert_no_snapshot
	assert_rows_failed 2
}

two_have_failed() {
	log_rows ".[$rows_before:]" | jq -e 'length == 2' >/dev/null
}

# Begins an upload that is to have more than two bytes, in the framing of the header line $1 and, before
# the data, $2; its connection is descriptor 6.
begin_short() {
	exec 6<>"/dev/tcp/127.0.0.1/$(agent_port)"
	printf 'POST /v1/snapshots?name=cut HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n' \
		"$(<"$STATE/token")" >&6
	printf '%s\r\n\r\n%sda' "$1" "$2" >&6
	wait_for import_is running
	run=$(last_import)
	wait_for run_has_read "$run" 2
}

@test "a client whose last bytes come together with its end is seen to go" {
	for framing in 'Content-Length: 100|' $'Transfer-Encoding: chunked|64\r\n'; do
		begin_short "${framing%|*}" "${framing#*|}"
		# The agent sleeps until both are there: it is told of the two at once.
		kill -STOP "$(agent_pid)"
		printf 'ta' >&6
		exec 6>&-
		kill -CONT "$(agent_pid)"
		# Sooner than upload_idle ends it.
		wait_for run_has_ended "$run"
		assert_json '.error.message | contains("client went away before all of the data")'
	done
	assert_no_snapshot
	assert_rows_failed 2
}

@test "a tar whose sender goes away at a member's end is no archive" {
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	curl -sS -X POST -H "Authorization: Bearer $(<"$STATE/token")" -T - \
		"$URL/v1/snapshots?name=cut&format=tar" <"$BATS_TEST_TMPDIR/pipe" 3>&- &
	cut_sender=$!
	exec 7>"$BATS_TEST_TMPDIR/pipe"
	tar -C / -b1 -cf - etc/hostname | head -c 1024 >&7
	wait_for import_is running
	run=$(last_import)
	kill -KILL "$cut_sender"
	exec 7>&-
	wait_run "$run" failed
	assert_no_snapshot
}

@test "a sender that is slow is waited for, one that stops is not" {
	impatient_agent
	# Longer than upload_idle in all, with a kilobyte in time.
	upload '/v1/snapshots?name=slow' < <(
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			head -c 2000 "$noise"
			sleep 0.6
		done
	)
	assert_status 201
	assert_json '.bytes == 20000'
	snapshots_before=$(count_snapshots)
	# A byte now and then is no pace.
	upload '/v1/snapshots?name=slow' < <(
		for _ in {1..60}; do
			printf x 2>/dev/null || exit 0
			sleep 0.2
		done
	)
	assert_problem 408 request-timeout upload_idle
	wait_run "$(last_import)" failed
	assert_json '.error.message | contains("upload_idle")'
	assert_no_snapshot
	stop_agent
}

@test "a run that fails in mid-body answers at once" {
	# No end to this body, and no tar in it.
	upload '/v1/snapshots?name=x&format=tar' --max-time 60 \
		< <(cat "$noise" && cat /dev/zero 2>/dev/null)
	assert_problem 400 bad-request 'this is no tar archive'
	# Of a length that is told, too.
	api PUT '/v1/snapshots?name=x&format=tar' -T "$noise" -H Expect:
	assert_problem 400 bad-request 'this is no tar archive'
	assert_no_snapshot
}

@test "an upload is paused, goes on, and is cancelled" {
	impatient_agent
	send_part '/v1/snapshots?name=paused'
	run=$(last_import)
	api POST "/v1/runs/$run/pause"
	assert_status 200
	# The client waits now, with more than the buffers hold; no deadline runs while it does.
	cat "$noise" "$noise" >&7 &
	more=$!
	sleep 6
	api GET "/v1/runs/$run"
	assert_json '.state == "paused"'
	api POST "/v1/runs/$run/continue"
	assert_status 200
	wait $more
	api DELETE "/v1/runs/$run"
	assert_status 202
	wait_run "$run" cancelled
	# The client is told soon, though it sends nothing.
	wait "$sender"
	exec 7>&-
	[ "$(<"$BATS_TEST_TMPDIR/status")" = 409 ]
	jq -e '.type == "urn:holdfast:problem:cancelled"' "$BATS_TEST_TMPDIR/answer"
	assert_no_snapshot
	stop_agent
}

@test "uploads that find every worker busy wait for their turn" {
	send_part '/v1/snapshots?name=busy-1'
	first=$sender
	mkfifo "$BATS_TEST_TMPDIR/pipe2"
	curl -sS -o /dev/null -X POST -H "Authorization: Bearer $(<"$STATE/token")" -T - \
		"$URL/v1/snapshots?name=busy-2" <"$BATS_TEST_TMPDIR/pipe2" 3>&- &
	second=$!
	exec 8>"$BATS_TEST_TMPDIR/pipe2"
	(
		while sleep 0.5; do
			head -c 4000 "$noise" >&7
			head -c 4000 "$noise" >&8
		done
	) 3>&- &
	ticking=$!
	api GET '/v1/runs?kind=import&state=running'
	wait_for two_are_running
	curl -sS -o "$BATS_TEST_TMPDIR/third" -X POST -H "Authorization: Bearer $(<"$STATE/token")" \
		-T "$noise" "$URL/v1/snapshots?name=third" 3>&- &
	third=$!
	wait_for import_is queued
	kill $ticking
	exec 7>&- 8>&-
	wait "$third" "$first" "$second"
	jq -e '.bytes == 20971520 and .sources == ["/third"]' "$BATS_TEST_TMPDIR/third"
}

two_are_running() {
	api GET '/v1/runs?kind=import&state=running'
	[ "$(json '.runs | length')" -eq 2 ]
}

# ---- limits

@test "a large body goes through little memory" {
	# Twelve times the same noise: 240 MB that are stored once.
	for _ in {1..12}; do cat "$noise"; done >"$BATS_TEST_TMPDIR/large"
	before=$(awk '/VmHWM/ { print $2 }' "/proc/$(agent_pid)/status")
	api PUT '/v1/snapshots?name=large' -T "$BATS_TEST_TMPDIR/large"
	assert_status 201
	assert_json '.bytes == 251658240 and .added_bytes < 60000000'
	after=$(awk '/VmHWM/ { print $2 }' "/proc/$(agent_pid)/status")
	echo "peak before $before KiB, after $after KiB"
	[ $((after - before)) -lt 65536 ] || [ -n "${ASAN_OPTIONS:-}" ]
	stored /large | cmp - "$BATS_TEST_TMPDIR/large"
}

@test "the end of the agent in mid-body is no end of the body" {
	use_agent stopped
	start_agent
	send_part '/v1/snapshots?name=stopped'
	run=$(last_import)
	stop_agent
	[ "$(agent_status)" = 0 ]
	exec 7>&-
	wait "$sender" || true
	start_agent
	wait_run "$run" failed
	assert_json '.error.message | contains("the agent was stopped")'
	[ "$(count_snapshots)" -eq 0 ]
	# Killed, too.
	rm "$BATS_TEST_TMPDIR/pipe"
	send_part '/v1/snapshots?name=killed'
	run=$(last_import)
	stop_agent KILL
	exec 7>&-
	start_agent
	wait_run "$run" aborted
	[ "$(count_snapshots)" -eq 0 ]
	offline check --read-data
	stop_agent
}

@test "a full disk answers 507 in mid-body" {
	disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk"
	mount -t tmpfs -o size=12m,mode=0700 holdfast-test "$disk" ||
		skip "a tmpfs cannot be mounted here"
	use_agent full
	# shellcheck disable=SC2034 # start_agent reads it
	REPOSITORY=$disk/repository
	start_agent
	upload '/v1/snapshots?name=full' < <(cat "$noise" "$noise")
	status=$API_STATUS
	count=$(count_snapshots)
	stop_agent
	umount "$disk"
	[ "$status" = 507 ]
	[ "$count" -eq 0 ]
}

# ---- offline

@test "the command keeps a file, a pipe and a tar" {
	seq 1 1000 >"$BATS_TEST_TMPDIR/numbers"
	run offline import --name db/numbers "$BATS_TEST_TMPDIR/numbers"
	[ "$status" -eq 0 ]
	[[ $output == *snapshot* ]]
	seq 1 1000 | offline import --name db/numbers --json | jq -e '.kind == "import" and
		.result.unmodified_files == 1'
	offline cat latest /db/numbers | cmp - "$BATS_TEST_TMPDIR/numbers"
	make_small_tree "$BATS_TEST_TMPDIR/tree"
	tar -C "$BATS_TEST_TMPDIR/tree" --format=posix -c . | offline import --name srv/t --format tar -
	offline restore latest --target "$BATS_TEST_TMPDIR/out" --strip /srv/t
	assert_same_tree "$BATS_TEST_TMPDIR/tree" "$BATS_TEST_TMPDIR/out"
}

@test "the command's exit status tells what came of it" {
	run offline import "$noise"
	[ "$status" -eq 2 ]
	[[ $output == *'--name NAME'* ]]
	run offline import --name x "$BATS_TEST_TMPDIR/nothing"
	[ "$status" -eq 1 ]
	[[ $output == *"could not open '$BATS_TEST_TMPDIR/nothing'"* ]]
	run offline import --name x </dev/null
	[ "$status" -eq 2 ]
	[[ $output == *'nothing came'* ]]
	run offline import --name x --format zip </dev/null
	[ "$status" -eq 2 ]
	run offline import --name x --format tar <"$noise"
	[ "$status" -eq 2 ]
	# A link without its target: the rest is kept.
	mkdir "$BATS_TEST_TMPDIR/links"
	echo 1 >"$BATS_TEST_TMPDIR/links/a"
	ln "$BATS_TEST_TMPDIR/links/a" "$BATS_TEST_TMPDIR/links/b"
	tar -C "$BATS_TEST_TMPDIR/links" -cf "$BATS_TEST_TMPDIR/l.tar" a b
	tar --delete -f "$BATS_TEST_TMPDIR/l.tar" a
	run offline import --name x --format tar "$BATS_TEST_TMPDIR/l.tar"
	[ "$status" -eq 3 ]
	[[ $output == *'lost: /x/b: a hard link'* ]]
}
