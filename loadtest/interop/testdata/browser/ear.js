// Passes on what an audio graph plays, in pieces of a tenth of a second.
class Ear extends AudioWorkletProcessor {
	heard = [];

	process([input]) {
		if (input.length > 0) {
			this.heard.push(...input[0]);
		}
		if (this.heard.length >= sampleRate / 10) {
			this.port.postMessage(Int16Array.from(this.heard, (x) => x * 0x7fff));
			this.heard = [];
		}
		return true;
	}
}

registerProcessor("ear", Ear);
