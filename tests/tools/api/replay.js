/*
 * The API's document, taken at its word.
 *
 *	replay.js check FILE            is it an OpenAPI document, and is each example in it what its
 *	                                schema says?
 *	replay.js run FIXTURE           FIXTURE: {"url", "token", "values": {EXAMPLE: REAL}}; the
 *	                                document comes from the agent.  Sends every example of every
 *	                                operation, with each optional parameter, each body and each
 *	                                media type, and holds the answers against the document: status,
 *	                                media type, headers and body, in which no field may be that is
 *	                                not declared.  Fails too if a good status that is declared was
 *	                                never seen, and if an example is refused.
 *
 * NODE_PATH names the folder of npm's packages.
 */
'use strict';

const fs = require('fs');
const path = require('path');
const url = require('url');
const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;

const WAIT_MS = 60000;

/* Longer than what is taken, but not so long that the library refuses it before we see it. */
const HEADER_TOO_LONG = 17000;

let faults = 0;

function fault(text) {
	console.log('FAULT: ' + text);
	faults++;
}

/* ---- schemas */

/* No field but those declared; a part that others are made from stays open for them. */
function close(schema) {
	if (schema === null || typeof schema !== 'object')
		return;
	for (const value of Object.values(schema))
		close(value);
	if (Array.isArray(schema) || schema['x-part'] || 'additionalProperties' in schema)
		return;
	if ((schema.type === 'object' && schema.properties) || schema.allOf)
		schema.unevaluatedProperties = false;
}

function pointer(...parts) {
	return 'api#' + parts.map((part) =>
		'/' + encodeURIComponent(part.replace(/~/g, '~0').replace(/\//g, '~1'))).join('');
}

class Document {
	constructor(json) {
		this.json = json;
		this.closed = structuredClone(json);
		close(this.closed.components.schemas);
		this.media((at) => close(at));
		this.ajv = new Ajv({ strict: false, allErrors: false, allowUnionTypes: true });
		addFormats(this.ajv);
		this.ajv.addSchema({ $id: 'api', ...this.closed });
	}

	*operations() {
		for (const [pattern, item] of Object.entries(this.json.paths))
			for (const [method, operation] of Object.entries(item))
				yield { pattern, method, operation, id: operation.operationId };
	}

	/* Each schema of a body or an answer that stands in an operation itself. */
	media(each) {
		for (const item of Object.values(this.closed.paths))
			for (const operation of Object.values(item))
				for (const body of Object.values(operation.responses).concat(operation.requestBody ?? []))
					for (const media of Object.values(body.content ?? {}))
						each(media.schema);
	}

	resolve(object) {
		if (object?.$ref === undefined)
			return object;
		return object.$ref.split('/').slice(1).reduce((at, part) => at[part], this.json);
	}

	/* null, or what is wrong. */
	wrong(place, value) {
		const validate = this.ajv.getSchema(place);

		if (validate === undefined)
			return `there is no schema at ${place}`;
		if (validate(value))
			return null;
		return this.ajv.errorsText(validate.errors.slice(-3)) + ' ' +
			JSON.stringify(validate.errors.at(-1).params);
	}

	/* Where the content of an operation's answer is described. */
	place(call, status) {
		const response = call.operation.responses[status];

		return response.$ref ? ['components', 'responses', response.$ref.split('/').pop()]
			: ['paths', call.pattern, call.method, 'responses', status];
	}
}

/* ---- the document itself */

function examplesOf(media) {
	const list = Object.values(media.examples ?? {}).map((example) => example.value);

	return media.example === undefined ? list : [media.example, ...list];
}

function checkMedia(document, what, place, content) {
	let count = 0;

	for (const [type, media] of Object.entries(content ?? {}))
		for (const example of examplesOf(media)) {
			const wrong = document.wrong(pointer(...place, 'content', type, 'schema'), example);

			count++;
			if (wrong)
				fault(`${what}, ${type}: its example is not what its schema says: ${wrong}`);
		}
	return count;
}

async function check(json) {
	const { Validator } = await import(
		url.pathToFileURL(require.resolve('@seriousme/openapi-schema-validator')));
	const result = await new Validator().validate(structuredClone(json));
	const document = new Document(json);
	let count = 0;

	if (!result.valid)
		fault('it is no OpenAPI document: ' + JSON.stringify(result.errors));
	for (const call of document.operations()) {
		for (const status of Object.keys(call.operation.responses)) {
			const place = document.place(call, status);

			count += checkMedia(document, `${call.id} ${status}`, place,
				document.resolve(call.operation.responses[status]).content);
		}
		count += checkMedia(document, `${call.id}'s body`,
			['paths', call.pattern, call.method, 'requestBody'],
			call.operation.requestBody?.content);
	}
	console.log(`${Object.keys(json.paths).length} paths, ${count} examples`);
}

/* ---- a running agent */

class Agent {
	constructor(fixture) {
		this.fixture = fixture;
	}

	/* Values of the fixture instead of the document's. */
	real(value) {
		let text = JSON.stringify(value);

		for (const [example, real] of Object.entries(this.fixture.values))
			text = text.replaceAll(JSON.stringify(example).slice(1, -1), JSON.stringify(real).slice(1, -1));
		return JSON.parse(text);
	}

	async send(method, target, headers = {}, body = undefined) {
		const abort = new AbortController();
		const timer = setTimeout(() => abort.abort(), WAIT_MS);

		try {
			const response = await fetch(this.fixture.url + target, {
				method, body, signal: abort.signal,
				headers: { Authorization: 'Bearer ' + this.fixture.token, ...headers },
			});
			const type = (response.headers.get('content-type') ?? '').split(';')[0];
			let text;

			/* Events of all runs have no end. */
			if (type === 'text/event-stream') {
				const part = await response.body.getReader().read();

				text = Buffer.from(part.value ?? []).toString();
				abort.abort();
			} else {
				text = await response.text();
			}
			return { status: String(response.status), type, headers: response.headers, text };
		} finally {
			clearTimeout(timer);
		}
	}

	async ask(method, target, json = undefined) {
		const answer = json === undefined ? await this.send(method, target)
			: await this.send(method, target, { 'Content-Type': 'application/json' }, JSON.stringify(json));

		if (Number(answer.status) >= 400)
			throw new Error(`${method} ${target}: ${answer.status} ${answer.text}`);
		return answer.text === '' ? null : JSON.parse(answer.text);
	}

	/* A backup that lasts, as it may open one file a second. */
	async slowRun(state) {
		const run = await this.ask('POST', '/v1/runs', { kind: 'backup', arguments: {
			path: this.fixture.values['/srv/slow'], force: true, limits: { files: 1 } } });

		this.slow = run.id;
		await this.until(async () => (await this.ask('GET', '/v1/runs/' + run.id)).state === 'running');
		if (state === 'paused')
			await this.ask('POST', `/v1/runs/${run.id}/pause`);
		return { id: run.id };
	}

	async until(condition) {
		const end = Date.now() + WAIT_MS;

		while (!await condition()) {
			if (Date.now() > end)
				throw new Error('waited in vain');
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	}

	async stopSlowRun() {
		if (this.slow === undefined)
			return;
		await this.send('DELETE', '/v1/runs/' + this.slow);
		await this.until(async () =>
			(await this.ask('GET', '/v1/runs/' + this.slow)).outcome !== null);
		this.slow = undefined;
	}

	async newSnapshot() {
		const answer = await this.send('POST', '/v1/snapshots?name=spare', {}, String(Math.random()));

		return { id: JSON.parse(answer.text).id };
	}

	async emptyTable() {
		await this.ask('POST', '/run-migration?to=2');
		await this.ask('POST', '/run-migration');
	}

	async forgotten() {
		const snapshot = await this.newSnapshot();

		await this.ask('DELETE', '/v1/snapshots/' + snapshot.id);
		return snapshot;
	}
}

/* What has to be so before each request of an operation; gives values for its path. */
const before = {
	cancelRun: (agent) => agent.slowRun(),
	pauseRun: (agent) => agent.slowRun(),
	continueRun: (agent) => agent.slowRun('paused'),
	forgetSnapshot: (agent) => agent.newSnapshot(),
	recallSnapshot: (agent) => agent.forgotten(),
	getRejects: async (agent) => ({ id: agent.fixture.rejects }),
	holdJob: async (agent) => { await agent.send('DELETE', '/v1/jobs/home/hold'); },
	releaseJob: async (agent) => { await agent.send('POST', '/v1/jobs/home/hold'); },
	releaseJobByPost: async (agent) => { await agent.send('POST', '/v1/jobs/home/hold'); },
	/* The table is empty again. */
	loadCsv: (agent) => agent.emptyTable(),
	loadRows: (agent) => agent.emptyTable(),
};
const after = {
	cancelRun: (agent) => agent.stopSlowRun(),
	pauseRun: (agent) => agent.stopSlowRun(),
	continueRun: (agent) => agent.stopSlowRun(),
	holdJob: async (agent) => { await agent.send('DELETE', '/v1/jobs/home/hold'); },
};

/* Answers that this agent cannot be brought to give here, each with the reason. */
const unseen = {
	'acknowledgeJob 200': 'figures that jump need a history of many runs',
};

/* Examples that may be refused here, each with the reason. */
const refusable = {
	acknowledgeJob: 'figures that jump need a history of many runs',
};

/* ---- requests of an operation */

function parametersOf(document, operation) {
	return operation.parameters.map((parameter) => document.resolve(parameter));
}

function addParameter(request, parameter, value) {
	if (parameter.in === 'path')
		request.path[parameter.name] = value;
	else if (parameter.in === 'header')
		request.headers[parameter.name] = value;
	else if (parameter.explode)
		Object.assign(request.query, value);
	else
		request.query[parameter.name] = value;
}

function copyOf(request, change) {
	const copy = { ...request, path: { ...request.path }, query: { ...request.query },
		headers: { ...request.headers } };

	change(copy);
	return copy;
}

function bodiesOf(operation) {
	const bodies = [];

	for (const [type, media] of Object.entries(operation.requestBody?.content ?? {}))
		for (const value of examplesOf(media))
			bodies.push({ type, value });
	return bodies;
}

function encodeBody(agent, body, headers) {
	const value = agent.real(body.value);

	if (body.type === 'multipart/form-data') {
		const form = new FormData();

		for (const [name, text] of Object.entries(value))
			form.append(name, text);
		return form;
	}
	headers['Content-Type'] = body.type;
	if (body.type === 'application/x-www-form-urlencoded')
		return new URLSearchParams(value).toString();
	return body.type === 'application/json' ? JSON.stringify(value) : value;
}

/* The plain one; each optional parameter; each body; each media type. */
function requestsOf(document, call) {
	const base = { path: {}, query: {}, headers: {}, body: undefined, times: 1 };
	const parameters = parametersOf(document, call.operation);
	const bodies = bodiesOf(call.operation);
	const requests = [base];

	for (const parameter of parameters)
		if (parameter.example !== undefined && (parameter.required || parameter.explode))
			addParameter(base, parameter, parameter.example);
	base.body = bodies[0];
	for (const parameter of parameters) {
		if (parameter.example === undefined || parameter.required || parameter.explode)
			continue;
		requests.push(copyOf(base, (copy) => {
			addParameter(copy, parameter, parameter.example);
			/* The second one is answered with what the first one has started. */
			if (parameter.name === 'Idempotency-Key') {
				copy.headers['Idempotency-Key'] += '-' + call.id;
				copy.headers.Prefer = 'respond-async';
				copy.times = 2;
			}
		}));
	}
	for (const body of bodies.slice(1))
		requests.push(copyOf(base, (copy) => { copy.body = body; }));
	for (const type of Object.keys(document.resolve(call.operation.responses['200'])?.content ?? {}))
		requests.push(copyOf(base, (copy) => { copy.headers.Accept = type; }));
	return requests;
}

/* ---- holding answers against the document */

function bodyFaults(document, call, answer, place) {
	const schema = pointer(...place, 'content', answer.type, 'schema');

	if (answer.type === 'application/x-ndjson')
		return answer.text.split('\n').filter((line) => line !== '').map((line) =>
			document.wrong(schema, JSON.parse(line))).find((wrong) => wrong) ?? null;
	if (answer.type.endsWith('json'))
		return document.wrong(schema, JSON.parse(answer.text));
	return document.wrong(schema, answer.text);
}

function hold(document, call, answer, what) {
	const declared = call.operation.responses[answer.status];
	const response = document.resolve(declared);

	if (declared === undefined) {
		fault(`${what}: status ${answer.status} is not declared: ${answer.text.slice(0, 300)}`);
		return;
	}
	for (const name of Object.keys(response.headers ?? {}))
		if (!answer.headers.has(name) && name !== 'Preference-Applied' &&
			!(name === 'Location' && answer.status === '200'))
			fault(`${what}: ${answer.status} without its header ${name}`);
	if (response.content === undefined) {
		if (answer.text !== '')
			fault(`${what}: ${answer.status} has a body`);
		return;
	}
	if (response.content[answer.type] === undefined) {
		fault(`${what}: ${answer.status} of type '${answer.type}' is not declared`);
		return;
	}
	const wrong = bodyFaults(document, call, answer, document.place(call, answer.status));

	if (wrong)
		fault(`${what}: ${answer.status}: ${wrong}: ${answer.text.slice(0, 600)}`);
}

function targetOf(agent, call, request) {
	const query = new URLSearchParams(agent.real(request.query)).toString();

	return call.pattern.replace(/\{(\w+)\}/g, (_, name) =>
		encodeURIComponent(agent.real(request.path[name]))) + (query === '' ? '' : '?' + query);
}

async function sendOne(agent, document, call, request, seen) {
	const headers = agent.real(request.headers);
	const body = request.body && encodeBody(agent, request.body, headers);
	let answer, target;

	for (let time = 0; time < request.times; time++) {
		Object.assign(request.path, await before[call.id]?.(agent));
		target = targetOf(agent, call, request);
		answer = await agent.send(call.method.toUpperCase(), target, headers, body);
		await after[call.id]?.(agent);
		seen.add(`${call.id} ${answer.status}`);
		hold(document, call, answer, `${call.id}, ${call.method.toUpperCase()} ${target}`);
		if (Number(answer.status) >= 400 && refusable[call.id] === undefined)
			fault(`${call.id}: its example ${target} ${JSON.stringify(headers)} is refused: ${answer.text}`);
	}
	return { answer, target };
}

/* What any client may do wrong. */
async function sendWrong(agent, document, call, target) {
	const method = call.method.toUpperCase();
	const others = parametersOf(document, call.operation).some((parameter) => parameter.explode);
	const wrong = {
		'a wrong token': [target, { Authorization: 'Bearer wrong' }],
		'a malformed escape': [target.split('?')[0] + '?a=%zz', {}],
		'a long header': [target, { 'X-Long': 'x'.repeat(HEADER_TOO_LONG) }],
	};

	if (!others)
		wrong['an unknown parameter'] = [target.split('?')[0] + '?colour=blue', {}];
	if (call.pattern.includes('{'))
		wrong['nothing there'] = [call.pattern.replace(/\{\w+\}/g, '0123456789abcdef'), {}];
	for (const [what, [address, headers]] of Object.entries(wrong)) {
		const answer = await agent.send(method, address, headers).catch(() => null);

		if (answer === null)
			continue;
		hold(document, call, answer, `${call.id} with ${what}`);
		if (Number(answer.status) < 400 && what !== 'nothing there')
			fault(`${call.id} with ${what}: ${answer.status}`);
	}
}

async function run(fixture) {
	const agent = new Agent(fixture);
	const document = new Document(await agent.ask('GET', '/openapi.json'));
	const seen = new Set();
	let count = 0;

	for (const call of document.operations()) {
		let last;

		if (fixture.only && !call.id.match(fixture.only))
			continue;
		for (const request of requestsOf(document, call)) {
			last = await sendOne(agent, document, call, request, seen);
			count += request.times;
			if (call.operation.responses['304'] && last.answer.headers.has('etag'))
				await sendOne(agent, document, call, copyOf(request, (copy) => {
					copy.headers['If-None-Match'] = last.answer.headers.get('etag');
				}), seen);
		}
		await sendWrong(agent, document, call, last.target);
		for (const status of Object.keys(call.operation.responses))
			if (Number(status) < 400 && !seen.has(`${call.id} ${status}`) &&
				unseen[`${call.id} ${status}`] === undefined)
				fault(`${call.id}: ${status} is declared and was never seen`);
	}
	console.log(`${count} requests, ${seen.size} kinds of answers`);
}

async function main() {
	const [verb, file] = process.argv.slice(2);
	const json = JSON.parse(fs.readFileSync(path.resolve(file), 'utf8'));

	if (verb === 'check')
		await check(json);
	else
		await run(json);
	process.exitCode = faults > 0 ? 1 : 0;
}

main().catch((error) => {
	console.log(error.stack);
	process.exitCode = 1;
});
