# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# How fast an agent that was long without its central MariaDB sends it what the journal holds: rows in
# sums of 20 days and five actions, over one connection, each batch of them one transaction.

LOG_ROWS=${LOG_ROWS:-200000}

log_shipping_agent() {
	"$HOLDFASTD" --config "$work/log.conf" --state "$work/log.state" \
		--repository "$work/repositories/log" "$@" \
		>>"$work/log.output" 2>&1 </dev/null
}

# For the background: the process is the agent itself.
log_shipping_serve() {
	exec "$HOLDFASTD" --config "$work/log.conf" --state "$work/log.state" \
		--repository "$work/repositories/log" --listen "unix:$work/log.socket" \
		>>"$work/log.output" 2>&1 </dev/null
}

log_shipping_position() {
	tables_sql --execute 'SELECT COALESCE(MAX(sequence), 0) FROM holdfast.log_agents'
}

# log_shipping_wait COMMAND...: a minute.
log_shipping_wait() {
	local until=$((SECONDS + 60))
	until "$@" >/dev/null 2>&1; do
		((SECONDS < until)) || { cat "$work/log.output" >&2 && exit 1; }
		sleep 0.02
	done
}

log_shipping_all() {
	(($(log_shipping_position) >= LOG_ROWS))
}

log_shipping_round() {
	local agent ended ticks
	rm -rf "$work/log.state" "$work/log.output" "$work/repositories/log"
	tables_sql --execute 'DROP DATABASE IF EXISTS holdfast'
	printf '[agent]\nname = bench\n' >"$work/log.conf"
	chmod 0600 "$work/log.conf"
	log_shipping_agent init
	# The journal is made by an agent.
	log_shipping_serve &
	agent=$!
	log_shipping_wait test -S "$work/log.socket" -a -s "$work/log.state/log.sqlite"
	kill "$agent"
	wait "$agent" || true
	sqlite3 "$work/log.state/log.sqlite" "DELETE FROM log;
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $LOG_ROWS)
		INSERT INTO log(id, date, action, command, parameter, status, run, origin, duration_ms, files,
			bytes, stored_bytes, message)
		SELECT i, strftime('%Y-%m-%dT%H:%M:%fZ', '2026-01-01', (i * 20 * 86400 / $LOG_ROWS) || ' seconds'),
			substr('Backup Logs   Stats  RestoreCheck  ', 1 + i % 5 * 7, 6), 'POST /backup',
			'/srv/folder/' || i, CASE WHEN i % 9 THEN 'SUCCESS' ELSE 'ERROR' END,
			lower(hex(randomblob(16))), '127.0.0.1', i % 5000, i % 300, i * 1000, i * 100,
			CASE WHEN i % 9 THEN NULL ELSE 'could not read 3 paths' END FROM n"
	printf '[log]\nhosts = %s\nuser = root\n' "$work/mariadb/socket" >>"$work/log.conf"
	log_shipping_agent migrate --log up
	tables_settle
	ticks=$(tables_ticks)
	began=${EPOCHREALTIME/./}
	log_shipping_serve &
	agent=$!
	log_shipping_wait log_shipping_all
	ended=${EPOCHREALTIME/./}
	add_sample shipping/holdfast "$(seconds "$began" "$ended")"
	add_sample shipping.both/holdfast "$(awk -v server="$(($(tables_ticks) - ticks))" \
		'{ print (server + $14 + $15) / 100 }' "/proc/$agent/stat")"
	add_sample shipping.memory/holdfast "$(sed -n 's/^VmHWM:\t *\([0-9]*\) kB/\1/p' "/proc/$agent/status")"
	kill "$agent"
	wait "$agent" || true
	[[ $(tables_sql --execute 'SELECT COUNT(*) FROM holdfast.log') -ge $LOG_ROWS ]] ||
		{ note "rows of the log are missing" && exit 1; }
}

measure_log_shipping() {
	local round
	tables_server_start
	rm -rf "$work/repositories"
	mkdir -p "$work/repositories"
	samples=()
	source_name="$LOG_ROWS rows of the log"
	source_files=1
	for ((round = 0; round < rounds; round++)); do
		log_shipping_round
	done
	source_bytes=$(stat -c %s "$work/log.state/log.sqlite")
	tables_server_end
	add_row "from the agent's start until all rows are in MariaDB" s shipping
	add_row "processor time with the server's" s shipping.both
	add_row "peak memory of the agent" MiB shipping.memory
	add_limit "20,000 rows a second" "$(awk "BEGIN { print $LOG_ROWS / 20000 }")" shipping/holdfast s
	rm -rf "$work/mariadb" "$work/repositories" "$work"/log.*
}
