package lab

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// frame is 20 ms of G.711.
const (
	frame     = 160
	frameTime = 20 * time.Millisecond
	rtpHeader = 12
)

// Voice is what one party says and hears: a marked packet every 20 ms once it
// knows where to.
type Voice struct {
	pc   net.PacketConn
	side loadtest.Side
	call uint32
	tone []byte
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	to    *net.UDPAddr
	muted bool
	sent  uint32
	heard Heard
}

// Heard is what has come to a party, in packets.
type Heard struct {
	Other  int // of the other party of this call
	Music  int // unmarked: music, announcements
	Astray int // of another call, or one's own voice
	Last   time.Time
}

// NewVoice lets a party of a call speak by a socket, which is the voice's then.
func NewVoice(pc net.PacketConn, call uint32, side loadtest.Side) *Voice {
	v := &Voice{pc: pc, call: call, side: side, stop: make(chan struct{}), tone: loadtest.Tone(440+220*int(side), loadtest.PCMA)}
	v.done.Go(v.speak)
	v.done.Go(v.listen)
	return v
}

// Close ends the voice and its socket.
func (v *Voice) Close() {
	close(v.stop)
	v.pc.Close()
	v.done.Wait()
}

// Offer describes where the voice hears, with a direction ("" is both ways).
func (v *Voice) Offer(direction string) siptest.SDP {
	sdp := siptest.Audio(v.pc.LocalAddr())
	sdp.Direction = direction
	return sdp
}

// TalkTo lets the voice speak to where a description says, or to nobody if the
// description says so.
func (v *Voice) TalkTo(sdp string) error {
	d, err := siptest.ParseSDP(sdp)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.to = d.Target()
	return nil
}

// Mute lets the voice send nothing, like a telephone that saves packets.
func (v *Voice) Mute(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.muted = on
}

// Heard returns what has come so far.
func (v *Voice) Heard() Heard {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.heard
}

func (v *Voice) speak() {
	tick := time.NewTicker(frameTime / 4)
	defer tick.Stop()
	packet := make([]byte, rtpHeader+frame)
	packet[0], packet[1] = 2<<6, siptest.PCMA
	binary.BigEndian.PutUint32(packet[8:], rand.Uint32())
	begun := time.Now()
	for spoken := uint32(0); ; {
		select {
		case <-tick.C:
		case <-v.stop:
			return
		}
		// A ticker leaves out ticks on a busy machine; a telephone's clock does not.
		for due := uint32(time.Since(begun) / frameTime); spoken < due; spoken++ {
			v.say(packet, spoken)
		}
	}
}

// say sends the n-th 20 ms.
func (v *Voice) say(packet []byte, n uint32) {
	v.mu.Lock()
	to, quiet, seq := v.to, v.muted || v.to == nil, v.sent
	if !quiet {
		v.sent++
	}
	v.mu.Unlock()
	if quiet {
		return
	}
	binary.BigEndian.PutUint16(packet[2:], uint16(seq))
	binary.BigEndian.PutUint32(packet[4:], n*frame)
	at := int(n) * frame % len(v.tone)
	copy(packet[rtpHeader:], v.tone[at:at+frame])
	m := loadtest.Marker{Call: v.call, Side: v.side, Seq: seq, Sent: time.Now().UnixNano()}
	m.Put(packet[rtpHeader:], loadtest.PCMA)
	_, _ = v.pc.WriteTo(packet, to) // a lost packet is what the laboratory is about
}

func (v *Voice) listen() {
	buf := make([]byte, 2048)
	for {
		n, _, err := v.pc.ReadFrom(buf)
		if err != nil {
			select {
			case <-v.stop:
				return
			default:
				continue // an ICMP error of an earlier send
			}
		}
		v.hear(buf[:n])
	}
}

func (v *Voice) hear(packet []byte) {
	if len(packet) < rtpHeader || packet[0]>>6 != 2 || packet[1]&0x7f != siptest.PCMA {
		return
	}
	var m loadtest.Marker
	marked := m.Get(packet[rtpHeader:], loadtest.PCMA)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case !marked:
		v.heard.Music++
	case m.Call != v.call || m.Side == v.side:
		v.heard.Astray++
	default:
		v.heard.Other++
		v.heard.Last = time.Now()
	}
}
