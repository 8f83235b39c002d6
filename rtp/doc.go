// Package rtp is the media wire: it receives what callers and agents say, passes
// it on, plays music and prompts, and copies packets to the recorder.
//
// A Media owns a pool of ports and a few shards. A shard is one thread that
// carries the media of its legs; everything else reaches it by posting. A Leg is
// one socket pair towards one peer. Whatever its peer hears (nothing, a
// Playlist, another leg) is one RTP stream of ours for the leg's whole life.
//
// A leg may be protected by SRTP, with keys from the SDP (crypto, guard) or from a
// DTLS handshake, which runs on a goroutine of its own beside the shard (dtls,
// identity), and be found by the peer's ICE checks (ice). Its packets are decrypted
// before anything else sees them and encrypted last of all (shield).
//
// The rules are pure machines, each in its own file: who the peer is (latch),
// how packets are numbered (outflow), what a key press is (dtmf, and inband for
// tones in the audio), how good the line was (quality, mos), which port comes next
// (ports), what SDP says (sdp).
// Around them stand the shard (shard, wheel), the work on a packet (receive,
// bridge, play, rtcp), the kernel (socket), and the way to the recorder (tap).
//
// Media outlives its process if it is given a memory that does, and somebody who stores
// descriptors (Options.Memory, Sockets, TapMemory). A leg has a record there, and a cell
// for the numbers of its streams (keep, record); its sockets are stored before it has
// them (stock); what has been read and is not recorded yet is in memory that outlives
// the process too (inbox, tap). The next process takes all of it up (resume).
//
// G.711 in both laws and telephone-event are carried, and Opus and G.722 between two
// legs that both have agreed on them. Nothing is decoded: a
// packet is passed on in the buffer it was read into, with a new header.
//
// Linux only: epoll, recvmmsg, SO_TIMESTAMPNS.
package rtp
