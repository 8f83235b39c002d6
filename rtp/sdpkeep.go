package rtp

import "net/netip"

// KeptSession is a Session as it is kept for another process. It holds keys.
type KeptSession struct {
	Local   netip.AddrPort
	ID      uint64
	Version uint64
	Codecs  []Codec
	Silent  bool
	Protect Protection
	Held    bool
	Keys    *Keys
	ICE     [3]string // name, password, the peer's name
	Client  bool
	Said    savedSide
	Last    string
	Agreed  savedSide
	Offerer bool
	Open    bool
	Codec   Codec
	Numbers [5]uint8 // PCMA, PCMU, telephone-event, G.722, Opus
	Wide    Wideband
	Shown   []Wideband
	Taken   [2]uint64
	Remote  netip.AddrPort
}

type savedSide struct {
	Lines   [][4]string
	Audio   int
	Formats [][2]uint8 // codec, payload type
	Event   uint8
	Dir     direction
	Mux     bool
	Guard   Guard
	Keys    []savedCrypto
	Setup   string
	ICE     bool
	Bundle  string
	Wide    Wideband
}

type savedCrypto struct {
	Tag   int
	Suite Suite
	Key   Secret
	MKI   string
}

// Keep is the session for ResumeSession.
func (s *Session) Keep() KeptSession {
	return KeptSession{
		Local: s.local, ID: s.id, Version: s.version, Codecs: s.codecs, Silent: s.silent, Protect: s.protection, Held: s.held, Keys: s.keys,
		ICE: [3]string{s.ice.name, string(s.ice.password), s.ice.peer}, Client: s.client,
		Said: s.said.save(), Last: string(s.last), Agreed: s.agreed.save(), Offerer: s.offerer, Open: s.open, Codec: s.codec,
		Wide: s.wide, Shown: s.shown, Numbers: [5]uint8{s.numbers.pcma, s.numbers.pcmu, s.numbers.event, s.numbers.g722, s.numbers.opus}, Taken: s.numbers.taken, Remote: s.remote,
	}
}

// ResumeSession is a session that another process has kept.
func ResumeSession(k KeptSession) *Session {
	s := NewSession(k.Local, k.ID)
	s.codecs, s.silent, s.protection = k.Codecs, k.Silent, k.Protect
	s.version, s.held, s.keys, s.client = k.Version, k.Held, k.Keys, k.Client
	s.ice = iceSide{k.ICE[0], Secret(k.ICE[1]), k.ICE[2]}
	s.said, s.agreed, s.offerer, s.open, s.codec = k.Said.ours(), k.Agreed.ours(), k.Offerer, k.Open, k.Codec
	if k.Last != "" {
		s.last = []byte(k.Last)
	}
	s.shown = k.Shown
	s.numbers, s.wide = numbers{k.Numbers[0], k.Numbers[1], k.Numbers[2], k.Numbers[3], k.Numbers[4], k.Taken}, k.Wide
	s.remote = k.Remote
	return s
}

func (o *ours) save() savedSide {
	k := savedSide{Audio: o.audio, Event: o.event, Dir: o.dir, Mux: o.mux, Guard: o.guard, Setup: o.setup, ICE: o.ice, Bundle: o.bundle, Wide: o.wide}
	for _, l := range o.lines {
		k.Lines = append(k.Lines, [4]string{l.media, l.proto, l.format, l.mid})
	}
	for _, f := range o.formats {
		k.Formats = append(k.Formats, [2]uint8{uint8(f.codec), f.pt})
	}
	for _, c := range o.keys {
		k.Keys = append(k.Keys, savedCrypto{c.tag, c.suite, c.key, c.mki})
	}
	return k
}

func (k *savedSide) ours() ours {
	o := ours{audio: k.Audio, event: k.Event, dir: k.Dir, mux: k.Mux, guard: k.Guard, setup: k.Setup, ice: k.ICE, bundle: k.Bundle, wide: k.Wide}
	for _, l := range k.Lines {
		o.lines = append(o.lines, line{l[0], l[1], l[2], l[3]})
	}
	for _, f := range k.Formats {
		o.formats = append(o.formats, format{Codec(f[0]), f[1]})
	}
	for _, c := range k.Keys {
		o.keys = append(o.keys, cryptoLine{c.Tag, c.Suite, c.Key, c.MKI})
	}
	return o
}
