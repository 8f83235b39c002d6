// Package whatif plays a recorded day again with something changed: two more
// agents, another strategy, another configuration.
//
// What was recorded does not fit other decisions, so the day is taken apart. What
// belongs to the world outside is kept as it was: when callers came, for what and
// with which number, how long they were patient and how long they talked, when
// agents logged in, paused and left, when their phones were reachable. What depends
// on decisions is made anew by the floor itself, package acd, under a clock that
// only the events move: who is rung, who answers and when, who gives up, who wraps
// up after which call.
//
// Whatever the recording cannot say is drawn: how long an answered caller would
// have waited (from the day's own patience, given that they waited this long), how
// long one who left would have talked (from the day's talks of that queue), whether
// an agent takes an offer they never had (from their own offers of the day). Every
// draw comes from a hash of the ids it is about, so that the same question gives
// the same figures.
package whatif
