#!/usr/bin/env bats
#
# A restored table is one that the server knows: its optimizer has statistics, and goes on taking
# them by itself as it did before; what is loaded in one go is no less a key.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers
	sql "CREATE DATABASE shop CHARACTER SET utf8mb4"
	start_table_agent shop
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
}

# make_rows TABLE OPTION...: 5,000 rows, every hundred with a b of their own.
make_rows() {
	sql -D shop "CREATE TABLE $1 (a INT PRIMARY KEY, b INT NOT NULL, KEY b (b)) ENGINE=InnoDB ${*:2};
		INSERT INTO $1 SELECT seq, seq DIV 100 FROM seq_1_to_5000"
}

# restore TABLE: its definition, its rows and its indexes are what they were.
restore() {
	local before definition
	definition=$(sql -D shop "SHOW CREATE TABLE $1")
	before=$(sql -D shop "CHECKSUM TABLE $1 EXTENDED")
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" backup-table "$1"
	sql -D shop "DELETE FROM $1"
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" restore-table "$1"
	[ "$(sql -D shop "SHOW CREATE TABLE $1")" = "$definition" ]
	[ "$(sql -D shop "CHECKSUM TABLE $1 EXTENDED")" = "$before" ]
	[[ "$(sql -D shop "CHECK TABLE $1 EXTENDED")" == *"status"*"OK" ]]
}

# How many different values of b the optimizer knows of.
known_values() {
	sql "SELECT stat_value FROM mysql.innodb_index_stats WHERE database_name = 'shop' AND
		table_name = '$1' AND index_name = 'b' AND stat_name = 'n_diff_pfx01'"
}

@test "a restored table has statistics" {
	make_rows plain
	restore plain
	[ "$(known_values plain)" -eq 51 ]
}

@test "a table that says when its statistics are taken still says so" {
	make_rows never STATS_AUTO_RECALC=0
	restore never
	make_rows always STATS_AUTO_RECALC=1
	restore always
}

@test "a unique key is one after a restore, and has all rows" {
	sql -D shop "CREATE TABLE people (id INT PRIMARY KEY, mail VARCHAR(20) NOT NULL, UNIQUE KEY (mail));
		INSERT INTO people SELECT seq, CONCAT(5000 - seq, '@') FROM seq_1_to_5000"
	restore people
	run ! sql -D shop "INSERT INTO people VALUES (9000, '17@')"
	[ "$(sql -D shop "SELECT COUNT(*) FROM people FORCE INDEX (mail) WHERE mail >= ''")" -eq 5000 ]
}
