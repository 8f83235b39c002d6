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
// that the switch wraps for the recipient and forgets when the recording ends: it
// can write what it cannot read back.
//
// # Outliving the process
//
// Chunks and the state of recordings in progress may lie in memory that outlives
// the process (Options.Memory), and a record of each on a shelf (Options.Keep).
// Open then takes up what the life before had in progress (Options.Kept), under the
// same handles, so that what the taps still hold of it, and what legs that outlived
// the process go on to tap, finds it. Nothing is written more than once for that:
// a packet is copied into the chunk as ever, and the chunk is where it survives.
//
// # Threads
//
// Run starts them and waits for them:
//   - one reader for each tap copies packets into the recording's chunk in memory;
//   - the writer seals chunks and appends them to their files every 200 ms;
//   - the closer replaces meta.json of recordings that have ended;
//   - the syncer brings dirty files to the disk every second;
//   - the watch looks every half second what is wrong with the disk, and tells; its
//     gauge, which may hang with the disk, measures the room.
//
// Only the readers touch the taps, and they never wait for a disk: when it
// stalls, chunks pile up in memory for about a minute a call, then packets are
// dropped and the recording gets a marked gap. The conversation never notices.
package recorder
