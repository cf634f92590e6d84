#!/usr/bin/env bats
#
# Several databases: each is migrated, backed up, restored and looked at by its name, and none
# meets another's tables in the repository or on the exchange storage.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers
	sql "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO shop.t VALUES (1, 'shop');
		CREATE DATABASE web; CREATE TABLE web.t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO web.t VALUES (1, 'web'), (2, 'web')"
	mkdir "$AGENT_FOLDER/exchange"
	{
		mariadb_config database | sed 's/^\[database\]/[database web]/'
		echo 'connections = 3'
	} | agent_config
	start_table_agent shop
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
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

@test "a preview into a database that lacks the table checks the condition all the same" {
	sql -D shop "CREATE TABLE parts (id INT PRIMARY KEY, \`it's\` VARCHAR(20)); INSERT INTO parts VALUES (1, 'a'), (2, 'b');
		CREATE TABLE doubled (id INT PRIMARY KEY, twice INT AS (id * 2)); INSERT INTO doubled (id) VALUES (1), (2)"
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" backup-table parts doubled
	preview() {
		api POST "/restore_backup/$1?as=web.$1&dry_run=true" -G --data-urlencode "where=$2"
	}
	preview parts "\`it's\` > 'a' AND parts.id < 3"
	assert_status 200
	assert_json '.tables[0] | .rows == 2 and .present == null and (has("restored") | not)'
	assert_json '.notes[0].reason | test("the table would be made")'
	preview parts 'ID IS NOT NULL'
	assert_status 200
	for condition in 'nothing = 1' 'id >' 'other.id = 1' 'nofunction(id)'; do
		preview parts "$condition"
		assert_problem 400 bad-request condition
	done
	# What only the table has is not held against it.
	preview doubled 'twice > 2'
	assert_status 200
	[ -z "$(sql -D web "SHOW TABLES LIKE 'parts'")" ]
	sql -D shop 'DROP TABLE parts, doubled'
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

@test "the tables of all databases, each with what it is and the newest snapshot that holds it" {
	use_agent tables
	{
		mariadb_config database
		printf 'name = looks\n'
		mariadb_config database | sed 's/^\[database\]/[database far]/'
	} | agent_config
	sql 'CREATE DATABASE looks; CREATE DATABASE far'
	sql -D looks "CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(10)); INSERT INTO a (v) SELECT 'x' FROM seq_1_to_100;
		CREATE TABLE \`ö; DROP TABLE a; --'\"\`\`\` (id INT); CREATE TABLE \`b.c/d:e\` (id INT) ENGINE=MyISAM;
		CREATE VIEW v AS SELECT * FROM a; CREATE SEQUENCE s; CREATE TABLE never (g POINT);
		CREATE TABLE _holdfast_new_1 (a INT)"
	sql -D far 'CREATE TABLE z (a INT); CREATE TABLE h (a INT) WITH SYSTEM VERSIONING'
	start_agent
	api POST /backup_table/a
	sql -D looks "INSERT INTO a (v) VALUES ('y')"
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"tables": ["a", "b.c/d:e", "v", "s"]}}'
	wait_run "$(json .id)" ok
	newest=$(json .snapshot)
	api POST '/backup_table/z?database=far'
	api GET /v1/tables
	assert_status 200
	odd="ö; DROP TABLE a; --'\"\`"
	assert_json '[.tables[] | "\(.database) \(.table) \(.kind)"] == ["default a base", "default b.c/d:e base", "default never base",
		"default s sequence", "default v view", "default \($odd) base", "far h base", "far z base"]' --arg odd "$odd"
	assert_json '.next == null and .failed == []'
	assert_json '.tables[0] | .schema == "looks" and .engine == "InnoDB" and .bytes > 0 and .backup.possible
		and .newest.snapshot == $id and .newest.rows == 101 and .newest.bytes > 100 and (.newest.time | endswith("Z"))' --arg id "$newest"
	assert_json '.tables[1] | .engine == "MyISAM" and .newest.rows == 0'
	assert_json '.tables[2].newest == null and .tables[3].newest.rows == 1 and .tables[4].newest.rows == null and .tables[4].newest.snapshot'
	assert_json '.tables[6].system_versioned and .tables[7].newest.rows == 0'
	# Page by page.
	names=() next=
	while :; do
		api GET "/v1/tables?limit=1${next:+&cursor=$(jq -rn --arg v "$next" '$v | @uri')}"
		assert_status 200
		assert_json '.tables | length == 1'
		names+=("$(json '.tables[0].table')")
		next=$(json '.next // ""')
		[[ -n $next ]] || break
	done
	[ "${#names[@]}" -eq 8 ]
	api GET '/v1/tables?limit=100'
	[ "$(printf '%s\n' "${names[@]}")" = "$(json '.tables[].table')" ]
	api GET '/v1/tables?database=far&limit=1'
	assert_json '[.tables[].table] == ["h"] and .next == "far:h"'
	api GET '/v1/tables?database=far&limit=1&cursor=far:h'
	assert_json '[.tables[].table] == ["z"] and .next == null'
	for wrong in 'cursor=x' 'cursor=nobody:x' 'database=far&cursor=default:a' 'limit=5000' 'x=1'; do
		api GET "/v1/tables?$wrong"
		assert_problem 400 bad-request
	done
	api GET '/v1/tables?database=nobody'
	assert_problem 404 not-found 'nobody'
	# To look is no action.
	[ "$(log_rows '[.[] | select(.command | startswith("GET /v1/tables"))] | length')" -eq 0 ]
	# A name with all that could be taken for something else.
	api GET "/v1/tables/$(jq -rn --arg v "$odd" '$v | @uri')"
	assert_status 200
	assert_json '.table == $v and .present and .snapshots == []' --arg v "$odd"
	[ "$(sql -D looks 'SELECT count(*) FROM a')" -eq 101 ]
	stop_agent
}

@test "one table: columns and how they are carried, foreign keys both ways, snapshots" {
	use_agent tables
	start_agent
	sql -D looks "CREATE TABLE up (a INT, b INT, PRIMARY KEY (a, b));
		CREATE TABLE mid (id BIGINT UNSIGNED PRIMARY KEY, a INT NOT NULL DEFAULT 7, b INT, n VARCHAR(5) CHARACTER SET latin1 DEFAULT 'it''s', g INT AS (a + 1),
			i INT INVISIBLE, d DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6), KEY (n),
			CONSTRAINT goes_up FOREIGN KEY (a, b) REFERENCES up (a, b) ON DELETE CASCADE) COMMENT='in the middle';
		CREATE TABLE down (id BIGINT UNSIGNED, CONSTRAINT to_mid FOREIGN KEY (id) REFERENCES mid (id))"
	for _ in 1 2 3; do
		sql -D looks "INSERT INTO up SELECT max(coalesce(a, 0)) + 1, 1 FROM (SELECT * FROM up UNION SELECT 0, 0) x"
		api POST /v1/runs --json '{"kind": "tables", "arguments": {"tables": ["mid", "up"]}}'
		wait_run "$(json .id)" ok
	done
	newest=$(json .snapshot)
	api GET /v1/tables/mid
	assert_status 200
	assert_json '.present and .kind == "base" and .comment == "in the middle" and .backup.possible and (.created | endswith("Z"))'
	assert_json '[.columns[] | "\(.name) \(.type) \(.nullable) \(.key) \(.carried)"] == ["id bigint(20) unsigned false PRI decimal",
		"a int(11) false MUL int", "b int(11) true  int", "n varchar(5) true MUL string or bytes", "g int(11) true  null", "i int(11) true  int",
		"d datetime(6) true  local-timestamp-micros or string"]'
	assert_json '.columns[1].default == "7" and .columns[0].default == null and .columns[4].generated and (.columns[4].reason | test("computes"))
		and .columns[5].invisible and .columns[3].charset == "latin1"'
	assert_json '.foreign_keys == [{"name": "goes_up", "schema": "looks", "table": "mid", "columns": ["a", "b"],
		"references": {"schema": "looks", "table": "up", "columns": ["a", "b"]}, "on_update": "RESTRICT", "on_delete": "CASCADE"}]'
	assert_json '[.referred_by[] | "\(.schema).\(.table) \(.name) \(.columns)"] == ["looks.down to_mid [\"id\"]"]'
	api GET /v1/tables/up
	assert_json '[.snapshots[].rows] == [3, 2, 1] and .snapshots[0].snapshot == $id and .snapshots[0].bytes > 0 and .next == null' --arg id "$newest"
	api GET '/v1/tables/up?limit=2'
	assert_json '(.snapshots | length) == 2 and .next == .snapshots[1].snapshot'
	api GET "/v1/tables/up?limit=2&cursor=$(json .next)"
	assert_json '[.snapshots[].rows] == [1] and .next == null'
	api GET '/v1/tables/up?cursor=ffffffff'
	assert_problem 400 bad-request cursor
	# What was dropped is told as long as a snapshot holds it.
	sql -D looks 'DROP TABLE down; DROP TABLE mid; DROP TABLE up'
	api GET /v1/tables/up
	assert_status 200
	assert_json '(.present | not) and (.snapshots | length) == 3 and has("columns") == false'
	api GET /v1/tables/nowhere
	assert_problem 404 not-found nowhere
	api GET '/v1/tables/h?database=far'
	assert_status 200
	api GET '/v1/tables/h'
	assert_status 404
	api GET "/v1/tables/$(printf 'x%.0s' {1..65})"
	assert_status 400
	# A view, and one that is broken: no backup of it is possible, and why.
	api GET /v1/tables/v
	assert_json '.kind == "view" and (.columns[0].reason | test("statement")) and .backup.possible'
	sql -D looks 'CREATE TABLE gone (a INT); CREATE VIEW broken AS SELECT * FROM gone; DROP TABLE gone'
	api GET /v1/tables/broken
	assert_status 200
	stop_agent
}

@test "a server that is away is told, and does not hide the others" {
	use_agent away
	{
		mariadb_config database
		printf 'name = looks\n'
		printf '[database away]\nhosts = 127.0.0.1:1\nuser = x\n[database missing]\n'
		mariadb_config database | sed 1d
	} | agent_config
	start_agent
	api GET /v1/tables
	assert_status 200
	assert_json '[.failed[] | "\(.database) \(.code)"] == ["away unavailable", "missing not-found"] and (.tables | length) > 3'
	api GET '/v1/tables?database=away'
	assert_problem 503 unavailable
	api GET '/v1/tables/a?database=away'
	assert_problem 503 unavailable
	api GET '/v1/tables?database=missing'
	assert_problem 404 not-found missing
	stop_agent
	use_agent bare
	start_agent
	api GET /v1/tables
	assert_problem 503 unavailable database
	api GET /v1/tables/a
	assert_problem 503 unavailable database
	stop_agent
}
