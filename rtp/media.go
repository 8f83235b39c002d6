package rtp

import (
	cryptorand "crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Options say where media is sent and received.
type Options struct {
	Addr         netip.Addr    // bound
	Public       netip.Addr    // written in SDP; zero: Addr
	MinPort      uint16        // inclusive; RTP on even ports, RTCP on the odd one above
	MaxPort      uint16        // inclusive
	Shards       int           // 0: half the processors, at least 1
	Quarantine   time.Duration // a released port rests this long, 0: 60 s (shortened only when the pool would otherwise be exhausted)
	MediaTimeout time.Duration // a leg told to watch is reported silent after this long; 0: 30 s
	Log          *zap.Logger

	// Memory and Sockets keep legs beyond the process. Open takes up those of the last one,
	// Resume tells whose each is, and Resumed must be called when that is done, before the
	// first NewLeg, also if there was nothing to take up. Both or none; without them
	// nothing is kept and nothing is spent. Sockets are stored by names that begin with
	// "m" and go on with a number: up to three for each leg, and some dozens that no leg
	// has yet.
	Memory  Memory
	Sockets Store

	// TapMemory gives the tap of a shard memory that outlives the process: TapMemory
	// bytes, all zero when new, aligned to a page. nil: taps are lost with it.
	TapMemory func(shard int) ([]byte, error)
}

// Media owns the port pool and the shards. Any goroutine may call its methods.
//
// Open raises GOMAXPROCS by the number of shards, because each keeps its Go
// processor while it sleeps; Close lowers it again.
type Media struct {
	addr     netip.Addr
	public   netip.Addr
	ports    *portPool
	shards   []*shard
	identity tls.Certificate // of DTLS
	run      sync.WaitGroup
	close    sync.Once
	closed   atomic.Bool
	log      *zap.Logger

	memory Memory             // nil: nothing is kept
	stock  *stock             // nil as well
	left   map[uint16][]int32 // sockets of no leg that the last process has left, by their port; until Resumed
	resume sync.Mutex
	back   map[string]*resumption // what Resume has not been called for, by key; nil after Resumed
}

// Open starts the shards. Errors say what of the options cannot be used.
func Open(o Options) (*Media, error) {
	o = o.withDefaults()
	if !o.Addr.IsValid() {
		return nil, errors.New("media: no address to bind")
	}
	var seed [32]byte
	if _, err := cryptorand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("media ports: %w", err)
	}
	ports := newPortPool(o.MinPort, o.MaxPort, o.Quarantine, rand.New(rand.NewChaCha8(seed)))
	if ports.limit == 0 {
		return nil, fmt.Errorf("media ports: no even port with its odd neighbour in %d-%d", o.MinPort, o.MaxPort)
	}
	if (o.Memory == nil) != (o.Sockets == nil) {
		return nil, errors.New("media: memory without sockets, or sockets without memory")
	}
	identity, err := keptIdentity(o.Memory, time.Now())
	if err != nil {
		return nil, err
	}
	m := &Media{addr: o.Addr, public: o.Public, ports: ports, identity: identity, log: o.Log, memory: o.Memory}
	if o.Sockets != nil {
		m.stock = newStock(&o, ports)
	}
	for i := range o.Shards {
		s, err := newShard(&o, ports, m.stock)
		if err == nil && o.TapMemory != nil {
			err = s.keepTap(i, o.TapMemory)
		}
		if err != nil {
			for _, s := range m.shards {
				s.release()
			}
			return nil, err
		}
		s.number, s.beside, s.identity = i, &m.run, identity
		m.shards = append(m.shards, s)
	}
	if m.stock != nil {
		m.left = m.stock.inherit()
	}
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + len(m.shards))
	for _, s := range m.shards {
		m.run.Go(s.run)
	}
	if m.memory != nil {
		m.takeUp()
	}
	return m, nil
}

func (o Options) withDefaults() Options {
	o.Addr = o.Addr.Unmap()
	if !o.Public.IsValid() {
		o.Public = o.Addr
	}
	if o.Shards <= 0 {
		o.Shards = max(runtime.NumCPU()/2, 1)
	}
	if o.Quarantine == 0 {
		o.Quarantine = time.Minute
	}
	if o.MediaTimeout == 0 {
		o.MediaTimeout = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Close ends the shards and waits for them. Legs still open are closed, and nothing of
// them is kept.
func (m *Media) Close() error {
	m.end(false)
	return nil
}

// Leave ends the shards and waits for them, and leaves legs, records and sockets to
// the next process, which goes on as after a kill. It is not needed for that.
func (m *Media) Leave() { m.end(m.memory != nil) }

func (m *Media) end(leave bool) {
	m.close.Do(func() {
		m.closed.Store(true)
		for _, s := range m.shards {
			s.post(func() { s.stop, s.leave = true, leave })
		}
		m.run.Wait()
		m.resume.Lock()
		for _, fds := range m.left {
			closeSockets(fds...)
		}
		m.left = nil
		m.resume.Unlock()
		if m.stock != nil {
			m.stock.close(leave)
		}
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)-len(m.shards), 1))
	})
}

// Taps are the ways to the recorder, one for each shard.
func (m *Media) Taps() []*Tap {
	taps := make([]*Tap, len(m.shards))
	for i, s := range m.shards {
		taps[i] = s.tap
	}
	return taps
}

// Ports tells how many port pairs are in use, and how many there are.
func (m *Media) Ports() (used, limit int) { return m.ports.count() }

// Faults tells how many faults of ours were confined to the leg or the handshake they
// happened in.
func (m *Media) Faults() (n uint64) {
	for _, s := range m.shards {
		n += s.faults.Load()
	}
	return n
}

// Totals sums all legs, past and present, by role (0 trunk, 1 agent, ...) for
// metrics. They are up to 100 ms old.
func (m *Media) Totals() []Totals {
	sums := make([]Totals, roles)
	for _, s := range m.shards {
		s.mu.Lock()
		for i := range sums {
			sums[i].add(s.told[i])
		}
		s.mu.Unlock()
	}
	return sums
}

// NewLeg binds a pair of ports and gives them to a shard. The leg hears nobody
// and is heard by nobody. It fails with ErrPortsFull when no port is left.
func (m *Media) NewLeg(o LegOptions) (*Leg, error) {
	if o.Role >= roles {
		return nil, fmt.Errorf("media leg: role %d is not known", o.Role)
	}
	if m.closed.Load() {
		return nil, fmt.Errorf("media leg: %w", errClosed)
	}
	l := &Leg{shard: m.place(o.Beside), role: o.Role, sink: o.Sink, out: newOutflow(), control: newControl(), open: noSocket}
	l.terms = l.stream.terms()
	if err := m.bind(l); err != nil {
		return nil, fmt.Errorf("media leg: %w", err)
	}
	if err := m.keep(l); err != nil {
		m.log.Error("media leg not kept", zap.Stringer("port", l.local), zap.Error(err))
	}
	l.shard.load.Add(1)
	l.shard.post(func() {
		if l.shard.stop {
			l.closed, l.last = true, new(Report)
			l.forget()
			l.shard.giveBack(l)
			return
		}
		l.shard.join(l)
	})
	return l, nil
}

// place picks the shard of the leg it will be bridged with, else the one with
// the fewest legs.
func (m *Media) place(beside *Leg) *shard {
	if beside != nil {
		return beside.shard
	}
	least := m.shards[0]
	for _, s := range m.shards[1:] {
		if s.load.Load() < least.load.Load() {
			least = s
		}
	}
	return least
}

// bind takes ports until both of a pair can be bound. Those that somebody else
// holds rest in the pool like used ones.
func (m *Media) bind(l *Leg) error {
	_, limit := m.ports.count()
	for range limit {
		port, err := m.ports.take(time.Now())
		if err != nil {
			return err
		}
		l.local = netip.AddrPortFrom(m.addr, port)
		l.addr = netip.AddrPortFrom(m.public, port)
		l.port = port
		l.fd, l.rtcp = noSocket, noSocket
		if l.fd, err = m.open(l.local); err == nil {
			l.rtcp, err = m.open(netip.AddrPortFrom(m.addr, port+1))
		}
		if err == nil {
			return nil
		}
		m.giveBack(port, l.fd, l.rtcp)
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return ErrPortsFull
}

// open makes a socket that is bound, and stored if it is kept.
func (m *Media) open(at netip.AddrPort) (int32, error) {
	var fd int32
	var err error
	if m.stock != nil {
		fd, err = m.stock.takeWaiting()
	} else {
		fd, err = newSocket(at.Addr())
	}
	if err == nil {
		err = bindSocket(fd, at)
	}
	return fd, err
}

// giveBack closes the sockets of a port, which rests then.
func (m *Media) giveBack(port uint16, fds ...int32) {
	if m.stock != nil {
		m.stock.drop(port, fds...)
		return
	}
	closeSockets(fds...)
	m.ports.release(port, time.Now())
}
