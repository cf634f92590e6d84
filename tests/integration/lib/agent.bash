# shellcheck shell=bash
#
# A real agent for a test, with everything of its own, and the means to talk to it.
#
#	load lib/agent
#
#	setup() {
#		start_agent
#	}
#	teardown() {
#		end_agents
#	}
#	@test "a backup is stored" {
#		api POST /backup -d path_to_folder=/usr/share/doc/base-files
#		assert_status 201
#		assert_json '.kind == "files"'
#	}
#
# One agent for all tests of a file (faster): call share_agent in setup_file before start_agent,
# and end_agents in teardown_file instead.
#
# Agents
#	start_agent [FLAG...]   start it, wait until it answers; fails with its log if it does not
#	stop_agent [SIGNAL]     send SIGNAL (TERM) and wait for its end; its exit status is then in
#	                        $(agent_status).  Fails if it does not end within 30 s.
#	end_agents              for teardown: stop all agents of the test; fails if one of them does
#	                        not end well, has crashed, or if a sanitizer had something to say
#	use_agent NAME          from here on all functions speak of the agent NAME ("agent" at first):
#	                        its folders are its own; start it with start_agent
#	agent_config            more settings from stdin, before start_agent:
#	                            agent_config <<-'END'
#	                            [agent]
#	                            allow = /srv
#	                            END
#	share_agent             see above
#	agent_running           is it alive?
#	agent_pid, agent_port, agent_log    print its process id, its port, the path of its log
#	show_agent_log          print the log (bats shows it where the test fails)
#	offline ARGUMENT...     holdfastd with the agent's repository and state, for sub-commands
#
# Variables, once load is done or use_agent was called
#	HOLDFASTD       the program under test
#	HOLDFAST_BUILD  the folder it was built in; test tools lie in $HOLDFAST_BUILD/tests/tools
#	AGENT_FOLDER    the agent's folder; in it:
#	STATE           its state folder
#	REPOSITORY      its repository
#	and after start_agent:
#	URL             http://127.0.0.1:PORT
#
# Requests
#	api METHOD PATH [CURL ARGUMENT...]
#	                        send it with the agent's first token; the answer is then in
#	                        $API_STATUS (three digits), $API_BODY and $API_HEADERS (files).
#	                        Fails only if there was no answer at all.  A header of your own
#	                        wins: -H 'Authorization: Bearer x', or -H Authorization: for none.
#	json FILTER             jq -r FILTER over the last answer's body
#	header NAME             a header of the last answer, without its name; "" if absent
#	assert_status CODE      of the last answer; on failure the answer is shown
#	assert_json FILTER [JQ ARGUMENT...]     jq -e FILTER must give true
#	assert_header NAME REGEX
#	assert_problem CODE WORD [TEXT]         a problem document of this type, whose title,
#	                        detail or hint contains TEXT
#	log_rows [JQ FILTER]    rows of the action log as a JSON array, read from the database and
#	                        not by a request (which would add a row)
#
# Waiting; never sleep
#	wait_for [-t SECONDS] COMMAND...        until COMMAND succeeds, 30 s at most
#	wait_run ID [STATE]     until the run has ended (as STATE, if given: ok, warn, ...); its
#	                        document is then the last answer
#
# Trees
#	make_small_tree FOLDER  some files and folders, for tests that need any content
#	assert_same_tree A B [TREECMP ARGUMENT...]

# The build folder: given by tests/run, else where ./bootstrap test builds.
HOLDFAST_TOP=$(cd "${BASH_SOURCE[0]%/*}/../../.." && pwd)
HOLDFAST_BUILD=${HOLDFAST_BUILD:-$HOLDFAST_TOP/build-test}
HOLDFASTD=${HOLDFASTD:-$HOLDFAST_BUILD/holdfastd}
WAIT_SECONDS=${WAIT_SECONDS:-30}

# Settings of the one who runs the tests must not reach the agent.
unset BACKUP_FOLDER BACKUPFOLDER HOLDFAST_PASSPHRASE_FILE MYSQL_HOST MYSQL_USER MYSQL_PASSWORD
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy

# Say why, where bats shows it, and fail.
fail() {
	echo "$*" >&2
	return 1
}

wait_for() {
	local seconds=$WAIT_SECONDS end
	if [[ $1 == -t ]]; then
		seconds=$2
		shift 2
	fi
	end=$((SECONDS + seconds + 1))
	until "$@"; do
		if ((SECONDS >= end)); then
			fail "waited $seconds s in vain for: $*"
			return 1
		fi
		sleep 0.05
	done
}

# ---- agents

share_agent() {
	export AGENT_BASE=$BATS_FILE_TMPDIR
	use_agent agent
}

use_agent() {
	AGENT_NAME=$1
	AGENT_FOLDER=${AGENT_BASE:-${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}}/$1
	STATE=$AGENT_FOLDER/state
	REPOSITORY=$AGENT_FOLDER/repository
	mkdir -p "$AGENT_FOLDER"
	URL=
	if [[ -s $AGENT_FOLDER/port ]]; then
		URL=http://127.0.0.1:$(<"$AGENT_FOLDER/port")
	fi
}

agent_pid() {
	cat "$AGENT_FOLDER/pid"
}

agent_port() {
	cat "$AGENT_FOLDER/port"
}

agent_log() {
	echo "$AGENT_FOLDER/log"
}

# The exit status of the agent's last life; fails while it is alive.
agent_status() {
	cat "$AGENT_FOLDER/exit" 2>/dev/null
}

agent_running() {
	[[ -s $AGENT_FOLDER/pid && ! -s $AGENT_FOLDER/exit ]]
}

show_agent_log() {
	echo "--- log of $AGENT_NAME:"
	tail -n 200 "$AGENT_FOLDER/log" || true
	echo "---"
}

agent_config() {
	cat >>"$AGENT_FOLDER/more.conf"
}

# Outside of the range from which the kernel gives ports to clients.
random_port() {
	echo $((10000 + (RANDOM * 32768 + RANDOM) % 22000))
}

port_is_free() {
	! (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

agent_answers_or_died() {
	[[ -s $AGENT_FOLDER/exit ]] ||
		curl -s -o /dev/null --max-time 5 "http://127.0.0.1:$(agent_port)/livez"
}

# Start the program and note its process id, and later its exit status, in the agent's folder:
# whoever asks, be it in a subshell of bats, reads them there.
launch_agent() {
	rm -f "$AGENT_FOLDER/exit" "$AGENT_FOLDER/pid"
	(
		# An agent that outlives the test would keep bats waiting for its descriptors.
		exec 3>&- 4>&-
		status=0
		cd "$AGENT_FOLDER" || exit
		"$HOLDFASTD" --config "$AGENT_FOLDER/agent.conf" "$@" >>log 2>&1 </dev/null &
		echo $! >pid.new
		mv pid.new pid
		wait $! || status=$?
		echo "$status" >exit.new
		mv exit.new exit
	) >/dev/null 2>&1 </dev/null &
	disown $!
	wait_for test -s "$AGENT_FOLDER/pid"
}

start_agent() {
	local attempt port
	for attempt in 1 2 3 4 5; do
		port=$(random_port)
		port_is_free "$port" || continue
		echo "$port" >"$AGENT_FOLDER/port"
		{
			printf '[agent]\nname = %s\n' "$AGENT_NAME"
			printf 'listen = 127.0.0.1:%s\nstate = %s\n' "$port" "$STATE"
			printf '[repository]\nurl = %s\n' "$REPOSITORY"
			[[ ! -s $AGENT_FOLDER/more.conf ]] || cat "$AGENT_FOLDER/more.conf"
		} >"$AGENT_FOLDER/agent.conf"
		launch_agent "$@" || return 1
		wait_for agent_answers_or_died || {
			show_agent_log
			return 1
		}
		if [[ ! -s $AGENT_FOLDER/exit ]]; then
			URL=http://127.0.0.1:$port
			return 0
		fi
		# Somebody took the port in between: another one.
		grep -qi 'address already in use' "$AGENT_FOLDER/log" || break
		: >"$AGENT_FOLDER/log"
	done
	show_agent_log
	fail "the agent ended with status $(agent_status) at its start (attempt $attempt)"
}

stop_agent() {
	local signal=${1:-TERM}
	agent_running || {
		show_agent_log
		fail "$AGENT_NAME was not running any more (exit status $(agent_status))"
		return 1
	}
	kill -s "$signal" "$(agent_pid)"
	if ! wait_for test -s "$AGENT_FOLDER/exit"; then
		kill -s KILL "$(agent_pid)" 2>/dev/null
		show_agent_log
		fail "$AGENT_NAME did not end within $WAIT_SECONDS s after SIG$signal"
		return 1
	fi
}

end_agents() {
	local folder failed=0
	for folder in "${AGENT_BASE:-${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}}"/*/; do
		[[ -e ${folder}agent.conf ]] || continue
		use_agent "$(basename "$folder")"
		if agent_running; then
			# A stopped process takes no SIGTERM.
			kill -s CONT "$(agent_pid)" 2>/dev/null
			if ! stop_agent TERM; then
				failed=1
			elif [[ $(agent_status) != 0 ]]; then
				show_agent_log
				fail "$AGENT_NAME ended with status $(agent_status)" || failed=1
			fi
		fi
		# SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV: nobody asked for these.
		case $(agent_status) in
		132 | 133 | 134 | 135 | 136 | 139)
			show_agent_log
			fail "$AGENT_NAME crashed (exit status $(agent_status))" || failed=1
			;;
		esac
		if grep -q -e 'Sanitizer:' -e 'runtime error:' "$AGENT_FOLDER/log" 2>/dev/null; then
			show_agent_log
			fail "$AGENT_NAME: a sanitizer found something" || failed=1
		fi
	done
	return $failed
}

offline() {
	"$HOLDFASTD" --repository "$REPOSITORY" --state "$STATE" "$@"
}

# ---- requests

api() {
	local method=$1 path=$2 given status
	local -a auth=() how=(-X "$method")
	shift 2
	API_BODY=$AGENT_FOLDER/api.body
	API_HEADERS=$AGENT_FOLDER/api.headers
	API_STATUS=000
	given=" ${*,,}"
	if [[ $given != *' authorization:'* && $given != *'-hauthorization:'* ]]; then
		auth=(-H "Authorization: Bearer $(<"$STATE/token")")
	fi
	# -X HEAD would wait for a body.
	[[ $method == HEAD ]] && how=(--head)
	: >"$API_BODY"
	: >"$API_HEADERS"
	status=$(curl -sS --globoff --max-time 120 "${how[@]}" "${auth[@]}" -o "$API_BODY" \
		-D "$API_HEADERS" -w '%{http_code}' "$@" "$URL$path") || {
		fail "$method $path: no answer (curl's exit status $?)"
		return 1
	}
	API_STATUS=$status
}

show_answer() {
	echo "--- last answer: $API_STATUS"
	cat "$API_HEADERS"
	head -c 4000 "$API_BODY"
	echo
	echo "---"
}

json() {
	jq -r "$@" "$API_BODY"
}

# The last one of that name, in case "100 Continue" had headers too.
header() {
	awk -v name="${1,,}" '{
		line = $0; sub(/\r$/, "", line); colon = index(line, ":")
		if (colon > 0 && tolower(substr(line, 1, colon - 1)) == name) {
			value = substr(line, colon + 1); sub(/^[ \t]+/, "", value)
		}
	} END { print value }' "$API_HEADERS"
}

assert_status() {
	[[ $API_STATUS == "$1" ]] || {
		show_answer
		fail "status is $API_STATUS, expected $1"
	}
}

assert_json() {
	local filter=$1
	shift
	jq -e "$@" "($filter) == true" "$API_BODY" >/dev/null || {
		show_answer
		fail "not true of the answer: $filter"
	}
}

assert_header() {
	local value
	value=$(header "$1")
	[[ $value =~ $2 ]] || {
		show_answer
		fail "header $1 is '$value', expected to match $2"
	}
}

assert_problem() {
	assert_status "$1" || return 1
	assert_header Content-Type '^application/problem\+json' || return 1
	# shellcheck disable=SC2016 # jq's variables
	assert_json '.type == "urn:holdfast:problem:" + $word and .status == ($status | tonumber)
		and (.title | length > 0) and (.detail | length > 0)' \
		--arg word "$2" --arg status "$1" || return 1
	[[ -z ${3:-} ]] || jq -r '[.title, .detail, .hint // ""] | join("\n")' "$API_BODY" |
		grep -qF -e "$3" || {
		show_answer
		fail "the problem does not say '$3'"
	}
}

log_rows() {
	sqlite3 -readonly -cmd '.timeout 5000' -json "$STATE/log.sqlite" \
		'SELECT * FROM log ORDER BY id' | jq -s "(.[0] // []) | ${1:-.}"
}

# ---- runs

run_has_ended() {
	api GET "/v1/runs/$1" || return 1
	[[ $(json '.state') =~ ^(ok|warn|failed|cancelled|aborted|skipped)$ ]]
}

wait_run() {
	wait_for -t 120 run_has_ended "$1" || {
		show_answer
		return 1
	}
	[[ -z ${2:-} || $(json '.state') == "$2" ]] || {
		show_answer
		fail "run $1 ended as $(json '.state'), expected $2"
	}
}

# ---- trees

make_small_tree() {
	mkdir -p "$1/letters/old" "$1/empty folder"
	printf 'one line\n' >"$1/letters/first.txt"
	seq 1 20000 >"$1/letters/numbers.txt"
	head -c 3000000 /dev/urandom >"$1/random.bin"
	printf 'old\n' >"$1/letters/old/letter"
	: >"$1/empty"
	ln -s letters/first.txt "$1/link"
	ln "$1/letters/first.txt" "$1/hard link"
	chmod 0640 "$1/letters/first.txt"
	touch -d '2020-02-29T12:34:56.123456789Z' "$1/letters/old/letter"
}

assert_same_tree() {
	"$HOLDFAST_BUILD/tests/tools/treecmp" "$@"
}

if [[ -n ${BATS_TEST_TMPDIR:-} || -n ${AGENT_BASE:-} ]]; then
	use_agent agent
fi
