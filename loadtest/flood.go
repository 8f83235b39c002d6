package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Flood is what an attacker with many addresses sends: well-formed REGISTER, INVITE
// and OPTIONS requests, none of which deserves anything. It goes on until Stop.
type Flood struct {
	sent, failed atomic.Uint64
	stop         context.CancelFunc
	done         chan struct{}
}

// FloodPlan says how a Flood is made.
type FloodPlan struct {
	Server  string // IPv4:port, UDP
	Rate    int    // requests a second
	Sources int    // different source addresses, of 127.128.0.0/9
}

// floodTick is how often a handful is sent.
const floodTick = 2 * time.Millisecond

// StartFlood begins to send.
func StartFlood(p FloodPlan) (*Flood, error) {
	to, err := netip.ParseAddrPort(p.Server)
	if err != nil || !to.Addr().Is4() || p.Rate <= 0 || p.Sources <= 0 || p.Sources > 1<<22 {
		return nil, fmt.Errorf("flood: server %q, rate %d, sources %d", p.Server, p.Rate, p.Sources)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("flood: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Flood{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		defer unix.Close(fd)
		f.send(ctx, fd, p, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	}()
	return f, nil
}

// Stop ends it and returns how many requests left, and how many did not.
func (f *Flood) Stop() (sent, failed uint64) {
	f.stop()
	<-f.done
	return f.sent.Load(), f.failed.Load()
}

func (f *Flood) send(ctx context.Context, fd int, p FloodPlan, to *unix.SockaddrInet4) {
	texts := floodTexts(p.Server)
	began := time.Now()
	for n := 0; ctx.Err() == nil; {
		due := int(time.Since(began).Seconds() * float64(p.Rate))
		if due-n > p.Rate/10 {
			began, n = time.Now(), 0 // too late to make up for: the rate counts, not the number
			continue
		}
		for ; n < due; n++ {
			// The kernel lets a sender choose any of its own addresses, and all of
			// 127.0.0.0/8 is ours.
			from := unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: floodSource(n * 7919 % p.Sources)})
			_, err := unix.SendmsgN(fd, texts[n%len(texts)], from, to, 0)
			switch {
			case err == nil:
				f.sent.Add(1)
			case errors.Is(err, unix.EINTR):
			default:
				f.failed.Add(1)
			}
		}
		time.Sleep(floodTick)
	}
}

func floodSource(i int) [4]byte {
	return [4]byte{127, byte(128 + i>>16&0x7f), byte(i >> 8), byte(i)}
}

// floodTexts are some hundred requests, so that no two in a row are the same.
func floodTexts(server string) [][]byte {
	texts := make([][]byte, 300)
	host, _, _ := net.SplitHostPort(server)
	for i := range texts {
		method := []string{"REGISTER", "INVITE", "OPTIONS"}[i%3]
		body := ""
		if method == "INVITE" {
			body = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
		}
		texts[i] = fmt.Appendf(nil, "%s sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bKflood%d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:%d@lo.test>;tag=f%d\r\nTo: <sip:%d@lo.test>\r\nCall-ID: flood-%d@198.51.100.7\r\nCSeq: 1 %s\r\n"+
			"Contact: <sip:%d@198.51.100.7:5060>\r\nUser-Agent: Linphone/5.1\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
			method, host, i, 1000+i, i, 1000+i, i, method, 1000+i, len(body), body)
	}
	return texts
}
