#!/usr/bin/env bats
#
# Several databases: each is migrated, backed up, restored and looked at by its name, and none
# meets another's tables in the repository or on the exchange storage.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_mariadb
	share_agent
	start_mariadb
	sql "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO shop.t VALUES (1, 'shop');
		CREATE DATABASE web; CREATE TABLE web.t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO web.t VALUES (1, 'web'), (2, 'web')"
	mkdir "$AGENT_FOLDER/exchange"
	{
		mariadb_config database
		printf 'name = shop\n'
		mariadb_config database | sed 's/^\[database\]/[database web]/'
		printf 'connections = 3\n'
		printf '[exchange]\nurl = file://%s\n' "$AGENT_FOLDER/exchange"
	} | agent_config
	start_agent
}

teardown_file() {
	end_agents
	end_mariadb
}

setup() {
	use_agent agent
	use_mariadb
}

@test "tables of one name in two databases are backed up and restored apart" {
	api POST /backup_table/t
	assert_status 201
	assert_json '.database == "default" and .schema == "shop" and .tables[0].rows == 1'
	api POST '/backup_table/t?database=web'
	assert_status 201
	assert_json '.database == "web" and .schema == "web" and .tables[0].rows == 2'
	snapshot=$(json .snapshot)
	api GET "/v1/snapshots/$snapshot"
	assert_json '.sources == ["/databases/web/t"] and .directories == 4 and .files == 1'
	api GET "/v1/snapshots/$snapshot/tree?path=/databases/web/t/backup"
	assert_json '[.entries[].name] == ["t.avro"]'
	[ "$(avrocat "$AGENT_FOLDER/exchange/database/t/backup/t.avro" | wc -l)" -eq 1 ]
	[ "$(avrocat "$AGENT_FOLDER/exchange/databases/web/t/backup/t.avro" | wc -l)" -eq 2 ]
	sql 'DELETE FROM shop.t; DELETE FROM web.t'
	api POST '/restore_backup/t?database=web'
	assert_status 200
	[ "$(sql 'SELECT count(*) FROM shop.t')" -eq 0 ]
	[ "$(sql 'SELECT group_concat(v) FROM web.t')" = web,web ]
	api POST '/restore_backup/t?source=exchange'
	assert_status 200
	[ "$(sql 'SELECT group_concat(v) FROM shop.t')" = shop ]
	# The newest of the other database is no backup of this one's table.
	api POST '/restore_backup/t?database=default'
	assert_json '.tables[0].rows == 1'
}

@test "a database of a command, and of a run; a whole one beside the other" {
	run -0 --separate-stderr "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" backup-table --database web --json
	jq -e '.result.database == "web" and [.result.tables[].table] == ["t"]' <<<"$output"
	sql "UPDATE web.t SET v = 'lost'"
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" restore-table --database web t
	[ "$(sql 'SELECT group_concat(v) FROM web.t')" = web,web ]
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"database": "web"}}'
	assert_status 202
	wait_run "$(json .id)" ok
	assert_json '.result.database == "web"'
	snapshot=$(json .snapshot)
	api GET "/v1/snapshots/$snapshot"
	assert_json '.sources == ["/databases/web"]'
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" check --read-data
}

@test "migrations of one database leave the other alone" {
	api POST '/run-migration?database=web'
	assert_status 200
	assert_json '.database == "web"'
	[ "$(sql 'SELECT count(*) FROM web.hired_employees')" -eq 0 ]
	[ -z "$(sql -D shop "SHOW TABLES LIKE 'hired_employees'")" ]
	api GET '/run-migration?database=web'
	assert_json '.pending == 0'
	api GET /run-migration
	assert_json '.pending > 0'
	api GET '/run-migration?database=web&set=log'
	assert_problem 400 bad-request 'exclude'
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" migrate --database web to 0
	[ -z "$(sql -D web "SHOW TABLES LIKE 'hired_employees'")" ]
	run -2 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" migrate --database web --log
	api GET '/hired_by_quarter/2021?database=web'
	assert_problem 404 not-found
}

@test "a name that is none of the settings is refused with those that are" {
	for request in 'POST /backup_table/t?' 'POST /restore_backup/t?' 'POST /run-migration?' 'GET /run-migration?' \
		'GET /v1/reports?' 'GET /v1/reports/hired_by_quarter?year=2021&'; do
		api "${request% *}" "${request#* }database=shop"
		assert_problem 404 not-found "'shop'"
		assert_json '.hint | test("default, web")'
	done
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"database": "x"}}'
	assert_status 404
	run -1 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" backup-table --database x
	[[ $output == *"default, web"* ]]
}

@test "of several databases without a default one must be named" {
	use_agent several
	{
		mariadb_config database | sed 's/^\[database\]/[database one]/'
		mariadb_config database | sed 's/^\[database\]/[database two]/'
		printf 'name = web\n'
	} | agent_config
	start_agent
	api POST /backup_table/t
	assert_problem 400 bad-request "several"
	assert_json '.hint | test("one, two")'
	api POST '/backup_table/t?database=two'
	assert_status 201
	assert_json '.schema == "web"'
	stop_agent
}

@test "the only database needs no name, whatever it has" {
	use_agent only
	{
		mariadb_config database | sed 's/^\[database\]/[database mine]/'
		printf 'name = web\n'
	} | agent_config
	start_agent
	api POST /backup_table/t
	assert_status 201
	assert_json '.database == "mine"'
	api GET "/v1/snapshots/latest"
	assert_json '.sources == ["/databases/mine/t"]'
	stop_agent
}
