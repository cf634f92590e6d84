#!/usr/bin/env bats
#
# Migrations on a real MariaDB: by curl and by command, up, down and to a version; many at once,
# edited files, failing statements, a server that is away.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_mariadb
	start_mariadb
}

teardown_file() {
	end_mariadb
}

setup() {
	use_mariadb
	mariadb_running || start_mariadb
	sql 'DROP DATABASE IF EXISTS company; DROP DATABASE IF EXISTS holdfast'
	FOLDER=$BATS_TEST_TMPDIR/migrations
	mkdir "$FOLDER"
}

teardown() {
	end_agents
}

# migrate ARGUMENT...: the command, on a folder of the test's own.
migrate() {
	run -"${EXPECT:-0}" "$HOLDFASTD" --config "$BATS_TEST_TMPDIR/holdfast.conf" \
		--state "$BATS_TEST_TMPDIR/none" migrate "$@"
}

own_folder() {
	{
		mariadb_config database log
		printf '[database]\nmigrations = %s\n' "$FOLDER"
	} >"$BATS_TEST_TMPDIR/holdfast.conf"
}

migration() {
	cat >"$FOLDER/$1"
}

tables() {
	sql "SELECT table_name FROM information_schema.tables WHERE table_schema = 'company'
		AND table_name <> 'holdfast_migrations' ORDER BY 1" | paste -sd' '
}

# What the table of versions says: VERSION:STATE ...
versions() {
	sql "SELECT CONCAT(version, ':', state, IF(state = 'applied', '', CONCAT('+', statements_done)))
		FROM company.holdfast_migrations WHERE set_name = '${1:-user}' ORDER BY version" | paste -sd' '
}

@test "the set that comes with the program is applied and undone by curl" {
	mariadb_config database | agent_config
	start_agent
	api GET /run-migration
	assert_status 200
	assert_json '.version == 0 and .pending == 3 and ([.migrations[].state] | unique) == ["pending"]'
	api POST '/run-migration?dry_run=true'
	assert_status 200
	assert_json '.planned | map(.name) == ["departments", "jobs", "hired_employees"]'
	assert_json '.planned[0].statements[0].text | startswith("CREATE TABLE departments")'
	[ -z "$(tables)" ]

	api POST /run-migration
	assert_status 200
	assert_json '.version == 3 and .pending == 0 and (.done | length) == 3'
	[ "$(tables)" = 'departments hired_employees jobs' ]
	# All columns NOT NULL, two foreign keys.
	[ "$(sql "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'company' AND
		table_name <> 'holdfast_migrations' AND is_nullable = 'YES'")" -eq 0 ]
	[ "$(sql "SELECT count(*) FROM information_schema.referential_constraints
		WHERE constraint_schema = 'company' AND table_name = 'hired_employees'")" -eq 2 ]
	api POST /run-migration
	assert_json '.done == []'

	api POST '/run-migration?to=1'
	assert_json '.done | map(.direction + .name) == ["downhired_employees", "downjobs"]'
	[ "$(tables)" = departments ]
	api POST '/run-migration?to=down'
	[ -z "$(tables)" ]
	api GET '/run-migration?set=user'
	assert_json '.migrations | map(.state) == ["pending", "pending", "pending"]'
	# Each of these is a row.
	[ "$(log_rows 'map(select(.action == "RunMigration" and .status == "SUCCESS")) | length')" -eq 5 ]
	[ "$(log_rows 'map(select(.action == "Migrations")) | length')" -eq 2 ]
}

@test "wrong requests are refused" {
	mariadb_config database | agent_config
	start_agent
	for query in 'to=x' 'to=-1' 'to=1.5' 'to=' 'to=9999999999' 'dry_run=1' 'set=x' 'version=1'; do
		api POST "/run-migration?$query"
		assert_problem 400 bad-request
	done
	api POST '/run-migration?to=9'
	assert_problem 404 not-found 'there is no migration 9'
	api POST '/run-migration?set=log'
	assert_problem 500 config '[log]'
	[ "$(log_rows 'map(select(.action == "RunMigration")) | map(.status) | unique == ["ERROR"]')" = true ]
}

@test "a fleet that starts at once migrates once" {
	own_folder
	migration 0001_first.up.sql <<-'END'
		CREATE TABLE first (id INT AUTO_INCREMENT PRIMARY KEY, at DATETIME(6) NOT NULL);
		INSERT INTO first(at) SELECT NOW(6) + INTERVAL SLEEP(0.3) SECOND;
		INSERT INTO first(at) VALUES (NOW(6));
	END
	migration 0002_second.up.sql <<<'CREATE TABLE second (id INT PRIMARY KEY)'
	pids=()
	for i in {1..10}; do
		"$HOLDFASTD" --config "$BATS_TEST_TMPDIR/holdfast.conf" --state "$BATS_TEST_TMPDIR/none" \
			migrate --json >"$BATS_TEST_TMPDIR/out.$i" 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	[ "$(jq -s '[.[].done | length] | add' "$BATS_TEST_TMPDIR"/out.*)" -eq 2 ]
	[ "$(jq -s '[.[].version] | unique == [2]' "$BATS_TEST_TMPDIR"/out.*)" = true ]
	[ "$(sql 'SELECT count(*) FROM company.first')" -eq 2 ]
	[ "$(versions)" = '1:applied 2:applied' ]
}

# As another node of a cluster would: each has GET_LOCK for itself, the row is one for all.
claim() {
	migrate status
	sql "CREATE DATABASE IF NOT EXISTS company"
	sql -D company "DELETE FROM holdfast_migrations WHERE set_name = ''; INSERT INTO holdfast_migrations
		(set_name, version, name, checksum, state, applied_at) VALUES ('', 0, $1, '', 'claimed', $2)"
}

@test "over another node of a cluster one at a time migrates, too" {
	own_folder
	migration 0001_a.up.sql <<<'CREATE TABLE a (id INT PRIMARY KEY);'
	migrate
	[ "$(sql "SELECT COUNT(*) FROM company.holdfast_migrations WHERE set_name = ''")" -eq 0 ]
	migration 0002_b.up.sql <<<'CREATE TABLE b (id INT PRIMARY KEY);'
	claim "'other:3306'" 'UTC_TIMESTAMP(6)'
	sql "SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1"
	"$HOLDFASTD" --config "$BATS_TEST_TMPDIR/holdfast.conf" --state "$BATS_TEST_TMPDIR/none" \
		migrate >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	pid=$!
	asked_again() {
		[ "$(sql "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Execute'
			AND argument LIKE 'UPDATE%INTERVAL 1 HOUR%'")" -ge 2 ]
	}
	wait_for asked_again
	sql 'SET GLOBAL general_log = 0'
	[ "$(tables)" = a ]
	sql "DELETE FROM company.holdfast_migrations WHERE set_name = ''"
	wait "$pid"
	[ "$(tables)" = 'a b' ]
	# Of one that died: over this node at once, over another after an hour.
	migration 0003_c.up.sql <<<'CREATE TABLE c (id INT PRIMARY KEY);'
	claim "CONCAT(@@hostname, ':', @@port)" 'UTC_TIMESTAMP(6)'
	migrate
	migration 0004_d.up.sql <<<'CREATE TABLE d (id INT PRIMARY KEY);'
	claim "'other:3306'" 'UTC_TIMESTAMP(6) - INTERVAL 61 MINUTE'
	migrate
	[ "$(tables)" = 'a b c d' ]
	# Whoever was taken for dead stops before the next statement.
	migration 0005_e.up.sql <<-'END'
		UPDATE holdfast_migrations SET name = 'other:3306' WHERE set_name = '';
		CREATE TABLE e (id INT PRIMARY KEY);
	END
	EXPECT=1 migrate
	[[ $output == *'somebody else has taken the migration over'* ]]
	[ "$(tables)" = 'a b c d' ]
}

@test "a file that was edited after it was applied is refused, and nothing runs" {
	own_folder
	migration 0001_a.up.sql <<<'CREATE TABLE a (id INT PRIMARY KEY);'
	migrate
	migration 0001_a.up.sql <<<'CREATE TABLE a (id INT PRIMARY KEY, more INT);'
	migration 0002_b.up.sql <<<'CREATE TABLE b (id INT PRIMARY KEY);'
	EXPECT=1 migrate
	[[ $output == *"0001_a.up.sql' was changed after it was applied"* ]]
	[[ $output == *'put the change into a'*'new migration'* ]]
	[ "$(tables)" = a ]
	migrate status
	[[ $output == *'0001  edited'* && $output == *'0002  pending'* ]]
	# A file that is gone is missed, too; one above all that are known is somebody else's.
	rm "$FOLDER/0001_a.up.sql"
	EXPECT=1 migrate
	[[ $output == *"migration 1 'a' was applied, and its file is missing"* ]]
	migration 0001_a.up.sql <<<'CREATE TABLE a (id INT PRIMARY KEY);'
	migrate
	rm "$FOLDER/0002_b.up.sql"
	migrate
	[[ $output == *'at version 2, 0 pending'* ]]
}

@test "a statement that fails is named, the table stays true, and the next try goes on behind" {
	own_folder
	migration 0001_ok.up.sql <<<'CREATE TABLE ok (id INT PRIMARY KEY);'
	migration 0002_broken.up.sql <<-'END'
		-- What follows is right:
		CREATE TABLE half (id INT PRIMARY KEY);
		INSERT INTO half VALUES (1);
		DELIMITER //
		CREATE PROCEDURE p()
		BEGIN
			SELECT 1;
			SELEKT 2;
		END//
		DELIMITER ;
		INSERT INTO half VALUES (2);
	END
	migration 0003_never.up.sql <<<'CREATE TABLE never (id INT PRIMARY KEY);'
	EXPECT=1 migrate
	[[ $output == *"0002_broken.up.sql' line 8, statement 3 of 4: "* ]]
	[[ $output == *'error in your SQL syntax'*'(error 1064)'* ]]
	[[ $output == *'the 2 statements before it are done and stay'* ]]
	[ "$(versions)" = '1:applied 2:applying+2' ]
	[ "$(tables)" = 'half ok' ]
	migrate status
	[[ $output == *'0002  applying'*'statement 3 of 4'*'0003  pending'* ]]
	# Neither up behind it nor down past it.
	EXPECT=1 migrate down
	[[ $output == *"migration 2 'broken' is half applied"* ]]
	# What is done may not be changed.
	sed -i 's/VALUES (1)/VALUES (7)/' "$FOLDER/0002_broken.up.sql"
	EXPECT=1 migrate
	[[ $output == *'its first 2 statements were run before it failed, and are not the same'* ]]
	sed -i 's/VALUES (7)/VALUES (1)/; s/SELEKT/SELECT/' "$FOLDER/0002_broken.up.sql"
	migrate
	[ "$(versions)" = '1:applied 2:applied 3:applied' ]
	[ "$(sql 'SELECT group_concat(id ORDER BY id) FROM company.half')" = 1,2 ]
}

@test "what a file's transaction rolled back is run again" {
	own_folder
	migration 0001_t.up.sql <<-'END'
		CREATE TABLE t (id INT PRIMARY KEY);
		SET @offset = 10;
		START TRANSACTION;
		INSERT INTO t VALUES (1 + @offset);
		INSERT INTO t VALUES ('x');
		COMMIT;
	END
	EXPECT=1 migrate
	[[ $output == *'line 5, statement 5 of 6'* ]]
	[ "$(versions)" = 1:applying+2 ]
	[ "$(sql 'SELECT count(*) FROM company.t')" -eq 0 ]
	# SET is run again with it, the session being a new one.
	sed -i "s/'x'/2 + @offset/" "$FOLDER/0001_t.up.sql"
	migrate
	[ "$(sql 'SELECT group_concat(id ORDER BY id) FROM company.t')" = 11,12 ]
}

@test "a way down that fails is gone on with, and only down" {
	own_folder
	migration 0001_d.up.sql <<<'CREATE TABLE d (id INT PRIMARY KEY); CREATE TABLE e (id INT);'
	migration 0001_d.down.sql <<<'DROP TABLE e; DROP TABLE no_such;'
	migrate
	EXPECT=1 migrate down
	[[ $output == *"0001_d.down.sql' line 1, statement 2 of 2"* ]]
	[ "$(versions)" = 1:undoing+1 ]
	EXPECT=1 migrate up
	[[ $output == *"migration 1 'd' is half undone"* ]]
	migration 0001_d.down.sql <<<'DROP TABLE e; DROP TABLE d;'
	migrate down
	[ -z "$(versions)" ]
	[ -z "$(tables)" ]
	migrate down
	[[ $output == *'at version 0'* ]]
}

@test "a file cannot make the table of versions untrue" {
	own_folder
	migration 0001_evil.up.sql <<-'END'
		CREATE TABLE a (id INT);
		LOCK TABLES a WRITE;
		INSERT INTO a VALUES (1);
		SET autocommit = 0;
		INSERT INTO a VALUES (2);
		SET sql_mode = 'ANSI_QUOTES';
		USE mysql;
	END
	migration 0002_text.up.sql <<-'END'
		CREATE TABLE b (t TEXT);
		INSERT INTO b VALUES ("a\";b"), ('c;''d') -- it's ; no end
		/* ; */;
	END
	migrate
	[ "$(versions)" = '1:applied 2:applied' ]
	[ "$(sql 'SELECT count(*) FROM company.a')" -eq 2 ]
	[ "$(sql "SELECT group_concat(t ORDER BY t SEPARATOR '|') FROM company.b")" = "a\";b|c;'d" ]
}

@test "the log's schema: by hand, by the command, on the ancestor's table" {
	own_folder
	# The ancestor's table, with rows.
	sql "CREATE DATABASE holdfast; CREATE TABLE holdfast.log (id INT AUTO_INCREMENT PRIMARY KEY,
		date DATETIME DEFAULT CURRENT_TIMESTAMP, action VARCHAR(50), parameter VARCHAR(255),
		status VARCHAR(20));
		INSERT INTO holdfast.log(date, action, parameter, status) VALUES
		('2020-01-02 03:04:05', 'Backup', '/a', 'SUCCESS'), ('2020-01-02 04:04:05', 'Backup', '/b', 'SUCCESS'),
		('2020-01-03 03:04:05', 'Backup', '/a', 'ERROR')"
	migrate --log
	[[ $output == *'holdfast is at version 2, 0 pending'* ]]
	[ "$(sql "SELECT day, status, actions FROM holdfast.log_daily WHERE agent = ''" | tr '\t\n' '  ')" = \
		'2020-01-02 SUCCESS 2 2020-01-03 ERROR 1 ' ]
	# Whoever inserts as before is counted.
	sql "INSERT INTO holdfast.log(action, parameter, status) VALUES ('Backup', '/c', 'SUCCESS'),
		('Backup', '/c', 'SUCCESS')"
	[ "$(sql 'SELECT actions FROM holdfast.log_daily WHERE day = UTC_DATE()')" -eq 2 ]
	# Down leaves the ancestor's rows.
	migrate --log down
	[ "$(sql 'SELECT count(*) FROM holdfast.log')" -eq 5 ]
	sql 'DROP DATABASE holdfast'

	(cd "$HOLDFAST_TOP/sql" && mariadb --no-defaults -u root -S "$MARIADB_SOCKET" <log.sql)
	sql "INSERT INTO holdfast.log(action, parameter, status) VALUES ('Backup', '/c', 'SUCCESS')"
	migrate --log
	[ "$(sql 'SELECT actions FROM holdfast.log_daily')" -eq 1 ]
}

@test "a server that is away, or refuses, is told with its name" {
	own_folder
	migration 0001_a.up.sql <<<'SELECT 1;'
	sed -i 's/^user = agent/user = nobody/' "$BATS_TEST_TMPDIR/holdfast.conf"
	EXPECT=1 migrate
	[[ $output == *"127.0.0.1:$MARIADB_PORT"*"Access denied for user 'nobody'"* ]]
	[[ $output != *secret* ]]
	own_folder
	stop_mariadb
	EXPECT=1 migrate
	[[ $output == *"could not connect at '127.0.0.1:$MARIADB_PORT'"* ]]
	# The first of several hosts that answers is taken; here it is a socket.
	start_mariadb
	sql "CREATE USER IF NOT EXISTS agent@localhost IDENTIFIED BY 'x';
		GRANT ALL ON *.* TO agent@localhost; SET PASSWORD FOR agent@localhost =
		(SELECT authentication_string FROM mysql.user WHERE user = 'agent' AND host = '%')" || true
	printf '[database]\nhosts = 127.0.0.1:1, %s\nuser = root\nmigrations = %s\n' "$MARIADB_SOCKET" \
		"$FOLDER" >"$BATS_TEST_TMPDIR/holdfast.conf"
	migrate
	[[ $output == *'at version 1'* ]]
}

@test "with TLS a server must prove who it is" {
	own_folder
	migration 0001_a.up.sql <<<'SELECT 1;'
	cd "$BATS_TEST_TMPDIR"
	for ca in good other; do
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$ca" -keyout "$ca.key" \
			-out "$ca.pem" 2>/dev/null
	done
	openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr 2>/dev/null
	openssl x509 -req -in server.csr -CA good.pem -CAkey good.key -CAcreateserial -days 2 \
		-extfile <(echo subjectAltName=IP:127.0.0.1,DNS:localhost) -out server.pem 2>/dev/null
	# A server without TLS is no server.
	printf '[database]\ntls = yes\ntls_ca = %s\n' "$PWD/good.pem" >>holdfast.conf
	EXPECT=1 migrate
	[[ $output == *'TLS'* ]]
	stop_mariadb
	start_mariadb --ssl-cert="$PWD/server.pem" --ssl-key="$PWD/server.key"
	migrate
	[[ $output == *'at version 1'* ]]
	sed -i 's/good.pem/other.pem/' holdfast.conf
	EXPECT=1 migrate status
	[[ $output == *'certificate'* ]]
	# Whom the system trusts does not include us.
	sed -i '/^tls_ca/d' holdfast.conf
	EXPECT=1 migrate status
	[[ $output == *'certificate'* ]]
	stop_mariadb
}

@test "mariadbd is killed in the middle: the next try goes on" {
	own_folder
	migration 0001_k.up.sql <<-'END'
		CREATE TABLE k (id INT PRIMARY KEY);
		INSERT INTO k VALUES (1);
		SELECT SLEEP(600);
		INSERT INTO k VALUES (2);
	END
	"$HOLDFASTD" --config "$BATS_TEST_TMPDIR/holdfast.conf" --state "$BATS_TEST_TMPDIR/none" \
		migrate >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	pid=$!
	sleeping() {
		[ "$(sql "SELECT count(*) FROM information_schema.processlist
			WHERE info LIKE 'SELECT SLEEP%'")" -eq 1 ]
	}
	wait_for sleeping
	kill_mariadb
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 1 ]
	grep -q 'statement 3 of 4' "$BATS_TEST_TMPDIR/out"
	start_mariadb
	[ "$(versions)" = 1:applying+2 ]
	sed -i 's/SLEEP(600)/1/' "$FOLDER/0001_k.up.sql"
	migrate
	[ "$(sql 'SELECT group_concat(id ORDER BY id) FROM company.k')" = 1,2 ]
}
