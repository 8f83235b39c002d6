// Package loadtest is the world around a contact-centre switch: callers and
// agents that really speak SIP and RTP, by the thousand in one process, and the
// book-keeping that says afterwards whether anything was lost.
//
// A Plan says who calls whom, how often, how long. Start brings the agents in,
// Arrive lets the calls come, Drain ends them; Run does all three. Every media
// packet carries the call it belongs to, its number and its time (marker.go), so
// that a lost, late or misrouted packet is seen and forwarding delay is measured
// end to end. Verify compares what the generator knows with the switch's CDRs,
// recordings and readings. Switch builds, starts, measures and stops a switch.
//
// The signalling is siptest's, which shares no code with the switch.
//
// # Threads
//
// An engine is one locked thread that sends and receives all media on a 5 ms
// tick; it owns every leg that was handed to it, and Close ends it. One goroutine
// a signalling socket reads SIP and runs the callers' and agents' callbacks.
// Running.mu guards everything those callbacks share. One goroutine refreshes
// registrations from Start to Close.
package loadtest
