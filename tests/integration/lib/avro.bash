# shellcheck shell=bash
#
# Avro by programs that are not ours: libavro's avrocat, and npm's "avsc" under node, which ./bootstrap
# test fetches.  Load it after lib/mariadb.
#
#	need_avsc               skip the test where avsc is not there
#	avro ARGUMENT...        tests/tools/avro/avro.js, see there
#	printed_rows DATABASE TABLE ORDER       the rows as MariaDB prints them, for "avro compare"

need_avsc() {
	command -v node >/dev/null || skip "no node to read Avro with"
	[[ -e $HOLDFAST_BUILD/tests/avro/node_modules/avsc/package.json ]] ||
		skip "npm's avsc is not there: ./bootstrap test fetches it where there is a network"
}

avro() {
	NODE_PATH=$HOLDFAST_BUILD/tests/avro/node_modules node "$HOLDFAST_TOP/tests/tools/avro/avro.js" "$@"
}

# Each value in hexadecimal, as text; of texts and enums besides its bytes and its number.
printed_rows() {
	local columns
	columns=$(sql "SET group_concat_max_len = 1000000; SELECT GROUP_CONCAT(REPLACE(CASE
		WHEN data_type IN ('float', 'double') THEN 'HEX(CONCAT(CAST(# AS DOUBLE), \"\"))'
		WHEN data_type IN ('enum', 'set') THEN 'CONCAT(HEX(CONVERT(# USING utf8mb4)), \"/\",
			HEX(CAST(# AS BINARY)), \"/\", HEX(CONCAT(# + 0, \"\")))'
		WHEN character_set_name IS NOT NULL THEN 'CONCAT(HEX(CONVERT(# USING utf8mb4)), \"/\",
			HEX(CAST(# AS BINARY)))'
		WHEN data_type IN ('uuid', 'inet4', 'inet6') OR numeric_precision IS NOT NULL AND data_type <> 'bit'
			OR datetime_precision IS NOT NULL OR data_type IN ('year', 'date') THEN 'HEX(CONCAT(#, \"\"))'
		WHEN data_type = 'bit' THEN 'HEX(CAST(# AS BINARY))'
		ELSE 'HEX(#)' END, '#', CONCAT('\`', REPLACE(column_name, '\`', '\`\`'), '\`'))
		ORDER BY ordinal_position)
		FROM information_schema.columns WHERE table_schema = '$1' AND table_name = '$2'
		AND is_generated = 'NEVER'")
	sql -D "$1" "SET time_zone = '+00:00'; SELECT $(printf '%b' "$columns") FROM \`$2\` ORDER BY $3"
}
