package rtp

import (
	"errors"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"go.uber.org/zap"
)

// shield protects the stream of a leg (RFC 3711). It belongs to the shard. Until
// rx and tx are there, by SDP or by a handshake, nothing is heard and nothing sent.
//
// What it costs a relayed packet of 20 ms, decrypted and encrypted, by BenchmarkAdded:
// in turns with plain RTP, in microseconds of processor, 200 and 500 calls, on 2 cores
// that other work kept busy.
//
//	                                            AES-CM, HMAC-SHA1   AES-GCM
//	the library alone, of one leg               0.79 and 0.80       0.23
//	the library alone, a packet of each leg     2.0 and 2.3         1.1
//	each 20 ms, so that nothing is in the cache
//	a shard more than its 5.3 to 6.1 for plain  2.7 and 2.8         1.4 and 1.6
//
// So a shard adds 1.2 to 1.4 times what the library takes of as many legs at that
// pace, and 3.5 to 7 times what it takes of one leg back to back. It was 1.4 to 2
// times before shards read, judge and send packets in groups (shard.receive).
type shield struct {
	keys   Keys
	rx, tx *srtp.Context
	was    *srtp.Context // rx before the peer changed its key, until the first packet under the new one
	sent   [2]once       // numbers used under tx: of the stream in the usual clock, and in that of Opus
	placed bool          // tx knows the ROC of the first of sent

	ssrc    uint32 // of the last packet that proved itself
	index   uint64 // the newest of that SSRC
	sources int    // SSRCs that rx keeps numbers of
	reports int    // the same for RTCP

	// For the next process, and from the last (keep.go, resume.go).
	ours, theirs uint16   // which of the keys are in use, counted from the first
	reported     uint32   // newest SRTCP index under tx
	past         []source // other SSRCs heard under rx
	before       []source // heard by the last process

	association *association // DTLS
	checks      *checks      // ICE
}

// maxSources are the SSRCs one key is used with: a phone that starts its stream
// anew takes another. More would let the peer fill our memory.
const maxSources = 64

// replayWindow is how many packets back a copy is known for one (RFC 3711 section 3.3.2).
const replayWindow = 128

// SRTPError says why a packet that came to a protected leg was not used.
type SRTPError uint8

const (
	SRTPForged    SRTPError = iota // does not prove that it is the peer's
	SRTPReplayed                   // did once, and comes again
	SRTPEarly                      // before there were keys
	SRTPMalformed                  // no packet at all
	SRTCPForged                    // RTCP that does not prove itself, or comes again
	DTLSFailed                     // a handshake that did not end well
	DTLSPrint                      // the peer's certificate is not the one its SDP promised
	DTLSStray                      // a handshake packet from where no peer can be
	srtpErrors
)

func (e SRTPError) String() string {
	return [...]string{"forged", "replayed", "early", "malformed", "rtcp", "handshake", "fingerprint", "stray"}[e]
}

// SRTPErrors is how often each happened.
type SRTPErrors [srtpErrors]uint64

// Add sums them.
func (e *SRTPErrors) Add(o SRTPErrors) {
	for i, n := range o {
		e[i] += n
	}
}

// once keeps a number from being used twice under one key: with AES in counter
// mode that would give away what was said, and with GCM the key that proves it.
// Whatever a source does, a number that may have been sent is not sent again.
type once struct {
	begun  bool
	newest uint64 // with its ROC (RFC 3711 section 3.3.1)
	used   uint64 // bit n: newest-n
}

func (o *once) first(seq uint16) bool {
	step := int16(seq - uint16(o.newest))
	switch {
	case !o.begun:
		*o = once{begun: true, newest: uint64(seq), used: 1}
	case step > 0:
		o.newest, o.used = o.newest+uint64(step), o.used<<uint(step)|1
	case step <= -64, o.used&(1<<uint(-step)) != 0:
		return false
	default:
		o.used |= 1 << uint(-step)
	}
	return true
}

// rekey takes keys into use. A direction whose key stays goes on counting where it is.
func (c *shield) rekey(k Keys) error {
	rx, tx := c.rx, c.tx
	var err error
	if k.Theirs != c.keys.Theirs || k.MKI != c.keys.MKI || rx == nil {
		if rx, err = newContext(k.Suite, k.Theirs, k.MKI); err != nil {
			return err
		}
	}
	if k.Ours != c.keys.Ours || tx == nil {
		if tx, err = newContext(k.Suite, k.Ours, ""); err != nil {
			return err
		}
	}
	if rx != c.rx {
		c.was, c.sources, c.reports = c.rx, 0, 0
		c.past, c.before, c.theirs = nil, nil, c.theirs+1
	}
	if tx != c.tx {
		c.sent, c.placed, c.reported, c.ours = [2]once{}, false, 0, c.ours+1
	}
	c.keys, c.rx, c.tx = k, rx, tx
	return nil
}

func newContext(s Suite, key Secret, mki string) (*srtp.Context, error) {
	options := []srtp.ContextOption{srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow)}
	if mki != "" {
		options = append(options, srtp.MasterKeyIndicator([]byte(mki)))
	}
	if s == noSuite || len(key) != suites[s-1].key+suites[s-1].salt {
		return nil, errors.New("SRTP key of a wrong length")
	}
	at := suites[s-1].key
	return srtp.CreateContext([]byte(key[:at]), []byte(key[at:]), suites[s-1].profile, options...)
}

// protect makes what SDP says about protection so.
func (s *shard) protect(l *Leg, st *Stream) {
	if st.Guard == Plain {
		s.unprotect(l)
		return
	}
	if l.shield == nil {
		l.shield = new(shield)
	}
	c := l.shield
	s.meet(c, st.ICE)
	if st.Guard == DTLS {
		s.associate(l, *st.DTLS)
		return
	}
	c.abandon()
	s.rekey(l, *st.Keys)
}

func (s *shard) unprotect(l *Leg) {
	if l.shield != nil {
		l.shield.abandon()
		l.shield = nil
	}
}

func (s *shard) rekey(l *Leg, k Keys) {
	if err := l.shield.rekey(k); err != nil {
		s.log.Error("media leg without keys", zap.Stringer("port", l.local), zap.Error(err))
	}
	s.change(l)
}

// unproven counts a packet that a protected leg does not use.
func (s *shard) unproven(l *Leg, why SRTPError) {
	l.unproven++
	s.totals[l.role].SRTP[why]++
}

// The first byte tells what shares a port (RFC 7983 section 7).
func isCheck(b []byte) bool     { return len(b) > 0 && b[0] < 4 }
func isHandshake(b []byte) bool { return len(b) > 0 && b[0] >= 20 && b[0] < 64 }

// arriveShielded judges a packet that came to a protected leg. Whoever sent it: it
// is the peer's if, and only if, it is made with the peer's key.
func (s *shard) arriveShielded(l *Leg, from *sockaddr, data []byte, wall int64) bool {
	switch {
	case isCheck(data):
		s.check(l, l.unconnected(), from, data)
		return false
	case isHandshake(data):
		s.handOver(l, from, data)
		return false
	case l.terms.mux && isRTCP(data):
		s.control(l, from, data, wall)
		return true
	}
	data, ok := s.unlock(l, data)
	if !ok {
		return false
	}
	var p packet
	if !s.read(l, &p, data, wall) {
		l.malformed++
		return true
	}
	s.follow(l, from, &p)
	s.take(l, &p)
	return true
}

// tag is how many bytes at least stand behind a payload.
func (c *shield) tag() int {
	switch c.keys.Suite {
	case CM32:
		return 4 + len(c.keys.MKI)
	case CM80:
		return 10 + len(c.keys.MKI)
	default:
		return 16 + len(c.keys.MKI)
	}
}

// unlock gives a packet in the clear, in the buffer it came in where it can.
func (s *shard) unlock(l *Leg, data []byte) ([]byte, bool) {
	c := l.shield
	if n, err := s.header.Unmarshal(data); err != nil || len(data) < n+c.tag() {
		s.unproven(l, SRTPMalformed)
		return nil, false
	}
	if c.rx == nil {
		s.unproven(l, SRTPEarly)
		return nil, false
	}
	known := s.header.SSRC == c.ssrc && c.sources > 0
	if !known {
		_, known = c.rx.ROC(s.header.SSRC)
	}
	if !known && c.sources >= maxSources {
		s.unproven(l, SRTPForged)
		return nil, false
	}
	if len(c.before) > 0 && !c.recall(s.header.SSRC, s.header.SequenceNumber) {
		s.unproven(l, SRTPReplayed)
		return nil, false
	}
	clear, err := s.decrypt(c, data)
	if err != nil {
		why := SRTPForged
		if isReplay(err) {
			why = SRTPReplayed
		}
		s.unproven(l, why)
		return nil, false
	}
	if c.hear(s.header.SSRC, s.header.SequenceNumber) {
		s.change(l)
	}
	if !known {
		c.sources++
		s.proven(l)
	}
	return clear, true
}

// extend is the index nearest to another that ends in seq (RFC 3711 section 3.3.1).
func extend(index uint64, seq uint16) uint64 {
	step := int64(int16(seq - uint16(index)))
	if step+int64(index) < 0 {
		return uint64(seq) // there is no turn before the first
	}
	return uint64(int64(index) + step)
}

// hear notes a packet that proved itself, and tells whether it was of another SSRC
// than the one before.
func (c *shield) hear(ssrc uint32, seq uint16) (other bool) {
	if ssrc == c.ssrc && c.sources > 0 {
		c.index = max(c.index, extend(c.index, seq))
	} else {
		if c.sources > 0 {
			c.leave(source{ssrc: c.ssrc, index: c.index})
		}
		roc, _ := c.rx.ROC(ssrc)
		c.ssrc, c.index, other = ssrc, uint64(roc)<<16|uint64(seq), true
	}
	if len(c.before) > 0 {
		c.prove(ssrc, c.index)
	}
	return other
}

// decrypt tries the key before the present one too, while both may be in use.
func (s *shard) decrypt(c *shield, data []byte) ([]byte, error) {
	if c.was == nil {
		into := data
		if s.in.kept {
			into = s.spare[:0] // should we be killed now, the next process has it as it came
		}
		return c.rx.DecryptRTP(into, data, &s.header)
	}
	// Not in place: GCM wipes what does not prove itself.
	clear, err := c.rx.DecryptRTP(s.spare[:0], data, &s.header)
	if err == nil {
		c.was = nil
		return clear, nil
	}
	if older, err := c.was.DecryptRTP(s.spare[:0], data, &s.header); err == nil {
		return older, nil
	}
	return nil, err
}

func isReplay(err error) bool {
	return !errors.Is(err, srtp.ErrFailedToVerifyAuthTag) && !errors.Is(err, srtp.ErrMKINotFound)
}

// follow sends to where a proven packet came from. A home router or a mobile phone
// may move as often as it likes; nobody can do it in its place, and a packet that
// was overtaken on the way does not move it back. Where there is ICE, its checks
// alone move.
func (s *shard) follow(l *Leg, from *sockaddr, p *packet) {
	if l.known && from.same(&l.peer) || l.checked() {
		return
	}
	if l.known && l.in.heard && l.in.ssrc == p.ssrc && int16(p.seq-uint16(l.in.highest)) <= 0 {
		return
	}
	s.moveTo(l, from)
}

// moveTo makes a source that has proven itself the peer's address.
func (s *shard) moveTo(l *Leg, from *sockaddr) {
	if l.known && from.same(&l.peer) {
		return
	}
	l.latch.prove(from.addrPort())
	s.change(l)
	l.known = false
	s.disconnect(l)
	s.aim(l)
	s.settle(l)
	l.tell(Latched{Remote: l.latch.peer})
}

// seal makes the packet that leaves of one of ours, in room; nil when it must not
// leave.
func (s *shard) seal(l *Leg, room, packet []byte) []byte {
	c := l.shield
	sent := &c.sent[0]
	if l.out.fast {
		sent = &c.sent[1]
	}
	if c.tx == nil || !sent.first(uint16(packet[2])<<8|uint16(packet[3])) {
		return nil
	}
	if !c.placed && !l.out.fast {
		c.tx.SetROC(l.out.ssrc, uint32(sent.newest>>16))
		c.placed = true
	}
	if l.cell != nil {
		l.noteSent(s, uint64(c.ours)&keySent<<48|sent.newest&sentIndex)
	}
	sealed, err := c.tx.EncryptRTP(room, packet, &s.header)
	if err != nil {
		return nil
	}
	return sealed
}

// unlockControl is unlock for RTCP.
func (s *shard) unlockControl(l *Leg, data []byte) ([]byte, bool) {
	c := l.shield
	var h rtcp.Header
	if err := h.Unmarshal(data); err != nil || len(data) < 8 {
		s.unproven(l, SRTPMalformed)
		return nil, false
	}
	if c.rx == nil {
		s.unproven(l, SRTPEarly)
		return nil, false
	}
	ssrc := uint32(data[4])<<24 | uint32(data[5])<<16 | uint32(data[6])<<8 | uint32(data[7])
	_, known := c.rx.Index(ssrc)
	if !known && c.reports >= maxSources {
		s.unproven(l, SRTCPForged)
		return nil, false
	}
	clear, err := c.rx.DecryptRTCP(data, data, &h)
	if err != nil {
		s.unproven(l, SRTCPForged)
		return nil, false
	}
	if !known {
		c.reports++
	}
	return clear, true
}

// sealControl is seal for RTCP.
func (s *shard) sealControl(l *Leg, data []byte) []byte {
	c := l.shield
	if c.tx == nil {
		return nil
	}
	c.reported++
	if l.cell != nil {
		l.noteReport(c.reported)
	}
	sealed, err := c.tx.EncryptRTCP(nil, data, nil)
	if err != nil {
		return nil
	}
	return sealed
}
