#!/usr/bin/env bats
#
# Test restores: a sample of a snapshot is restored to where nobody works, compared, and thrown
# away; what cannot be restored is found before it is needed.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers
	sql "CREATE DATABASE shop;
		CREATE TABLE shop.kinds (id INT PRIMARY KEY, name VARCHAR(40)) ENGINE=InnoDB;
		CREATE TABLE shop.goods (id INT PRIMARY KEY, kind INT,
			FOREIGN KEY (kind) REFERENCES kinds (id)) ENGINE=InnoDB;
		CREATE VIEW shop.names AS SELECT name FROM shop.kinds;
		INSERT INTO shop.kinds VALUES (1, 'fruit'), (2, 'root');
		INSERT INTO shop.goods SELECT seq, seq % 2 + 1 FROM shop.seq_1_to_1000"
	make_small_tree "$AGENT_FOLDER/web"
	start_table_agent shop '[job site]' "path = $AGENT_FOLDER/web" 'tables = *' \
		'[job never]' "path = $AGENT_FOLDER/web"
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
	web=$AGENT_FOLDER/web
	proofs=$AGENT_FOLDER/state/proofs
}

# run_kind KIND ARGUMENTS OUTCOME: the run's document is the last answer.
run_kind() {
	api POST /v1/runs --json "{\"kind\": \"$1\", \"arguments\": $2}"
	assert_status 202
	wait_run "$(json .id)" "$3"
}

nothing_is_left() {
	[ -z "$(ls -A "$proofs")" ]
	[ -z "$(sql "SHOW DATABASES LIKE 'holdfast\\_prove\\_%'")" ]
}

@test "files and tables of a job's newest snapshot are restored, compared and thrown away" {
	run_kind backup '{"job": "site"}' ok
	snapshot=$(json .snapshot)
	before=$(sql 'CHECKSUM TABLE shop.kinds, shop.goods')
	run_kind prove '{"job": "site", "files": 4, "tables": 5}' ok
	assert_json '.snapshot == $id and .result.snapshot == $id and .result.job == "site"' \
		--arg id "$snapshot"
	assert_json '.result.files.count == 4 and (.result.files.paths | unique | length) == 4
		and all(.result.files.paths[]; startswith($web)) and .result.files.of == 6' \
		--arg web "$web"
	assert_json '.result.tables.count == 2 and .result.tables.of == 2
		and ([.result.tables.tables[] | {table, rows, verified}] | sort_by(.table)
			== [{"table": "goods", "rows": 1000, "verified": true},
			{"table": "kinds", "rows": 2, "verified": true}])'
	assert_json '.result.compared.files == "every byte, size, mode and time of change"'
	nothing_is_left
	[ "$(sql 'CHECKSUM TABLE shop.kinds, shop.goods')" = "$before" ]
	[ "$(log_rows '[.[] | select(.action == "Prove" and .status == "SUCCESS" and
		.parameter == "job site")] | length')" -eq 1 ]
}

@test "each time other files are taken, and the newest ones every time" {
	touch -d '2031-01-01' "$web/letters/numbers.txt"
	run_kind backup '{"job": "site"}' ok
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
		run_kind prove '{"job": "site", "files": 2, "tables": 0}' ok
		json '.result.files.paths[]' >>"$BATS_TEST_TMPDIR/taken"
	done
	[ "$(grep -c 'letters/numbers.txt$' "$BATS_TEST_TMPDIR/taken")" -eq 12 ]
	[ "$(sort -u "$BATS_TEST_TMPDIR/taken" | wc -l)" -ge 3 ]
}

@test "a test restore keeps within its bounds, and one of nothing is a failure" {
	run_kind backup '{"job": "site"}' ok
	run_kind prove '{"job": "site", "bytes": 1000, "files": 100, "tables": 5}' ok
	assert_json '.result.files.bytes <= 1000 and .result.files.too_large >= 1
		and .result.tables.count == 1 and .result.tables.too_large == 1'
	run_kind prove '{"job": "site", "files": 0, "tables": 0}' failed
	assert_json '.error.code == "too-large" and (.error.message | contains("nothing of snapshot"))'
	nothing_is_left
}

@test "what makes no sense is refused" {
	api POST /v1/runs --json '{"kind": "prove", "arguments": {"job": "none"}}'
	assert_problem 404 not-found
	api POST /v1/runs --json '{"kind": "prove", "arguments": {"job": "never"}}'
	assert_problem 404 not-found
	assert_json '.detail | contains("has no snapshot to be restored")'
	api POST /v1/runs --json '{"kind": "prove", "arguments": {"job": "site", "snapshot": "latest"}}'
	assert_problem 400 bad-request
	api POST /v1/runs --json '{"kind": "prove", "arguments": {"snapshot": "00000000"}}'
	assert_problem 404 not-found
}

@test "nothing of others depends on the copy while it is there: it has no foreign keys" {
	run_kind backup '{"job": "site"}' ok
	sql "SET GLOBAL general_log_file = '$BATS_TEST_TMPDIR/statements', GLOBAL general_log = 1"
	run_kind prove '{"job": "site", "files": 0, "tables": 5}' ok
	sql 'SET GLOBAL general_log = 0'
	grep -q 'CREATE TABLE `holdfast_prove_' "$BATS_TEST_TMPDIR/statements"
	! grep -qi 'REFERENCES' <(grep -a 'holdfast_prove_' "$BATS_TEST_TMPDIR/statements")
}

@test "what a crash has left is cleared by the next one, and what is in use is not" {
	run_kind backup '{"job": "site"}' ok
	for name in left used; do
		mkdir -p "$proofs/$name/files"
		echo x >"$proofs/$name/files/x"
		echo default >"$proofs/$name/server"
		sql "CREATE DATABASE holdfast_prove_$name; CREATE TABLE holdfast_prove_$name.t (i INT)"
	done
	exec 8<"$proofs/used"
	flock 8
	run_kind prove '{"job": "site", "files": 1, "tables": 1}' ok
	[ ! -e "$proofs/left" ]
	[ -e "$proofs/used/files/x" ]
	[ "$(sql "SHOW DATABASES LIKE 'holdfast\\_prove\\_%'")" = holdfast_prove_used ]
	exec 8<&-
	run_kind prove '{"job": "site", "files": 1, "tables": 0}' ok
	nothing_is_left
}

@test "a user without the right to make a database is told what it needs" {
	run_kind backup '{"job": "site"}' ok
	sql "REVOKE ALL PRIVILEGES, GRANT OPTION FROM agent@'%'; GRANT ALL ON shop.* TO agent@'%'"
	run_kind prove '{"job": "site"}' failed
	hint=$(json .error.hint)
	sql "GRANT ALL ON *.* TO agent@'%' WITH GRANT OPTION"
	[[ $hint == *'`holdfast_prove_%`'* ]]
	run_kind prove '{"job": "site"}' ok
	nothing_is_left
}

@test "a command does the same" {
	run -0 --separate-stderr offline --config "$AGENT_FOLDER/agent.conf" prove --json --job site
	[ "$(jq -r '.result.tables.count // .tables.count' <<<"$output")" -eq 1 ]
	run -0 --separate-stderr offline --config "$AGENT_FOLDER/agent.conf" prove --files 3 latest
	[[ $output == *"restored and compared 3 of "*" files"* ]]
	[[ $output == *"can be restored, as far as was tried"* ]]
	nothing_is_left
}

# Last, as the repository stays damaged.
@test "a backup that was damaged by hand is found, with the names of what is lost" {
	head -c 3000000 /dev/urandom >"$web/noise"
	run_kind backup '{"job": "site"}' ok
	pack=$(find "$REPOSITORY/packs" -type f -printf '%T@ %s %p\n' | sort -n | awk '$2 > 2500000' |
		tail -n 1 | cut -d ' ' -f 3)
	for at in 500000 1500000 2400000; do
		printf 'damage' | dd of="$pack" bs=1 seek=$at conv=notrunc status=none
	done
	run_kind prove '{"job": "site", "files": 100, "tables": 0}' failed
	assert_json '.error.code == "corrupt" and (.error.message | contains("did not come back"))
		and ([.losses[].path] | any(endswith("/noise")))'
	nothing_is_left
	[ "$(log_rows '[.[] | select(.action == "Prove" and .status == "ERROR" and
		(.message | contains("did not come back")))] | length')" -eq 1 ]
}
