package sip

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// nameServerOf answers DNS by UDP from a zone: what is not in it does not exist, or,
// under broken.test, is a failure. It returns the machine's resolver asking it.
func nameServerOf(t *testing.T, z *zone) (r *net.Resolver, asked *atomic.Int64) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			asked.Add(1)
			_, _ = conn.WriteTo(z.reply(buf[:n]), from)
		}
	}()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}
	return &net.Resolver{PreferGo: true, Dial: dial}, asked
}

// reply answers one question (RFC 1035 section 4, RFC 2782).
func (z *zone) reply(q []byte) []byte {
	var labels []string
	at := 12
	for q[at] != 0 {
		labels = append(labels, string(q[at+1:at+1+int(q[at])]))
		at += 1 + int(q[at])
	}
	name := strings.ToLower(strings.Join(labels, "."))
	kind := binary.BigEndian.Uint16(q[at+1:])
	const a, aaaa, srv = 1, 28, 33
	var answers [][]byte
	known := z.addrs[name] != nil || z.srv[name] != nil
	switch kind {
	case a, aaaa:
		for _, addr := range z.addrs[name] {
			if addr.Is4() == (kind == a) {
				answers = append(answers, addr.AsSlice())
			}
		}
	case srv:
		for _, r := range z.srv[name] {
			data := binary.BigEndian.AppendUint16(nil, r.Priority)
			data = binary.BigEndian.AppendUint16(data, r.Weight)
			data = binary.BigEndian.AppendUint16(data, r.Port)
			for label := range strings.SplitSeq(strings.TrimSuffix(r.Target, "."), ".") {
				if label != "" {
					data = append(append(data, byte(len(label))), label...)
				}
			}
			answers = append(answers, append(data, 0))
		}
	}
	code := byte(0)
	switch {
	case strings.HasSuffix(name, "broken.test"):
		code = 2 // SERVFAIL
	case !known:
		code = 3 // NXDOMAIN
	}
	res := append([]byte{q[0], q[1], 0x85, 0x80 | code, 0, 1, 0, byte(len(answers)), 0, 0, 0, 0}, q[12:at+5]...)
	for _, data := range answers {
		res = append(res, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 60)
		res = append(binary.BigEndian.AppendUint16(res, uint16(len(data))), data...)
	}
	return res
}

// With a real resolver: records, their absence in both its forms, and failure.
func TestNameServerOnTheWire(t *testing.T) {
	z := &zone{
		srv: map[string][]*net.SRV{
			"_sip._udp.srv.test": {record("b.srv.test.", 5082, 20, 0), record("a.srv.test.", 5081, 10, 0)},
			"_sip._udp.no.test":  {record(".", 0, 0, 0)},
		},
		addrs: map[string][]netip.Addr{
			"a.srv.test": addresses("192.0.2.1"), "b.srv.test": addresses("192.0.2.2"), "bare.test": addresses("192.0.2.3"),
			"_sip._udp.nodata.test": {}, "nodata.test": addresses("192.0.2.4"), "no.test": addresses("192.0.2.5"), "broken.test": addresses("192.0.2.6"),
		},
	}
	resolver, asked := nameServerOf(t, z)
	h := newHosts(resolver, time.Now)
	for name, want := range map[string]string{
		"srv.test": "192.0.2.1:5081 192.0.2.2:5082", "bare.test": "192.0.2.3:5060", "nodata.test": "192.0.2.4:5060",
		"no.test": "", "none.test": "", "broken.test": "",
	} {
		places, err := h.find(t.Context(), host{name, 0, "udp"})
		var text []string
		for _, p := range places {
			text = append(text, p.String())
		}
		if strings.Join(text, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%s: %v, %v", name, text, err)
		}
	}
	before := asked.Load()
	if _, err := h.find(t.Context(), host{"srv.test", 0, "udp"}); err != nil || asked.Load() != before {
		t.Errorf("asked again: %v", err)
	}
	// A name server that is gone leaves us what it said.
	h.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }}
	h.known[host{"srv.test", 0, "udp"}].until = time.Time{}
	if places, err := h.find(t.Context(), host{"srv.test", 0, "udp"}); err != nil || len(places) != 2 {
		t.Errorf("%v, %v", places, err)
	}
}

// A call by a name with SRV records, on real sockets: the first machine refuses
// packets, the second says 503, the third takes it.
func TestCallByNameOnTheWire(t *testing.T) {
	var conns [2]net.PacketConn
	z := &zone{srv: map[string][]*net.SRV{}, addrs: map[string][]netip.Addr{"a.carrier.test": addresses("127.0.0.2")}}
	records := []*net.SRV{record("a.carrier.test.", 1, 1, 0)}
	for i := range conns {
		pc, err := net.ListenPacket("udp", "127.0.0.2:0")
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = pc
		records = append(records, record("a.carrier.test.", uint16(pc.LocalAddr().(*net.UDPAddr).Port), uint16(2+i), 0))
	}
	z.srv["_sip._udp.carrier.test"] = records
	resolver, _ := nameServerOf(t, z)
	h := openHouse(t, func(o *Options) {
		o.Resolver, o.Unanswered = resolver, 300*time.Millisecond
		o.Trunks[0].Host, o.Trunks[0].Port = "carrier.test", 0
	})
	var phones [2]*siptest.Phone
	for i, pc := range conns {
		p, err := siptest.NewPhone(pc, siptest.Options{User: "carrier"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		phones[i] = p
	}
	d := newDiary(t)
	var err error
	if d.leg, err = h.edge.Dial(Dial{Trunk: h.edge.trunks.all()[0].ID, Number: mobile, SDP: []byte(ourSDP)}, d.sink); err != nil {
		t.Fatal(err)
	}
	unwilling, err := phones[0].WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	unwilling.Reject(503)
	c, err := phones[1].WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Answer(offerA)
	expect[Answered](d)
	c.Bye()
	expect[Ended](d)
}
