// Package ledger is what is counted: the journal of the floor folded into one
// CDR for each customer call and into counts for each quarter of an hour, kept in
// SQL, handed out as NDJSON, CSV and reports. docs/numbers.md defines the figures.
//
// Fold makes CDRs and Tally counts. Both are pure: they read no clock and do no
// I/O, so that yesterday's journal folded again gives yesterday's figures. Store writes them behind a bounded queue;
// a call never waits for a disk unless the disk has been stuck for thousands of
// calls. What the store had not yet written when the machine died is in the
// journal, and folding it again is harmless: a row is written by its key.
//
// ErlangC, ErlangA and Staff look the other way: from the calls that will come to
// the agents they need. They are formulas, and know nothing of the journal.
//
// # Threads
//
// A Fold and a Tally belong to the goroutine that reads the journal. A Store may be used
// from any goroutine; it owns one goroutine, its writer, started by OpenStore and
// ended by Close.
package ledger
