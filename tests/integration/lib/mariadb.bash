# shellcheck shell=bash
#
# A private MariaDB server for a test: own data folder, socket and port; the system's is not
# touched.  Load it after lib/agent.
#
#	load lib/agent
#	load lib/mariadb
#
#	setup() {
#		start_mariadb
#		mariadb_config log database | agent_config
#		start_agent
#	}
#	teardown() {
#		end_agents
#		end_mariadb
#	}
#	@test "..." {
#		api POST /run-migration
#		[ "$(sql 'SELECT count(*) FROM company.jobs')" -eq 0 ]
#	}
#
#	start_mariadb [OPTION...]  start it (again), wait until it answers; OPTIONs of mariadbd
#	stop_mariadb            an orderly end
#	kill_mariadb            SIGKILL; its data stays for the next start_mariadb
#	freeze_mariadb, thaw_mariadb    it answers nothing; goes on
#	end_mariadb             for teardown: kill it and remove its data
#	sql [-D DATABASE] TEXT  run statements as root, print rows with tabs between
#	locks_awaited           a session waits for a row that another one holds
#	mariadb_config SECTION...       settings for these sections ([log], [database]): TCP, user
#	                        and a password file of the user "agent", who may do everything
#	MARIADB_FOLDER MARIADB_SOCKET MARIADB_PORT      where it is
#
# One server for all tests of a file: call share_mariadb in setup_file before start_mariadb.
#
# One server and one agent for all tests of a file:
#	share_servers [OPTION...]       in setup_file: start the server, with OPTIONs of mariadbd; the
#	                        agent is started later, by
#	start_table_agent NAME [LINE...]        [database] has the name NAME and these LINEs; if there
#	                        is a folder $AGENT_FOLDER/exchange, it is the exchange storage
#	use_servers             in setup; $exchange is where tables lie on that storage
#	end_servers             in teardown_file

MARIADB_PASSWORD="it's \\ \"secret\""

share_mariadb() {
	export MARIADB_BASE=$BATS_FILE_TMPDIR
	use_mariadb
}

# Short, for the sake of the socket.
use_mariadb() {
	MARIADB_FOLDER=${MARIADB_BASE:-${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}}/mariadb
	MARIADB_SOCKET=$MARIADB_FOLDER/s
	MARIADB_PORT=
	[[ ! -s $MARIADB_FOLDER/port ]] || MARIADB_PORT=$(<"$MARIADB_FOLDER/port")
}

# The server's first files take seconds to make: once for all tests.
mariadb_template() {
	local shared=${HOLDFAST_TESTS_SHARED:-$BATS_RUN_TMPDIR}
	(
		flock 9
		[[ ! -e $shared/mariadb.ready ]] || exit 0
		rm -rf "$shared/mariadb"
		mariadb-install-db --no-defaults --datadir="$shared/mariadb" --skip-test-db \
			--auth-root-authentication-method=normal --skip-name-resolve \
			--innodb-log-file-size=8M --innodb-data-file-path=ibdata1:4M:autoextend \
			--innodb-flush-method=nosync --user="$(id -un)" \
			>"$shared/mariadb.log" 2>&1 9>&- || {
			cat "$shared/mariadb.log" >&2
			exit 1
		}
		touch "$shared/mariadb.ready"
	) 9>"$shared/mariadb.lock" || return 1
	echo "$shared/mariadb"
}

mariadb_running() {
	[[ -s $MARIADB_FOLDER/pid && ! -s $MARIADB_FOLDER/exit ]]
}

mariadb_answers_or_died() {
	[[ -s $MARIADB_FOLDER/exit ]] || sql 'SELECT 1' >/dev/null 2>&1
}

# A server that was killed is not put under a new one's feet by a descriptor of bats.
launch_mariadb() {
	rm -f "$MARIADB_FOLDER/exit" "$MARIADB_FOLDER/pid"
	(
		exec 3>&- 4>&-
		status=0
		mariadbd --no-defaults --user="$(id -un)" --datadir="$MARIADB_FOLDER/data" \
			--socket="$MARIADB_SOCKET" --port="$MARIADB_PORT" --bind-address=127.0.0.1 \
			--pid-file="$MARIADB_FOLDER/pid.own" --innodb-log-file-size=8M \
			--innodb-data-file-path=ibdata1:4M:autoextend --innodb-buffer-pool-size=32M \
			--innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=2 \
			--performance-schema=off --skip-name-resolve --tmpdir="$MARIADB_FOLDER" \
			"$@" >>"$MARIADB_FOLDER/log" 2>&1 </dev/null &
		echo $! >"$MARIADB_FOLDER/pid.new"
		mv "$MARIADB_FOLDER/pid.new" "$MARIADB_FOLDER/pid"
		wait $! || status=$?
		echo "$status" >"$MARIADB_FOLDER/exit.new"
		mv "$MARIADB_FOLDER/exit.new" "$MARIADB_FOLDER/exit"
	) >/dev/null 2>&1 </dev/null &
	disown $!
	wait_for test -s "$MARIADB_FOLDER/pid"
}

start_mariadb() {
	local template
	use_mariadb
	if [[ ! -d $MARIADB_FOLDER/data ]]; then
		template=$(mariadb_template) || return 1
		mkdir -p "$MARIADB_FOLDER"
		cp -a "$template" "$MARIADB_FOLDER/data"
	fi
	while [[ -z $MARIADB_PORT ]]; do
		MARIADB_PORT=$(random_port)
		port_is_free "$MARIADB_PORT" || MARIADB_PORT=
	done
	echo "$MARIADB_PORT" >"$MARIADB_FOLDER/port"
	launch_mariadb "$@" || return 1
	wait_for -t 60 mariadb_answers_or_died || true
	if [[ -s $MARIADB_FOLDER/exit ]] || ! sql 'SELECT 1' >/dev/null; then
		tail -n 50 "$MARIADB_FOLDER/log"
		fail "mariadbd did not start"
		return 1
	fi
	[[ -s $MARIADB_FOLDER/password ]] || {
		(umask 077 && printf '%s\n' "$MARIADB_PASSWORD" >"$MARIADB_FOLDER/password")
		sql "CREATE USER agent@'%' IDENTIFIED BY '${MARIADB_PASSWORD//[\'\\]/\\&}';
			GRANT ALL ON *.* TO agent@'%' WITH GRANT OPTION"
	}
}

signal_mariadb() {
	kill -s "$1" "$(<"$MARIADB_FOLDER/pid")"
}

stop_mariadb() {
	mariadb_running || return 0
	signal_mariadb TERM
	wait_for test -s "$MARIADB_FOLDER/exit"
}

kill_mariadb() {
	mariadb_running || return 0
	signal_mariadb KILL
	wait_for test -s "$MARIADB_FOLDER/exit"
}

freeze_mariadb() {
	signal_mariadb STOP
}

thaw_mariadb() {
	signal_mariadb CONT
}

end_mariadb() {
	use_mariadb
	kill_mariadb
	rm -rf "$MARIADB_FOLDER"
}

sql() {
	local -a database=()
	if [[ $1 == -D ]]; then
		database=(-D "$2")
		shift 2
	fi
	mariadb --no-defaults --user=root --socket="$MARIADB_SOCKET" --batch --skip-column-names \
		--default-character-set=utf8mb4 "${database[@]}" --execute "$1"
}

# Not by INNODB_TRX: that is renewed only when nobody has asked for a tenth of a second.
locks_awaited() {
	[ "$(sql "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'" | cut -f2)" -ge 1 ]
}

mariadb_config() {
	local section
	for section in "$@"; do
		printf '[%s]\nhosts = 127.0.0.1:%s\nuser = agent\npassword_file = %s\n' "$section" \
			"$MARIADB_PORT" "$MARIADB_FOLDER/password"
	done
}

# ---- one server and one agent

share_servers() {
	share_mariadb
	share_agent
	start_mariadb "$@"
}

start_table_agent() {
	{
		mariadb_config database
		printf 'name = %s\n' "$1"
		shift
		(($# == 0)) || printf '%s\n' "$@"
		[[ ! -d $AGENT_FOLDER/exchange ]] || printf '[exchange]\nurl = file://%s/exchange\n' "$AGENT_FOLDER"
	} | agent_config
	start_agent
}

use_servers() {
	use_agent agent
	use_mariadb
	# shellcheck disable=SC2034 # for the tests
	exchange=$AGENT_FOLDER/exchange/database
}

end_servers() {
	end_agents
	end_mariadb
}
