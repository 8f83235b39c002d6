package rtp

import (
	"bufio"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/rtp"
)

// killsEnv is how often TestTalksOutliveKills kills; 20 times without it.
const killsEnv = "FOYER_RTP_KILLS"

// talker is a peer that sends 50 packets a second and notes what it gets.
type talker struct {
	name    string
	channel uint8
	live    bool // hears another peer, not a list
	say     func(payload []byte)
	sent    []uint16 // numbers
	next    func() uint16

	mu    sync.Mutex
	ssrc  uint32
	heard []arrival
	wire  map[uint16]string // as they came
}

type arrival struct {
	seq    uint16
	ts     uint32
	at     time.Time
	spoken time.Time // when the payload was made, of one that is not translated
}

// note takes a packet the talker got: raw, and in the clear.
func (k *talker) note(t *testing.T, raw []byte, clear *pion.Packet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.heard) == 0 {
		k.ssrc = clear.SSRC
	}
	if clear.SSRC != k.ssrc {
		t.Errorf("%s: SSRC %x after %x", k.name, clear.SSRC, k.ssrc)
	}
	if other, twice := k.wire[clear.SequenceNumber]; twice && other != string(raw) {
		t.Errorf("%s: number %d twice, with other content", k.name, clear.SequenceNumber)
	}
	k.wire[clear.SequenceNumber] = string(raw)
	k.heard = append(k.heard, arrival{clear.SequenceNumber, clear.Timestamp, time.Now(), time.Unix(0, int64(binary.BigEndian.Uint64(clear.Payload[8:])))})
}

// talks makes a talker of a peer.
func (p *peer) talks(t *testing.T, run *sync.WaitGroup, name string, channel uint8, live bool, pt uint8) *talker {
	k := &talker{name: name, channel: channel, live: live, wire: map[uint16]string{}}
	k.say = func(payload []byte) { p.say(pt, payload) }
	k.next = func() uint16 { return p.seq }
	run.Go(func() {
		b := make([]byte, 2000)
		for {
			n, from, err := p.conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			switch raw := b[:n]; {
			case isRTCP(raw) && from != p.leg.Addr(): // somebody else's report
			case isRTCP(raw) && p.rx != nil:
				if _, err := p.rx.DecryptRTCP(nil, raw, nil); err != nil {
					t.Errorf("%s: a report that is not accepted: %v", name, err)
				}
			case isRTCP(raw):
			default:
				clear := raw
				if p.rx != nil {
					if clear, err = p.rx.DecryptRTP(nil, raw, nil); err != nil {
						t.Errorf("%s: a packet that is not accepted: %v", name, err)
						continue
					}
				}
				var packet pion.Packet
				if err := packet.Unmarshal(clear); err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				k.note(t, raw, &packet)
			}
		}
	})
	return k
}

// talks makes a talker of a browser.
func (b *browser) talks(t *testing.T, run *sync.WaitGroup, stop chan struct{}, name string, channel uint8) *talker {
	k := &talker{name: name, channel: channel, live: true, wire: map[uint16]string{}}
	k.say = b.say
	k.next = func() uint16 { return b.seq }
	run.Go(func() {
		for {
			select {
			case packet := <-b.heard:
				k.note(t, packet.Payload, &packet)
			case <-stop:
				return
			}
		}
	})
	return k
}

// Peers of every kind talk while the process that carries them is killed, again and
// again, at any moment. Each packet that they have sent is in the recording once; what
// each of them gets is one stream whose numbers go on, with a hole at most where a
// packet was numbered and not sent; nothing encrypted is sent under a number that was
// used.
func TestTalksOutliveKills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: not in make check")
	}
	kills := 20
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	h := newHolder(t)
	m := h.life(nil)
	mux := func(st Stream) Stream { st.Mux = true; return st }
	var peers []*peer
	pair := func(a, b *peer) {
		nearTheTurn(a.leg)
		nearTheTurn(b.leg)
		Bridge(a.leg, b.leg)
		peers = append(peers, a, b)
	}
	law := newPeer(t, m, nil, alaw())
	pair(law, newPeer(t, m, law.leg, ulaw()))
	cm := shielded(t, m, nil, mux(alaw()), keysFor(CM80))
	pair(cm, newPeer(t, m, cm.leg, alaw()))
	gcm := shielded(t, m, nil, mux(alaw()), keysFor(GCM128))
	pair(gcm, shielded(t, m, gcm.leg, mux(alaw()), keysFor(CM32)))
	waiting := shielded(t, m, nil, mux(alaw()), keysFor(GCM256))
	nearTheTurn(waiting.leg)
	waiting.leg.Hear(music())
	plain := newPeer(t, m, nil, ulaw())
	plain.leg.Hear(music())
	peers = append(peers, waiting, plain)
	desk := newPeer(t, m, nil, alaw())
	page := newBrowser(t, m, desk.leg, true)
	page.calls()
	nearTheTurn(page.leg)
	Bridge(desk.leg, page.leg)
	peers = append(peers, desk)

	var run sync.WaitGroup
	stop := make(chan struct{})
	var talkers []*talker
	for i, p := range peers {
		pt := p.leg.streamOf().PT
		live := p != waiting && p != plain
		k := p.talks(t, &run, strings.TrimPrefix(p.leg.Key(), keyPrefix), uint8(i), live, pt)
		p.leg.Tap(1, uint8(i))
		p.sync()
		talkers = append(talkers, k)
	}
	k := page.talks(t, &run, stop, "page", uint8(len(peers)))
	page.leg.Tap(1, k.channel)
	page.report()
	talkers = append(talkers, k)

	var beat sync.Mutex // held while everybody sends a packet
	var sending sync.WaitGroup
	quiet := make(chan struct{})
	sending.Go(func() {
		clock := time.NewTicker(20 * time.Millisecond)
		defer clock.Stop()
		for {
			select {
			case now := <-clock.C:
				beat.Lock()
				payload := frame(byte(now.UnixMilli()))
				binary.BigEndian.PutUint64(payload[8:], uint64(time.Now().UnixNano()))
				for _, k := range talkers {
					k.sent = append(k.sent, k.next())
					k.say(payload)
				}
				beat.Unlock()
			case <-quiet:
				return
			}
		}
	})
	until(t, "everybody is heard", func() bool {
		for _, k := range talkers {
			k.mu.Lock()
			n := len(k.heard)
			k.mu.Unlock()
			if n < 10 {
				return false
			}
		}
		return true
	})
	m.Leave()

	// The recorder reads between the lives: so what a kill leaves in the tap is seen.
	taped := make([]map[uint16]int, len(talkers))
	for i := range taped {
		taped[i] = map[uint16]int{}
	}
	record := func(tap *Tap) {
		tap.Read(func(r TapRecord) {
			switch r.Kind {
			case TapPacket:
				taped[r.Channel][r.Seq]++
			case TapStop:
				t.Errorf("the tap of channel %d was ended", r.Channel)
			}
		})
	}
	tap := mapped(t, h.tap, TapMemory)
	record(OldTap(tap))

	var killed []time.Time
	var up []time.Duration
	for i := range kills {
		began := time.Now()
		c, out := h.process(here())
		early := i%4 == 3 // also while it takes up the legs
		life := time.Duration(rnd.IntN(400)) * time.Millisecond
		if early {
			life = time.Duration(rnd.IntN(20000)) * time.Microsecond
			time.AfterFunc(life, func() { _ = c.Process.Kill() })
		}
		resumed := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			switch line := lines.Text(); {
			case line == "resumed":
				resumed = true
				up = append(up, time.Since(began))
				if !early {
					time.AfterFunc(life, func() { _ = c.Process.Kill() })
				}
			case strings.Contains(line, "Bridge"):
			default:
				t.Errorf("life %d says %q", i, line)
			}
		}
		killed = append(killed, time.Now())
		if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("life %d ended by itself: %v", i, err)
		}
		if !resumed && !early {
			t.Fatalf("life %d took up nothing", i)
		}
		h.sync()
		record(OldTap(tap))
	}

	m = h.life(nil)
	beat.Lock()
	for _, p := range peers {
		p.again(m, music())
	}
	var err error
	if page.leg, err = m.Resume(page.leg.Key(), LegOptions{}); err != nil {
		t.Fatal(err)
	}
	beat.Unlock()
	m.Resumed()
	time.Sleep(200 * time.Millisecond) // of a last life in peace
	close(quiet)
	sending.Wait()
	for _, p := range peers {
		if r := p.sync(); r.Unproven > 0 || r.Refused > 0 || r.Malformed > 0 {
			t.Errorf("%+v", r)
		}
	}
	until(t, "all that was sent is read", func() bool {
		record(m.Taps()[0])
		for i, k := range talkers {
			if len(taped[i]) < len(k.sent) {
				return false
			}
		}
		return true
	})
	record(m.Taps()[0])
	for _, p := range peers {
		_ = p.conn.Close()
	}
	close(stop)
	run.Wait()

	var gaps, ages []time.Duration
	for i, k := range talkers {
		lost, twice := 0, 0
		for _, seq := range k.sent {
			switch taped[i][seq] {
			case 0:
				lost++
			case 1:
			default:
				twice++
			}
		}
		if lost > 0 || twice > 0 || len(taped[i]) != len(k.sent) {
			t.Errorf("%s: of %d packets sent %d are not recorded, %d twice; %d recorded", k.name, len(k.sent), lost, twice, len(taped[i]))
		}
		k.check(t, kills)
		if k.live {
			g, a := k.gaps(killed)
			gaps, ages = append(gaps, g...), append(ages, a...)
		}
	}
	slices.Sort(gaps)
	slices.Sort(ages)
	slices.Sort(up)
	if len(gaps) > 0 && len(up) > 0 {
		t.Logf("%d kills, %d talkers, %d packets each: from the start of a process to its legs going on p50 %v, p99 %v; nothing heard for p50 %v, p99 %v, longest %v",
			kills, len(talkers), len(talkers[0].sent), at(up, 50), at(up, 99), at(gaps, 50), at(gaps, 99), gaps[len(gaps)-1])
		t.Logf("age of a packet heard: p50 %v, p99 %v, oldest %v", at(ages, 50), at(ages, 99), ages[len(ages)-1])
	}
}

func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100].Round(100 * time.Microsecond)
}

// check looks at the stream that the talker got.
func (k *talker) check(t *testing.T, kills int) {
	holes := 0
	for i := 1; i < len(k.heard); i++ {
		before, now := k.heard[i-1], k.heard[i]
		switch step := int16(now.seq - before.seq); {
		case step <= 0:
			t.Errorf("%s: number %d after %d", k.name, now.seq, before.seq)
		case step > 1:
			holes += int(step) - 1
		}
		if later := int32(now.ts - before.ts); later <= 0 || time.Duration(later)*time.Second/clockRate > now.at.Sub(before.at)+time.Second {
			t.Errorf("%s: timestamp later by %d after %v", k.name, later, now.at.Sub(before.at))
		}
	}
	if holes > kills {
		t.Errorf("%s: %d numbers left out by %d kills", k.name, holes, kills)
	}
	if len(k.heard) < 10 {
		t.Errorf("%s: only %d packets heard", k.name, len(k.heard))
	}
}

// gaps is how long nothing was heard around each kill, and how old what was heard was.
func (k *talker) gaps(killed []time.Time) (gaps, ages []time.Duration) {
	for i := 1; i < len(k.heard); i++ {
		from, to := k.heard[i-1].at, k.heard[i].at
		for _, at := range killed {
			if from.Before(at) && !to.Before(at) {
				gaps = append(gaps, to.Sub(from))
				break
			}
		}
		if age := k.heard[i].at.Sub(k.heard[i].spoken); age > 0 && age < time.Minute {
			ages = append(ages, age)
		}
	}
	return gaps, ages
}

// nearTheTurn lets the next turn of the numbers that a leg sends begin soon. Nothing has
// been sent yet.
func nearTheTurn(l *Leg) { l.post(func(*shard) { l.out.seq = 65480 }) }

// streamOf is what the leg was set to.
func (l *Leg) streamOf() Stream {
	done := make(chan Stream)
	l.post(func(*shard) { done <- l.stream })
	return <-done
}
