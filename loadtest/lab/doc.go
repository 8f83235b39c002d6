// Package lab is the laboratory of bad lines: agents' telephones behind routers
// of every kind, with loss, delay, jitter, reordering, repetition, dark minutes,
// changed addresses and gateways that meddle with SIP, against a whole switch.
//
// A Case is one situation: a home, and a play of caller and agent in it. Run lets
// a switch live through cases, audits its books afterwards and returns a row of
// the table for each. What both parties say carries marks (loadtest.Marker), so
// that a call in which one does not hear the other is seen, and the figures of the
// switch's records are compared with what the line really did.
//
// The homes are routers of siptest with real sockets for public ports: the switch
// sees nothing but packets from addresses that are not the ones SIP and SDP name.
package lab
