// An implementation of Avro that is not ours (npm "avsc"), for the tests of tables.
//
//	avro.js compare FILE	read FILE and compare it, value by value, with what MariaDB prints: rows on
//				stdin as tests/integration/lib/avro.bash selects them
//	avro.js write FILE CODEC [SYNC [BLOCK]]
//				write FILE: the schema on the first line of stdin, a row on each further one;
//				SYNC is the marker (hexadecimal), BLOCK how many bytes a block has at most
'use strict';

const {execFileSync} = require('child_process');
const fs = require('fs');
const zlib = require('zlib');
const avro = require('avsc');

// All 64 bits: JavaScript's own numbers have 53.
const long = avro.types.LongType.__with({
	fromBuffer: (buf) => buf.readBigInt64LE(),
	toBuffer: (n) => {
		const buf = Buffer.alloc(8);
		buf.writeBigInt64LE(BigInt(n));
		return buf;
	},
	fromJSON: BigInt,
	toJSON: String,
	isValid: (n) => typeof n === 'bigint' || Number.isSafeInteger(n),
	compare: (a, b) => (BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : 0),
});

function typeHook(schema) {
	return schema === 'long' || (schema && schema.type === 'long') ? long : undefined;
}

function lines() {
	return fs.readFileSync(0, 'latin1').split('\n').filter((line) => line !== '');
}

// ---- values as MariaDB prints them

function pad(n, width) {
	return String(n).padStart(width, '0');
}

// "datetime(6)": six digits behind the point.
function fraction(micros, sqlType) {
	const digits = /\((\d)\)/.exec(sqlType);

	if (!digits) {
		if (micros !== 0n)
			throw new Error(`micros in ${sqlType}`);
		return '';
	}
	return '.' + pad(micros, 6).slice(0, Number(digits[1]));
}

function clock(micros, sqlType) {
	const seconds = micros / 1000000n;

	return `${pad(seconds / 3600n, 2)}:${pad(seconds / 60n % 60n, 2)}:${pad(seconds % 60n, 2)}` +
		fraction(micros % 1000000n, sqlType);
}

function date(days) {
	// Of the years before 100, too.
	return new Date(Number(days) * 86400000).toISOString().replace(/T.*/, '').replace(/^\+00/, '');
}

function moment(micros, sqlType) {
	const perDay = 86400000000n, ofDay = ((micros % perDay) + perDay) % perDay;

	return `${date((micros - ofDay) / perDay)} ${clock(ofDay, sqlType)}`;
}

function decimal(bytes, scale) {
	let n = BigInt.asIntN(8 * bytes.length, BigInt('0x' + bytes.toString('hex')));
	const sign = n < 0n ? '-' : '';

	if (n < 0n)
		n = -n;
	const digits = pad(n, scale + 1), whole = digits.length - scale;

	return sign + digits.slice(0, whole) + (scale > 0 ? '.' + digits.slice(whole) : '');
}

// The branch of a union that a value is of, as the schema describes it.
function branchOf(type, name) {
	const branches = Array.isArray(type) ? type : [type];

	return branches.find((branch) => (branch.type || branch) === name);
}

function isSame(field, value, printed) {
	const union = Array.isArray(field.type);
	const name = value === null ? 'null' : union ? Object.keys(value)[0] : field.type.type || field.type;
	const plain = value === null || !union ? value : value[name];
	const branch = branchOf(field.type, name);
	const [text, raw, number] = printed.split('/').map((hex) => Buffer.from(hex, 'hex'));

	if (value === null || printed === 'NULL')
		return value === null && printed === 'NULL';
	switch (branch.logicalType) {
	case 'decimal':
		return decimal(plain, branch.scale) === text.toString();
	case 'date':
		return date(plain) === text.toString();
	case 'time-micros':
		return clock(plain, field.sqlType) === text.toString();
	case 'timestamp-micros':
	case 'local-timestamp-micros':
		return moment(plain, field.sqlType) === text.toString();
	}
	switch (name) {
	case 'int':
	case 'long':
		return BigInt(plain) === BigInt((number || text).toString());
	case 'float':
		return Math.fround(Number(text.toString())) === plain;
	case 'double':
		return Number(text.toString()) === plain;
	case 'string':
		return plain === text.toString();
	case 'bytes':
		return plain.equals(raw || text);
	}
	throw new Error(`field ${field.name} is a ${name}`);
}

function compare(file) {
	const expected = lines();
	let schema = null, rows = 0, values = 0;

	avro.createFileDecoder(file, {
		parseHook: (s) => {
			schema = s;
			return avro.Type.forSchema(s, {wrapUnions: true, typeHook});
		},
	}).on('data', (row) => {
		const printed = (expected[rows++] || '').split('\t');

		if (printed.length !== schema.fields.length)
			throw new Error(`row ${rows}: ${schema.fields.length} fields, ${printed.length} printed`);
		schema.fields.forEach((field, i) => {
			if (!isSame(field, row[field.name], printed[i]))
				throw new Error(`row ${rows}, ${field.column}: ${row[field.name]} is not ` +
					printed[i].slice(0, 200));
			values++;
		});
	}).on('end', () => {
		if (rows !== expected.length)
			throw new Error(`${rows} rows, ${expected.length} expected`);
		console.log(`${rows} rows, ${values} values`);
	});
}

// ---- files as other programs write them

const codecs = {
	null: (data, done) => done(null, data),
	deflate: zlib.deflateRaw,
	zstandard: (data, done) => done(null, execFileSync('zstd', ['-qc'], {input: data})),
};

function write(file, codec, sync, block) {
	const [schema, ...rows] = lines();
	const type = avro.Type.forSchema(JSON.parse(schema), {wrapUnions: false, typeHook});
	const options = {codec, codecs, writeHeader: 'always'};

	if (sync)
		options.syncMarker = Buffer.from(sync, 'hex');
	if (block)
		options.blockSize = Number(block);
	const encoder = avro.createFileEncoder(file, type, options);

	rows.forEach((row) => encoder.write(JSON.parse(Buffer.from(row, 'latin1').toString())));
	encoder.end();
}

const [verb, ...rest] = process.argv.slice(2);
({compare, write})[verb](...rest);
