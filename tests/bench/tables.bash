# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# Tables of a private MariaDB server: backup and restore beside mariadb-dump and mydumper, and what a
# backup adds after 1 % of the rows changed.
#
# All read and write the same database of the same server (Unix socket, 1 GiB buffer pool, else as it
# comes), with two threads or connections where a program has such; before each the server is left
# alone until it has nothing to do.  mydumper is as it comes: no compression (mariadb-dump has none),
# one file a table.  Processor time is that of the program and of the server while it ran.

# Of the issue's 300,000 employees, 2.8 million salaries and 500,000 wide rows.
TABLES_PERCENT=${TABLES_PERCENT:-100}
TABLES_THREADS=${TABLES_THREADS:-2}

tables_pid=

tables_sql() {
	mariadb --no-defaults --user=root --socket="$work/mariadb/socket" --batch --skip-column-names \
		--default-character-set=utf8mb4 "$@"
}

tables_answers() {
	tables_sql --execute 'SELECT 1' >/dev/null 2>&1
}

tables_server_start() {
	local folder=$work/mariadb i
	mkdir -p "$folder"
	mariadb-install-db --no-defaults --datadir="$folder/data" --skip-test-db \
		--auth-root-authentication-method=normal --user="$(id -un)" >"$work/output" 2>&1 ||
		{ cat "$work/output" >&2 && exit 1; }
	mariadbd --no-defaults --user="$(id -un)" --datadir="$folder/data" --socket="$folder/socket" \
		--skip-networking --pid-file="$folder/pid" --tmpdir="$folder" \
		--innodb-buffer-pool-size=1G >"$folder/log" 2>&1 </dev/null &
	tables_pid=$!
	for ((i = 0; i < 300; i++)); do
		! tables_answers || return 0
		sleep 0.2
	done
	cat "$folder/log" >&2
	exit 1
}

# Called by bench_end, too.
tables_server_end() {
	[[ -n $tables_pid ]] || return 0
	kill "$tables_pid" 2>/dev/null || true
	wait "$tables_pid" 2>/dev/null || true
	tables_pid=
}

# Processor time of the server, in ticks of 10 ms.
tables_ticks() {
	awk '{ print $14 + $15 }' "/proc/$tables_pid/stat"
}

# Wait until all is written and purged.
tables_settle() {
	local i before
	tables_sql --execute 'SET GLOBAL innodb_max_dirty_pages_pct = 0'
	for ((i = 0; i < 120; i++)); do
		before=$(tables_ticks)
		sleep 0.5
		if (($(tables_ticks) - before < 2)) && (($(tables_sql --execute \
			"SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'" | cut -f2) < 100)); then
			break
		fi
	done
	tables_sql --execute 'SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT'
}

# tables_run MEASURE PROGRAM FUNCTION
tables_run() {
	local before
	tables_settle
	before=$(tables_ticks)
	measure_run "$1" "$2" "$3"
	add_sample "$1.both/$2" "$(awk -v server="$(($(tables_ticks) - before))" \
		'END { print server / 100 + $2 + $3 }' "$work/time")"
}

# ---- the programs

tables_hold() {
	"$HOLDFASTD" --config "$work/tables.conf" --repository "$work/repositories/tables" \
		--state "$work/repositories/tables.state" "$@"
}
tables_holdfast_backup() {
	tables_hold backup-table
}
tables_holdfast_restore() {
	tables_hold restore-table departments employees salaries titles dept_emp wide
}
tables_mydumper_backup() {
	mydumper --socket "$work/mariadb/socket" --user root --threads "$TABLES_THREADS" \
		--database bench --outputdir "$work/repositories/mydumper"
}
tables_mydumper_restore() {
	myloader --socket "$work/mariadb/socket" --user root --threads "$TABLES_THREADS" \
		--database bench --overwrite-tables --directory "$work/repositories/mydumper"
}
tables_dump_backup() {
	mariadb-dump --no-defaults --user=root --socket="$work/mariadb/socket" --single-transaction \
		bench >"$work/repositories/dump.sql"
}
tables_dump_restore() {
	mariadb --no-defaults --user=root --socket="$work/mariadb/socket" bench \
		<"$work/repositories/dump.sql"
}

# tables_init PROGRAM: nothing is stored by it yet.
tables_init() {
	case $1 in
	holdfast)
		rm -rf "$work/repositories/tables" "$work/repositories/tables.state"
		tables_hold init >"$work/output"
		;;
	mydumper) rm -rf "$work/repositories/mydumper" ;;
	dump) rm -f "$work/repositories/dump.sql" ;;
	esac
}

tables_stored() {
	case $1 in
	holdfast) du -sb "$work/repositories/tables" ;;
	mydumper) du -sb "$work/repositories/mydumper" ;;
	dump) du -sb "$work/repositories/dump.sql" ;;
	esac | cut -f1
}

# ---- what changes

# 1 % of the rows of the two large tables: a third each updated, deleted and, in the middle, inserted.
# tables_change PLACES: in so many places, evenly spread.
tables_change() {
	local employees=$((3000 * TABLES_PERCENT)) rows=$((5000 * TABLES_PERCENT)) e w
	e=$((employees / $1)) w=$((rows / $1))
	# Of what lies between two places 1 %, but a whole row at least: a third is one row in 300.
	tables_sql -D bench --execute "
		UPDATE salaries SET salary = salary + 1 WHERE (emp_no - 10000) % $e < CEIL($e / 300);
		DELETE FROM salaries WHERE (emp_no - 10000 + 2 * $e DIV 3) % $e < CEIL($e / 300);
		INSERT IGNORE INTO salaries SELECT emp_no, salary + 7, from_date + INTERVAL 99 DAY, to_date
			FROM salaries WHERE (emp_no - 10000 + $e DIV 3) % $e < CEIL($e / 300);
		UPDATE wide SET g = CONCAT(g, 'changed'), a = a + 1 WHERE id DIV 2 % $w < CEIL($w / 300);
		DELETE FROM wide WHERE (id DIV 2 + 2 * $w DIV 3) % $w < CEIL($w / 300);
		INSERT INTO wide SELECT id + 1, a, b, c, d, e, f, REVERSE(g), h, i, j, k, l, m, n, o
			FROM wide WHERE id % 2 = 0 AND (id DIV 2 + $w DIV 3) % $w < CEIL($w / 300)"
}

# tables_grow MEASURE PLACES
tables_grow() {
	local before
	tables_change "$2"
	tables_settle
	before=$(tables_stored holdfast)
	measure_run "$1" holdfast tables_holdfast_backup
	add_sample "$1.added/holdfast" "$(($(tables_stored holdfast) - before))"
}

# ---- all of it

tables_make() {
	tables_server_start
	tables_sql --execute 'CREATE DATABASE bench CHARACTER SET utf8mb4'
	sed "s/_to_EMPLOYEES/_to_$((3000 * TABLES_PERCENT))/; s/_to_WIDE/_to_$((5000 * TABLES_PERCENT))/" \
		"$bench/tables.sql" | tables_sql -D bench
	printf '[database]\nhosts = %s\nuser = root\nname = bench\n' "$work/mariadb/socket" \
		>"$work/tables.conf"
	chmod 0600 "$work/tables.conf"
	rm -rf "$work/repositories"
	mkdir -p "$work/repositories"
	samples=()
	source_name="$(tables_sql -D bench --execute 'SELECT FORMAT((SELECT COUNT(*) FROM employees) +
		(SELECT COUNT(*) FROM salaries) + (SELECT COUNT(*) FROM titles) +
		(SELECT COUNT(*) FROM dept_emp) + (SELECT COUNT(*) FROM wide), 0)') rows"
	source_files=7
	source_bytes=$(tables_sql --execute "SELECT SUM(data_length + index_length)
		FROM information_schema.tables WHERE table_schema = 'bench'")
}

tables_rounds() {
	local action=$1 round program
	for ((round = 0; round < rounds; round++)); do
		while read -r program; do
			[[ $action != backup ]] || tables_init "$program"
			tables_run "tables.$action" "$program" "tables_${program}_$action"
		done < <(in_turn "$round" holdfast mydumper dump)
	done
}

# The faster of the two restores.
tables_fastest() {
	local a b
	a=$(value tables.restore/mydumper) b=$(value tables.restore/dump)
	samples[tables.restore.fastest/other]=$(awk "BEGIN { print $a < $b ? $a : $b }")
}

measure_tables() {
	local -a programs=(holdfast mydumper dump)
	local program
	export TABLES_THREADS
	export -f tables_hold
	tables_make
	tables_rounds backup
	for program in "${programs[@]}"; do
		add_sample "tables.stored/$program" "$(tables_stored "$program")"
	done
	tables_rounds restore
	tables_fastest
	tables_grow tables.places 5
	tables_grow tables.many 100
	tables_server_end
	add_row "backup" s tables.backup
	add_row "backup, processor time with the server's" s tables.backup.both
	add_row "stored" MB tables.stored
	add_row "restore over the tables that are there" s tables.restore
	add_row "restore, processor time with the server's" s tables.restore.both
	add_row "peak memory, backup" MiB tables.backup.memory
	add_row "peak memory, restore" MiB tables.restore.memory
	add_row "backup after 1 % changed in 15 places a table" s tables.places
	add_row "1 % changed in 15 places a table: repository grows by" MB tables.places.added
	add_row "1 % changed in 300 places a table: repository grows by" MB tables.many.added
	add_aim "backup / mydumper" 1 tables.backup/holdfast tables.backup/mydumper
	add_aim "restore / the faster of myloader and mariadb" 0.5 tables.restore/holdfast \
		tables.restore.fastest/other
	add_aim "added by 1 % in 15 places / first" 0.03 tables.places.added/holdfast tables.stored/holdfast
	add_aim "added by 1 % in 300 places / first" 0.03 tables.many.added/holdfast tables.stored/holdfast
	add_limit "peak memory, backup" 65536 tables.backup.memory/holdfast KiB
	add_limit "peak memory, restore" 65536 tables.restore.memory/holdfast KiB
	add_remark "mydumper: also myloader; dump: mariadb-dump, and \`mariadb < dump\`; neither compresses." \
		"$(mydumper --version | sed 's/,.*//'), $TABLES_THREADS threads each;" \
		"$(mariadbd --version | sed 's/.*Ver \([^ ]*\).*/MariaDB \1/')."
	rm -rf "$work/mariadb" "$work/repositories"
}
