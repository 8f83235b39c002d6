// An agent's telephone in a page: JsSIP and the browser's own WebRTC. The test works
// it over a WebSocket: it sends commands, the page tells what happens, and passes on
// every sample it hears.
"use strict";

const test = new WebSocket(`ws://${location.host}/test`);
const tell = (event, told = "") => test.send(JSON.stringify({ event, told: String(told) }));

let ua, socket, session;

// A tone is noise to whoever cleans up speech.
const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const mediaConstraints = { audio, video: false };

const commands = {
	register({ server, user, domain, password }) {
		socket = new JsSIP.WebSocketInterface(server);
		ua = new JsSIP.UA({
			sockets: [socket],
			uri: `sip:${user}@${domain}`,
			password,
			register_expires: 60,
		});
		ua.on("registered", () => tell("registered"));
		ua.on("unregistered", () => tell("unregistered"));
		ua.on("registrationFailed", (e) => tell("error", e.cause));
		ua.on("newRTCSession", (e) => begun(e.session, e.request));
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
		eventHandlers: { accepted: () => tell("transferred"), failed: (e) => tell("error", e.status_line) },
	}),
	cut: () => socket._ws.close(), // as a network does, behind JsSIP's back
	unregister: () => ua.unregister(),
};

function begun(call, invite) {
	session = call;
	const listen = (connection) => {
		connection.addEventListener("track", (e) => hear(e.streams[0]));
		connection.addEventListener("connectionstatechange", () => console.log("media:", connection.connectionState));
		connection.addEventListener("iceconnectionstatechange", () => console.log("ICE:", connection.iceConnectionState));
	};
	if (call.connection) {
		listen(call.connection);
	} else {
		call.on("peerconnection", (e) => listen(e.peerconnection));
	}
	call.on("confirmed", () => tell("talking"));
	call.on("getusermediafailed", (e) => tell("error", e));
	call.on("ended", (e) => tell("ended", `${e.originator}: ${e.cause}`));
	call.on("failed", (e) => tell("ended", `${e.originator}: ${e.cause}`));
	if (call.direction === "incoming") {
		tell("ringing", `${call.remote_identity.uri.user} for ${invite.getHeader("X-Foyer-Queue")}`);
	}
}

// The receiver: one for all calls, and at telephone quality for the test.
const receiver = new Audio();
receiver.autoplay = true;
const graph = new AudioContext({ sampleRate: 8000 });
let source, ear;

// hear gives the receiver another stream: with each call, and after each hold, for
// what had been removed from a call comes back as a new stream. A stream from afar
// flows into the graph only if the page plays it too.
function hear(stream) {
	receiver.srcObject = stream;
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
