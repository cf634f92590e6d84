#!/usr/bin/env bats
#
# Tables come back exactly as they were: every type, with foreign keys and triggers; and an interrupted
# restore, or a file that is not what it says, leaves the old table alone.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_mariadb
	share_agent
	start_mariadb
	sql "$(<"$HOLDFAST_TOP/tests/data/tables/every.sql")"
	sql -D shop "
		CREATE TABLE departments (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) NOT NULL, parent INT,
			CONSTRAINT up FOREIGN KEY (parent) REFERENCES departments (id));
		CREATE TABLE people (id INT PRIMARY KEY, dep INT NOT NULL, note VARCHAR(20) DEFAULT 'a, ) b',
			CONSTRAINT works_in FOREIGN KEY (dep) REFERENCES departments (id) ON DELETE CASCADE);
		CREATE TABLE seen (what VARCHAR(50));
		CREATE TRIGGER note_it BEFORE INSERT ON departments FOR EACH ROW INSERT INTO seen VALUES (CONCAT('é ', NEW.name));
		CREATE TRIGGER note_more AFTER INSERT ON departments FOR EACH ROW INSERT INTO seen VALUES ('more')"
	sql -D shop "INSERT INTO departments VALUES (1, 'a', NULL), (2, 'b', 1); INSERT INTO people (id, dep) VALUES (1, 1), (2, 2); DELETE FROM seen"
	mkdir "$AGENT_FOLDER/exchange"
	{
		mariadb_config database
		printf 'name = shop\n[exchange]\nurl = file://%s\n' "$AGENT_FOLDER/exchange"
	} | agent_config
	start_agent
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" backup-table
}

teardown_file() {
	end_agents
	end_mariadb
}

setup() {
	use_agent agent
	use_mariadb
	exchange=$AGENT_FOLDER/exchange/database
}

checksums() {
	sql -D shop 'CHECKSUM TABLE every, plain, nokey, aria_t, part, empty_t EXTENDED'
}

@test "every type and kind of table comes back exactly" {
	checksums >"$BATS_TEST_TMPDIR/before"
	sql -D shop 'SELECT * FROM every; SELECT * FROM sq; SELECT * FROM hist; SHOW CREATE TABLE every; SHOW CREATE TABLE part' >"$BATS_TEST_TMPDIR/rows"
	sql -D shop 'DELETE FROM every; DELETE FROM plain WHERE id % 3 = 0; DROP TABLE nokey; DELETE FROM aria_t; DELETE FROM part;
		UPDATE hist SET b = 9; SELECT NEXTVAL(sq); DROP VIEW vw'
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" restore-table every plain nokey aria_t part empty_t hist sq vw
	checksums | diff "$BATS_TEST_TMPDIR/before" -
	sql -D shop 'SELECT * FROM every; SELECT * FROM sq; SELECT * FROM hist; SHOW CREATE TABLE every; SHOW CREATE TABLE part' | cmp "$BATS_TEST_TMPDIR/rows" -
	[ "$(sql -D shop 'SELECT count(*) FROM vw')" -eq 9 ]
	[ "$(sql -D shop 'SELECT inv FROM every WHERE id = 2')" -eq 3 ]
	[ -z "$(sql -D shop "SHOW TABLES LIKE '\\_holdfast%'")" ]
}

@test "foreign keys, of the table and to it, and triggers survive" {
	sql -D shop 'SHOW CREATE TABLE departments; SHOW CREATE TABLE people' >"$BATS_TEST_TMPDIR/before"
	sql -D shop "SELECT TRIGGER_NAME, ACTION_TIMING, ACTION_STATEMENT, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop'
		ORDER BY 1" >"$BATS_TEST_TMPDIR/triggers"
	sql -D shop "UPDATE departments SET name = 'changed'; DELETE FROM seen"
	api POST /restore_backup/departments
	assert_status 200
	assert_json '.outcome == "ok" and .tables[0].verified and .tables[0].rows == 2'
	[ "$(sql -D shop 'SELECT group_concat(name) FROM departments')" = a,b ]
	sql -D shop 'SHOW CREATE TABLE departments; SHOW CREATE TABLE people' | diff "$BATS_TEST_TMPDIR/before" -
	sql -D shop "SELECT TRIGGER_NAME, ACTION_TIMING, ACTION_STATEMENT, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop'
		ORDER BY 1" | diff "$BATS_TEST_TMPDIR/triggers" -
	# They act, once each, and loading the rows did not set them off.
	[ "$(sql -D shop 'SELECT count(*) FROM seen')" -eq 0 ]
	sql -D shop "INSERT INTO departments VALUES (3, 'c', 1)"
	[ "$(sql -D shop 'SELECT group_concat(what ORDER BY what) FROM seen')" = "é c,more" ]
	run ! sql -D shop 'INSERT INTO people (id, dep) VALUES (9, 77)'
	run ! sql -D shop "INSERT INTO departments VALUES (4, 'd', 77)"
	sql -D shop 'DELETE FROM departments WHERE id = 2'
	[ "$(sql -D shop 'SELECT count(*) FROM people')" -eq 1 ]
	[ "$(log_rows '[.[] | select(.action == "RestoreTable" and .parameter == "departments" and .status == "SUCCESS")] | length')" -ge 1 ]
}

@test "a preview compares and changes nothing" {
	sql -D shop 'DELETE FROM plain WHERE id = 5'
	api POST '/restore_backup/plain?dry_run=true'
	assert_status 200
	assert_json '.tables[0] | .rows == 200000 and .present.rows == 199999 and .present.same_columns and (.same | not)'
	[ "$(sql -D shop 'SELECT count(*) FROM plain')" -eq 199999 ]
	sql -D shop "INSERT INTO plain SELECT 5, 'name 5', 5/7"
	api POST '/restore_backup/plain?dry_run=true'
	assert_json '.tables[0].same and .tables[0].checksum == .tables[0].present.checksum'
}

@test "another name, and rows added, all or none" {
	api POST '/restore_backup/departments?as=copy%60s'
	assert_status 200
	assert_json '.notes[0].reason | test("triggers")'
	[ "$(sql -D shop 'SELECT count(*) FROM `copy``s`')" -eq 2 ]
	run ! sql -D shop "INSERT INTO \`copy\`\`s\` VALUES (9, 'x', 77)"
	sql -D shop 'DROP TABLE `copy``s`'
	api POST '/restore_backup/part?as=part2'
	sql -D shop 'DELETE FROM part2 WHERE id = 1'
	api POST '/restore_backup/part?as=part2&mode=append'
	assert_problem 409 conflict "Duplicate"
	[ "$(sql -D shop 'SELECT group_concat(id) FROM part2')" = 2 ]
	sql -D shop 'DELETE FROM part2'
	api POST '/restore_backup/part?as=part2&mode=append'
	assert_status 200
	[ "$(sql -D shop 'SELECT group_concat(id ORDER BY id) FROM part2')" = 1,2 ]
	api POST '/restore_backup/part?as=nowhere&mode=append'
	assert_problem 404 not-found
	sql -D shop 'DROP TABLE part2'
}

# restore TABLE [QUERY...]: each "name=value" is encoded.
restore() {
	local table=$1 query='' pair
	shift
	for pair in "$@"; do
		query+="${query:+&}${pair%%=*}=$(jq -rn --arg v "${pair#*=}" '$v | @uri')"
	done
	api POST "/restore_backup/$table${query:+?$query}"
}

history() {
	sql -D shop 'SELECT *, row_start, row_end FROM versioned FOR SYSTEM_TIME ALL ORDER BY a, row_end; SELECT * FROM explicit FOR SYSTEM_TIME ALL ORDER BY a, till, b;
		SELECT *, row_start, row_end FROM parted FOR SYSTEM_TIME ALL ORDER BY a, row_end; SHOW CREATE TABLE versioned; SHOW CREATE TABLE explicit; SHOW CREATE TABLE parted'
}

@test "the history of system-versioned tables comes back with its times" {
	sql -D shop "CREATE TABLE versioned (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(20) CHARACTER SET latin1, u UUID, up INT, UNIQUE (b),
			CONSTRAINT v_up FOREIGN KEY (up) REFERENCES versioned (a)) WITH SYSTEM VERSIONING;
		CREATE TABLE explicit (a INT, b INT, since TIMESTAMP(6) GENERATED ALWAYS AS ROW START, till TIMESTAMP(6) GENERATED ALWAYS AS ROW END INVISIBLE,
			PERIOD FOR SYSTEM_TIME (since, till)) WITH SYSTEM VERSIONING;
		CREATE TABLE parted (a INT PRIMARY KEY, b INT) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION p0 HISTORY, PARTITION p1 CURRENT);
		CREATE TABLE by_number (a INT PRIMARY KEY, x BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, y BIGINT UNSIGNED GENERATED ALWAYS AS ROW END,
			PERIOD FOR SYSTEM_TIME (x, y)) WITH SYSTEM VERSIONING ENGINE=InnoDB"
	sql -D shop "INSERT INTO versioned (b, u, up) SELECT CONCAT('é', seq), UUID(), NULL FROM seq_1_to_200; UPDATE versioned SET up = 1; UPDATE versioned SET b = CONCAT(b, 'x') WHERE a % 3 = 0;
		DELETE FROM versioned WHERE a % 7 = 0; INSERT INTO explicit (a, b) VALUES (1, 1), (1, 1), (2, 2); UPDATE explicit SET b = b + 1; DELETE FROM explicit WHERE a = 2;
		INSERT INTO parted VALUES (1, 1), (2, 2); UPDATE parted SET b = 9 WHERE a = 2; INSERT INTO by_number (a) VALUES (1); DELETE FROM by_number"
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"tables": ["versioned", "explicit", "parted", "by_number"]}}'
	wait_run "$(json .id)" ok
	assert_json '[.notes[].path] == ["by_number"] and (.notes[0].reason | test("history"))'
	history >"$BATS_TEST_TMPDIR/before"
	grep -q 2038-01-19 "$BATS_TEST_TMPDIR/before"
	sql -D shop "UPDATE versioned SET b = CONCAT(b, '!'); DELETE FROM explicit; DROP TABLE parted; DELETE HISTORY FROM versioned"
	api POST '/restore_backup/versioned?dry_run=true'
	assert_json '.tables[0] | .same == false and .present.same_columns and .rows > 400'
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"tables": ["versioned", "explicit", "parted", "by_number"]}}'
	wait_run "$(json .id)" ok
	assert_json '[.result.tables[].verified] == [true, true, true, true] and .notes == []'
	history | diff "$BATS_TEST_TMPDIR/before" -
	api POST '/restore_backup/versioned?dry_run=true'
	assert_json '.tables[0].same'
	# It goes on from there.
	sql -D shop "UPDATE parted SET b = 10 WHERE a = 2"
	[ "$(sql -D shop 'SELECT group_concat(b ORDER BY row_end) FROM parted FOR SYSTEM_TIME ALL WHERE a = 2')" = 2,9,10 ]
	# Rows that are added, or chosen, are those of the present.
	present=$(sql -D shop 'SELECT count(*) FROM versioned')
	restore versioned as=versioned_copy 'where=a <= 6'
	assert_status 200
	assert_json '.tables[0].restored == 6 and (.notes[0].reason | test("history"))'
	[ "$(sql -D shop 'SELECT count(*) FROM versioned_copy FOR SYSTEM_TIME ALL')" -eq 6 ]
	sql -D shop 'SET foreign_key_checks = 0; DELETE FROM versioned_copy; DELETE HISTORY FROM versioned_copy'
	restore versioned as=versioned_copy mode=append
	assert_status 200
	assert_json '.tables[0].restored == ($present | tonumber)' --arg present "$present"
	[ "$(sql -D shop 'SELECT count(*) FROM versioned_copy FOR SYSTEM_TIME ALL')" -eq "$present" ]
	sql -D shop 'DROP TABLE versioned_copy, versioned, explicit, parted, by_number'
}

@test "only the rows that fulfil a condition" {
	sql -D shop "CREATE TABLE parts (id INT PRIMARY KEY, name VARCHAR(20), v INT);
		INSERT INTO parts SELECT seq, CONCAT('name ', seq), IF(seq % 10 = 0, NULL, seq % 10) FROM seq_1_to_1000"
	api POST /backup_table/parts
	sql -D shop "UPDATE parts SET name = 'changed'; DELETE FROM parts WHERE id > 500"
	# The preview says what becomes of the others.
	restore parts 'where=id <= 20' dry_run=true
	assert_status 200
	assert_json '.tables[0] | .rows == 1000 and .present.rows == 500 and .present.rows_where == 20 and .where == "id <= 20" and has("restored") == false'
	assert_json '.notes[0].reason | test("all 500 rows")'
	restore parts 'where=id <= 20' dry_run=true mode=append
	assert_json '.notes[0].reason | test("would be added")'
	[ "$(sql -D shop 'SELECT count(*) FROM parts')" -eq 500 ]
	# Under another name, with NULL taken for false.
	restore parts 'where=v > 8' as=parts_copy
	assert_status 200
	assert_json '.tables[0] | .rows == 1000 and .restored == 100 and .verified'
	[ "$(sql -D shop 'SELECT count(*), min(v), max(v) FROM parts_copy')" = $'100\t9\t9' ]
	# Added to what is there: keys that are there already are a conflict, and nothing is added.
	restore parts 'where=id > 400' mode=append
	assert_problem 409 conflict Duplicate
	[ "$(sql -D shop 'SELECT count(*) FROM parts')" -eq 500 ]
	restore parts "where=id > 500 and name like '%7%'" mode=append
	assert_status 200
	assert_json '.tables[0].restored == 176'
	[ "$(sql -D shop "SELECT count(*), sum(id > 500) FROM parts WHERE name <> 'changed' OR id <= 500")" = $'676\t176' ]
	# In place of all that is there.
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" restore-table --where "name in ('name 1', 'name 2')" parts
	[[ $output == "restored parts: 2 rows of 1000 in the file, verified, in "* ]]
	[ "$(sql -D shop 'SELECT group_concat(name) FROM parts')" = 'name 1,name 2' ]
	[ "$(log_rows '[.[] | select(.parameter == "parts append where id > 400" and .status == "ERROR")] | length')" -eq 1 ]
	# What was left out of a system-versioned table is not in its history, either.
	restore hist 'where=a > 1' as=hist_part
	assert_status 200
	[ "$(sql -D shop 'SELECT count(*) FROM hist_part FOR SYSTEM_TIME ALL')" -eq 0 ]
	# Foreign keys of others may miss what is left out.
	restore departments 'where=id < 2' dry_run=true
	assert_json '[.notes[].reason | select(test("foreign keys of other tables"))] | length == 1'
	sql -D shop 'DROP TABLE parts, parts_copy, hist_part'
}

@test "a condition can do nothing but choose" {
	sql -D shop $'DELIMITER //\nCREATE FUNCTION wreck(a INT) RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM nokey; RETURN 1; END//'
	before=$(sql -D shop 'CHECKSUM TABLE plain, nokey')
	for condition in '1) OR 1=1 -- ' '1) OR (1=1' '1; DROP TABLE nokey' "1 /* " '1 # ' 'id IN (SELECT id FROM departments)' \
		'EXISTS (SELECT 1)' 'wreck(id)' 'shop.wreck(id)' '`wreck`(id)' 'wreck (id)' 'sleep(100)' 'NEXT VALUE FOR sq' \
		'@a := 1' 'id = ?' "name = 'x" ' ' 'id >' 'nothing = 1' 'id = 1, 2' 'count(*) > 1' "'a' 'b' id"; do
		for mode in replace append; do
			restore plain "where=$condition" mode=$mode
			assert_problem 400 bad-request condition || fail "$condition"
		done
		restore plain "where=$condition" dry_run=true
		assert_problem 400 bad-request condition || fail "$condition"
	done
	restore plain where=
	assert_problem 400 bad-request "empty"
	restore vw 'where=1=1'
	assert_problem 400 bad-request "no table"
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"tables": ["plain", "nokey"], "where": "1=1"}}'
	assert_problem 400 bad-request "one table"
	[ "$(sql -D shop 'CHECKSUM TABLE plain, nokey')" = "$before" ]
	[ -z "$(sql -D shop "SHOW TABLES LIKE '\\_holdfast%'")" ]
	sql -D shop 'DROP FUNCTION wreck'
}

@test "into another database, with its keys to the tables where they are" {
	sql 'CREATE DATABASE `other.db`; CREATE DATABASE attic'
	restore people as=attic.people
	assert_status 200
	assert_json '.tables[0] | .as == "people" and .schema == "attic" and .verified'
	sql -D attic 'SHOW CREATE TABLE people' | grep -qF 'REFERENCES `shop`.`departments`'
	run ! sql -D attic 'INSERT INTO people (id, dep) VALUES (9, 77)'
	# What refers to the table itself refers to the copy.
	restore departments 'as=`other.db`.`dep.s`'
	assert_status 200
	assert_json '.tables[0] | .as == "dep.s" and .schema == "other.db"'
	assert_json '.notes[0].reason | test("triggers")'
	sql -D other.db 'SHOW CREATE TABLE `dep.s`' | grep -qF 'REFERENCES `dep.s`'
	# Again, in place of the copy, and rows added to it.
	sql -D attic 'DELETE FROM people'
	restore people as=attic.people
	assert_status 200
	sql -D attic 'DELETE FROM people WHERE id = 1'
	restore people as=attic.people mode=append 'where=id = 1'
	assert_status 200
	assert_json '.tables[0].restored == 1'
	[ "$(sql -D attic 'SELECT count(*) FROM people')" -eq "$(sql -D attic 'SELECT count(DISTINCT id) FROM people')" ]
	[ "$(sql -D shop 'SELECT count(*) FROM people')" -ge 1 ]
	restore people as=nowhere.people
	assert_problem 404 not-found "nowhere"
	restore people as=mysql.people
	assert_problem 400 bad-request "server itself"
	restore people as=a.b.c
	assert_problem 400 bad-request "backticks"
	restore vw as=attic.vw
	assert_problem 400 bad-request view
	sql 'DROP DATABASE attic; DROP DATABASE `other.db`'
}

@test "several tables: what others need goes first, also in a circle" {
	sql -D shop "
		CREATE SEQUENCE numbers;
		CREATE TABLE \`c_parent\` (id INT PRIMARY KEY);
		CREATE TABLE b_child (id INT PRIMARY KEY DEFAULT NEXTVAL(numbers), up INT, CONSTRAINT b_up FOREIGN KEY (up) REFERENCES c_parent (id));
		CREATE TABLE a_grandchild (id INT PRIMARY KEY, up INT, CONSTRAINT a_up FOREIGN KEY (up) REFERENCES b_child (id));
		CREATE VIEW a_view AS SELECT g.id FROM a_grandchild g JOIN b_child c ON g.up = c.id;
		CREATE TABLE ring_1 (id INT PRIMARY KEY, next INT);
		CREATE TABLE ring_2 (id INT PRIMARY KEY, next INT, CONSTRAINT r2 FOREIGN KEY (next) REFERENCES ring_1 (id));
		INSERT INTO c_parent VALUES (1), (2); INSERT INTO b_child VALUES (11, 1), (12, 2); INSERT INTO a_grandchild VALUES (111, 11), (112, 12);
		INSERT INTO ring_1 VALUES (1, 2); INSERT INTO ring_2 VALUES (2, 1);
		ALTER TABLE ring_1 ADD CONSTRAINT r1 FOREIGN KEY (next) REFERENCES ring_2 (id)"
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"tables": ["a_view", "a_grandchild", "b_child", "c_parent", "numbers", "ring_1", "ring_2"]}}'
	wait_run "$(json .id)" ok
	sql -D shop 'SHOW CREATE TABLE a_grandchild; SHOW CREATE TABLE b_child; SHOW CREATE TABLE ring_1; SHOW CREATE TABLE ring_2' >"$BATS_TEST_TMPDIR/before"
	sql -D shop 'DROP VIEW a_view; DROP TABLE a_grandchild, b_child, c_parent; DROP SEQUENCE numbers; SET foreign_key_checks = 0; DROP TABLE ring_1, ring_2'
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"tables": ["a_view", "a_grandchild", "b_child", "a_view", "ring_2", "c_parent", "ring_1", "numbers"]}}'
	wait_run "$(json .id)" ok
	assert_json '[.result.tables[].as] == ["c_parent", "numbers", "b_child", "a_grandchild", "a_view", "ring_2", "ring_1"]'
	sql -D shop 'SHOW CREATE TABLE a_grandchild; SHOW CREATE TABLE b_child; SHOW CREATE TABLE ring_1; SHOW CREATE TABLE ring_2' | diff "$BATS_TEST_TMPDIR/before" -
	[ "$(sql -D shop 'SELECT group_concat(id ORDER BY id) FROM a_view')" = 111,112 ]
	run ! sql -D shop 'INSERT INTO ring_1 VALUES (3, 77)'
	# Rows are added in this order, too, under the eyes of the foreign keys.
	sql -D shop 'DELETE FROM a_grandchild; DELETE FROM b_child; DELETE FROM c_parent'
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"tables": ["a_grandchild", "b_child", "c_parent"], "mode": "append"}}'
	wait_run "$(json .id)" ok
	[ "$(sql -D shop 'SELECT group_concat(id ORDER BY id) FROM a_view')" = 111,112 ]
	# One that fails is named; what went before it is told.
	sql -D shop 'SET foreign_key_checks = 0; DELETE FROM a_grandchild; DELETE FROM c_parent; DELETE FROM b_child WHERE id = 12'
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"tables": ["a_grandchild", "b_child", "c_parent"], "mode": "append"}}'
	wait_run "$(json .id)" failed
	assert_json "(.error.message | test(\"'b_child'.*Duplicate\")) and [.result.tables[].as] == [\"c_parent\"]"
	# One without a backup, and nothing is begun.
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"tables": ["c_parent", "nowhere"]}}'
	wait_run "$(json .id)" failed
	assert_json '(.error.message | test("nowhere")) and .result.tables == []'
	sql -D shop 'DROP VIEW a_view; SET foreign_key_checks = 0; DROP TABLE a_grandchild, b_child, c_parent, ring_1, ring_2; DROP SEQUENCE numbers'
}

@test "what does not fit is refused before anything changes" {
	api POST /restore_backup/nowhere
	assert_problem 404 not-found "nowhere"
	api POST '/restore_backup/plain?mode=sideways'
	assert_problem 400 bad-request
	api POST '/restore_backup/plain?snapshot=ffffffff'
	assert_status 404
	api POST '/restore_backup/_holdfast_new_1'
	assert_problem 400 bad-request
	api POST '/restore_backup/plain?as=vw'
	assert_problem 409 conflict "view"
}

@test "files of other programs are restored from the exchange storage" {
	sql -D shop 'CREATE TABLE guests (id INT, name VARCHAR(20), w FLOAT, ok BOOLEAN)'
	mkdir -p "$exchange/guests/backup"
	# {"id": 42, "name": "Ada", "w": 1.5, "ok": true}, {null, null, null, false}: plain Avro by hand.
	python3 - "$exchange/guests/backup/guests.avro" <<-'END' || skip "no python3 to write it"
	import sys
	def l(v):
	    v = (v << 1) ^ (v >> 63); o = b''
	    while v >= 128: o += bytes([v & 127 | 128]); v >>= 7
	    return o + bytes([v])
	def s(b): return l(len(b)) + b
	schema = b'{"type":"record","name":"Root","fields":[{"name":"id","type":["null","int"]},{"name":"name","type":["null","string"]},{"name":"w","type":["null","float"]},{"name":"ok","type":"boolean"}]}'
	rows = l(1) + l(42) + l(1) + s(b'Ada') + l(1) + b'\0\0\xc0\x3f' + b'\1' + l(0) * 3 + b'\0'
	sync = b'0123456789abcdef'
	open(sys.argv[1], 'wb').write(b'Obj\1' + l(2) + s(b'avro.schema') + s(schema) + s(b'avro.codec') + s(b'null') + l(0) + sync + l(2) + l(len(rows)) + rows + sync)
	END
	api POST '/restore_backup/guests?source=exchange'
	assert_status 200
	[ "$(sql -D shop 'SELECT * FROM guests ORDER BY id')" = $'NULL\tNULL\tNULL\t0\n42\tAda\t1.5\t1' ]
	# A value that the column does not take is an error, and the table stays.
	sql -D shop 'ALTER TABLE guests MODIFY name VARCHAR(2)' 2>/dev/null || sql -D shop "UPDATE guests SET name = 'A'; ALTER TABLE guests MODIFY name VARCHAR(2)"
	api POST '/restore_backup/guests?source=exchange'
	assert_problem 400 bad-request "name"
	[ "$(sql -D shop 'SELECT name FROM guests WHERE id = 42')" = A ]
	sql -D shop 'DROP TABLE guests'
}

@test "a file that is damaged, or was changed, leaves the table alone" {
	file=$exchange/plain/backup/plain.avro
	cp "$file" "$BATS_TEST_TMPDIR/whole"
	before=$(sql -D shop 'CHECKSUM TABLE plain')
	truncate -s -100000 "$file"
	api POST '/restore_backup/plain?source=exchange'
	assert_problem 500 corrupt "middle"
	# A name that was changed, without anything else.
	cp "$BATS_TEST_TMPDIR/whole" "$file"
	offset=$(grep -abo 'name 777' "$file" | head -1 | cut -d: -f1)
	printf 'N' | dd of="$file" bs=1 seek="$offset" conv=notrunc status=none
	api POST '/restore_backup/plain?source=exchange'
	assert_problem 500 corrupt "checksum"
	cp "$BATS_TEST_TMPDIR/whole" "$file"
	[ "$(sql -D shop 'CHECKSUM TABLE plain')" = "$before" ]
	[ -z "$(sql -D shop "SHOW TABLES LIKE '\\_holdfast%'")" ]
}

@test "a server or an agent killed in the middle leaves the old table, and the next restore clears up" {
	sql -D shop 'CREATE TABLE big (id INT PRIMARY KEY, t CHAR(200)); INSERT INTO big SELECT seq, MD5(seq) FROM seq_1_to_200000'
	api POST /backup_table/big
	sql -D shop 'UPDATE big SET t = 1 WHERE id = 1'
	start_and_pause() {
		api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"table": "big", "limits": {"download": 2000000}}}'
		run_id=$(json .id)
		wait_for loads
		api POST "/v1/runs/$run_id/pause"
	}
	loads() {
		api GET "/v1/runs/$run_id" && assert_json '.progress.phase == "load" and .progress.bytes > 100' >/dev/null
	}
	start_and_pause
	kill_mariadb
	api POST "/v1/runs/$run_id/continue"
	wait_run "$run_id" failed
	start_mariadb
	[ "$(sql -D shop 'SELECT concat(count(*), t) FROM big WHERE id = 1')" = 11 ]
	start_and_pause
	stop_agent KILL
	start_agent
	[ "$(sql -D shop 'SELECT concat(count(*), t) FROM big WHERE id = 1')" = 11 ]
	api GET "/v1/runs/$run_id"
	assert_json '.outcome == "aborted"'
	api POST /restore_backup/big
	assert_status 200
	[ "$(sql -D shop 'SELECT t = MD5(1) FROM big WHERE id = 1')" = 1 ]
	[ -z "$(sql -D shop "SHOW TABLES LIKE '\\_holdfast%'")" ]
}

# shadow_of TABLE: the end of the names of its shadow, as seen while a restore waits for the table.
shadow_of() {
	sql "SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1"
	api POST /v1/runs --json "{\"kind\": \"restore-table\", \"arguments\": {\"table\": \"$1\"}}"
	wait_run "$(json .id)" ok
	sql -D shop "SELECT DISTINCT substring_index(argument, '_holdfast_old_', -1) FROM mysql.general_log WHERE argument LIKE 'RENAME%_holdfast_old_%'" |
		grep -oE '^[0-9a-f]{16}' | tail -1
	sql 'SET GLOBAL general_log = 0'
}

@test "a swap that was cut off is taken back or finished by the next restore" {
	# As after the RENAME: the old table under the name of ours, another in its place.
	name=$(shadow_of departments)
	sql -D shop "SET foreign_key_checks = 0; CREATE TABLE half LIKE departments; RENAME TABLE departments TO _holdfast_old_$name, half TO departments"
	api POST /restore_backup/departments
	assert_status 200
	[ "$(sql -D shop 'SELECT count(*) FROM departments')" -eq 2 ]
	sql -D shop 'SHOW CREATE TABLE people' | grep -q 'REFERENCES `departments`'
	# As after the old table was dropped: others refer to a table that is gone.
	sql -D shop "SET foreign_key_checks = 0; CREATE TABLE half LIKE departments; INSERT INTO half SELECT * FROM departments;
		RENAME TABLE departments TO _holdfast_old_$name, half TO departments; DROP TABLE _holdfast_old_$name"
	sql -D shop 'SHOW CREATE TABLE people' | grep -q "REFERENCES \`_holdfast_old_$name\`"
	api POST /restore_backup/departments
	assert_status 200
	sql -D shop 'SHOW CREATE TABLE people' | grep -q 'REFERENCES `departments`'
	[ -z "$(sql -D shop "SHOW TABLES LIKE '\\_holdfast%'")" ]
}

# begin_work: a session of an application, which does what work is told and answers.
begin_work() {
	mkfifo "$BATS_TEST_TMPDIR/work"
	mariadb --no-defaults --user=root --socket="$MARIADB_SOCKET" --batch --skip-column-names --unbuffered \
		shop <"$BATS_TEST_TMPDIR/work" >"$BATS_TEST_TMPDIR/done" 3>&- &
	worker=$!
	exec 7>"$BATS_TEST_TMPDIR/work"
}

work() {
	echo "$1; SELECT 'did $1';" >&7
	wait_for -t 30 grep -qxF "did $1" "$BATS_TEST_TMPDIR/done"
}

end_work() {
	exec 7>&-
	wait "$worker"
	rm "$BATS_TEST_TMPDIR/work" "$BATS_TEST_TMPDIR/done"
}

swaps() {
	[ "$(sql "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE time_ms > 500
		AND (info LIKE 'LOCK TABLES%READ' OR info LIKE 'RENAME TABLE%')")" -ge 1 ]
}

@test "who holds rows of a table that refers to it, and then wants it, is no circle" {
	sql -D shop "
		CREATE TABLE top (id INT PRIMARY KEY, v INT);
		CREATE TABLE middle (id INT PRIMARY KEY, up INT, CONSTRAINT m_up FOREIGN KEY (up) REFERENCES top (id));
		CREATE TABLE bottom (id INT PRIMARY KEY, up INT, CONSTRAINT b_up FOREIGN KEY (up) REFERENCES middle (id));
		INSERT INTO top VALUES (1, 1), (2, 2); INSERT INTO middle VALUES (1, 1), (2, 2); INSERT INTO bottom VALUES (1, 1)"
	api POST /backup_table/top
	assert_status 201
	# A row of the table that refers to it; one that is looked up there for another table.
	for change in 'UPDATE middle SET up = 2 WHERE id = 1' 'INSERT INTO bottom VALUES (2, 2)'; do
		sql -D shop 'UPDATE top SET v = 9'
		begin_work
		work 'START TRANSACTION'
		work "$change"
		api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"table": "top"}}'
		run_id=$(json .id)
		wait_for swaps
		work 'SELECT COUNT(*) FROM top'
		work 'COMMIT'
		end_work
		wait_run "$run_id" ok
		[ "$(sql -D shop 'SELECT sum(v) FROM top')" -eq 3 ]
		sql -D shop 'SHOW CREATE TABLE middle' | grep -q 'REFERENCES `top`'
		run ! sql -D shop 'INSERT INTO middle VALUES (9, 77)'
	done
	# The same while a swap that was cut off is mended: RENAME could not take its first half back.
	name=$(shadow_of top)
	sql -D shop "SET foreign_key_checks = 0; CREATE TABLE half LIKE top; INSERT INTO half SELECT * FROM top;
		RENAME TABLE top TO _holdfast_old_$name, half TO top; DROP TABLE _holdfast_old_$name"
	begin_work
	work 'SET foreign_key_checks = 0; START TRANSACTION; UPDATE middle SET up = 1 WHERE id = 2'
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"table": "top"}}'
	run_id=$(json .id)
	wait_for swaps
	# Longer than each wait: what would be lost is lost by then.
	held() {
		[ "$(sql "SELECT time_ms > 7000 FROM information_schema.PROCESSLIST WHERE id = $1")" -eq 1 ]
	}
	wait_for held "$(sql "SELECT id FROM information_schema.PROCESSLIST WHERE command = 'Sleep' AND db = 'shop' AND user = 'root'")"
	work 'SELECT COUNT(*) FROM top'
	work 'COMMIT'
	end_work
	wait_run "$run_id" ok
	sql -D shop 'SHOW CREATE TABLE middle' | grep -q 'REFERENCES `top`'
	[ "$(sql -D shop 'SELECT sum(v) FROM top')" -eq 3 ]
	[ "$(sql -D shop 'SELECT group_concat(up ORDER BY id) FROM middle')" = 2,1 ]
	[ -z "$(sql -D shop "SHOW TABLES LIKE '\\_holdfast%'")" ]
	sql -D shop 'DROP TABLE bottom, middle, top'
}

@test "several tables: the one with the most behind it goes first" {
	sql -D shop "
		CREATE TABLE alone (id INT PRIMARY KEY, t CHAR(50)); INSERT INTO alone SELECT seq, MD5(seq) FROM seq_1_to_2000;
		CREATE TABLE few (id INT PRIMARY KEY); INSERT INTO few VALUES (1);
		CREATE TABLE many (id INT PRIMARY KEY, up INT, CONSTRAINT m_few FOREIGN KEY (up) REFERENCES few (id)); INSERT INTO many SELECT seq, 1 FROM seq_1_to_9000"
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"tables": ["alone", "few", "many"]}}'
	wait_run "$(json .id)" ok
	sql "SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1; TRUNCATE mysql.general_log"
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"tables": ["alone", "many", "few"], "connections": 1}}'
	wait_run "$(json .id)" ok
	sql 'SET GLOBAL general_log = 0'
	# The one with the many rows waits for the one with few, so that goes before what has less than both.
	[ "$(sql "SELECT group_concat(regexp_substr(argument, '(few|many|alone)') ORDER BY event_time)
		FROM mysql.general_log WHERE argument LIKE 'RENAME TABLE%\\_holdfast\\_new%'")" = few,many,alone ]
	sql -D shop 'DROP TABLE many, few, alone'
}
