// Package sound is what callers hear of the switch itself: music on hold, made
// here from formulas, and spoken prompts in French and English, with the
// operator's own files in their place where there are any.
//
// All audio is G.711 at 8 kHz, one byte a sample. Making or loading a sound
// takes milliseconds and memory, so it is done once and the *rtp.Sound shared by
// all calls.
package sound
