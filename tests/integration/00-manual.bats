#!/usr/bin/env bats
#
# The manual page and the README tell all settings and commands, and the page is well-formed.

bats_require_minimum_version 1.5.0
load lib/agent

@test "the manual page is without errors" {
	run groff -mdoc -Tutf8 -ww -z "$HOLDFAST_TOP/agent/holdfastd.8"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}
