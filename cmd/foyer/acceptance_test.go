package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// accepted is one call flow that a carrier tests before it sends traffic. It is
// played here, or shown by tests that stand elsewhere: functions of this package,
// and names of package sip, where hours pass in a moment.
type accepted struct {
	flow, rule string
	play       func(*testing.T)
	by         []any
	wire       []string
	later      string // why it is not shown yet
}

// acceptance is the list. docs/trunks.md has it for operators.
var acceptance = [...]accepted{
	{flow: "call in, queued, answered, ended by either side", rule: "RFC 3261 13, 15", by: []any{TestCallIsQueuedRungBridgedAndRecorded}},
	{flow: "call out, answered, ended by either side", rule: "RFC 3261 13, 15", play: playCallOut},
	{flow: "CANCEL before and after 18x, and at once", rule: "RFC 3261 9", by: []any{TestCallerLeavesWhileAgentRings, TestCancelAtOnce, TestCancelBeforeThePhoneHasSaidAnything}},
	{flow: "200 crossing CANCEL gets ACK and BYE", rule: "RFC 3261 9.1", by: []any{TestAnswerCrossesTheCancel}, wire: []string{"TestAnswerOfNumberCrossesCancel", "TestCancelCrossingAnswer"}},
	{flow: "retransmitted CANCEL", rule: "RFC 3261 9.2", wire: []string{"TestCancel"}},
	{flow: "refusals in: 404, 480, 484, 486, 488, 603, 503 with Retry-After", rule: "RFC 3261 21", play: playRefusals, by: []any{TestNoCommonCodec}},
	{flow: "refusals out, and which go to the next carrier", rule: "RFC 3261 21", by: []any{TestRefusalsOfTrunks}},
	{flow: "causes of Q.850 for every end of a call", rule: "RFC 3326", by: []any{TestCausesAndCodes}},
	{flow: "no answer", rule: "RFC 3261 13", by: []any{TestUnansweredAgentIsPausedAndTheNextRung}},
	{flow: "early media by 183, answered with the agent", rule: "RFC 3960", by: []any{TestEarlyMediaIsAnsweredWithTheAgent, TestCallerCancelsEarlyMedia}},
	{flow: "ringing tone by 183 instead of music", rule: "RFC 3960", play: playRingback},
	{flow: "delayed offer, in INVITE and re-INVITE", rule: "RFC 3264", by: []any{TestDelayedOffer, TestReinviteAsksForOurOffer}},
	{flow: "hold by either side, answered as it must be", rule: "RFC 3264 6.1, 8.4", by: []any{TestAgentHoldsAndResumes, TestHoldIsAnsweredWithTheRightDirection}},
	{flow: "re-INVITE glare", rule: "RFC 3261 14.1", wire: []string{"TestGlare"}},
	{flow: "codec change in the call", rule: "RFC 3264 8.3", play: playCodecChange},
	{flow: "re-INVITE refused leaves the call as it was", rule: "RFC 3261 14.2", by: []any{TestUnusableOfferLeavesTheCallAsItWas}},
	{flow: "session refresh in both roles", rule: "RFC 4028", by: []any{TestSessionTimerCallerRefreshes, TestSessionTimerWeRefresh}},
	{flow: "session that nobody refreshes", rule: "RFC 4028 10", by: []any{TestSessionTimerNobodyRefreshes}},
	{flow: "422 and Min-SE", rule: "RFC 4028 6", by: []any{TestSessionTooBrief}},
	{flow: "calls of 30 minutes and of 4 hours", rule: "RFC 4028", wire: []string{"TestLongCalls"}},
	{flow: "lost BYE, theirs and ours", rule: "RFC 3261 15", by: []any{TestLostByeIsFoundByTheMedia, TestPutThroughAndNobodyThere}, wire: []string{"TestByeIsLost"}},
	{flow: "lost ACK", rule: "RFC 3261 13.3.1.4", by: []any{TestLostACK}, wire: []string{"TestLostAckIsMadeGood"}},
	{flow: "retransmitted INVITE, 200 and BYE", rule: "RFC 3261 17", by: []any{TestRetransmissionsChangeNothing}},
	{flow: "all sixteen keys and a long one, as events and by INFO", rule: "RFC 4733, 6086", play: playKeys},
	{flow: "privacy, in and out", rule: "RFC 3323, 3325", by: []any{TestWithheldNumberStaysWithheld, TestWhoTheAgentSeesCalling}, wire: []string{"TestWishesOfCarriers"}},
	{flow: "chain of diversions, and calls that go round", rule: "RFC 5806, 7044", by: []any{TestCallerIsPassedOn, TestCallsThatGoRound}},
	{flow: "302 from a carrier", rule: "RFC 3261 8.1.3.4", by: []any{TestRedirectionsOfTrunks}},
	{flow: "302 from a phone", rule: "RFC 3261 8.1.3.4", by: []any{TestRedirectionByAPhoneIsNotFollowed}},
	{flow: "REFER blind, attended and failed", rule: "RFC 3515, 5589", later: "transfers stand in tests of their own"},
	{flow: "trunk down, failover and recovery", rule: "RFC 3263", by: []any{TestTrunkThatIsDownIsLeftOut}, wire: []string{"TestCallGoesOnToNextMachine"}},
	{flow: "registration, refresh, and its loss", rule: "RFC 3261 10", wire: []string{"TestTrunkRegisters", "TestRegistrarGoesAway"}},
	{flow: "challenge with a stale nonce", rule: "RFC 7616 3.3", wire: []string{"TestChallengesThatAreRefusals", "TestTrunkIsNotRegistered"}},
	{flow: "messages beyond 1300 bytes", rule: "RFC 3261 18.1.1", play: playLargeInvite},
	{flow: "torture messages", rule: "RFC 4475, 5118", later: "they stand in tests of their own"},
	{flow: "scanners and strangers", rule: "RFC 3261 26", wire: []string{"TestStrangersGetNowhere", "TestGuesserIsNotAnswered"}},
	{flow: "RTP from a new source in the call", rule: "RFC 3264 8.3.1", by: []any{TestCallersAddressChanges, TestStrangersAreNeitherHeardNorRecorded}},
	{flow: "phones shown no missed call when another answers", rule: "RFC 3326", by: []any{TestSecondPhoneOfAnAgentStopsRinging}},
	{flow: "channel limit", rule: "RFC 3261 21.5.4", by: []any{TestTrunkLimit}, wire: []string{"TestTrunkIsFullBothWays"}},
	{flow: "OPTIONS, in and out of calls", rule: "RFC 3261 11", play: playOptions},
	{flow: "loss, repetition and reordering", rule: "RFC 3261 17", wire: []string{"TestCallsOnBadNetwork"}},
}

// TestAcceptance plays what is played here, and sees that every other flow has a
// test that exists. With -v it prints the list.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	wire := testsOf(t, filepath.Join("..", "..", "sip"))
	results := make([]string, len(acceptance))
	t.Run("flows", func(t *testing.T) {
		for i, row := range acceptance {
			results[i] = row.shownBy(t, wire)
			if row.play == nil {
				continue
			}
			t.Run(row.flow, func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() {
					results[i] = "passed"
					if t.Failed() {
						results[i] = "FAILED"
					}
				})
				row.play(t)
			})
		}
	})
	var table strings.Builder
	for i, row := range acceptance {
		fmt.Fprintf(&table, "\n%-66s %-20s %s", row.flow, row.rule, results[i])
	}
	t.Log(table.String())
}

// shownBy names the tests that show a flow.
func (a accepted) shownBy(t *testing.T, wire map[string]bool) string {
	t.Helper()
	var names []string
	for _, f := range a.by {
		name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
		names = append(names, name[strings.LastIndex(name, ".")+1:])
	}
	for _, name := range a.wire {
		if !wire[name] {
			t.Errorf("%s: package sip has no %s", a.flow, name)
		}
		names = append(names, "sip."+name)
	}
	if len(names) == 0 && a.play == nil && a.later == "" {
		t.Errorf("%s: shown by nothing", a.flow)
	}
	return strings.TrimSpace(strings.Join(append(names, a.later), " "))
}

// testsOf lists the tests of a package.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	found := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "func "); ok {
				name, _, _ := strings.Cut(rest, "(")
				found[name] = true
			}
		}
	}
	return found
}
