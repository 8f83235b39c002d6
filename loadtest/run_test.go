package loadtest

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"foyer/sip/siptest"
)

const number = "+33170000001"

func soon(t *testing.T) context.Context {
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(stop)
	return ctx
}

func crew(n int) []Agent {
	all := make([]Agent, n)
	for i := range all {
		all[i] = Agent{User: fmt.Sprintf("agent%03d", i), Password: "pw"}
	}
	return all
}

// clean fails the test for anything that went wrong in a run.
func clean(t *testing.T, r Result, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	for text, n := range r.Errors {
		t.Errorf("%d times: %s", n, text)
	}
	if r.Active != 0 || r.AgentsBusy != 0 || r.Waiting != 0 || r.Talking != 0 || r.Media.Legs != 0 {
		t.Errorf("not back to the start: %+v", r.Status)
	}
}

func TestCallsWithMediaAreMeasured(t *testing.T) {
	s := startToy(t, number)
	r, err := Run(soon(t), Plan{Server: s.addr(), Numbers: []string{number}, Agents: crew(20), Rate: 40, Calls: 40,
		Media: true, Talk: Fixed(600 * time.Millisecond), AgentHangs: 0.5, Seed: 1}, nil)
	clean(t, r, err)
	if r.Answered != 40 || len(r.Calls) != 40 {
		t.Fatalf("%d answered, %d in the books", r.Answered, len(r.Calls))
	}
	if m := r.Media; m.Sent < 40*2*25 || m.Received < m.Sent*8/10 || m.Lost != 0 || m.Misrouted != 0 || m.Deaf != 0 {
		t.Errorf("media %+v", m)
	}
	if r.Media.DelayP50 <= 0 || r.Media.DelayP50 > 5*time.Millisecond {
		t.Errorf("direct delivery took %v", r.Media.DelayP50)
	}
	byAgent := 0
	for _, c := range r.Calls {
		if talk := c.Talk(); talk < 590*time.Millisecond || talk > 1500*time.Millisecond {
			t.Errorf("call %d talked %v", c.Number, talk)
		}
		if c.EndedBy == "agent" {
			byAgent++
		}
	}
	if byAgent < 8 || byAgent > 32 {
		t.Errorf("%d of 40 hung up by the agent", byAgent)
	}
	if r.Offer.N == 0 || r.PostDial.N != 40 || r.Setup.N != 40 {
		t.Errorf("delays %v, %v, %v", r.Offer, r.PostDial, r.Setup)
	}
}

func TestImpatientCallersAndMoodyAgents(t *testing.T) {
	s := startToy(t, number)
	r, err := Run(soon(t), Plan{Server: s.addr(), Numbers: []string{number}, Agents: crew(2), Rate: 50, Calls: 50,
		Talk: Fixed(100 * time.Millisecond), Patience: Exponential(400 * time.Millisecond),
		AnswerAfter: Fixed(20 * time.Millisecond), Decline: 0.3, AgentHangs: 1, Seed: 3}, nil)
	clean(t, r, err)
	if r.Answered+r.Abandoned != 50 || r.Abandoned < 5 || r.Answered < 5 {
		t.Errorf("%d answered, %d abandoned, %d refused, %d failed", r.Answered, r.Abandoned, r.Refused, r.Failed)
	}
	offers := 0
	for _, c := range r.Calls {
		offers += c.Offers
	}
	if offers <= r.Answered {
		t.Errorf("%d offers for %d answers although a third is declined", offers, r.Answered)
	}
}

func TestClosedLoadKeepsItsNumberAndDrains(t *testing.T) {
	s := startToy(t, number)
	ctx := soon(t)
	r, err := Start(ctx, Plan{Server: s.addr(), Numbers: []string{number}, Agents: crew(10), Concurrent: 25, Ramp: 500,
		Talk: Fixed(time.Hour), Seed: 2, Duration: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	arrive, stop := context.WithCancel(ctx)
	arrived := make(chan struct{})
	go func() { defer close(arrived); r.Arrive(arrive) }()
	if err := r.Until(ctx, func(s Status) bool { return s.Talking == 10 && s.Active == 25 }); err != nil {
		t.Error(err)
	}
	if n := r.HangUpAgents(); n != 10 {
		t.Errorf("%d agents hung up", n)
	}
	if err := r.Until(ctx, func(s Status) bool { return s.Talking == 10 && s.Answered == 10 && s.Active == 25 }); err != nil {
		t.Error(err)
	}
	stop()
	<-arrived
	err = r.Drain(ctx)
	r.Close()
	clean(t, r.Result(), err)
}

// lossy is a relay in front of a leg that drops every n-th packet.
func lossy(t *testing.T, target *net.UDPAddr, every int) *net.UDPAddr {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for i := 1; ; i++ {
			n, _, err := pc.ReadFromUDP(b)
			if err != nil {
				return
			}
			if i%every != 0 {
				pc.WriteToUDP(b[:n], target)
			}
		}
	}()
	return pc.LocalAddr().(*net.UDPAddr)
}

func TestLossIsSeen(t *testing.T) {
	s := startToy(t, number)
	s.media = func(from, sdp string) string {
		d, err := siptest.ParseSDP(sdp)
		if err != nil {
			t.Error(err)
			return sdp
		}
		if from == "agent" { // what the caller sends to the agent passes the relay
			at := lossy(t, d.Target(), 10)
			d.Addr, d.Port = at.IP.String(), at.Port
		}
		return d.String()
	}
	r, err := Run(soon(t), Plan{Server: s.addr(), Numbers: []string{number}, Agents: crew(4), Rate: 20, Calls: 4,
		Media: true, Talk: Fixed(2 * time.Second), Seed: 1}, nil)
	clean(t, r, err)
	// 4 calls of 100 packets this way, a tenth of them lost; the last may be the
	// one after the last heard.
	if r.Media.Lost < 32 || r.Media.Lost > 44 {
		t.Errorf("%d packets lost, dropped were about 40", r.Media.Lost)
	}
}

func TestCrossedCallsAreSeen(t *testing.T) {
	s := startToy(t, number)
	var first string
	s.media = func(from, sdp string) string {
		if from != "caller" {
			return sdp
		}
		if first == "" {
			first = sdp
		}
		return first // every agent talks to the first caller
	}
	r, err := Run(soon(t), Plan{Server: s.addr(), Numbers: []string{number}, Agents: crew(2), Rate: 20, Calls: 2,
		Media: true, Talk: Fixed(1500 * time.Millisecond), Seed: 1}, nil)
	clean(t, r, err)
	if r.Media.Misrouted < 40 {
		t.Errorf("%d packets seen in the wrong call, about 75 were", r.Media.Misrouted)
	}
	if r.Media.Deaf != 1 {
		t.Errorf("%d deaf legs, want the second caller's", r.Media.Deaf)
	}
}
