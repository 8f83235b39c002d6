package lab

import (
	"context"
	"fmt"
	"math"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// badSignalling are lines that lose, delay, repeat and reorder both ways: every
// call must be set up, held, resumed and ended, and nobody left with half of it.
func badSignalling(shares ...float64) []Case {
	var all []Case
	for _, share := range shares {
		for i, play := range []func(context.Context, *Scene) error{callerHangsUp, agentHangsUp, holdsAndResumes, callerHolds} {
			all = append(all, Case{
				Name:  fmt.Sprintf("%.0f %% of signalling lost both ways, %s", 100*share, [...]string{"caller hangs up", "agent hangs up", "agent holds", "caller holds"}[i]),
				Limit: 2 * time.Minute,
				Play: func(ctx context.Context, s *Scene) error {
					l := siptest.Link{Loss: share, Delay: 20 * time.Millisecond, Jitter: 60 * time.Millisecond, Duplicate: share, Reorder: share}
					s.lab.net.Impair(s.inside(sipPort), "", l)
					s.lab.net.Impair("", s.inside(sipPort), l)
					return play(ctx, s)
				},
			})
		}
	}
	return all
}

// badMedia are lines whose media suffers; what the switch writes down about it must
// be what the line did.
func badMedia(talk time.Duration) []Case {
	lines := []struct {
		name string
		link siptest.Link
	}{
		{"1 % of media lost", siptest.Link{Loss: 0.01, Delay: 20 * time.Millisecond}},
		{"5 % of media lost", siptest.Link{Loss: 0.05, Delay: 20 * time.Millisecond}},
		{"15 % of media lost", siptest.Link{Loss: 0.15, Delay: 20 * time.Millisecond}},
		{"jitter of 30 ms", siptest.Link{Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond}},
		{"jitter of 80 ms, 5 % lost", siptest.Link{Loss: 0.05, Delay: 20 * time.Millisecond, Jitter: 80 * time.Millisecond}},
		{"a fifth repeated, a tenth late", siptest.Link{Duplicate: 0.2, Reorder: 0.1, ReorderBy: 50 * time.Millisecond}},
	}
	var all []Case
	for _, line := range lines {
		all = append(all, Case{
			Name: line.name, Limit: talk + time.Minute,
			Play: func(ctx context.Context, s *Scene) error {
				s.lab.net.Impair(s.inside(rtpPort), "", line.link)
				s.lab.net.Impair("", s.inside(rtpPort), line.link)
				if err := s.connect(ctx); err != nil {
					return err
				}
				pause(ctx, talk)
				return s.hangUp(ctx, s.caller)
			},
			Judge: wantFigures,
		})
	}
	return all
}

// Lines are lines that are bad all the time.
func Lines(talk time.Duration) []Case {
	return append(badSignalling(0.01, 0.05, 0.15), badMedia(talk)...)
}

// unbelieved are packets that a media leg does not use before it believes its peer,
// and that count as lost where others overtake them.
const unbelieved = 6

// wantFigures compares the record with the line: loss within a point of a hundred,
// jitter within a fifth of what it was at its least or most, the recording as long
// as the talk but for the first packets on a machine that stands still.
func wantFigures(s *Scene, row *loadtest.CDR) {
	lost, sent := s.left.loss()
	q := row.Quality.Agent
	if math.Abs(q.LossRatio-lost) > 0.01+unbelieved/float64(sent) {
		s.fault("the record says %.2f %% lost, the line lost %.2f %% of %d", 100*q.LossRatio, 100*lost, sent)
	}
	least, most, unsure := s.left.jitterRange()
	if q.JitterMS < 0.8*least-1-unsure || q.JitterMS > 1.2*most+1+unsure {
		s.fault("the record says %.1f ms of jitter, the line had %.1f to %.1f", q.JitterMS, least, most)
	}
	s.note("line: %.2f %% lost, jitter %.1f to %.1f ms; record: %.2f %%, %.1f ms, MOS %.2f",
		100*lost, least, most, 100*q.LossRatio, q.JitterMS, q.MOS)
	if d := row.RecordedS - row.TalkS - row.HoldS; math.Abs(d) > 1 {
		s.fault("recorded for %.2f s of a talk of %.2f", row.RecordedS, row.TalkS+row.HoldS)
	}
}
