#!/usr/bin/env bats
#
# Jobs that hold tables, alone or together with folders: one snapshot, of one moment.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers
	sql "CREATE DATABASE shop; CREATE DATABASE other;
		CREATE TABLE shop.goods (id INT PRIMARY KEY, name VARCHAR(40)) ENGINE=InnoDB;
		CREATE TABLE shop.orders (id INT PRIMARY KEY, t CHAR(200)) ENGINE=InnoDB;
		INSERT INTO shop.goods VALUES (1, 'apple'), (2, 'pear');
		INSERT INTO shop.orders SELECT seq, CONCAT(MD5(seq), MD5(-seq)) FROM shop.seq_1_to_20000;
		CREATE TABLE other.notes (id INT PRIMARY KEY); INSERT INTO other.notes VALUES (7)"
	mkdir "$AGENT_FOLDER/web"
	echo page >"$AGENT_FOLDER/web/index.html"
	start_table_agent shop "$(mariadb_config 'database second')" 'name = other' \
		'[job site]' "path = $AGENT_FOLDER/web" 'tables = goods, orders' \
		'[job rows]' 'tables = *' \
		'[job notes]' "path = $AGENT_FOLDER/web" 'tables = *' 'database = second'
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
	web=$AGENT_FOLDER/web
}

# run_job NAME [ARGUMENTS]: the run's document is the last answer.
run_job() {
	api POST /v1/runs --json "{\"kind\": \"backup\", \"arguments\": {\"job\": \"$1\"${2:+, $2}}}"
	assert_status 202
	wait_run "$(json .id)" ok
}

@test "a job's folders and tables are one snapshot" {
	run_job site
	assert_json '.result.schema == "shop" and .result.database == "default"
		and ([.result.tables[] | {table, rows}] == [{"table": "goods", "rows": 2},
			{"table": "orders", "rows": 20000}]) and .result.files == 3'
	snapshot=$(json .snapshot)
	api GET "/v1/snapshots/$snapshot"
	assert_json '.kind == "mixed" and .job == "site" and .files == 3
		and .sources == [$web, "/database/goods", "/database/orders"]' --arg web "$web"
	api GET "/v1/snapshots/$snapshot/file?path=$web/index.html"
	[ "$(<"$API_BODY")" = page ]
	api GET "/v1/snapshots/$snapshot/file?path=/database/goods/backup/goods.avro"
	assert_status 200
	[ "$(avrocat "$API_BODY" | wc -l)" -eq 2 ]
}

@test "its tables and its folders are restored as from snapshots of their own" {
	run_job site
	snapshot=$(json .snapshot)
	before=$(sql 'CHECKSUM TABLE shop.goods, shop.orders')
	sql 'DELETE FROM shop.goods; UPDATE shop.orders SET t = "lost"'
	api POST /restore_backup/goods
	assert_status 200
	assert_json '.snapshot == $id' --arg id "$snapshot"
	api POST "/restore_backup/orders?snapshot=$snapshot"
	assert_status 200
	[ "$(sql 'CHECKSUM TABLE shop.goods, shop.orders')" = "$before" ]
	api GET /v1/tables/goods
	assert_json '.snapshots[0].snapshot == $id and .snapshots[0].rows == 2' --arg id "$snapshot"
	api POST /v1/runs --json "{\"kind\": \"restore\", \"arguments\": {\"snapshot\": \"$snapshot\",
		\"target\": \"$BATS_TEST_TMPDIR/back\", \"paths\": [\"$web\"]}}"
	wait_run "$(json .id)" ok
	cmp "$BATS_TEST_TMPDIR/back$web/index.html" "$web/index.html"
}

@test "an unchanged job stores next to nothing again, and reads no unchanged file" {
	run_job site
	run_job site
	assert_json '.result.unmodified_files == 1 and .result.added_bytes < 20000'
}

@test "rows that come while it runs are not in it: the tables are of the moment it began" {
	echo "$RANDOM" >"$web/new"
	api POST /v1/runs --json '{"kind": "backup", "arguments": {"job": "site",
		"limits": {"read": "2M"}}}'
	assert_status 202
	run=$(json .id)
	phase() {
		api GET "/v1/runs/$run"
		[ "$(json .progress.phase)" = backup ] && [ "$(json .progress.bytes)" -gt 0 ]
	}
	wait_for phase
	sql 'INSERT INTO shop.orders SELECT seq, "late" FROM shop.seq_20001_to_20100'
	wait_run "$run" ok
	assert_json '[.result.tables[] | select(.table == "orders") | .rows] == [20000]'
	sql 'DELETE FROM shop.orders WHERE id > 20000'
}

@test "a job of tables alone is a snapshot of tables, with the job's name" {
	run_job rows
	assert_json '[.result.tables[].table] == ["goods", "orders"]'
	api GET "/v1/snapshots/$(json .snapshot)"
	assert_json '.kind == "tables" and .job == "rows" and .sources == ["/database"]'
	api POST /v1/runs --json '{"kind": "backup", "arguments": {"job": "rows", "dry_run": true}}'
	assert_problem 400 bad-request
	assert_json '.detail | contains("a job of tables has no dry run")'
}

@test "tables of another database lie in its folder" {
	run_job notes
	assert_json '.result.database == "second" and .result.schema == "other"'
	api GET "/v1/snapshots/$(json .snapshot)/tree?path=/databases/second"
	assert_json '[.entries[].name] == ["notes"]'
}

@test "a table that is gone is a loss, a server that is away fails the run before anything is stored" {
	sql 'RENAME TABLE shop.goods TO shop.hidden'
	api POST /v1/runs --json '{"job": "site"}'
	wait_run "$(json .id)" warn
	assert_json "[.losses[].path] == [\"goods\"] and (.losses[0].reason | contains(\"'goods'\"))
		and [.result.tables[].table] == [\"orders\"]"
	sql 'RENAME TABLE shop.hidden TO shop.goods'
	api GET '/v1/snapshots?limit=1'
	newest=$(json '.snapshots[0].id')
	stop_mariadb
	api POST /v1/runs --json '{"job": "site"}'
	wait_run "$(json .id)" failed
	assert_json '.error.code == "unavailable" and .snapshot == null'
	start_mariadb
	api GET '/v1/snapshots?limit=1'
	assert_json '.snapshots[0].id == $id' --arg id "$newest"
	run_job site
}

# refused SECTION...: a configuration with this job is, with this text.
refused() {
	{
		mariadb_config database
		printf '[job j]\n%b\n' "$1"
	} >"$BATS_TEST_TMPDIR/bad.conf"
	chmod 0600 "$BATS_TEST_TMPDIR/bad.conf"
	run -2 --separate-stderr "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/bad.conf" config check
	[[ $stderr == *"bad.conf:"*"$2"* ]]
}

@test "jobs whose tables make no sense are refused with file and line" {
	refused 'keep_last = 1' 'has no path and no tables'
	refused 'database = default' 'names a database and no tables'
	refused 'tables = *, goods' "'*' and names of tables exclude each other"
	refused 'tables = goods\ndatabase = third' "no database 'third' is configured"
	refused "tables = $(printf 'x%.0s' {1..65})" 'table'
}
