package loadtest

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"foyer/sip/siptest"
)

// Setup is a generated configuration of a switch under load: one client, one
// queue, one trunk, n agents who are ready as soon as they register.
type Setup struct {
	Dir    string // for the configuration and the data; must exist
	IP     string // of the switch; "" is 127.0.0.1
	Desk   string // of its console and readings, which answer to loopback alone; "" is IP
	Realm  string // "" is lo.test
	Number string // "" is +33170000001
	Agents int
	Record bool
	Kept   bool // a keeper holds what must outlive the switch, and starts it again

	CallerIP  string        // the trunk's source; "" is 127.0.0.2
	RTPPorts  [2]int        // "" is 20000-29999
	MaxCalls  int           // of the trunk; 0 is 10000
	RingFor   time.Duration // 0 is 15s
	WrapUp    time.Duration
	SIPPort   int // 0: Switch picks a free one
	HTTPPort  int // 0: Switch picks a free one
	ExtraYAML string

	// Apart gives every agent a queue and a number of their own, NumberOf, so that a
	// call to it comes to that agent and to nobody else.
	Apart bool

	Allow      string        // source addresses that are exempt from limits; "" is 127.0.0.0/8
	Digest     string        // of the agents' phones, md5 or sha-256; "" is md5
	Probe      time.Duration // how often a phone is asked whether it is there; 0 is 25s
	EarlyMedia bool          // callers hear music before their call is answered
	Wideband   string        // what talks may change to, by preference: opus, g722

	Secure   bool // also SIP by TLS, and by WSS at /sip, with a certificate for Realm and IP signed by CA
	TLSPort  int  // of Secure; 0: Switch picks a free one
	WSSPort  int  // of Secure; 0: Switch picks a free one
	IPv6     bool // also SIP by UDP and TCP at [::1], from where the trunk may call too
	SIPPort6 int  // of IPv6; 0: Switch picks a free one
}

// CA is the file of the authority that signed the switch's certificate.
func (s Setup) CA() string { return filepath.Join(s.Dir, "ca.pem") }

func (s Setup) complete() (Setup, error) {
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&s.IP, "127.0.0.1")
	def(&s.Desk, s.IP)
	def(&s.Realm, "lo.test")
	def(&s.Number, "+33170000001")
	def(&s.CallerIP, "127.0.0.2")
	if s.RTPPorts == [2]int{} {
		s.RTPPorts = [2]int{20000, 29999}
	}
	if s.MaxCalls == 0 {
		s.MaxCalls = 10000
	}
	if s.RingFor == 0 {
		s.RingFor = 15 * time.Second
	}
	def(&s.Digest, "md5")
	def(&s.Allow, "127.0.0.0/8")
	if s.Probe == 0 {
		s.Probe = 25 * time.Second
	}
	taken := []int{s.SIPPort, s.HTTPPort, s.TLSPort, s.WSSPort, s.SIPPort6}
	for _, port := range []struct {
		wanted bool
		ip     string
		into   *int
	}{
		{true, s.IP, &s.SIPPort}, {true, s.Desk, &s.HTTPPort},
		{s.Secure, s.IP, &s.TLSPort}, {s.Secure, s.IP, &s.WSSPort}, {s.IPv6, "::1", &s.SIPPort6},
	} {
		if !port.wanted || *port.into != 0 {
			continue
		}
		var err error
		if *port.into, err = freePort(port.ip, taken); err != nil {
			return s, err
		}
		taken = append(taken, *port.into)
	}
	return s, nil
}

// certify makes the certificate of Secure.
func (s Setup) certify() error {
	if !s.Secure {
		return nil
	}
	a, err := siptest.NewAuthority()
	if err != nil {
		return err
	}
	if err := a.Save(s.CA()); err != nil {
		return err
	}
	return a.Issue(filepath.Join(s.Dir, "cert.pem"), filepath.Join(s.Dir, "key.pem"), time.Now().AddDate(0, 0, 90), s.Realm, s.IP)
}

// listen is where SIP is listened on.
func (s Setup) listen() string {
	sip := fmt.Sprintf("%s:%d", s.IP, s.SIPPort)
	if s.IPv6 {
		sip = fmt.Sprintf(`["%s", "[::1]:%d"]`, sip, s.SIPPort6)
	}
	text := fmt.Sprintf("  sip_udp: %[1]s\n  sip_tcp: %[1]s\n", sip)
	if s.Secure {
		text += fmt.Sprintf("  sip_tls: %[1]s:%[2]d\n  https: {addr: %[1]s:%[3]d}\n  tls: {cert: %[4]s, key: %[5]s}\n",
			s.IP, s.TLSPort, s.WSSPort, filepath.Join(s.Dir, "cert.pem"), filepath.Join(s.Dir, "key.pem"))
	}
	return text
}

// sources are the addresses of the trunk.
func (s Setup) sources() string {
	if s.IPv6 {
		return s.CallerIP + "/32, \"::1/128\""
	}
	return s.CallerIP + "/32"
}

// freePort finds a port that is free for UDP and TCP now, and none of those taken:
// what was free a moment ago may be found twice. Another process may still take it:
// the switch then says so.
func freePort(ip string, taken []int) (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip), Port: port})
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		if !slices.Contains(taken, port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port on %s: none for both UDP and TCP", ip)
}

// Crew returns the accounts the configuration has.
func (s Setup) Crew() []Agent {
	all := make([]Agent, s.Agents)
	for i := range all {
		all[i] = Agent{User: fmt.Sprintf("agent%04d", i+1), Password: fmt.Sprintf("pw-%04d", i+1)}
	}
	return all
}

// NumberOf is the number whose calls come to agent i of the Crew alone.
func (s Setup) NumberOf(i int) string {
	const digits = 3
	return fmt.Sprintf("%s%0*d", s.Number[:len(s.Number)-digits], digits, 100+i)
}

// queueOf is the queue that agent i takes calls of.
func (s Setup) queueOf(i int) string {
	if s.Apart {
		return fmt.Sprintf("accueil%04d", i+1)
	}
	return "accueil"
}

// queues writes the queues and the numbers that lead to them.
func (s Setup) queues() string {
	queue := func(id string) string {
		return fmt.Sprintf("  - {id: %s, client: essai, require: [fr], ring: {timeout: %ds}, wrapup: {seconds: %d}}\n",
			id, int(s.RingFor.Seconds()), int(s.WrapUp.Seconds()))
	}
	number := func(number, id string) string {
		return fmt.Sprintf("  - {number: %q, client: essai, to: %s}\n", number, id)
	}
	if !s.Apart {
		return "queues:\n" + queue("accueil") + "dids:\n" + number(s.Number, "accueil")
	}
	queues, numbers := "queues:\n", "dids:\n"
	for i := range s.Agents {
		queues += queue(s.queueOf(i))
		numbers += number(s.NumberOf(i), s.queueOf(i))
	}
	return queues + numbers
}

// YAML writes the configuration.
func (s Setup) YAML() string {
	var b strings.Builder
	percent := 0
	if s.Record {
		percent = 100
	}
	fmt.Fprintf(&b, `version: 1
demo: true
site: {name: Load test, public_host: %[1]s, timezone: Europe/Paris, locale: fr, data_dir: %[2]s}
listen:
  http: %[13]s:%[4]d
%[5]s  rtp: {addr: %[3]s, ports: %[6]d-%[7]d}
registrar: {realm: %[1]s, digest: md5, keepalive: {udp_options: %[11]ds}, ban: {allow: [%[14]s]}}
trunks:
  - {id: carrier, auth: {mode: ip, allow: [%[8]s]}, max_calls: %[9]d, early_media: %[12]t, wideband: %[15]t}
clients: [{id: essai, name: Essai SA, recording: tout}]
recording_policies:
  - {id: tout, purpose: contract_proof, legal_basis: "test calls only", select: {percent: %[10]d}}
`, s.Realm, filepath.Join(s.Dir, "data"), s.IP, s.HTTPPort, s.listen(), s.RTPPorts[0], s.RTPPorts[1],
		s.sources(), s.MaxCalls, percent, int(s.Probe.Seconds()), s.EarlyMedia, s.Desk, s.Allow, s.Wideband != "")
	b.WriteString(s.queues())
	if s.Wideband != "" {
		fmt.Fprintf(&b, "media: {wideband: [%s]}\n", s.Wideband)
	}
	b.WriteString(s.ExtraYAML)
	if s.Agents == 0 {
		return b.String()
	}
	b.WriteString("agents:\n")
	for i, a := range s.Crew() {
		fmt.Fprintf(&b, "  - {id: %s, name: %s, sip: {password: %s, digest: %s}, skills: {fr: 5}, queues: [%s], ready_on_register: true}\n",
			a.User, a.User, a.Password, s.Digest, s.queueOf(i))
	}
	return b.String()
}

// Plan returns a plan of load for a switch set up like this, to be completed with
// how many calls, how long and so on.
func (s Setup) Plan() Plan {
	return Plan{Server: fmt.Sprintf("%s:%d", s.IP, s.SIPPort), Domain: s.Realm, CallerIP: s.CallerIP,
		Numbers: []string{s.Number}, Agents: s.Crew()}
}
