#!/usr/bin/env bats
#
# Without an agent: what changed, where a name is, which versions there were; what is kept,
# forgotten and brought back; what is saved of a damaged repository.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	source=$BATS_TEST_TMPDIR/source
	mkdir -p "$source/sub"
	echo one >"$source/changed"
	echo stays >"$source/sub/stays"
	echo gone >"$source/gone"
	offline init >/dev/null
	offline backup "$source" >/dev/null
	first=$(snapshot_at 0)
}

teardown() {
	end_agents
}

# The id of the n-th snapshot, by its sequence.
snapshot_at() {
	offline snapshots --json | jq -r --argjson n "$1" 'sort_by(.sequence)[$n].id'
}

back_up_changes() {
	echo three >"$source/changed"
	rm "$source/gone"
	echo new >"$source/sub/new"
	offline backup "$source" >/dev/null
	second=$(snapshot_at 1)
}

@test "diff shows what changed, with totals" {
	back_up_changes
	run -0 offline diff "$first" "$second" "$source"
	[[ $output == *"M $source/changed"* ]]
	[[ $output == *"- $source/gone"* ]]
	[[ $output == *"+ $source/sub/new"* ]]
	[[ $output != *stays* ]]
	offline diff "$first" latest --json | jq -e --arg source "$source" '
		(.changes | map(select(.change == "changed")) ==
			[{path: ($source + "/changed"), change: "changed", kind: "file",
			size_before: 4, size_after: 6}])
		and .totals.added == 1 and .totals.removed == 1 and .totals.changed == 1
		and .totals.added_bytes == 10 and .totals.removed_bytes == 9'
	run -1 offline diff "$first" "$second" /nowhere
	[[ $output == *"in neither snapshot"* ]]
}

@test "find and versions tell where a file was, and as what" {
	back_up_changes
	offline find 'ch*d' --json | jq -e --arg path "$source/changed" \
		'length == 2 and all(.[]; .path == $path) and map(.size) == [4, 6]'
	offline find /sub/n --json | jq -e 'length == 1 and (.[0].path | endswith("/sub/new"))'
	offline versions "$source/gone" --json |
		jq -e 'length == 2 and .[0].size == 5 and .[1].gone == true'
	run -1 offline versions /never
	[[ $output == *"is in no snapshot"* ]]
}

@test "size is what a snapshot alone holds" {
	head -c 100000 /dev/urandom >"$source/random"
	offline backup "$source" >/dev/null
	offline size latest --json | jq -e '.bytes >= 100000 and .bytes < 110000 and .blobs >= 2'
	run -0 offline size latest
	[[ $output == *"alone holds"* ]]
}

@test "a pinned snapshot is not forgotten, a forgotten one can be brought back" {
	offline pin "$first"
	offline snapshots --json | jq -e '.[0].pinned == true'
	run -1 offline forget "$first"
	[[ $output == *pinned* ]]
	offline unpin "$first"
	offline forget "$first"
	offline snapshots --json | jq -e 'length == 0'
	offline trash --json | jq -e --arg id "$first" 'length == 1 and .[0].snapshot.id == $id'
	offline recall "${first:0:8}"
	offline trash --json | jq -e 'length == 0'
	offline restore latest --target "$BATS_TEST_TMPDIR/restored" --strip "$source"
	assert_same_tree "$source" "$BATS_TEST_TMPDIR/restored"
	run -1 offline recall "${first:0:8}"
	[[ $output == *"no forgotten snapshot"* ]]
}

@test "once its data was removed, a forgotten snapshot is gone" {
	head -c 100000 /dev/urandom >"$source/random"
	offline backup "$source" >/dev/null
	id=$(snapshot_at 1)
	offline forget "$id"
	# The first marks, the second removes.
	offline prune --grace 0s
	offline prune --grace 0s
	run -1 offline recall "$id"
	[[ $output == *"no forgotten snapshot"* || $output == *"removed already"* ]]
	offline check --read-data
}

@test "a lost index is made anew, and only on request" {
	rm "$REPOSITORY"/index/*
	run -0 offline repair index
	[[ $output == *"would cover"* ]]
	[[ -z $(ls "$REPOSITORY/index") ]]
	offline repair index --apply
	[[ -n $(ls "$REPOSITORY/index") ]]
	offline check --read-data
	offline restore latest --target "$BATS_TEST_TMPDIR/restored" --strip "$source"
	assert_same_tree "$source" "$BATS_TEST_TMPDIR/restored"
}

@test "a damaged snapshot is replaced by what is left of it, and only on request" {
	head -c 100000 /dev/urandom >"$source/random"
	offline backup "$source" >/dev/null
	rm "$(find "$REPOSITORY/packs" -type f -printf '%s %p\n' | sort -n | tail -n 1 |
		cut -d ' ' -f 2)"
	run -3 offline repair snapshots
	[[ $output == *"lost $source/random"* ]]
	[[ $output == *"nothing was changed"* ]]
	run -1 offline check
	run -3 offline repair snapshots --apply
	run -0 offline repair snapshots --apply --read-data
	[[ $output == *"every snapshot is whole"* ]]
	offline snapshots --json | jq -e --arg path "$source/random" \
		'.[1].outcome == "warn" and (.[1].losses | map(.path)) == [$path]'
	offline restore latest --target "$BATS_TEST_TMPDIR/restored" --strip "$source"
	[[ ! -e $BATS_TEST_TMPDIR/restored/random ]]
	cmp "$source/sub/stays" "$BATS_TEST_TMPDIR/restored/sub/stays"
	run -2 offline repair everything
	[[ $output == *"repair index, repair snapshots"* ]]
}
