package loadtest

import (
	"fmt"
	"net"
)

// Pairs is the media of calls without their signalling: to measure a relay that is
// told its calls in another way.
type Pairs struct {
	media *engine
	ports ports
	legs  [][2]*leg
}

// OpenPairs opens n pairs of media sockets, one on each address.
func OpenPairs(n int, callerIP, agentIP string) (*Pairs, error) {
	e := startEngine()
	p := &Pairs{media: e}
	audio := [2][]byte{Tone(440, PCMA), Tone(660, PCMA)}
	for i := range n {
		var pair [2]*leg
		for side, ip := range []string{callerIP, agentIP} {
			l, err := openLeg(net.ParseIP(ip), &p.ports)
			if err != nil {
				p.Close()
				return nil, fmt.Errorf("pair %d: %w", i, err)
			}
			l.call, l.side, l.audio = uint32(i), Side(side), audio[side]
			e.add(l)
			pair[side] = l
		}
		p.legs = append(p.legs, pair)
	}
	return p, nil
}

// Addrs returns where the two ends of a pair receive.
func (p *Pairs) Addrs(i int) (caller, agent *net.UDPAddr) {
	return p.legs[i][CallerSide].addr, p.legs[i][AgentSide].addr
}

// Connect lets the two ends of a pair send.
func (p *Pairs) Connect(i int, callerTo, agentTo *net.UDPAddr) {
	p.media.connect(p.legs[i][CallerSide], callerTo)
	p.media.connect(p.legs[i][AgentSide], agentTo)
}

// Mark takes the media counters now, for Since.
func (p *Pairs) Mark() Mark { return (&Running{media: p.media}).Mark() }

// Since returns what happened since a mark.
func (p *Pairs) Since(m Mark) MediaTotals {
	t, _ := (&Running{media: p.media}).Since(m)
	return t
}

// Close closes every socket.
func (p *Pairs) Close() { p.media.close() }
