#!/usr/bin/env bats
# Goal: every setting has one value, from the place that counts, and a slip is told with its place.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	CONF=$BATS_TEST_TMPDIR/holdfast.conf
	unset "${!HOLDFAST_AGENT_@}" "${!HOLDFAST_REPOSITORY_@}"
	cd "$BATS_TEST_TMPDIR" || return
}

value() {
	"$HOLDFASTD" --config "$CONF" config show --json "${@:2}" | jq -r "$1"
}

@test "a flag beats the environment, which beats conf.d, which beats the file" {
	mkdir conf.d
	printf '[repository]\nurl = /file\nthreads = 2\n[agent]\nname = one\n' >"$CONF"
	[ "$(value '.repository.url | .value + " " + .source')" = "/file $CONF:2" ]
	printf '[repository]\nurl = /conf.d\n' >conf.d/50.conf
	[ "$(value .repository.url.value)" = /conf.d ]
	[ "$(BACKUP_FOLDER=/environment value .repository.url.value)" = /environment ]
	[ "$(env BACKUP-FOLDER=/dashed "$HOLDFASTD" --config "$CONF" config show --json |
		jq -r .repository.url.value)" = /dashed ]
	[ "$(BACKUPFOLDER=/environment value .repository.url.value --repository /flag)" = /flag ]
	[ "$(HOLDFAST_REPOSITORY_THREADS=3 value '.repository.threads.value')" = 3 ]
	[ "$(value .agent.name.value)" = one ]
}

@test "the description has every setting that is shown" {
	printf '[job x]\npath = /x\n[notice x]\nmail = root\n' >"$CONF"
	"$HOLDFASTD" config show --describe --json >described
	# shellcheck disable=SC2016 # jq's variables
	value '[to_entries[] | (.key | rtrimstr(" x")) as $s | .value | keys[] | $s + "." + .] | sort | .[]' >shown
	jq -r '[.[] | .section + "." + .key] | sort | .[]' described | diff - shown
}

@test "what is wrong is told with file, line and a guess, and ends with 2" {
	printf '[agent]\n\nlissten = 127.0.0.1:1\n' >"$CONF"
	run -2 "$HOLDFASTD" --config "$CONF" config check
	[[ ${lines[0]} == "holdfastd: $CONF:3: unknown setting 'lissten' in section [agent]" ]]
	[[ ${lines[1]} == *"did you mean 'listen'?"* ]]
	printf '[agent]\nidle = 5\n' >"$CONF"
	run -2 "$HOLDFASTD" --config "$CONF" config check
	[[ ${lines[0]} == *"$CONF:2: 'idle' takes a duration, not '5'"* ]]
	run -2 env HOLDFAST_AGENT_LISTNE=1 "$HOLDFASTD" --config /dev/null config check
	[[ ${lines[0]} == *HOLDFAST_AGENT_LISTNE* ]]
	run -1 "$HOLDFASTD" --config /no/such/file config check
	[[ ${lines[0]} == *"/no/such/file"* ]]
}

@test "the agent does not start with a wrong configuration" {
	printf '[agent]\nlisten = 0.0.0.0:1\n' >"$CONF"
	run -2 "$HOLDFASTD" --config "$CONF" --state "$STATE" --repository "$REPOSITORY"
	[[ ${lines[0]} == *"is not loopback"* ]]
	[ ! -e "$STATE" ]
	[ ! -e "$REPOSITORY" ]
	printf '[agent]\nallow = /no/such\n' >"$CONF"
	run -2 "$HOLDFASTD" --config "$CONF" --state "$STATE" --repository "$REPOSITORY"
	[[ ${lines[0]} == *"/no/such"* ]]
}

@test "without a file everything has its default" {
	run -0 "$HOLDFASTD" --config /dev/null config check
	[[ $output == "the configuration is right" ]]
	[ "$("$HOLDFASTD" --config /dev/null config show --json |
		jq -r '.agent.listen.value[0], .repository.url.value' | xargs)" = \
		"127.0.0.1:7420 ./backup" ]
}

@test "the settings of excludes and sizes hold for the agent's backups" {
	make_small_tree "$BATS_TEST_TMPDIR/source"
	agent_config <<-'END'
	[repository]
	exclude = *.bin
	  old/
	max_file_size = 100K
	END
	start_agent
	api POST /backup -d path_to_folder="$BATS_TEST_TMPDIR/source"
	assert_status 201
	end_agents
	run -0 offline archive latest -o a.tar
	run -0 tar -tf a.tar
	[[ $output == *letters/first.txt* ]]
	[[ $output != *random.bin* ]]
	[[ $output != *letters/old* ]]
	[[ $output != *numbers.txt* ]]
}
