package lab

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// Case is one situation.
type Case struct {
	Name     string
	Kind     siptest.NATKind
	Lifetime time.Duration // of the router's mappings; 0 is 30 s
	ALG      *ALG
	Limit    time.Duration // for the play; 0 is a minute
	Play     func(context.Context, *Scene) error
	// Judge, if set, looks at the call's record when all is over.
	Judge func(*Scene, *loadtest.CDR)
}

// Row is what a case came to.
type Row struct {
	Name   string
	Calls  int
	OneWay int
	Loss   float64 // of what the agent sent, by the switch's record
	MOS    float64
	Notes  []string
	Faults []string
}

// Options are one run of the laboratory.
type Options struct {
	Bin   string // the switch
	Dir   string // for its data; must exist
	IP    string // of the switch; "" is an address of this process
	Desk  string // of its readings; "" is IP
	Seed  uint64
	Probe time.Duration // how often the switch asks a phone; 0 is 1 s
	Cases []Case
	// Tolerance is how far the times in the switch's books may be from what the
	// parties saw; 0 is 4 s, for by a bad line a hang-up takes seconds to arrive.
	Tolerance time.Duration
	// AtOnce is how many cases are played at a time; 0 is 8.
	AtOnce int
}

// Lab is a switch and the homes around it.
type Lab struct {
	sw     *loadtest.Switch
	server string
	net    *siptest.Net
	block  int // second byte of the homes' public addresses
}

var labs atomic.Int32

// address is the public address of a home. Each has a network of its own: the
// switch may believe a neighbour in the same /24.
func (l *Lab) address(home int) string { return fmt.Sprintf("127.%d.%d.7", l.block, 1+home) }

// Run plays cases and returns a row for each, in their order, and what the audit
// of the switch's books found; the error is of what kept them from being played.
func Run(ctx context.Context, o Options) (rows []Row, found []string, err error) {
	if o.Probe == 0 {
		o.Probe = time.Second
	}
	if o.AtOnce == 0 {
		o.AtOnce = 8
	}
	if o.Tolerance == 0 {
		o.Tolerance = 4 * time.Second
	}
	one := labs.Add(1)
	if o.IP == "" {
		o.IP = fmt.Sprintf("127.%d.%d.%d", 24+os.Getpid()%40, os.Getpid()/40%256, 1+one%250)
	}
	sw, err := loadtest.StartSwitch(ctx, o.Bin, loadtest.Setup{Dir: o.Dir, IP: o.IP, Desk: o.Desk, Agents: len(o.Cases), Apart: true,
		Record: true, Probe: o.Probe, RTPPorts: [2]int{20000, 20063 + 16*len(o.Cases)}})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if stopErr := sw.Stop(context.WithoutCancel(ctx)); err == nil {
			err = stopErr
		}
	}()
	sw.Tolerance = o.Tolerance
	l := &Lab{sw: sw, server: fmt.Sprintf("%s:%d", sw.IP, sw.SIPPort), net: siptest.NewNet(o.Seed),
		block: 192 + (os.Getpid()+int(one)*7)%60}
	before, err := sw.Readings(ctx)
	if err != nil {
		return nil, nil, err
	}
	scenes := l.play(ctx, &o)
	// The phones stay until the switch has said all it has to say to them.
	resting, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	_, err = sw.AtRest(resting)
	for _, s := range scenes {
		s.close()
	}
	if err != nil {
		return nil, nil, err
	}
	return l.account(ctx, scenes, before)
}

// play plays every case, some at a time.
func (l *Lab) play(ctx context.Context, o *Options) []*Scene {
	scenes := make([]*Scene, len(o.Cases))
	slots := make(chan struct{}, o.AtOnce)
	var all sync.WaitGroup
	for i, c := range o.Cases {
		s := &Scene{lab: l, rules: c, number: i}
		scenes[i] = s
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			s.act(ctx)
		})
	}
	all.Wait()
	return scenes
}

// act plays one case.
func (s *Scene) act(ctx context.Context) {
	limit := s.rules.Limit
	if limit == 0 {
		limit = time.Minute
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	defer s.part()
	err := s.open()
	if err == nil {
		err = s.rules.Play(ctx, s)
	}
	if err != nil {
		s.fault("%v", err)
	}
}

// account compares what the scenes saw with what the switch wrote down.
func (l *Lab) account(ctx context.Context, scenes []*Scene, before loadtest.Readings) ([]Row, []string, error) {
	var calls []loadtest.Call
	for _, s := range scenes {
		if !s.account.Started.IsZero() {
			calls = append(calls, s.account)
		}
		calls = append(calls, s.more...)
	}
	found, err := l.sw.Audit(ctx, calls, before)
	if err != nil {
		return nil, nil, err
	}
	records, err := l.sw.CDRs(ctx)
	if err != nil {
		return nil, nil, err
	}
	byCall := map[string]*loadtest.CDR{}
	for i := range records {
		byCall[records[i].SIPCallID] = &records[i]
	}
	rows := make([]Row, 0, len(scenes))
	for _, s := range scenes {
		r := Row{Name: s.rules.Name}
		r.Calls = len(s.more)
		if s.caller != nil && s.caller.call != nil {
			r.Calls++
			if cdr := byCall[s.caller.call.ID()]; cdr != nil {
				if s.rules.Judge != nil {
					s.rules.Judge(s, cdr)
				}
				r.Loss, r.MOS = cdr.Quality.Agent.LossRatio, cdr.MOSMin
			}
		}
		r.OneWay, r.Notes, r.Faults = s.OneWay, s.Notes, s.Faults
		rows = append(rows, r)
	}
	return rows, found, nil
}
