// Package sip is the signalling wire: everything said between the switch, its
// carriers and the agents' phones before and around the sound.
//
// An Edge serves the sockets. It knows a trunk by its source address and an
// agent by digest (Registrar), refuses what is malformed or not allowed, and
// turns each accepted INVITE into a Leg. Dial makes a Leg the other way round, to
// an agent's phone or, by a trunk, to a number. A Leg is one dialog: its methods
// send and return, what the peer does comes back as LegEvents, in order, at the
// sink of the goroutine that owns the call.
//
// Legs and bindings outlive the process where there is memory that does (Keep): a
// record of each is written before the message that makes it true leaves, and the
// next process resumes them (Edge.Resume, Registrar.Resume) before it serves. To the
// peers it was silent for a moment.
//
// Transports, parser and transactions are sipgo's, but for a REGISTER, which is
// read and answered before the library has it (enlist); dialogs, timers above the
// transaction and every rule about what may be said when are ours. RFC.md lists
// what is obeyed and where we depart from it.
package sip
