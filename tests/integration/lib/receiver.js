// A receiver of notices.
//
//	node receiver.js FOLDER [PORT [CERTIFICATE KEY]]
//
// Writes its port into FOLDER/port, and each request as a line of JSON into FOLDER/heard.  It
// answers with the status that stands in FOLDER/status, if there is one, else with 200.

const fs = require("fs");
const [folder, port, certificate, key] = process.argv.slice(2);

function receive(request, response) {
	let body = "";
	request.setEncoding("utf8");
	request.on("data", (part) => { body += part; });
	request.on("end", () => {
		const { method, url, headers } = request;
		let status = 200;
		try {
			status = Number(fs.readFileSync(`${folder}/status`, "utf8"));
		} catch (error) {
			if (error.code !== "ENOENT")
				throw error;
		}
		fs.appendFileSync(`${folder}/heard`, `${JSON.stringify({ method, url, headers, body, status })}\n`);
		response.writeHead(status, { Location: "/elsewhere" });
		response.end(`status ${status}\n`);
	});
}

const server = certificate === undefined
	? require("http").createServer(receive)
	: require("https").createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, receive);

server.listen(Number(port || 0), "127.0.0.1", () => {
	fs.writeFileSync(`${folder}/port.new`, String(server.address().port));
	fs.renameSync(`${folder}/port.new`, `${folder}/port`);
});
