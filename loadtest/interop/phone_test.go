package interop

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// phone says who a real telephone is and where it lives.
type phone struct {
	user, password string // no password: it does not register
	domain         string
	server         string // host:port of the switch
	host           string // its own address
	transport      string // udp, tcp or tls
	ca             string // file of who signs the switch's certificate
	codecs         string // of a baresip, by preference; "" is both
	media          string // how its media are protected: a baresip's mediaenc, or srtp or dtls of a linphone; "" is not
	nat            string // a baresip's medianat: ice
	auto           bool   // a baresip that answers by itself
	tone           float64
}

// ports gives the first of a hundred ports for one program: signalling at 0 (and
// TLS at 1, which baresip takes), control at 2, media from 10. They are below
// those the kernel gives out, so that nobody gets them between here and the
// program's start. The last is held until the test ends, for these tests in
// another process to see.
func ports(t *testing.T) int {
	t.Helper()
	for range 100 {
		base := 10000 + 100*((os.Getpid()+int(nextPorts.Add(1)))%100)
		sign, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", base+99))
		if err != nil {
			continue
		}
		if free(base, base+1, base+2, base+10, base+12) {
			t.Cleanup(func() { sign.Close() })
			return base
		}
		sign.Close()
	}
	t.Fatal("no hundred ports are free between 10000 and 19999")
	return 0
}

var nextPorts atomic.Int32

func free(ports ...int) bool {
	for _, port := range ports {
		u, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		if err != nil {
			return false
		}
		u.Close()
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
