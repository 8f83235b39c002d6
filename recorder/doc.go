// Package recorder keeps what was said in a call.
//
// A recording is a directory, DIR/2026/11/23/ID/, with two files. meta.json says
// whose call it was and how it ended; it is written when the recording begins and
// replaced, at once and whole, when it ends. audio.fyr holds what both parties
// sent, apart, as it came off the wire: G.711 payloads with their RTP sequence
// numbers, timestamps and times of arrival. It is only ever appended to, in
// chunks that each carry a checksum and the hash of the chunk before, so that
// what was written stays readable whatever becomes of the process, and what was
// changed afterwards is found. Listening means rendering: the packets are put
// in their place on the call's time line and written as a stereo WAV, left the
// caller, right the agent.
//
// With a recipient (age, X25519) each recording is sealed with a key of its own
// that the switch wraps for the recipient and then forgets: it can write what it
// cannot read back.
//
// # Threads
//
// Run starts them and waits for them:
//   - one reader for each tap copies packets into the recording's chunk in memory;
//   - the writer seals chunks and appends them to their files every 200 ms;
//   - the closer replaces meta.json of recordings that have ended;
//   - the syncer brings dirty files to the disk every second.
//
// Only the readers touch the taps, and they never wait for a disk: when it
// stalls, chunks pile up in memory for about a minute a call, then packets are
// dropped and the recording gets a marked gap. The conversation never notices.
package recorder
