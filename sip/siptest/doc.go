// Package siptest is a scriptable SIP telephone and an in-memory network to put
// between telephones and the system under test.
//
// Nothing here is shared with the switch or with the SIP library below it: a
// mistake in their parser or their dialogs cannot hide behind the same mistake
// in the test. The phone is also light enough (no goroutine, no timer while
// idle) for a load generator to hold thousands of them behind one socket.
//
// A Wire is one socket and everybody behind it, a Phone is one account on it, a
// Call is one dialog of a phone. What a phone does by itself (acknowledge,
// answer OPTIONS and BYE, retransmit) can be switched off method by method with
// Options.Manual, so that a test can be as rude as the phones of the field.
package siptest
