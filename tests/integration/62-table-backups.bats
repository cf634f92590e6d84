#!/usr/bin/env bats
#
# Tables of MariaDB into the repository and onto the exchange storage: every type, tables of every
# kind, names of every kind, and a server that fails, changes or refuses.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers
	sql "$(<"$HOLDFAST_TOP/tests/data/tables/every.sql")"
	mkdir "$AGENT_FOLDER/exchange"
	start_table_agent shop
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
}

# rows FILE: how many an independent reader finds.
rows() {
	avrocat "$1" | wc -l
}

# make_large TABLE: more than the pipeline holds, and hard to compress, so that a limit holds it up.
make_large() {
	sql -D shop "CREATE TABLE $1 (id INT PRIMARY KEY, t CHAR(200)); INSERT INTO $1
		SELECT seq, CONCAT(MD5(seq), MD5(-seq), MD5(seq + 0.5)) FROM seq_1_to_300000"
}

@test "a table is a snapshot and a file that any reader of Avro opens" {
	api POST /backup_table/plain
	assert_status 201
	assert_json '.outcome == "ok" and .tables[0].table == "plain" and .tables[0].rows == 200000'
	assert_header Location '^/v1/snapshots/[0-9a-f]+$'
	snapshot=$(json .snapshot)
	[ "$(rows "$exchange/plain/backup/plain.avro")" -eq 200000 ]
	avrocat "$exchange/plain/backup/plain.avro" | grep -qF '{"id": 77, "name": {"string": "name 77"}, "v": {"double": 11.0}}'
	api GET "/v1/snapshots/$snapshot/file?path=/database/plain/backup/plain.avro"
	assert_status 200
	cmp "$API_BODY" "$exchange/plain/backup/plain.avro"
	api GET "/v1/snapshots/$snapshot"
	assert_json '.kind == "tables" and .files == 1 and .sources == ["/database/plain"]'
	[ "$(log_rows '[.[] | select(.action == "BackupTable" and .parameter == "plain" and .status == "SUCCESS")] | length')" -ge 1 ]
}

@test "the same rows again add next to nothing" {
	api POST /backup_table/plain
	assert_status 201
	api POST /backup_table/plain
	assert_status 201
	assert_json '.added_bytes < 20000 and .bytes > 4000000'
	first=$(jq -r .tables[0].checksum "$API_BODY")
	# The last ones: how far behind a change chunks differ is up to the repository's random key.
	sql -D shop 'UPDATE plain SET v = v + 1 WHERE id > 198000'
	api POST /backup_table/plain
	assert_json '.added_bytes < .bytes / 10'
	[ "$(jq -r .tables[0].checksum "$API_BODY")" != "$first" ]
	sql -D shop 'UPDATE plain SET v = v - 1 WHERE id > 198000'
	api POST /backup_table/plain
	# Exactly as it was, but for what floating point lost.
	[ "$(jq -r .tables[0].rows "$API_BODY")" -eq 200000 ]
}

@test "tables have a level of compression of their own, of one run or of all" {
	local -A stored
	local way
	for way in default files one all; do
		local folder=$BATS_TEST_TMPDIR/$way
		{
			mariadb_config database
			printf 'name = shop\n'
			[ $way != all ] || printf 'compression = 12\n'
			[ $way != files ] || printf '[repository]\ncompression = 12\n'
		} >"$folder.conf"
		chmod 0600 "$folder.conf"
		local -a hold=("$HOLDFASTD" --config "$folder.conf" --state "$folder.state" --repository "$folder")
		"${hold[@]}" init
		local -a level=()
		[ $way != one ] || level=(--level 12)
		run -0 --separate-stderr "${hold[@]}" backup-table "${level[@]}" --json plain
		stored[$way]=$(jq .result.stored_bytes <<<"$output")
	done
	echo "$(declare -p stored)"
	# Chunks, and with them frames, differ by the repositories' keys, the levels by far more.
	((stored[one] * 10 < stored[default] * 9 && stored[all] * 10 < stored[default] * 9))
	((stored[files] * 10 > stored[default] * 9))
}

@test "a whole database: every type, engine, kind of table and name" {
	run -0 --separate-stderr "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" backup-table --json
	jq -e '.outcome == "ok" and (.result.tables | length) == 10' <<<"$output"
	# The present rows of a system-versioned table and those of its past.
	jq -e '.notes == [] and ([.result.tables[] | select(.table == "hist").rows] == [2])' <<<"$output"
	jq -e '[.result.tables[] | select(.kind == "view" or .kind == "sequence").table] == ["sq", "vw"]' <<<"$output"
	[ "$(rows "$exchange/every/backup/every.avro")" -eq 7 ]
	avrocat "$exchange/every/backup/every.avro" >"$BATS_TEST_TMPDIR/every"
	grep -qF '"b1": {"long": -9223372036854775808}' "$BATS_TEST_TMPDIR/every"
	grep -qF '"da": {"string": "0000-00-00"}' "$BATS_TEST_TMPDIR/every"
	grep -qF '"ti6": {"string": "-838:59:59.999999"}' "$BATS_TEST_TMPDIR/every"
	grep -qF '"g": {"string": "\u4F60\u597D"}' "$BATS_TEST_TMPDIR/every"
	[ "$(find "$exchange" -name '*.avro' | wc -l)" -eq 10 ]
	[ -z "$(find "$exchange" -name '*.part')" ]
	api POST "/backup_table/we%3BDROP%20TABLE%20plain%3B--%60%22%27%2F..%2Fx"
	assert_status 201
	assert_json '.tables[0].rows == 1'
	[ -e "$exchange/we;DROP TABLE plain;--\`\"'%2F..%2Fx/backup/we;DROP TABLE plain;--\`\"'%2F..%2Fx.avro" ]
	[ "$(sql 'SELECT count(*) FROM shop.plain')" -eq 200000 ]
}

@test "what is not there, or no name, is refused" {
	api POST /backup_table/nowhere
	assert_problem 404 not-found "nowhere"
	api POST /backup_table/a%0Ab%20
	assert_status 400
	api POST "/backup_table/$(printf 'x%.0s' {1..65})"
	assert_problem 400 bad-request
	api POST /backup_table/plain?x=1
	assert_status 400
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"tables": ["plain", "nowhere"]}}'
	assert_status 202
	wait_run "$(json .id)" warn
	assert_json '.losses[0].path == "nowhere" and (.result.tables | length) == 1'
}

@test "limits hold a backup and a restore of tables back" {
	api POST /v1/runs --json "{\"kind\": \"tables\", \"arguments\": {\"table\": \"plain\", \"limits\": {\"read\": 1500000, \"nice\": 7, \"io\": \"idle\"}}}"
	assert_status 202
	run_id=$(json .id)
	steps_back() {
		api GET "/v1/runs/$run_id" && assert_json '.progress.bytes > 1000' >/dev/null
	}
	wait_for steps_back
	[ "$(awk '$19 == 7' "/proc/$(agent_pid)"/task/*/stat | wc -l)" -ge 2 ]
	wait_run "$run_id" ok
	assert_json '.result.limits.read == 1500000 and .result.limits.nice == 7 and .result.limits.io == "idle" and .result.limits.waited_ms > 500'
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"table": "plain", "as": "plain_slow", "limits": {"download": 1500000, "nice": 7}}}'
	run_id=$(json .id)
	wait_run "$run_id" ok
	assert_json '.result.limits.download == 1500000 and .result.limits.nice == 7 and .result.limits.waited_ms > 100'
	sql -D shop 'DROP TABLE plain_slow'
}

@test "a table altered before its turn is named, and the others are stored" {
	make_large large
	sql -D shop 'CREATE TABLE later_t (a INT); INSERT INTO later_t VALUES (1); ANALYZE TABLE large, later_t' >/dev/null
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"tables": ["large", "later_t"], "connections": 1, "limits": {"upload": 2000000}}}'
	assert_status 202
	run_id=$(json .id)
	reads_large() {
		api GET "/v1/runs/$run_id" && assert_json '.progress.path == "large"' >/dev/null
	}
	wait_for reads_large
	api POST "/v1/runs/$run_id/pause"
	sql -D shop 'TRUNCATE later_t; ALTER TABLE later_t ADD b INT'
	api POST "/v1/runs/$run_id/continue"
	wait_run "$run_id" warn
	assert_json '.losses[0].path == "later_t" and (.losses[0].reason | test("altered"))'
	assert_json '[.result.tables[].rows] == [300000]'
	sql -D shop 'DROP TABLE large, later_t'
}

@test "missing rights are named" {
	sql "CREATE USER poor@'%' IDENTIFIED BY 'x'; GRANT SELECT ON shop.plain TO poor@'%'; GRANT SELECT ON shop.nokey TO poor@'%'"
	sed -E 's/^user = .*/user = poor/; s/^password_file = .*/password = x/' "$AGENT_FOLDER/agent.conf" >"$BATS_TEST_TMPDIR/poor.conf"
	chmod 600 "$BATS_TEST_TMPDIR/poor.conf"
	run -1 "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/poor.conf" backup-table plain nokey
	[[ $output == *denied* && $output == *"LOCK TABLES"* ]]
	# A single table with snapshots needs no lock.
	run -0 "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/poor.conf" backup-table plain
	# Of a trigger whose statement is not shown there would be nothing to restore.
	sql -D shop "CREATE TABLE watched (id INT PRIMARY KEY);
		CREATE TRIGGER note BEFORE INSERT ON watched FOR EACH ROW SET @seen = NEW.id;
		GRANT SELECT, INSERT ON shop.watched TO poor@'%'"
	run -1 "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/poor.conf" backup-table watched
	[[ $output == *"table 'watched' has a trigger 'note'"*"needs TRIGGER"* ]]
	sql "GRANT TRIGGER ON shop.watched TO poor@'%'"
	run -0 "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/poor.conf" backup-table watched
	sql "DROP USER poor@'%'; DROP TABLE shop.watched"
}

@test "an exchange storage that cannot be written is a loss, not the end" {
	mv "$AGENT_FOLDER/exchange" "$AGENT_FOLDER/away"
	api POST /backup_table/nokey
	mv "$AGENT_FOLDER/away" "$AGENT_FOLDER/exchange"
	assert_status 201
	assert_json '.outcome == "warn" and (.losses[0].reason | test("exchange storage"))'
	mv "$exchange/nokey" "$exchange/aside"
	ln -s /tmp "$exchange/nokey"
	api POST /backup_table/nokey
	rm "$exchange/nokey"
	mv "$exchange/aside" "$exchange/nokey"
	assert_json '.outcome == "warn"'
	[ ! -e /tmp/backup/nokey.avro ]
}

@test "a server killed in the middle fails the run, and the next one works" {
	make_large doomed
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"table": "doomed", "limits": {"upload": 1000000}}}'
	run_id=$(json .id)
	reads_large() {
		api GET "/v1/runs/$run_id" && assert_json '.progress.bytes > 1000' >/dev/null
	}
	wait_for reads_large
	api POST "/v1/runs/$run_id/pause"
	kill_mariadb
	api POST "/v1/runs/$run_id/continue"
	wait_run "$run_id" failed
	assert_json '.error.message | test("doomed")'
	[ -z "$(find "$exchange" -name '*.part')" ]
	[ ! -e "$exchange/doomed" ] || [ -z "$(find "$exchange/doomed" -name '*.avro')" ]
	api POST /backup_table/plain
	assert_status 503
	start_mariadb
	api POST /backup_table/doomed
	assert_status 201
	assert_json '.tables[0].rows == 300000'
	sql -D shop 'DROP TABLE doomed'
}

@test "without a database in the settings it is said" {
	use_agent bare
	start_agent
	api POST /backup_table/plain
	assert_problem 503 unavailable "database"
	stop_agent
}
