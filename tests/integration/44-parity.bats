#!/usr/bin/env bats
#
# A repository with parity, damaged by hand: restores heal and say so, check tells what heals,
# repair packs mends it, and afterwards check is clean.

# shellcheck disable=SC2154 # stderr is set by bats
bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	make_small_tree "$source"
	export HOLDFAST_REPOSITORY_PARITY=10%
	if ! "$HOLDFASTD" config check --state "$STATE" >/dev/null 2>&1; then
		[[ $("$HOLDFASTD" config check --state "$STATE" 2>&1 || true) == *libisal-dev* ]]
		skip "built without libisal"
	fi
	offline init >/dev/null
	offline backup "$source"
	target=$BATS_TEST_TMPDIR/restored
	# The largest pack holds the data.
	pack=$(find "$REPOSITORY/packs" -type f -printf '%s %P\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
}

teardown() {
	end_agents
}

# spoil FILE OFFSET LENGTH: overwrite what is there by other bytes.
spoil() {
	head -c "$3" /dev/zero | tr '\0' X |
		dd of="$1" bs=1M iflag=fullblock oflag=seek_bytes seek="$2" conv=notrunc status=none
}

damage() {
	spoil "$REPOSITORY/packs/$pack" 1000000 20000
	spoil "$REPOSITORY/packs/$pack" 1700000 1
}

# Every file of the repository with its checksum.
sums() {
	(cd "$REPOSITORY" && find packs parity index snapshots -type f -exec cksum {} + | sort -k 3)
}

@test "each pack has its parity, of about the share that was asked for" {
	diff <(cd "$REPOSITORY/packs" && find . -type f | sort) \
		<(cd "$REPOSITORY/parity" && find . -type f | sort)
	size=$(stat -c %s "$REPOSITORY/packs/$pack")
	parity=$(stat -c %s "$REPOSITORY/parity/$pack")
	((parity * 100 >= size * 10 && parity * 100 <= size * 13))
	[[ $(offline check) == *"packs have parity, "* ]]
	[[ $(offline check --json | jq -c '.result | [.packs == .packs_with_parity, .parity_bytes > 0]') == '[true,true]' ]]
}

@test "a restore from a damaged pack is whole and says what heals it" {
	before=$(sums)
	damage
	damaged=$(sums)
	[[ $before != "$damaged" ]]
	run -0 --separate-stderr offline restore latest --target "$target" --strip "$source"
	[[ $stderr == *"$(basename "$pack")"*"healed while reading"*"holdfastd repair packs --apply"* ]]
	assert_same_tree "$source" "$target"
	# Reading writes nothing.
	[[ $(sums) == "$damaged" ]]
	# What is read without a run says it, too.
	run -0 --separate-stderr offline cat latest "$source/random.bin"
	[[ $stderr == *"$(basename "$pack")"*"healed while reading"* ]]
}

@test "check names the damage and that it heals; repair mends it to the byte" {
	before=$(sums)
	damage
	damaged=$(sums)
	run -1 --separate-stderr offline check --read-data
	[[ $output == *"damaged: packs/$pack"*"(healable: holdfastd repair packs --apply)"* ]]
	[[ $stderr == *"nothing is lost"* ]]
	run -1 --separate-stderr offline check --read-data --json
	[[ $(jq -c '[.result.damage[] | .healable, .path_total] | unique' <<<"$output") == '[true,0]' ]]
	# Unasked, it only says what it would do.
	run -3 offline repair packs
	[[ $output == *"can be mended: packs/$pack"*"nothing was changed"* ]]
	[[ $(sums) == "$damaged" ]]
	run -0 offline repair packs --apply
	[[ $output == *"mended: packs/$pack"* ]]
	[[ $(sums) == "$before" ]]
	offline check --read-data
	run -0 offline repair packs
	[[ $output != *mended* ]]
}

@test "a pack that is cut short heals; its parity that is damaged is named and made anew" {
	before=$(sums)
	truncate -s -40000 "$REPOSITORY/packs/$pack"
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
	spoil "$REPOSITORY/parity/$pack" 0 100
	run -1 offline check
	[[ $output == *"damaged: parity/$pack"* && $output == *"damaged: packs/$pack"* ]]
	run -0 offline repair packs --apply
	[[ $output == *"mended: packs/$pack"*"mended: parity/$pack"* ]]
	[[ $(sums) == "$before" ]]
}

@test "more damage than parity is told apart, and left as it is" {
	size=$(stat -c %s "$REPOSITORY/packs/$pack")
	spoil "$REPOSITORY/packs/$pack" 100000 $((size / 4))
	damaged=$(sums)
	run -1 offline check --read-data
	[[ $output == *"damaged: packs/$pack"* && $output != *"nothing is lost"* ]]
	run -3 offline repair packs --apply
	[[ $output == *"CANNOT BE MENDED: packs/$pack"* ]]
	[[ $(sums) == "$damaged" ]]
	run -3 offline restore latest --target "$target" --strip "$source"
}

@test "packs from before parity was switched on get it on request, and prune takes it with them" {
	rm -r "$REPOSITORY/parity"
	run -0 --separate-stderr offline check
	[[ $stderr == *"have no parity"*"--add-parity"* ]]
	run -0 offline repair packs
	[[ $output == *"without parity"* ]]
	[[ ! -e $REPOSITORY/parity ]]
	run -0 offline repair packs --add-parity --apply
	[[ $output == *"parity was added to"* ]]
	damage
	offline restore latest --target "$target" --strip "$source"
	assert_same_tree "$source" "$target"
	# Off, there is nothing to add.
	HOLDFAST_REPOSITORY_PARITY=off run -2 offline repair packs --add-parity
	[[ $output == *"parity is off"* || $output == *"it is off"* ]]
	offline repair packs --apply
	rm -rf "${source:?}"/*
	echo new >"$source/new"
	offline backup "$source"
	offline prune --keep-last 1 --grace 0
	offline prune --keep-last 1 --grace 0
	[[ ! -e $REPOSITORY/packs/$pack && ! -e $REPOSITORY/parity/$pack ]]
	offline check --read-data
}

@test "the agent heals what it serves, logs it, and repairs by a run" {
	damage
	start_agent
	api GET "/v1/snapshots/latest/file" -G --data-urlencode "path=$source/random.bin"
	assert_status 200
	cmp "$API_BODY" "$source/random.bin"
	grep -q '"event":"healed"' "$(agent_log)"
	api POST /v1/runs --json '{"kind": "restore", "arguments": {"snapshot": "latest", "target": "'"$target"'"}}'
	wait_run "$(json .id)" ok
	api POST /v1/runs --json '{"kind": "repair", "arguments": {"what": "packs", "apply": true}}'
	wait_run "$(json .id)" ok
	[[ $(json '.result.damaged[0].mended') == true ]]
	api POST /v1/runs --json '{"kind": "check", "arguments": {"read_data": true}}'
	wait_run "$(json .id)" ok
	api POST /v1/runs --json '{"kind": "repair", "arguments": {"what": "index", "add_parity": true}}'
	assert_status 400
}

@test "a rule that makes no sense is refused with its place" {
	for wrong in 0% 101% 3+4 ten 200+56; do
		HOLDFAST_REPOSITORY_PARITY=$wrong run -2 offline snapshots
		[[ $output == *HOLDFAST_REPOSITORY_PARITY*"'parity' takes off, N% or K+M, not '$wrong'"* ]]
	done
}
