package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Listen is where the switch listens. An address that is not given is not
// listened on; an address written without a host (":5060") is every address of
// the machine, IPv4 and IPv6.
type Listen struct {
	// HTTP serves the console, the API and, unless Metrics is set, /metrics, and
	// phones in browsers of this machine, at /sip.
	HTTP netip.AddrPort `yaml:"http"`
	// HTTPS serves the same by TLS, and phones in anybody's browser.
	HTTPS  HTTPS     `yaml:"https"`
	SIPUDP Addresses `yaml:"sip_udp"`
	SIPTCP Addresses `yaml:"sip_tcp"`
	SIPTLS Addresses `yaml:"sip_tls"`
	// TLS is the certificate of SIPTLS, and of HTTPS where that has none of its own.
	TLS KeyPair `yaml:"tls"`
	// PerSource is how many connections an address may have by which no phone has
	// registered. Carriers and registrar.ban.allow may have any number.
	PerSource int `yaml:"connections_per_source" default:"8" min:"1" max:"100000"`
	RTP       RTP `yaml:"rtp"`
	// Metrics serves /metrics alone, on an address of its own.
	Metrics netip.AddrPort `yaml:"metrics"`
	// AdminSocket is the Unix socket the command line talks to the running
	// switch by; admin.sock in site.data_dir when not given.
	AdminSocket string `yaml:"admin_socket"`
}

// Addresses is one address, or one of each IP version.
type Addresses struct {
	netip.AddrPort
	Other netip.AddrPort // not valid when there is one
}

// String is the addresses as they are written in a configuration.
func (a Addresses) String() string {
	if !a.Other.IsValid() {
		return a.AddrPort.String()
	}
	return fmt.Sprintf("[%s, %s]", a.AddrPort, a.Other)
}

// HTTPS is a web server.
type HTTPS struct {
	Addr netip.AddrPort `yaml:"addr" need:"yes"`
	TLS  KeyPair        `yaml:"tls"`
}

// KeyPair is a certificate with its chain and its key, two PEM files. They are
// read again when they change.
type KeyPair struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	_ struct{} `later:"acme"`
}

// CertificateOfSIP is what SIPTLS shows: the certificate of listen.tls, or that of
// listen.https.tls where there is only that.
func (l *Listen) CertificateOfSIP() KeyPair {
	if l.TLS != (KeyPair{}) {
		return l.TLS
	}
	return l.HTTPS.TLS
}

// CertificateOfHTTPS is what HTTPS shows: its own certificate, or else that of
// listen.tls.
func (l *Listen) CertificateOfHTTPS() KeyPair {
	if l.HTTPS.TLS != (KeyPair{}) {
		return l.HTTPS.TLS
	}
	return l.TLS
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
	// Redirect is what becomes of a 3xx from a phone that a colleague calls.
	Redirect Redirect `yaml:"redirect" default:"refuse" enum:"refuse inside"`
	Ban      Ban      `yaml:"ban"`
	Slowdown Slowdown `yaml:"slowdown"`
}

// Redirect is what a phone may do with a colleague's call that it sends elsewhere.
type Redirect string

const (
	// RefuseRedirect takes it for a refusal.
	RefuseRedirect Redirect = "refuse"
	// RedirectInside follows it, once, to another agent or a queue; never to a number.
	RedirectInside Redirect = "inside"
)

// Expires is how long a registration lasts, whatever the phone asked for.
type Expires struct {
	UDP time.Duration `yaml:"udp" default:"60s" min:"10s" max:"1h"`
	TCP time.Duration `yaml:"tcp" default:"300s" min:"10s" max:"1h"`
	TLS time.Duration `yaml:"tls" default:"300s" min:"10s" max:"1h"`
	// WSS is also for WebSockets without TLS.
	WSS time.Duration `yaml:"wss" default:"300s" min:"10s" max:"1h"`
}

// Keepalive is how often registered phones are asked whether they are there.
type Keepalive struct {
	// UDPOptions is the time between OPTIONS requests; also what keeps a home
	// router's mapping open.
	UDPOptions time.Duration `yaml:"udp_options" default:"25s" min:"1s" max:"5m"`
	// StreamCRLF is how long a connection is silent before we send it a keep-alive:
	// two line ends (RFC 5626), or a WebSocket's ping.
	StreamCRLF time.Duration `yaml:"stream_crlf" default:"30s" min:"1s" max:"5m"`

	_ struct{} `later:"wss_options page_ping probe_before_offer"`
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

// Slowdown makes guessing an account's password slow, wherever it comes from:
// after After failures each source waits before its next attempt at that account
// is looked at, a second first, then twice as long each time. The agent's own
// registered phone never waits, and a source that has not failed is looked at at once.
type Slowdown struct {
	After   int           `yaml:"after" default:"5" min:"1" max:"1000"`
	Longest time.Duration `yaml:"longest" default:"1m" min:"1s" max:"1h"`
	// Alarm is how many failures of all accounts in one hour are logged as an attack.
	Alarm int `yaml:"alarm" default:"100" min:"1" max:"1000000"`
}

// Media is what is spoken on the media wire.
type Media struct {
	// Codecs in order of preference; at least one of PCMA and PCMU.
	Codecs []string `yaml:"codecs" default:"PCMA PCMU telephone-event" enum:"PCMA PCMU telephone-event"`
	// DTMF is how key presses travel: as events in the sound (RFC 4733), as INFO
	// requests to a side that takes no events, or both.
	DTMF []string `yaml:"dtmf" default:"rfc4733 info" enum:"rfc4733 info"`
	// Wideband are the codecs that a caller and an agent whose phones both have them
	// may change to once they talk, in order of preference; for callers of trunks
	// with wideband, in talks that are not recorded.
	Wideband []string `yaml:"wideband" enum:"opus g722"`

	SRTP SRTP `yaml:"srtp"`
	ICE  ICE  `yaml:"ice"`
}

// Protect is whether media are protected by SRTP.
type Protect string

// What Protect may be.
const (
	Off     Protect = "off"  // what asks for it is refused
	None    Protect = "none" // another word for off
	Prefer  Protect = "prefer"
	Require Protect = "require" // what comes without it is refused
)

// SRTP is the protection of media by kind of peer.
type SRTP struct {
	Phones Protect `yaml:"phones" default:"prefer" enum:"off none prefer require"`
	// WebRTC is for browsers, which know nothing else.
	WebRTC Protect `yaml:"webrtc" default:"require" enum:"require"`
	Trunks Protect `yaml:"trunks" default:"off" enum:"off none prefer require"`
}

// ICE is how browsers find the way to us (RFC 8445).
type ICE struct {
	// Lite answers the checks of peers that make them.
	Lite bool `yaml:"lite" default:"true"`

	_ struct{} `later:"turn"`
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
	// Ringback plays a ringing tone instead of music before the call is answered.
	Ringback bool `yaml:"ringback" default:"false"`
	// Host is where calls to numbers go; without it the trunk only brings calls. A
	// name without a port is looked up by SRV records first.
	Host      Host   `yaml:"host"`
	Transport string `yaml:"transport" default:"udp" enum:"udp tcp tls"`
	// CA is a PEM file with the certificates that sign the carrier's, for
	// transport tls; those the machine trusts when not given.
	CA string `yaml:"ca"`
	// OptionsPing is how often the carrier is asked whether it is there; not at all
	// when not given. A trunk that is down is called only when no other is left.
	OptionsPing time.Duration `yaml:"options_ping" min:"5s" max:"10m"`
	// CallerID is what the called party sees of a caller who is passed on.
	CallerID CallerID `yaml:"caller_id" default:"did" enum:"did passthrough"`
	// CalledNumber is where the carrier says which number was called.
	CalledNumber CalledNumber `yaml:"called_number" default:"request" enum:"request to diversion"`
	// NumberFormat is how the carrier wants numbers written.
	NumberFormat NumberFormat `yaml:"number_format" default:"e164" enum:"e164 national international00"`
	// Identity is the header in which the carrier wants the caller's identity.
	Identity Identity `yaml:"identity" default:"pai" enum:"pai ppi from"`
	// ForwardedBy is how the carrier is told which number of ours passes a call on.
	ForwardedBy ForwardedBy `yaml:"forwarded_by" default:"diversion" enum:"diversion history-info both none"`
	// FollowRedirects lets a 3xx of the carrier move a call of ours to another number,
	// by the same trunk and if an outbound route allows that number too.
	FollowRedirects bool `yaml:"follow_redirects" default:"false"`
	// DTMF is how its callers' key presses come: inband is for a carrier that sends
	// the tones themselves. A call in which it agrees on telephone-event, or an INFO,
	// is understood in any case.
	DTMF DTMF `yaml:"dtmf" default:"rfc4733" enum:"rfc4733 inband"`
	// Wideband lets talks with its callers change to a codec of media.wideband, which
	// takes a re-INVITE.
	Wideband bool `yaml:"wideband" default:"false"`
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

// CalledNumber is the part of an INVITE that names the number called.
type CalledNumber string

// What Trunk.CalledNumber may be.
const (
	CalledRequest   CalledNumber = "request"   // the Request-URI
	CalledTo        CalledNumber = "to"        // To, where the Request-URI names our account
	CalledDiversion CalledNumber = "diversion" // Diversion or History-Info, where another number was called first
)

// NumberFormat is a way to write a number.
type NumberFormat string

// What Trunk.NumberFormat may be.
const (
	E164            NumberFormat = "e164"            // +33170000001
	National        NumberFormat = "national"        // 0170000001, and 0044… for other countries
	International00 NumberFormat = "international00" // 0033170000001
)

// Identity is a header that says who calls.
type Identity string

// What Trunk.Identity may be.
const (
	IdentityPAI  Identity = "pai"  // P-Asserted-Identity
	IdentityPPI  Identity = "ppi"  // P-Preferred-Identity
	IdentityFrom Identity = "from" // none but From
)

// ForwardedBy is a header that says who passed a call on.
type ForwardedBy string

// What Trunk.ForwardedBy may be.
const (
	ForwardedDiversion ForwardedBy = "diversion"
	ForwardedHistory   ForwardedBy = "history-info"
	ForwardedBoth      ForwardedBy = "both"
	ForwardedNone      ForwardedBy = "none"
)

// TrunkAuth is how a carrier is recognised, and how it recognises us.
type TrunkAuth struct {
	Mode TrunkMode `yaml:"mode" default:"ip" enum:"ip register"`
	// Allow are the source addresses whose requests are this trunk's. A trunk that
	// registers may do without: its carrier calls from where it is registered.
	Allow []netip.Prefix `yaml:"allow"`
	// Username and Password answer the carrier when it challenges a request of ours.
	Username string `yaml:"username"`
	Password Secret `yaml:"password"`
	// Realm is the only one whose challenge is answered; when not given, any that the
	// carrier's own host names.
	Realm string `yaml:"realm"`
	// Registrar is where a trunk registers; its host when not given.
	Registrar Host `yaml:"registrar"`
	// Expires is how long a registration is asked to last; the carrier decides.
	Expires time.Duration `yaml:"expires" default:"10m" min:"1m" max:"24h"`
}

// TrunkMode is how a trunk and its carrier come to know each other.
type TrunkMode string

// What TrunkAuth.Mode may be.
const (
	ByAddress  TrunkMode = "ip"
	ByRegister TrunkMode = "register"
)
