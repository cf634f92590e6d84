#!/usr/bin/env bats
#
# A MariaDB that is away, hangs, refuses or is not who it says: what the agent does, says, and does
# again when all is well.  And the password, which only the server gets to see.

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
	sql 'DROP DATABASE IF EXISTS holdfast; DROP DATABASE IF EXISTS shop; CREATE DATABASE shop'
}

teardown() {
	! mariadb_running || thaw_mariadb
	end_agents
}

shipped() {
	[ "$(sql "SELECT COUNT(*) FROM holdfast.log WHERE action = 'Stats'" 2>/dev/null || echo 0)" -eq "$1" ]
}

central_log() {
	api GET /v1/status
	jq -e ".central_log | $1" "$API_BODY" >/dev/null
}

@test "the first of several hosts is down: rows go to the next" {
	mariadb_config log | sed 's/^hosts = /hosts = 127.0.0.1:1, /' | agent_config
	start_agent
	api GET /stat
	wait_for shipped 1
	wait_for central_log ".state == \"connected\" and .host == \"127.0.0.1:$MARIADB_PORT\""
	# Each of them gone is told with the last one's reason; then they are back.
	stop_mariadb
	api GET /stat
	wait_for central_log '.state == "away" and (.last_error | test("none of 2 hosts will do"))'
	start_mariadb
	wait_for -t 60 shipped 2
}

@test "the log goes over TLS to a server that proves who it is, and to no other" {
	cd "$BATS_TEST_TMPDIR"
	for ca in good other; do
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$ca" -keyout "$ca.key" \
			-out "$ca.pem" 2>/dev/null
	done
	openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr 2>/dev/null
	openssl x509 -req -in server.csr -CA good.pem -CAkey good.key -CAcreateserial -days 2 \
		-extfile <(echo subjectAltName=IP:127.0.0.1) -out server.pem 2>/dev/null
	stop_mariadb
	start_mariadb --ssl-cert="$PWD/server.pem" --ssl-key="$PWD/server.key" --require-secure-transport
	{
		mariadb_config log database
		printf '[log]\ntls = yes\ntls_ca = %s/other.pem\n[database]\nname = shop\ntls = yes\ntls_ca = %s/good.pem\n' \
			"$PWD" "$PWD"
	} | agent_config
	start_agent
	api GET /stat
	wait_for central_log '.state == "away" and (.last_error | test("certificate"))'
	shipped 0
	# Tables by the right one.
	sql -D shop 'CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)'
	api POST /backup_table/t
	assert_status 201
	stop_agent
	sed -i 's/other.pem/good.pem/' "$AGENT_FOLDER/more.conf"
	start_agent
	wait_for shipped 1
	[ "$(sql "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'agent'")" -ge 1 ]
	stop_mariadb
}

@test "the password comes from a file or the environment, and is nowhere to be read" {
	secret=$(printf '%s' "$MARIADB_PASSWORD" | tr -d '\n')
	nowhere() {
		local pid
		pid=$(agent_pid)
		run ! grep -aqF -e "$secret" "/proc/$pid/cmdline" "$(agent_log)"
		api GET /v1/status
		run ! grep -qF secret "$API_BODY"
		run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" config show
		[[ $output != *secret* ]]
	}
	mariadb_config log | agent_config
	start_agent
	api GET /stat
	wait_for shipped 1
	nowhere
	stop_agent
	# By the ancestor's variables.
	: >"$AGENT_FOLDER/more.conf"
	MYSQL_HOST=127.0.0.1:$MARIADB_PORT MYSQL_USER=agent MYSQL_PASSWORD=$MARIADB_PASSWORD start_agent
	api GET /stat
	wait_for shipped 2
	nowhere
	stop_agent
	# A wrong one is said to be wrong, and not what it is.
	MYSQL_HOST=127.0.0.1:$MARIADB_PORT MYSQL_USER=agent MYSQL_PASSWORD=wrong-secret start_agent
	wait_for central_log '.state == "away" and (.last_error | test("Access denied"))'
	nowhere
	# A file that others may read is no place for it.
	stop_agent
	cp "$MARIADB_FOLDER/password" "$BATS_TEST_TMPDIR/open"
	chmod 644 "$BATS_TEST_TMPDIR/open"
	mariadb_config log | sed "s|^password_file = .*|password_file = $BATS_TEST_TMPDIR/open|" | agent_config
	run ! start_agent
	[[ $output == *"is open to others"*"chmod 600"* ]]
}

@test "too few rights are named: for the log, for a restore" {
	sql "CREATE OR REPLACE USER poor@'%' IDENTIFIED BY 'x'; GRANT SELECT, LOCK TABLES, SHOW VIEW, TRIGGER ON shop.* TO poor@'%'"
	sql -D shop 'CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)'
	printf 'x\n' >"$BATS_TEST_TMPDIR/x"
	chmod 600 "$BATS_TEST_TMPDIR/x"
	{
		mariadb_config log database | sed -E "s/^user = .*/user = poor/; s|^password_file = .*|password_file = $BATS_TEST_TMPDIR/x|"
		printf 'name = shop\n'
	} | agent_config
	start_agent
	wait_for central_log ".state == \"away\" and (.last_error | test(\"Access denied for user 'poor'.*'holdfast'\"))"
	api POST /backup_table/t
	assert_status 201
	api POST /restore_backup/t
	assert_problem 502 database "denied"
	assert_json '.hint | test("CREATE")'
	[ "$(sql -D shop 'SELECT COUNT(*) FROM t')" -eq 1 ]
	api POST /run-migration
	assert_problem 502 database "denied"
	# Once they are given, the log goes on by itself.
	sql "GRANT ALL ON holdfast.* TO poor@'%'"
	api GET /stat
	wait_for -t 60 shipped 1
	sql "DROP USER poor@'%'"
}

@test "a server that hangs: requests are answered, runs end, and all goes on when it wakes" {
	{
		mariadb_config log database
		printf 'name = shop\ntimeout = 3s\nconnect_timeout = 2s\n[log]\ntimeout = 3s\nconnect_timeout = 2s\n'
	} | agent_config
	start_agent
	sql -D shop 'CREATE TABLE t (id INT PRIMARY KEY, c CHAR(200)); INSERT INTO t SELECT seq, MD5(seq) FROM seq_1_to_200000'
	api POST /backup_table/t
	assert_status 201
	before=$(sql -D shop 'CHECKSUM TABLE t')
	api POST /v1/runs --json '{"kind": "restore-table", "arguments": {"table": "t", "limits": {"download": 1000000}}}'
	restore=$(json .id)
	loads() {
		api GET "/v1/runs/$restore" && assert_json '.progress.phase == "load" and .progress.bytes > 100' >/dev/null
	}
	wait_for loads
	api POST /v1/runs --json '{"kind": "tables", "arguments": {"table": "t", "limits": {"upload": 1000000}}}'
	backup=$(json .id)
	reads() {
		api GET "/v1/runs/$backup" && assert_json '.progress.bytes > 1000' >/dev/null
	}
	wait_for reads
	freeze_mariadb
	# The log waits, nobody else.
	api GET /stat
	assert_status 200
	api POST /backup_table/t
	assert_problem 503 unavailable "127.0.0.1:$MARIADB_PORT"
	wait_run "$restore" failed
	assert_json '.error.code == "unavailable"'
	wait_run "$backup" failed
	assert_json '.error.code == "unavailable"'
	wait_for central_log '.state == "away"'
	thaw_mariadb
	wait_for -t 60 shipped 1
	[ "$(sql -D shop 'CHECKSUM TABLE t')" = "$before" ]
	# What the restore had begun may hold the table for as long as the server takes to notice.
	restored() {
		api POST /restore_backup/t && [ "$API_STATUS" = 200 ]
	}
	wait_for -t 60 restored
	[ "$(sql -D shop 'CHECKSUM TABLE t')" = "$before" ]
	[ -z "$(sql -D shop "SHOW TABLES LIKE '\\_holdfast%'")" ]
	[ "$(sql "SELECT COUNT(*) FROM holdfast.log WHERE action = 'RestoreTable' AND status = 'SUCCESS'")" -le 1 ]
}
