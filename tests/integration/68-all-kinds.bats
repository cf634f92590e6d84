#!/usr/bin/env bats
#
# Tables of all kinds, every character set and collation, and rows of 64 MiB: what comes back from a
# backup is what was there, definition, values, triggers and all.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers --max-allowed-packet=256M
	mariadb --no-defaults -u root -S "$MARIADB_SOCKET" --default-character-set=utf8mb4 \
		<"$HOLDFAST_TOP/tests/data/tables/kinds.sql" >/dev/null
	start_table_agent kinds
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
}

# tables CONDITION: their names, a line each.
tables() {
	sql "SELECT table_name FROM information_schema.tables WHERE table_schema = 'kinds' AND ($1)
		ORDER BY table_name"
}

# All that can be asked of the database.  The checksum of a system-versioned table is one of its
# history and of when rows began, too.
state() {
	local table quoted
	tables "table_type <> 'VIEW'" | while IFS= read -r table; do
		quoted=\`${table//\`/\`\`}\`
		echo "-- $table"
		sql -D kinds "SHOW CREATE TABLE $quoted; SELECT * FROM $quoted ORDER BY 1, 2"
		case $table in
		counter | down) ;;
		versioned)
			sql -D kinds "CHECKSUM TABLE versioned EXTENDED;
				SELECT *, row_start, row_end FROM versioned FOR SYSTEM_TIME ALL ORDER BY 1, row_start"
			;;
		*) sql -D kinds "CHECKSUM TABLE $quoted EXTENDED" ;;
		esac
	done
	sql -D kinds "SHOW FULL TABLES; SHOW CREATE VIEW joined; SHOW CREATE VIEW positive;
		SELECT trigger_name, event_manipulation, event_object_table, action_order, action_statement,
		action_timing, sql_mode, definer, collation_connection FROM information_schema.triggers
		WHERE trigger_schema = 'kinds' ORDER BY event_object_table, action_timing, action_order"
}

back_up() {
	"$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" backup-table "$@" >"$BATS_TEST_TMPDIR/backup.out" 2>&1 || {
		cat "$BATS_TEST_TMPDIR/backup.out"
		return 1
	}
}

restore() {
	"$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" restore-table "$@" >"$BATS_TEST_TMPDIR/restore.out" 2>&1 || {
		cat "$BATS_TEST_TMPDIR/restore.out"
		return 1
	}
}

same_state() {
	state >"$BATS_TEST_TMPDIR/after"
	diff -a "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after" | cut -c1-500 | cat -v
	cmp "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

@test "a database that was dropped comes back: every kind of table, sequence, view and trigger" {
	local -a all
	state >"$BATS_TEST_TMPDIR/before"
	back_up
	# What others need comes first.
	mapfile -t all < <(tables "table_type = 'SEQUENCE'" && tables "table_type NOT IN ('SEQUENCE', 'VIEW')" &&
		tables "table_type = 'VIEW'")
	[ "${#all[@]}" -eq 22 ]
	sql 'DROP DATABASE kinds; CREATE DATABASE kinds CHARACTER SET utf8mb4'
	restore "${all[@]}"
	[ "$(grep -c 'verified' "$BATS_TEST_TMPDIR/restore.out")" -eq 22 ]
	same_state
	# The numbers go on where they were: of a sequence, and of a table whose last rows were deleted.
	[ "$(sql -D kinds 'SELECT NEXTVAL(counter), NEXTVAL(down)')" = $'9223372036854775803\t-11' ]
	[ "$(sql -D kinds 'INSERT INTO kept(x) VALUES (9); SELECT MAX(id) FROM kept')" = 1003 ]
	# Triggers act in their order, checks and keys refuse.
	sql -D kinds "INSERT INTO children(id) VALUES (7)"
	[ "$(sql -D kinds 'SELECT what FROM changes ORDER BY n')" = $'it\'s "ä"; 7\nsecond' ]
	run ! sql -D kinds "INSERT INTO children(id, parent) VALUES (8, 99)"
	run ! sql -D kinds "INSERT INTO generated(a) VALUES (-11)"
	run ! sql -D kinds "INSERT INTO periods VALUES (1, '2020-01-15', '2020-01-16')"
	sql -D kinds "DELETE FROM children WHERE id = 7; TRUNCATE changes; DELETE FROM kept WHERE x = 9"
}

@test "each table comes back over what it is now" {
	local -a all
	sql -D kinds "DELETE FROM changes; ALTER TABLE kept AUTO_INCREMENT = 1003"
	state >"$BATS_TEST_TMPDIR/before"
	back_up
	mapfile -t all < <(tables "table_type NOT IN ('SEQUENCE', 'VIEW')")
	for table in "${all[@]}"; do
		sql -D kinds "SET foreign_key_checks = 0; DELETE FROM \`${table//\`/\`\`}\`"
	done
	restore counter down "${all[@]}"
	same_state
}

@test "every byte and pair of bytes of every character set" {
	local charset comma='' create='' select=''
	for charset in $(sql "SELECT character_set_name FROM information_schema.character_sets
		WHERE maxlen = 1 AND character_set_name <> 'binary'"); do
		create+="$comma\`$charset\` CHAR(1) CHARACTER SET $charset"
		select+="${comma}CONVERT(UNHEX(LPAD(HEX(seq), 2, '0')) USING $charset)"
		comma=,
	done
	sql -D kinds "SET sql_mode = ''; CREATE TABLE single ($create); INSERT INTO single SELECT $select FROM seq_0_to_255"
	comma='' create='' select=''
	for charset in $(sql "SELECT character_set_name FROM information_schema.character_sets WHERE maxlen > 1"); do
		create+="$comma\`$charset\` VARCHAR(2) CHARACTER SET $charset"
		select+="${comma}CONVERT(UNHEX(LPAD(HEX(seq), 4, '0')) USING $charset)"
		comma=,
	done
	sql -D kinds "SET sql_mode = ''; CREATE TABLE pairs ($create); INSERT INTO pairs SELECT $select FROM seq_0_to_65535"
	# Among them are all halves of surrogate pairs, and characters that several pairs stand for.
	[ "$(sql -D kinds "SELECT COUNT(DISTINCT HEX(ucs2)) FROM pairs")" -eq 65536 ]
	[ "$(sql -D kinds "SELECT COUNT(DISTINCT HEX(cp932)) > COUNT(DISTINCT HEX(CONVERT(cp932 USING utf8mb4))) FROM pairs")" -eq 1 ]
	before=$(sql -D kinds 'CHECKSUM TABLE single, pairs EXTENDED')
	back_up single pairs
	sql -D kinds 'DELETE FROM single; DELETE FROM pairs'
	restore single pairs
	[ "$(sql -D kinds 'CHECKSUM TABLE single, pairs EXTENDED')" = "$before" ]
	sql -D kinds 'DROP TABLE single, pairs'
}

@test "every collation" {
	local name charset comma='' create=''
	while IFS=$'\t' read -r name charset; do
		create+="$comma\`$name\` CHAR(1) CHARACTER SET $charset COLLATE $name NOT NULL DEFAULT 'a'"
		comma=,
	done < <(sql "SELECT full_collation_name, character_set_name
		FROM information_schema.collation_character_set_applicability ORDER BY 1 LIMIT 900")
	sql -D kinds "CREATE TABLE collated ($create) ENGINE=Aria; INSERT INTO collated VALUES ()"
	sql -D kinds 'SHOW CREATE TABLE collated; SELECT * FROM collated' >"$BATS_TEST_TMPDIR/collated"
	[ "$(grep -o COLLATE "$BATS_TEST_TMPDIR/collated" | wc -l)" -gt 300 ]
	back_up collated
	sql -D kinds 'DROP TABLE collated'
	restore collated
	sql -D kinds 'SHOW CREATE TABLE collated; SELECT * FROM collated' | diff "$BATS_TEST_TMPDIR/collated" -
	sql -D kinds 'DROP TABLE collated'
}

# peak COMMAND...: the most memory that it had, in KiB.
peak() {
	"$@" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local pid=$! kib=0 now
	while now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [[ -n $now ]]; do
		kib=$now
		sleep 0.02
	done
	wait "$pid" || return 1
	echo "$kib"
}

@test "a row of 64 MiB, with memory for a few of it and not for all" {
	sql -D kinds "CREATE TABLE heavy (id INT PRIMARY KEY, b LONGBLOB);
		INSERT INTO heavy SELECT seq, REPEAT(CONCAT(RANDOM_BYTES(1023), '\\\\'), 65536) FROM seq_1_to_4"
	[ "$(sql -D kinds 'SELECT SUM(LENGTH(b)) FROM heavy')" -eq $((256 << 20)) ]
	before=$(sql -D kinds 'CHECKSUM TABLE heavy')
	backup=$(peak "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" backup-table heavy)
	sql -D kinds 'DELETE FROM heavy'
	restore=$(peak "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" restore-table heavy)
	[ "$(sql -D kinds 'CHECKSUM TABLE heavy')" = "$before" ]
	sql -D kinds 'DROP TABLE heavy'
	# A sanitizer takes as much again.
	grep -q -- '-fsanitize' "$HOLDFAST_BUILD/config.status" || {
		echo "backup: $backup KiB, restore: $restore KiB"
		((backup < (64 + 3 * 64) * 1024 && restore < (64 + 5 * 64) * 1024))
	}
}
