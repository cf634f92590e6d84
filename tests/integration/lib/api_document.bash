# shellcheck shell=bash
#
# An agent that has some of everything, for the examples of GET /openapi.json.  Load it after
# lib/mariadb.
#
#	need_replay             skip where npm's packages are not there
#	make_api_fixture        start the agent; what the examples name is there
#	api_fixture             print the file that tells which
#	replay ARGUMENT...      tests/tools/api/replay.js, see there

need_replay() {
	command -v node >/dev/null || skip "no node to read JSON schemas with"
	[[ -e $HOLDFAST_BUILD/tests/api/node_modules/ajv/package.json ]] ||
		skip "npm's ajv is not there: ./bootstrap test fetches it where there is a network"
}

replay() {
	NODE_PATH=$HOLDFAST_BUILD/tests/api/node_modules node "$HOLDFAST_TOP/tests/tools/api/replay.js" "$@"
}

api_fixture() {
	echo "$AGENT_FOLDER/fixture.json"
}

company_file() {
	mkdir -p "$AGENT_FOLDER/exchange/database/$1/historic"
	cat >"$AGENT_FOLDER/exchange/database/$1/historic/$1.csv"
}

# The company's tables, with rows and one that is rejected; leaves the run of that in API_BODY.
make_company() {
	company_file departments <<<$'1,Product Management\n2,Sales'
	company_file jobs <<<'1,Marketing Assistant'
	company_file hired_employees <<-'END'
		1,Harold Vogt,2021-01-07T02:48:42Z,2,1
		2,Ty Hofer,2021-05-30T05:43:46Z,2,
	END
	api POST /run-migration
	assert_status 200
	for table in departments jobs hired_employees; do
		api POST "/load_historic_data/$table"
		assert_status 201
	done
}

make_api_fixture() {
	local folder=$AGENT_FOLDER old new rejects table run
	mkdir -p "$folder/exchange" "$folder/srv/data/sub" "$folder/srv/slow"
	echo hello >"$folder/srv/data/a.txt"
	seq 1 20000 >"$folder/srv/data/numbers"
	for i in {1..60}; do echo "$i" >"$folder/srv/slow/$i"; done
	{
		mariadb_config log database
		printf '[exchange]\nurl = file://%s/exchange\n' "$folder"
		printf '[job home]\npath = %s/srv/data\nschedule = @yearly\n' "$folder"
		printf '[notice ops]\non = success\ncommand = /bin/true\n'
	} | agent_config
	start_agent || return 1
	make_company || return 1
	rejects=$(json .run)
	api POST /backup_table/hired_employees
	assert_status 201 || return 1
	api POST /backup -d "path_to_folder=$folder/srv/data"
	assert_status 201 || return 1
	old=$(json .id)
	echo again >>"$folder/srv/data/a.txt"
	api POST /v1/runs --json '{"job": "home"}'
	assert_status 202 || return 1
	run=$(json .id)
	wait_run "$run" ok || return 1
	new=$(json .snapshot)
	jq -n --arg url "$URL" --arg token "$(<"$STATE/token")" --arg rejects "$rejects" \
		--arg run "$run" --arg old "$old" --arg new "$new" --arg srv "$folder/srv" '{$url, $token,
		$rejects, values: {"9a7bb421c0877a7975f1848ae3fa2b6c": $run,
		"060547882e83166221947cde7f48d99a": $old, "9ac8a6cd3384b92f843069ba1df49f7f": $new,
		"/srv/data": "\($srv)/data", "/srv/slow": "\($srv)/slow",
		"/srv/restored": "\($srv)/restored"}}' >"$(api_fixture)"
}
