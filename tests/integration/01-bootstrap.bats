#!/usr/bin/env bats
#
# "./bootstrap run", as someone types it who has never seen the project; in a folder that looks like a
# clone but takes the programs from the tests' build.

bats_require_minimum_version 1.5.0
load lib/agent

setup() {
	clone=$BATS_TEST_TMPDIR/clone
	mkdir "$clone"
	for entry in "$HOLDFAST_TOP"/*; do
		case ${entry##*/} in
		bootstrap) cp "$entry" "$clone/" ;;
		build | build-test* | backup | state) ;;
		*) ln -s "$entry" "$clone/" ;;
		esac
	done
	ln -s "$HOLDFAST_BUILD" "$clone/build"
	HOLDFAST_PORT=$(random_port)
	until port_is_free "$HOLDFAST_PORT"; do
		HOLDFAST_PORT=$(random_port)
	done
	export HOLDFAST_PORT
}

teardown() {
	[[ -z ${squatter:-} ]] || kill "$squatter" 2>/dev/null || true
	end_agents
}

run_bootstrap() {
	run --separate-stderr "$clone/bootstrap" run </dev/null
	echo "$output"
	echo "${stderr:-}"
}

@test "bootstrap run shows a backup, the log, the statistics and a restore, and exits 0" {
	run_bootstrap
	[ "$status" -eq 0 ]
	[[ $output == *"HTTP/1.1 201"* ]]
	[[ $output == *'"action":"Backup"'*'"status":"SUCCESS"'* ]]
	[[ $output == *'"number-of-backups": 1'* ]]
	[[ $output == *"paths are the same"* ]]
	# The agent is gone, and the folder for the restore too.
	port_is_free "$HOLDFAST_PORT"
	[ -z "$(find "$TMPDIR" -maxdepth 1 -name 'holdfast-restored.*')" ]
}

@test "bootstrap run works a second time, with the same repository" {
	run_bootstrap
	[ "$status" -eq 0 ]
	run_bootstrap
	[ "$status" -eq 0 ]
	[[ $output == *'"number-of-backups": 2'* ]]
}

@test "bootstrap run prints each curl command with the token's file and not the token" {
	run_bootstrap
	[ "$status" -eq 0 ]
	[[ $output == *'curl -sS -i -H "Authorization: Bearer $(cat state/token)" -d path_to_folder=/usr/share/doc'* ]]
	[[ $output != *"$(<"$clone/state/token")"* ]]
}

@test "bootstrap run says who is in the way when another program has the port" {
	squat
	run_bootstrap
	[ "$status" -eq 1 ]
	[[ $stderr == *"port $HOLDFAST_PORT is taken by another program"* ]]
	[[ $stderr == *"HOLDFAST_PORT=7421"* ]]
}

# Listens, and answers nothing that is HTTP.
squat() {
	# shellcheck disable=SC2016 # perl's variables
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0],
		    Listen => 5, ReuseAddr => 1) or die $!;
		while (my $c = $s->accept) { print $c "220 hello\r\n"; close $c }
	' "$HOLDFAST_PORT" 3>&- &
	squatter=$!
	wait_for not_free "$HOLDFAST_PORT"
}

not_free() {
	! port_is_free "$1"
}

@test "bootstrap run uses an agent of the same folder that runs already, and leaves it running" {
	# The state folder of the agent under test stands for that of the clone.
	start_agent
	ln -s "$STATE" "$clone/state"
	ln -s "$REPOSITORY" "$clone/backup"
	HOLDFAST_PORT=$(agent_port) run_bootstrap
	[ "$status" -eq 0 ]
	[[ $output == *"using it, and leaving it running"* ]]
	agent_running
	api GET /v1/status
	assert_status 200
}

@test "bootstrap run fails loudly, with the agent's log, when the agent does not start" {
	mkdir "$clone/state"
	# A repository that is none.
	echo nonsense >"$clone/backup"
	run_bootstrap
	[ "$status" -eq 1 ]
	[[ $stderr == *"the agent ended at its start"* ]]
	[[ $stderr == *backup* ]]
}
