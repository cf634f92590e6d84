#!/usr/bin/env bats
#
# CSV files of the exchange storage go into tables; rows that do not fit are told, one by one, and
# can be mended and loaded again.

bats_require_minimum_version 1.5.0
load lib/agent
load lib/mariadb

setup_file() {
	share_servers
	mkdir "$AGENT_FOLDER/exchange"
	start_table_agent company
	api POST /run-migration
	assert_status 200
}

teardown_file() {
	end_servers
}

setup() {
	use_servers
}

# file_of TABLE: where its file to load is; the folders are made.
file_of() {
	mkdir -p "$exchange/$1/historic"
	echo "$exchange/$1/historic/$1.csv"
}

# table NAME COLUMNS: a new and empty one.
table() {
	sql -D company "DROP TABLE IF EXISTS $1; CREATE TABLE $1 ($2)"
}

rows() {
	sql -D company "SELECT count(*) FROM $1"
}

# rejects [CURL ARGUMENT...]: those of the run that an answer named last; FORMAT=raw: as they were.
rejects() {
	local run
	run=$(json 'if type == "object" then .run // .id // empty else empty end' 2>/dev/null) || true
	REJECTS_OF=${run:-$REJECTS_OF}
	api GET "/v1/runs/$REJECTS_OF/rejects${FORMAT:+?format=$FORMAT}" "$@"
}

company_files() {
	printf '1,Supply Chain\n2,Maintenance\n3,Staff\n' >"$(file_of departments)"
	printf '1,Recruiter\n2,Manager\n3,Analyst\n' >"$(file_of jobs)"
	cat >"$(file_of hired_employees)" <<-'END'
	1,Harold Vogt,2021-11-07T02:48:42Z,2,1
	2,Ty Hofer,2021-05-30T05:43:46Z,3,
	3,Lyman Hadye,,3,2
	4,"Crissie ""Chris"" Le Sieur",2021-11-15T04:11:25Z,1,3
	5,,2021-07-22T07:08:18Z,1,2
	6,Mannie Bryning,2021-09-01T23:27:38Z,9,3
	7,Zoe Ott,2021-02-30T01:00:00Z,2,2
	8,Ann Lee,2021-12-01T00:00:00Z,,1
	END
}

@test "the files of a company go in, and what does not fit is told row by row" {
	company_files
	for name in departments jobs; do
		api POST "/load_historic_data/$name"
		assert_status 201
		assert_json '.table == $t and .read == 3 and .inserted == 3 and .rejected == 0 and .outcome == "ok"' --arg t "$name"
		rejects
		assert_status 200
		assert_json '. == []'
	done
	api POST /load_historic_data/hired_employees
	assert_status 201
	assert_json '.read == 8 and .inserted == 2 and .updated == 0 and .ignored == 0 and .rejected == 6 and .outcome == "warn"'
	[ "$(sql -D company 'SELECT group_concat(id, name, datetime, department_id, job_id ORDER BY id) FROM hired_employees')" = \
		'1Harold Vogt2021-11-07 02:48:4221,4Crissie "Chris" Le Sieur2021-11-15 04:11:2513' ]
	assert_json '.rejects_url == "/v1/runs/\(.run)/rejects"'
	rejects
	assert_status 200
	assert_header Content-Type '^application/json'
	assert_json 'sort_by(.row) | map([.row, .line, .column]) == [[2,2,"job_id"],[3,3,"datetime"],[5,5,"name"],[6,6,"department_id"],[7,7,"datetime"],[8,8,"department_id"]] or
		map([.row, .line]) == [[2,2],[3,3],[5,5],[6,6],[7,7],[8,8]]'
	assert_json 'all(.reason | length > 5) and any(.raw == "3,Lyman Hadye,,3,2")'
	# Each load is one row of the log, with what it could not take.
	log_rows '.[] | select(.action == "LoadHistoricData")' >"$BATS_TEST_TMPDIR/log"
	[ "$(jq -s length "$BATS_TEST_TMPDIR/log")" -eq 3 ]
	jq -es '.[2] | .parameter == "hired_employees" and .status == "SUCCESS" and (.message | startswith("6 rows rejected: row 2 ("))' "$BATS_TEST_TMPDIR/log"
}

@test "rejected rows come back as they were, are mended and load" {
	company_files
	sql -D company 'DELETE FROM hired_employees'
	api POST '/load_historic_data/hired_employees'
	[ "$(rows hired_employees)" -eq 2 ]
	FORMAT=raw rejects
	assert_status 200
	assert_header Content-Type '^text/csv'
	# Exactly these rows, whatever order they were rejected in.
	sort "$API_BODY" | diff - <(sed -n '2,3p;5,8p' "$(file_of hired_employees)")
	sed -e 's/^2,\(.*\),$/2,\1,2/' -e 's/^3,Lyman Hadye,,/3,Lyman Hadye,2021-01-01T00:00:00Z,/' -e 's/^5,,/5,"New, Name",/' \
		-e 's/,9,3$/,1,3/' -e 's/-02-30/-02-28/' -e 's/,,1$/,1,1/' "$API_BODY" >"$(file_of hired_employees)"
	api POST /load_historic_data/hired_employees
	assert_status 201
	assert_json '.read == 6 and .inserted == 6 and .rejected == 0'
	[ "$(rows hired_employees)" -eq 8 ]
	[ "$(sql -D company 'SELECT name FROM hired_employees WHERE id = 5')" = 'New, Name' ]
}

@test "the header of the file stands above the rejected rows, with its line ends" {
	table t 'id INT PRIMARY KEY, name VARCHAR(5), n INT NOT NULL DEFAULT 7'
	printf '\357\273\277Name,"ID"\r\nab,1\r\n"too\r\nlong",2\r\nx,3\r\ny\r\n' >"$(file_of t)"
	api POST /load_historic_data/t
	assert_status 201
	assert_json '.read == 4 and .inserted == 2 and .rejected == 2'
	[ "$(sql -D company 'SELECT group_concat(id, name, n ORDER BY id) FROM t')" = 1ab7,3x7 ]
	FORMAT=raw rejects
	cmp "$API_BODY" <(printf 'Name,"ID"\r\n"too\r\nlong",2\r\ny\r\n')
	rejects
	assert_json 'map([.row, .line]) == [[2, 3], [4, 6]] and .[0].column == "name" and .[1].column == null and
		.[1].reason == "the row has 1 field, 2 are expected" and .[0].raw == "\"too\r\nlong\",2"'
	# Mended, the file of rejects is a whole CSV file again.
	FORMAT=raw rejects
	sed -e 's/^long/lo/' -e 's/^y/y,4/' "$API_BODY" >"$(file_of t)"
	api POST /load_historic_data/t
	assert_json '.read == 2 and .rejected == 1 and .inserted == 1'
	[ "$(rows t)" -eq 3 ]
}

@test "header, delimiter and the word for NULL are as they are said" {
	table t 'id INT PRIMARY KEY, id2 VARCHAR(9), name VARCHAR(9)'
	printf 'id;name\n1;\\N\n2;\n3;a,b\n' >"$(file_of t)"
	api POST '/load_historic_data/t?delimiter=;&null=%5CN'
	assert_status 201
	assert_json '.inserted == 3'
	[ "$(sql -D company "SELECT group_concat(id, ifnull(name, 'NULL') ORDER BY id) FROM t")" = '1NULL,2,3a,b' ]
	table t 'id VARCHAR(9), name VARCHAR(9)'
	printf 'id\tname\n' >"$(file_of t)"
	api POST '/load_historic_data/t?delimiter=%5Ct'
	assert_status 200
	assert_json '.read == 0'
	api POST '/load_historic_data/t?delimiter=%5Ct&header=no'
	assert_status 201
	[ "$(sql -D company 'SELECT id, name FROM t')" = $'id\tname' ]
	# An empty field is NULL, an empty text is quoted.
	printf ',""\n' >"$(file_of t)"
	api POST '/load_historic_data/t'
	[ "$(sql -D company "SELECT count(*) FROM t WHERE id IS NULL AND name = ''")" -eq 1 ]
	for bad in header=perhaps delimiter=ab delimiter=%22 delimiter= on_error=ignore on_duplicate=no nonsense=1; do
		api POST "/load_historic_data/t?$bad"
		assert_problem 400 bad-request
	done
}

@test "a header that does not fit is refused, and nothing is loaded" {
	table t 'id INT PRIMARY KEY, name VARCHAR(5), twice INT AS (id * 2)'
	for header in 'id,nmae' 'id,ID' 'id,twice' 'id,name,id'; do
		printf '%s\n1,2\n' "$header" >"$(file_of t)"
		api POST '/load_historic_data/t?header=yes'
		assert_problem 400 bad-request 'header line names'
	done
	[ "$(rows t)" -eq 0 ]
	# Unasked, it is data, and data that does not fit.
	printf 'id,nmae\n1,a\n' >"$(file_of t)"
	api POST /load_historic_data/t
	assert_status 201
	assert_json '.read == 2 and .rejected == 1'
}

@test "bad bytes cost their rows and no others" {
	table t 'id INT PRIMARY KEY, name VARCHAR(50), at DATETIME'
	{
		printf '1,a,2021-01-01T00:00:00Z\n2,ragged\n3,b,2021-01-01,more,fields\n'
		printf '4,nul\0byte,\n5,latin \351,\n6,"quote" d,\n7,a"b,\n8,good,\n'
		printf '9,\355\240\200,\n10,caf\303\251,\n11,"open\n12,swallowed,\n'
	} >"$(file_of t)"
	api POST /load_historic_data/t
	assert_status 201
	assert_json '.read == 11 and .inserted == 3 and .rejected == 8'
	[ "$(sql -D company "SELECT group_concat(id, name ORDER BY id) FROM t")" = '1a,8good,10café' ]
	rejects
	assert_json 'map(.row) | sort == [2,3,4,5,6,7,9,11]'
	assert_json 'any(.row == 3 and .reason == "the row has 5 fields, 3 are expected")'
	assert_json 'any(.row == 4 and .reason == "there is a NUL byte in the row (line 4)" and .escaped and .raw == "4,nul\\x00byte,")'
	assert_json 'any(.row == 5 and .column == "name" and .escaped and (.raw | contains("latin \\xe9")))'
	assert_json 'any(.row == 6 and .reason == "field 2 goes on after its closing quote (line 6)")'
	assert_json 'any(.row == 11 and .line == 11 and .reason == "the quote that opens in line 11 is never closed" and .raw == "11,\"open\n12,swallowed,\n")'
	# As they were, byte for byte, and the open quote takes no other row in.
	FORMAT=raw rejects
	[ "$(wc -l <"$API_BODY")" -eq 10 ]
	tail -n 3 "$API_BODY" | cmp - <(printf '11,"open\n12,swallowed,\n\n')
	grep -aq $'latin \351' "$API_BODY"
}

@test "UTF-16 is refused with what to do" {
	table t 'id INT PRIMARY KEY, name VARCHAR(50)'
	printf '1,a\n' | iconv -t UTF-16 >"$(file_of t)"
	api POST /load_historic_data/t
	assert_problem 400 bad-request 'iconv -f UTF-16'
	# Without a mark nobody knows, but no row is taken.
	printf '1,a\n2,b\n' | iconv -t UTF-16LE >"$(file_of t)"
	api POST /load_historic_data/t
	assert_problem 400 bad-request 'NUL byte'
	[ "$(rows t)" -eq 0 ]
}

@test "a field of 100 MB is rejected without its memory, and the load goes on" {
	table t 'id INT PRIMARY KEY, name LONGTEXT'
	{
		printf '1,a\n2,'
		head -c 100000000 /dev/zero | tr '\0' x
		printf '\n3,"'
		head -c 100000000 /dev/zero | tr '\0' y
		printf '"\n4,b\n'
	} >"$(file_of t)"
	before=$(awk '/VmHWM/ { print $2 }' "/proc/$(agent_pid)/status")
	api POST /load_historic_data/t
	assert_status 201
	assert_json '.read == 4 and .inserted == 2 and .rejected == 2'
	rejects
	assert_json 'map(.reason) == ["the row has more than 16 MiB", "the row has more than 16 MiB"] and all(.cut) and all(.raw | length == 1048576)'
	after=$(awk '/VmHWM/ { print $2 }' "/proc/$(agent_pid)/status")
	echo "peak $before kB before, $after kB after"
	[[ $HOLDFAST_BUILD == *asan* ]] || [ $((after - before)) -lt 70000 ]
	# The beginning of a row is no row.
	FORMAT=raw rejects
	[ ! -s "$API_BODY" ]
	rm "$(file_of t)"
}

@test "all or nothing, and what a row does whose key is there" {
	table t 'id INT PRIMARY KEY, name VARCHAR(5)'
	sql -D company "INSERT INTO t VALUES (1, 'old')"
	printf '2,b\n3,c\n4,toolong\n' >"$(file_of t)"
	api POST '/load_historic_data/t?on_error=abort'
	assert_problem 400 bad-request 'row 3'
	assert_json '.inserted == 0'
	[ "$(rows t)" -eq 1 ]
	printf '1,new\n2,b\n' >"$(file_of t)"
	api POST '/load_historic_data/t?on_error=abort'
	assert_problem 400 bad-request
	[ "$(rows t)" -eq 1 ]
	api POST '/load_historic_data/t?on_duplicate=ignore'
	assert_json '.inserted == 1 and .ignored == 1 and .rejected == 0'
	[ "$(sql -D company 'SELECT name FROM t WHERE id = 1')" = old ]
	api POST '/load_historic_data/t?on_duplicate=update'
	assert_json '.inserted == 0 and .rejected == 0 and .updated >= 1'
	[ "$(sql -D company 'SELECT name FROM t WHERE id = 1')" = new ]
	api POST /load_historic_data/t
	assert_problem 400 bad-request
	sql -D company 'DELETE FROM t WHERE id = 2'
	api POST /load_historic_data/t
	assert_json '.inserted == 1 and .rejected == 1'
	rejects
	assert_json 'map(.raw) == ["1,new"]'
}

@test "what is not there is told by its name" {
	api POST /load_historic_data/nowhere
	assert_problem 404 not-found "'database/nowhere/historic/nowhere.csv'"
	printf '1\n' >"$(file_of nowhere)"
	api POST /load_historic_data/nowhere
	assert_problem 404 not-found "table 'nowhere'"
	table t 'id INT'
	rm -rf "$exchange/t"
	api POST /load_historic_data/t
	assert_problem 404 not-found "'database/t/historic/t.csv'"
	# No link leads out, and a folder is no file.
	mkdir -p "$exchange/t/historic"
	ln -s /etc/passwd "$exchange/t/historic/t.csv"
	api POST /load_historic_data/t
	assert_json '.status >= 400'
	[ "$(rows t)" -eq 0 ]
	rm "$exchange/t/historic/t.csv"
	mkdir "$exchange/t/historic/t.csv"
	api POST /load_historic_data/t
	assert_problem 400 bad-request "is no file"
	rmdir "$exchange/t/historic/t.csv"
	api POST '/load_historic_data/t?database=other'
	assert_problem 404 not-found
	sql -D company 'DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1 AS id'
	printf '1\n' >"$(file_of v)"
	api POST /load_historic_data/v
	assert_problem 400 bad-request 'view'
}

@test "names are names, whatever is in them" {
	for name in 'a`b' 'x; DROP TABLE t' "q'uo\"te" 'ñandú' '..'; do
		quoted=\`${name//\`/\`\`}\`
		sql -D company "DROP TABLE IF EXISTS $quoted; CREATE TABLE $quoted (id INT, \`a,\"b\` INT)"
		folder=$exchange/$name
		[ "$name" != .. ] || folder=$exchange/%2E.
		mkdir -p "$folder/historic"
		printf '"a,""b",ID\n1,2\n' >"$folder/historic/${folder##*/}.csv"
		api POST "/load_historic_data/$(jq -rn --arg n "$name" '$n | @uri' | sed 's/^\.\./%2E%2E/')"
		assert_status 201
		assert_json '.inserted == 1 and .table == $n' --arg n "$name"
		[ "$(sql -D company "SELECT id, \`a,\"b\` FROM $quoted")" = $'2\t1' ]
		sql -D company "DROP TABLE $quoted"
	done
}

@test "a load is a run: later, once by its key, by its kind" {
	table t 'id INT PRIMARY KEY, name VARCHAR(5)'
	printf '1,a\n2,toolong\n' >"$(file_of t)"
	api POST /load_historic_data/t -H 'Prefer: respond-async'
	assert_status 202
	id=$(json .id)
	assert_header Location "^/v1/runs/$id"
	wait_run "$id" warn
	assert_json '.kind == "load" and .result.inserted == 1 and .result.rejected == 1 and .loss_total == 1 and (.losses[0].path == "row 2")'
	sql -D company 'DELETE FROM t'
	api POST /load_historic_data/t -H 'Idempotency-Key: once'
	assert_status 201
	first=$(json .run)
	api POST /load_historic_data/t -H 'Idempotency-Key: once'
	[ "$(json .run)" = "$first" ]
	[ "$(rows t)" -eq 1 ]
	api POST '/load_historic_data/t?on_error=abort' -H 'Idempotency-Key: once'
	assert_problem 409 conflict
	sql -D company 'DELETE FROM t'
	api POST /v1/runs -H 'Content-Type: application/json' \
		-d '{"kind": "load", "arguments": {"table": "t", "header": "no", "on_duplicate": "ignore"}}'
	assert_status 202
	wait_run "$(json .id)" warn
	[ "$(rows t)" -eq 1 ]
	api POST /v1/runs -H 'Content-Type: application/json' -d '{"kind": "load", "arguments": {}}'
	assert_problem 400 bad-request 'no table is named'
}

@test "the report of rejects as JSON, lines of JSON and CSV" {
	table t 'id INT PRIMARY KEY, name VARCHAR(5)'
	printf '1,a\n2,toolong\n3,"=1+""2"""\nx,=cmd\n' >"$(file_of t)"
	api POST /load_historic_data/t
	run=$(json .run)
	[ "$(stat -c %a "$STATE/rejects/$run")" = 600 ]
	[ "$(stat -c %a "$STATE/rejects")" = 700 ]
	api GET "/v1/runs/${run:0:12}/rejects" -H 'Accept: application/x-ndjson'
	assert_status 200
	assert_header Content-Type '^application/x-ndjson'
	[ "$(jq -s 'map(.row) | sort | join(" ")' "$API_BODY")" = '"2 3 4"' ]
	api GET "/v1/runs/$run/rejects" -H 'Accept: text/csv'
	assert_header Content-Type '^text/csv'
	[ "$(head -n 1 "$API_BODY")" = $'row,line,column,reason,raw\r' ]
	# A cell that a spreadsheet would compute gets an apostrophe.
	grep -q '^4,4,id,' "$API_BODY"
	grep -q '"3,""=1+""""2""""""' "$API_BODY"
	api GET "/v1/runs/$run/rejects" -H 'Accept: image/png'
	assert_problem 406 not-acceptable
	api GET "/v1/runs/$run/rejects?format=tar"
	assert_problem 400 bad-request
	api GET /v1/runs/00000000000000000000000000000000/rejects
	assert_problem 404 not-found
	api POST /v1/runs -H 'Content-Type: application/json' -d '{"kind": "check"}'
	wait_run "$(json .id)" ok
	api GET "/v1/runs/$(json .id)/rejects"
	assert_problem 404 not-found "kind 'check'"
	# Once they are gone that is told, and not that there were none.
	rm "$STATE/rejects/$run"
	api GET "/v1/runs/$run/rejects"
	assert_problem 404 not-found 'not kept'
	# They hold data: not for everybody.
	offline token add reader --role read >"$BATS_TEST_TMPDIR/token"
	api GET "/v1/runs/$run/rejects" -H "Authorization: Bearer $(<"$BATS_TEST_TMPDIR/token")"
	assert_problem 403 forbidden
	api POST /load_historic_data/t -H "Authorization: Bearer $(<"$BATS_TEST_TMPDIR/token")"
	assert_problem 403 forbidden
}

# A file that takes seconds: every hundredth row is bad.
large_file() {
	awk 'BEGIN { for (i = 1; i <= 1500000; i++) print i "," (i % 100 == 0 ? "x" : i) ",some words to fill the row" }' >"$(file_of large)"
	table large 'id INT PRIMARY KEY, n INT, t VARCHAR(99)'
	api POST /load_historic_data/large -H 'Prefer: respond-async'
	assert_status 202
	id=$(json .id)
	wait_for has_rows
}

has_rows() {
	[ "$(sql -D company 'SELECT EXISTS (SELECT 1 FROM large)')" -eq 1 ]
}

@test "a cancelled load tells what is in the table, and its rejects were there all along" {
	large_file
	wait_for test -s "$STATE/rejects/$id"
	api GET "/v1/runs/$id/rejects" -H 'Accept: application/x-ndjson'
	assert_status 200
	jq -es 'length > 0 and all(.row % 100 == 0 and .column == "n")' "$API_BODY" >/dev/null
	api DELETE "/v1/runs/$id"
	wait_run "$id" cancelled
	[ "$(json .result.inserted)" -eq "$(rows large)" ]
	[ "$(json .result.read)" -lt 1500000 ]
	rm "$(file_of large)"
}

@test "a server that is killed in the midst: the counts told are what is in the table" {
	large_file
	kill_mariadb
	wait_run "$id" failed
	assert_json '.error.code == "unavailable"'
	told=$(json .result.inserted)
	cp "$API_BODY" "$BATS_TEST_TMPDIR/run"
	start_mariadb
	there=$(rows large)
	echo "told $told, there $there"
	# An answer that was lost with the server leaves its batch in doubt, and says so.
	[ "$told" -eq "$there" ] || jq -e '.error.hint | test("perhaps")' "$BATS_TEST_TMPDIR/run"
	# What is missing goes in, nothing twice.
	api POST '/load_historic_data/large?on_duplicate=ignore'
	assert_status 201
	assert_json '.read == 1500000 and .inserted + .ignored == 1485000 and .rejected == 15000 and .ignored == $n' --argjson n "$there"
	[ "$(rows large)" -eq 1485000 ]
	rm "$(file_of large)"
	sql -D company 'DROP TABLE large'
}

@test "without a server, or a storage, it is not available" {
	table t 'id INT PRIMARY KEY, name VARCHAR(5)'
	printf '1,a\n' >"$(file_of t)"
	stop_mariadb
	api POST /load_historic_data/t
	assert_problem 503 unavailable
	start_mariadb
	api POST /load_historic_data/t
	assert_status 201
	use_agent bare
	mariadb_config database | agent_config
	start_agent
	api POST /load_historic_data/t
	assert_problem 503 unavailable 'no exchange storage'
	stop_agent
	use_agent empty
	start_agent
	api POST /load_historic_data/t
	assert_problem 503 unavailable 'no database'
	stop_agent
}

@test "the same without an agent, and the rejected rows into a file" {
	table t 'id INT PRIMARY KEY, name VARCHAR(5)'
	printf 'id,name\n1,a\n2,toolong\n' >"$(file_of t)"
	run -3 --separate-stderr "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" load t --header yes \
		--rejects "$BATS_TEST_TMPDIR/mend.csv"
	[[ $output == 't: 2 rows read, 1 inserted, 0 updated, 0 ignored, 1 rejected; in '* ]]
	[[ $stderr == *'rejected: row 2: '* ]]
	cmp "$BATS_TEST_TMPDIR/mend.csv" <(printf 'id,name\n2,toolong\n')
	[ "$(stat -c %a "$BATS_TEST_TMPDIR/mend.csv")" = 600 ]
	sed 's/toolong/long/' "$BATS_TEST_TMPDIR/mend.csv" >"$(file_of t)"
	run -0 "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" load t --json
	[ "$(rows t)" -eq 2 ]
	run ! "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" load t --on-error abort --rejects "$BATS_TEST_TMPDIR/mend.csv"
	run ! "$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" load t --header maybe
}
