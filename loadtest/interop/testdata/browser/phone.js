// An agent's telephone in a page: JsSIP and the browser's own WebRTC. The test works
// it over a WebSocket: it sends commands, the page tells what happens, and passes on
// every sample it hears.
"use strict";

const test = new WebSocket(`ws://${location.host}/test`);
const tell = (event, told = "") => test.send(JSON.stringify({ event, told: String(told) }));

let ua, session;

// A tone is noise to whoever cleans up speech.
const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const mediaConstraints = { audio, video: false };

const commands = {
	register({ server, user, domain, password }) {
		ua = new JsSIP.UA({
			sockets: [new JsSIP.WebSocketInterface(server)],
			uri: `sip:${user}@${domain}`,
			password,
			register_expires: 60,
		});
		ua.on("registered", () => tell("registered"));
		ua.on("registrationFailed", (e) => tell("registration failed", e.cause));
		ua.on("disconnected", () => tell("disconnected"));
		ua.on("newRTCSession", (e) => begun(e.session));
		ua.start();
	},
	call: ({ to }) => ua.call(to, { mediaConstraints }),
	answer: () => session.answer({ mediaConstraints }),
	decline: () => session.terminate({ status_code: 486 }),
	hold: () => session.hold({}, () => tell("on hold")),
	resume: () => session.unhold({}, () => tell("resumed")),
	hangup: () => session.terminate(),
	press: ({ keys, by }) => session.sendDTMF(keys, { transportType: by }),
	transfer: ({ to }) => session.refer(to, {
		eventHandlers: { accepted: () => tell("transferred"), failed: (e) => tell("transfer failed", e.status_line) },
	}),
	unregister: () => ua.stop(),
};

function begun(call) {
	session = call;
	const listen = (connection) => connection.addEventListener("track", (e) => hear(e.streams[0]));
	if (call.connection) {
		listen(call.connection);
	} else {
		call.on("peerconnection", (e) => listen(e.peerconnection));
	}
	call.on("confirmed", () => tell("talking"));
	call.on("getusermediafailed", (e) => tell("error", e));
	call.on("newDTMF", (e) => e.originator === "remote" && tell("pressed", e.dtmf.tone));
	call.on("ended", (e) => tell("ended", `${e.originator}: ${e.cause}`));
	call.on("failed", (e) => tell("ended", `${e.originator}: ${e.cause}`));
	if (call.direction === "incoming") {
		tell("ringing", call.remote_identity.uri.user);
	}
}

// The receiver: one for all calls, and at telephone quality for the test.
const receiver = new Audio();
const graph = new AudioContext({ sampleRate: 8000 });
let source, ear;

// hear gives the receiver another stream: with each call, and after each hold, for
// what had been removed from a call comes back as a new stream. A stream from afar
// flows into the graph only if the page plays it too.
function hear(stream) {
	receiver.srcObject = stream;
	receiver.play();
	source?.disconnect();
	source = graph.createMediaStreamSource(stream);
	source.connect(ear);
}

async function prepare() {
	await graph.audioWorklet.addModule("ear.js");
	ear = new AudioWorkletNode(graph, "ear");
	ear.port.onmessage = (m) => test.send(m.data);
	ear.connect(graph.destination);
	tell("there");
}

test.onmessage = (m) => {
	const { command, ...params } = JSON.parse(m.data);
	try {
		commands[command](params);
	} catch (e) {
		tell("error", e);
	}
};
test.onopen = prepare;
window.onerror = (e) => tell("error", e);
window.onunhandledrejection = (e) => tell("error", e.reason);
JsSIP.debug.enable("JsSIP:*");
