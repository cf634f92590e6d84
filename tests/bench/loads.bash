# shellcheck shell=bash disable=SC2034,SC2154 # variables of run, lib.bash and programs.bash
#
# A million rows of five columns from a CSV file into an empty InnoDB table of a private MariaDB server,
# beside LOAD DATA LOCAL INFILE and mariadb-import, which check nothing that the server does not: with
# LOCAL they bend what does not fit, and skip rows whose key is there, with a warning.
# Then, for holdfast alone, with every 10,000th row one whose key is there already.

LOADS_ROWS=${LOADS_ROWS:-1000000}

# loads_csv EVERY: where the key is 1 again.
loads_csv() {
	mkdir -p "$work/exchange/database/hired/historic"
	awk -v n="$LOADS_ROWS" -v every="$1" 'BEGIN { for (i = 1; i <= n; i++)
		printf "%d,Somebody Number %d,2021-07-27 16:%02d:%02d,%d,%d\n", (every && i % every == 0 ? 1 : i), i,
			i / 60 % 60, i % 60, i % 12 + 1, i % 183 + 1 }' >"$work/exchange/database/hired/historic/hired.csv"
	cp "$work/exchange/database/hired/historic/hired.csv" "$work/hired"
}

loads_table() {
	tables_sql -D bench --execute 'CREATE OR REPLACE TABLE hired (id INT NOT NULL PRIMARY KEY,
		name VARCHAR(100) NOT NULL, datetime DATETIME NOT NULL, department_id INT NOT NULL,
		job_id INT NOT NULL)'
}

loads_holdfast() {
	local status=0
	"$HOLDFASTD" --config "$work/tables.conf" --repository "$work/repositories/loads" \
		--state "$work/repositories/loads.state" load hired --header no || status=$?
	# 3: some rows were rejected.
	((status == 0 || status == 3))
}
loads_load_data() {
	mariadb --no-defaults --user=root --socket="$work/mariadb/socket" --local-infile=1 bench --execute \
		"LOAD DATA LOCAL INFILE '$work/hired' INTO TABLE hired FIELDS TERMINATED BY ','"
}
loads_import() {
	mariadb-import --no-defaults --user=root --socket="$work/mariadb/socket" --local \
		--fields-terminated-by=, bench "$work/hired"
}

# loads_run MEASURE PROGRAM FUNCTION ROWS: so many are there in the end.
loads_run() {
	local rows
	loads_table
	tables_run "$1" "$2" "$3"
	rows=$(tables_sql -D bench --execute 'SELECT COUNT(*) FROM hired')
	[[ $rows == "$4" ]] || { note "$2 loaded $rows rows instead of $4" && exit 1; }
}

measure_loads() {
	local round program
	tables_server_start
	tables_sql --execute 'CREATE DATABASE bench CHARACTER SET utf8mb4; SET GLOBAL local_infile = 1'
	printf '[database]\nhosts = %s\nuser = root\nname = bench\n[exchange]\nurl = file://%s\n' \
		"$work/mariadb/socket" "$work/exchange" >"$work/tables.conf"
	chmod 0600 "$work/tables.conf"
	rm -rf "$work/repositories"
	mkdir -p "$work/repositories"
	"$HOLDFASTD" --config "$work/tables.conf" --repository "$work/repositories/loads" \
		--state "$work/repositories/loads.state" init >"$work/output"
	loads_csv 0
	samples=()
	source_name="$LOADS_ROWS rows of CSV"
	source_files=1
	source_bytes=$(stat -c %s "$work/hired")
	for ((round = 0; round < rounds; round++)); do
		while read -r program; do
			case $program in
			holdfast) loads_run loads holdfast loads_holdfast "$LOADS_ROWS" ;;
			mariadb-import) loads_run loads mariadb-import loads_import "$LOADS_ROWS" ;;
			*) loads_run loads load-data loads_load_data "$LOADS_ROWS" ;;
			esac
		done < <(in_turn "$round" holdfast load-data mariadb-import)
	done
	loads_csv 10000
	for ((round = 0; round < rounds; round++)); do
		loads_run loads.bad holdfast loads_holdfast $((LOADS_ROWS - LOADS_ROWS / 10000))
	done
	tables_server_end
	add_row "load" s loads
	add_row "processor time with the server's" s loads.both
	add_row "peak memory" MiB loads.memory
	add_row "load, 1 row in 10,000 rejected" s loads.bad
	add_limit "load: 100,000 rows a second" "$(awk "BEGIN { print $LOADS_ROWS / 100000 }")" loads/holdfast s
	add_limit "peak memory" 65536 loads.memory/holdfast KiB
	add_remark "$(mariadbd --version | sed 's/.*Ver \([^ ]*\).*/MariaDB \1/')."
	rm -rf "$work/mariadb" "$work/repositories" "$work/exchange" "$work/hired"
}
