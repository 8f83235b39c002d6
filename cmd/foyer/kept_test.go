package main

import (
	"testing"

	"foyer/acd"
	"foyer/flat"
	"foyer/flat/flattest"
)

func TestRecordsOfCallsAreWhole(t *testing.T) { flattest.RoundTrip(t, keptCalls) }

// A record of the next release has what this one does not know.
func TestRecordsOfCallsMayHaveMore(t *testing.T) {
	type nextCall struct {
		keptCall
		Later []string
	}
	var was nextCall
	was.Version, was.Facts.From, was.Later = keptCallVersion, "+33123456789", []string{"x"}
	was.Offers = []keptOffer{{ID: 7, Agent: "ana"}}
	var is keptCall
	if err := keptCalls.Read(flat.New[nextCall]().Append(nil, &was), &is); err != nil || is.Facts.From != was.Facts.From || is.Offers[0].Agent != acd.AgentID("ana") {
		t.Errorf("%+v, %v", is, err)
	}
}

func FuzzRecordOfCall(f *testing.F) {
	f.Add(keptCalls.Append(nil, &keptCall{Version: keptCallVersion, Offers: []keptOffer{{ID: 7, Phones: []keptPhone{{Contact: "sip:ana@x"}}}}, Out: &keptOut{Number: "1"}}))
	f.Fuzz(func(t *testing.T, b []byte) { flattest.FixedPoint(t, keptCalls, b) })
}
