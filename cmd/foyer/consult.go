package main

import (
	"errors"

	"foyer/acd"
	"foyer/sip"
)

var errNoCaller = errors.New("no caller of theirs to consult about")

// consult hands a call that an agent's phone makes to the customer call it is
// about.
func (ex *exchange) consult(leg *sip.Leg, user acd.AgentID, g goal) error {
	return errNoCaller
}
