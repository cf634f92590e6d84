#!/usr/bin/env bats
#
# The manual page and the README tell all settings, commands, options and routes, as the program's
# own tables have them.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	page=$HOLDFAST_TOP/agent/holdfastd.8
	readme=$HOLDFAST_TOP/README.md
}

# The page as plain text, one long line for each paragraph, so that a search meets no line break.
page_text() {
	groff -mdoc -Tascii -P-cbu -rLL=2000n "$page"
}

# has WHERE TEXT...: each text is in the file WHERE, as a word of its own.
has() {
	local where=$1 text missing=0
	shift
	for text in "$@"; do
		grep -qE -- "(^|[^A-Za-z0-9_-])${text//./\\.}([^A-Za-z0-9_-]|$)" "$where" || {
			echo "missing: $text"
			missing=1
		}
	done
	return $missing
}

@test "the manual page is without errors" {
	run groff -mdoc -Tutf8 -ww -z "$page"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "the manual page tells every setting, in its section" {
	page_text >"$BATS_TEST_TMPDIR/page"
	for section in $("$HOLDFASTD" config show --describe --json | jq -r '[.[].section] | unique[]'); do
		awk -v from="[$section]" '
			/^ *\[[a-z]+\]$/ { inside = $1 == from; next }
			/^[A-Z]/ { inside = 0 }
			inside' "$BATS_TEST_TMPDIR/page" >"$BATS_TEST_TMPDIR/section"
		mapfile -t keys < <("$HOLDFASTD" config show --describe --json |
			jq -r --arg section "$section" '.[] | select(.section == $section).key')
		[ "${#keys[@]}" -gt 0 ]
		has "$BATS_TEST_TMPDIR/section" "${keys[@]}"
		# And its default in its own paragraph; those that share one stand before it.
		while IFS=$'\t' read -r key default; do
			awk -v key="$key" '
				/^     [a-z_]/ { inside = (" " $0 " ") ~ "[ ,]" key "[ ,]" }
				inside' "$BATS_TEST_TMPDIR/section" >"$BATS_TEST_TMPDIR/paragraph"
			has "$BATS_TEST_TMPDIR/paragraph" "$default" || { echo "of $key" && false; }
		done < <("$HOLDFASTD" config show --describe --json | jq -r --arg section "$section" \
			'.[] | select(.section == $section and .default != "") | [.key, .default] | @tsv')
	done
}

@test "the manual page tells every command and every option" {
	page_text >"$BATS_TEST_TMPDIR/page"
	mapfile -t commands < <("$HOLDFASTD" help |
		awk '/^commands:/ { inside = 1; next } !NF { inside = 0 } inside { print $1 }')
	[ "${#commands[@]}" -ge 15 ]
	has "$BATS_TEST_TMPDIR/page" "${commands[@]}"
	for command in "${commands[@]}"; do
		mapfile -t options < <("$HOLDFASTD" help "$command" |
			sed -nE 's/^  (-[-a-z]+).*/\1/p')
		[ "${#options[@]}" -ge 5 ]
		has "$BATS_TEST_TMPDIR/page" "${options[@]}"
	done
}

@test "the README's table of settings is that of the program" {
	"$HOLDFASTD" config show --describe --json | jq -r '.[] |
		"| `[\(.section)]` | `\(.key)` | \(if .default == "" then "" else "`\(.default)` " end)| \(.sentence) |"' \
		>"$BATS_TEST_TMPDIR/expected"
	grep -F '| `[' "$readme" >"$BATS_TEST_TMPDIR/found"
	diff "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/found"
}

@test "the README tells every route" {
	mapfile -t routes < <("$HOLDFAST_BUILD/tests/tools/routes" | awk '{ print $2 }' | sort -u)
	[ "${#routes[@]}" -ge 15 ]
	for route in "${routes[@]}"; do
		grep -qE "[\`, ]${route//[{\}]/.}[\`?]" "$readme" || { echo "missing: $route" && false; }
	done
}
