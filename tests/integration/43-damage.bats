#!/usr/bin/env bats
#
# A damaged repository, through the program: check says what is damaged and fails, all else
# restores, and nothing wrong is given back.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	make_small_tree "$source"
	offline init >/dev/null
	offline backup "$source"
	target=$BATS_TEST_TMPDIR/restored
}

teardown() {
	end_agents
}

# The largest pack holds the data.
data_pack() {
	find "$REPOSITORY/packs" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2
}

flip_byte() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	# shellcheck disable=SC2059 # the byte is the format
	printf "\\x$(printf '%02x' $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# What was restored is as in the source; the rest is missing, not wrong.
assert_nothing_wrong() {
	local file
	while IFS= read -r -d '' file; do
		cmp "$source/$file" "$target/$file"
	done < <(cd "$target" && find . -type f -print0)
}

@test "one flipped byte in a pack is found by check, costs what lies there, and nothing else" {
	flip_byte "$(data_pack)" 1000000
	offline check
	run -1 offline check --read-data
	[[ $output == *"$(basename "$(data_pack)")"* ]]
	run -3 offline restore latest --target "$target" --strip "$source"
	[[ $output == *random.bin* ]]
	assert_nothing_wrong
	cmp "$source/letters/numbers.txt" "$target/letters/numbers.txt"
	cmp "$source/letters/old/letter" "$target/letters/old/letter"
	[[ ! -e $target/random.bin ]]
}

@test "a pack that is cut short is found by check without reading all data" {
	truncate -s -1000 "$(data_pack)"
	run -1 offline check
	[[ $output == *"$(basename "$(data_pack)")"* ]]
	run offline restore latest --target "$target" --strip "$source"
	[[ $status == 0 || $status == 3 ]]
	assert_nothing_wrong
}

@test "a pack that is gone is found by check, and the next backup stores its files again" {
	rm "$(data_pack)"
	run -1 offline check
	run -3 offline restore latest --target "$target" --strip "$source"
	assert_nothing_wrong
	offline backup --force "$source"
	rm -rf "$target"
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
}

@test "without any index everything restores, and the next backup is whole" {
	rm -r "$REPOSITORY/index"
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
	offline backup "$source"
	rm -rf "$target"
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
}

@test "a damaged index file is found by check and everything restores" {
	flip_byte "$(find "$REPOSITORY/index" -type f | head -n 1)" 100
	run -1 offline check
	[[ $output == *index* ]]
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
}

@test "a damaged snapshot is named, and the others can be listed and restored" {
	first=$(find "$REPOSITORY/snapshots" -type f)
	echo more >"$source/more"
	offline backup "$source"
	flip_byte "$first" 40
	run -1 offline check
	[[ $output == *"$(basename "$first")"* ]]
	[[ $(offline snapshots --json 2>/dev/null | jq length) == 1 ]]
	run -1 offline restore "$(basename "$first")" --target "$target"
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
}

@test "one damaged key file does not lose the repository" {
	flip_byte "$(find "$REPOSITORY/keys" -type f | head -n 1)" 100
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
}

@test "without its key files the repository says what is missing and makes no new ones" {
	rm -r "$REPOSITORY/keys"
	run -1 offline restore latest --target "$target"
	run -1 offline init
	[[ $output == *keys* ]]
	[[ ! -e $REPOSITORY/keys || -z $(ls "$REPOSITORY/keys") ]]
}

@test "the agent answers for damaged files with a problem, and serves the others" {
	flip_byte "$(data_pack)" 1000000
	start_agent
	id=$(offline snapshots --json | jq -r '.[0].id')
	api GET "/v1/snapshots/$id/file" -G --data-urlencode "path=$source/letters/numbers.txt"
	assert_status 200
	cmp "$API_BODY" "$source/letters/numbers.txt"
	# The answer begins before the damage is met; then it must break off, not end as if whole.
	run curl -s -o "$BATS_TEST_TMPDIR/got" -w '%{http_code}' -G \
		-H "Authorization: Bearer $(<"$STATE/token")" \
		--data-urlencode "path=$source/random.bin" "$URL/v1/snapshots/$id/file"
	[[ $status != 0 || $output == 500 ]]
	api GET /v1/status
	assert_status 200
}
