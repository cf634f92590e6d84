#!/usr/bin/env bats
#
# The scripts around the programs: bootstrap, the runner of the tests, the measurements.

bats_require_minimum_version 1.5.0

setup() {
	top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_TEST_TMPDIR"
}

@test "shellcheck finds nothing in any script" {
	cd "$top"
	shellcheck -x bootstrap .ci/run tests/run tests/bench/run tests/bench/*.bash \
		tests/integration/lib/*.bash
}

@test "bootstrap help names every verb" {
	run "$top/bootstrap" help
	[ "$status" -eq 0 ]
	for verb in run build test bench help; do
		[[ $output == *$'\n'"  $verb "* ]]
	done
}

@test "bootstrap refuses an unknown verb and tells the right ones" {
	run "$top/bootstrap" rum
	[ "$status" -eq 2 ]
	[[ $output == *"unknown verb 'rum'"* && $output == *"usage: ./bootstrap VERB"* ]]
}

@test "bootstrap test refuses an unknown option before it does anything" {
	run "$top/bootstrap" test --vallgrind
	[ "$status" -eq 2 ]
	[[ $output == *"unknown option --vallgrind"* && $output != *"==>"* ]]
}

# ---- the runner, with tests of which the outcome is known

# fake_unit NAME: a "unit test" from the shell script on stdin.
fake_unit() {
	mkdir -p build/tests/unit
	{
		echo '#!/bin/sh'
		cat
	} >"build/tests/unit/$1"
	chmod +x "build/tests/unit/$1"
	printf 'list-tests:\n' >build/Makefile
	for test in build/tests/unit/*; do
		printf '\t@echo unit tests/unit/%s\n' "${test##*/}" >>build/Makefile
	done
}

# The runner in a tree of its own, so that it does not find the real integration tests.
runner() {
	mkdir -p tree/tests
	cp "$top/tests/run" tree/tests/run
	run tree/tests/run --build build "$@"
}

@test "the runner adds up what the tests say" {
	fake_unit test_a <<<'printf "1..2\nok 1 - x\nok 2 - y\n"'
	fake_unit test_b <<<'printf "1..2\nok 1 - x\nnot ok 2 # SKIP y\n"'
	runner
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "3 passed, 0 failed, 1 skipped" ]
}

@test "the runner fails when a test fails, and shows its output" {
	fake_unit test_a <<<'printf "1..1\nnot ok 1 - x\n"; echo the reason >&2; exit 1'
	runner
	[ "$status" -eq 1 ]
	[[ $output == *"the reason"* ]]
	[ "${lines[-1]}" = "0 passed, 1 failed, 0 skipped" ]
}

@test "the runner counts a test that died half way as failed" {
	fake_unit test_a <<<'printf "1..3\nok 1 - x\n"; kill -SEGV $$'
	runner
	[ "$status" -eq 1 ]
	[ "${lines[-1]}" = "1 passed, 2 failed, 0 skipped" ]
}

@test "the runner counts a bad exit status as failed though each test passed" {
	fake_unit test_a <<<'printf "1..1\nok 1 - x\n"; exit 23'
	runner
	[ "$status" -eq 1 ]
	[ "${lines[-1]}" = "1 passed, 1 failed, 0 skipped" ]
}

@test "the runner counts a program that says nothing as failed" {
	fake_unit test_a <<<'true'
	runner
	[ "$status" -eq 1 ]
	[ "${lines[-1]}" = "0 passed, 1 failed, 0 skipped" ]
}

@test "the runner does not take an empty selection for a success" {
	fake_unit test_a <<<'printf "1..1\nok 1 - x\n"'
	runner no-such-test
	[ "$status" -eq 1 ]
	[[ $output == *"no test matches no-such-test"* ]]
}

@test "the runner runs only what matches the filter" {
	fake_unit test_a <<<'printf "1..1\nok 1 - x\n"'
	fake_unit test_b <<<'printf "1..1\nnot ok 1 - x\n"'
	runner test_a
	[ "$status" -eq 0 ]
	[ "${lines[-1]}" = "1 passed, 0 failed, 0 skipped" ]
}

@test "the runner leaves nothing behind" {
	fake_unit test_a <<'END'
mkdir "$TMPDIR/folder" && echo x >"$TMPDIR/folder/file" && chmod 0 "$TMPDIR/folder"
printf "1..1\nok 1 - x\n"
END
	mkdir tmp
	TMPDIR=$PWD/tmp runner
	[ "$status" -eq 0 ]
	[ -z "$(ls -A tmp)" ]
}

@test "the measurements refuse a wrong option" {
	run "$top/tests/bench/run" --runs none
	[ "$status" -eq 2 ]
	run "$top/tests/bench/run" --only speed
	[ "$status" -eq 2 ]
	[[ $output == *"no measure 'speed' (there are: first-backup "* ]]
}
