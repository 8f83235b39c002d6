package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Listen is where the switch listens. An address that is not given is not
// listened on; an address written without a host (":5060") is every IPv4
// address of the machine.
type Listen struct {
	// HTTP serves the console, the API and, unless Metrics is set, /metrics.
	HTTP   netip.AddrPort `yaml:"http"`
	SIPUDP netip.AddrPort `yaml:"sip_udp"`
	SIPTCP netip.AddrPort `yaml:"sip_tcp"`
	RTP    RTP            `yaml:"rtp"`
	// Metrics serves /metrics alone, on an address of its own.
	Metrics netip.AddrPort `yaml:"metrics"`
	// AdminSocket is the Unix socket the command line talks to the running
	// switch by; admin.sock in site.data_dir when not given.
	AdminSocket string `yaml:"admin_socket"`

	_ struct{} `later:"https sip_tls"`
}

// RTP is where media is sent from and received.
type RTP struct {
	Addr netip.Addr `yaml:"addr" default:"0.0.0.0"`
	// Ports is an inclusive range: RTP takes the even ones, RTCP the odd one
	// above each, so that a call of two legs takes four.
	Ports PortRange `yaml:"ports" default:"20000-29999"`
	// PublicIP is the address written into SDP; Addr when not given.
	PublicIP netip.Addr `yaml:"public_ip" later:"auto"`
	// MediaTimeout ends a call whose talking leg has been silent on the wire
	// this long; never one on hold or waiting.
	MediaTimeout time.Duration `yaml:"media_timeout" default:"30s" min:"1s" max:"1h"`

	_ struct{} `later:"symmetric"`
}

// PortRange is an inclusive range of UDP ports, of whole RTP and RTCP pairs:
// Min is even, Max odd.
type PortRange struct{ Min, Max uint16 }

// String is the range as it is written in a configuration.
func (p PortRange) String() string { return fmt.Sprintf("%d-%d", p.Min, p.Max) }

// Pairs is how many RTP and RTCP pairs the range holds.
func (p PortRange) Pairs() int { return (int(p.Max) - int(p.Min) + 1) / 2 }

// Digest is the hash of SIP digest authentication (RFC 8760).
type Digest string

// The digests a realm or an account may use.
const (
	MD5    Digest = "md5"
	SHA256 Digest = "sha-256"
)

// Registrar is how phones log in.
type Registrar struct {
	// Realm is the domain of every agent's address; site.public_host when not given.
	Realm string `yaml:"realm"`
	// Digest is for accounts that name none.
	Digest    Digest    `yaml:"digest" default:"sha-256" enum:"md5 sha-256"`
	Expires   Expires   `yaml:"expires"`
	Keepalive Keepalive `yaml:"keepalive"`
	Ban       Ban       `yaml:"ban"`
}

// Expires is how long a registration lasts, whatever the phone asked for.
type Expires struct {
	UDP time.Duration `yaml:"udp" default:"60s" min:"10s" max:"1h"`
	TCP time.Duration `yaml:"tcp" default:"300s" min:"10s" max:"1h"`

	_ struct{} `later:"tls wss"`
}

// Keepalive is how often registered phones are asked whether they are there.
type Keepalive struct {
	// UDPOptions is the time between OPTIONS requests; also what keeps a home
	// router's mapping open.
	UDPOptions time.Duration `yaml:"udp_options" default:"25s" min:"1s" max:"5m"`

	_ struct{} `later:"stream_crlf wss_options page_ping probe_before_offer"`
}

// Ban shuts out a source address that fails to authenticate Failures times
// within Window, for Duration.
type Ban struct {
	Failures int           `yaml:"failures" default:"8" min:"1" max:"1000"`
	Window   time.Duration `yaml:"window" default:"10m" min:"1s" max:"24h"`
	Duration time.Duration `yaml:"duration" default:"1h" min:"1s" max:"31d"`
	// Allow is exempt from source limits and bans, never from authentication.
	Allow []netip.Prefix `yaml:"allow"`
}

// Media is what is spoken on the media wire.
type Media struct {
	// Codecs in order of preference; at least one of PCMA and PCMU.
	Codecs []string `yaml:"codecs" default:"PCMA PCMU telephone-event" enum:"PCMA PCMU telephone-event"`
	// DTMF is how key presses travel.
	DTMF []string `yaml:"dtmf" default:"rfc4733" enum:"rfc4733" later:"info"`

	_ struct{} `later:"srtp ice"`
}

// Trunk is a carrier's line.
type Trunk struct {
	ID   string    `yaml:"id" need:"yes"`
	Auth TrunkAuth `yaml:"auth" need:"yes"`
	// MaxCalls is how many calls it may have up at once; more are answered 503.
	MaxCalls int `yaml:"max_calls" default:"100" min:"1" max:"100000"`
	// EarlyMedia plays music before the call is answered (183) and answers it
	// with the agent; otherwise the queue answers at once.
	EarlyMedia bool `yaml:"early_media" default:"false"`
	// Host is where calls to numbers go; without it the trunk only brings calls.
	Host      Host   `yaml:"host"`
	Transport string `yaml:"transport" default:"udp" enum:"udp tcp" later:"tls"`
	// CallerID is what the called party sees of a caller who is passed on.
	CallerID CallerID `yaml:"caller_id" default:"did" enum:"did passthrough"`
	// DTMF is how its callers' key presses come: inband is for a carrier that sends
	// the tones themselves. A call in which it agrees on telephone-event, or an INFO,
	// is understood in any case.
	DTMF DTMF `yaml:"dtmf" default:"rfc4733" enum:"rfc4733 inband"`

	_ struct{} `later:"options_ping"`
}

// Host is a machine elsewhere: a name or an address, IPv6 without brackets, and
// the port written after it, 0 if none is.
type Host struct {
	Name string
	Port uint16
}

// String is the host as it is written in a configuration.
func (h Host) String() string {
	if h.Port == 0 {
		return h.Name
	}
	return net.JoinHostPort(h.Name, strconv.Itoa(int(h.Port)))
}

// CallerID is the number a carrier is told that a call is from.
type CallerID string

// What Trunk.CallerID may be.
const (
	// ShowDID: the number of ours that was called. Every carrier takes that.
	ShowDID CallerID = "did"
	// ShowCaller: the caller's, and ours as the one that passes it on. Many
	// carriers refuse numbers that are not their customer's.
	ShowCaller CallerID = "passthrough"
)

// DTMF is how key presses travel.
type DTMF string

// Inband is key presses as tones in the audio.
const Inband DTMF = "inband"

// TrunkAuth is how a carrier is recognised.
type TrunkAuth struct {
	Mode string `yaml:"mode" default:"ip" enum:"ip" later:"register"`
	// Allow are the source addresses whose requests are this trunk's.
	Allow []netip.Prefix `yaml:"allow" need:"yes"`
	// Username and Password answer the carrier when it challenges a call of ours.
	Username string `yaml:"username"`
	Password Secret `yaml:"password"`
}
