package rtp

import "net/netip"

// KeptSession is a Session as it is kept for another process. It holds keys.
type KeptSession struct {
	Local   netip.AddrPort
	ID      uint64
	Version uint64
	Codecs  []Codec
	Silent  bool `json:",omitempty"`
	Protect Protection
	Held    bool           `json:",omitempty"`
	Keys    *KeptKeys      `json:",omitempty"`
	ICE     [3]string      `json:",omitzero"` // name, password, the peer's name
	Client  bool           `json:",omitempty"`
	Said    savedSide      `json:",omitzero"`
	Last    string         `json:",omitempty"`
	Agreed  savedSide      `json:",omitzero"`
	Offerer bool           `json:",omitempty"`
	Open    bool           `json:",omitempty"`
	Codec   Codec          `json:",omitempty"`
	Numbers [5]uint8       // PCMA, PCMU, telephone-event, G.722, Opus
	Wide    Wideband       `json:",omitzero"`
	Shown   []Wideband     `json:",omitempty"`
	Taken   [2]uint64      `json:",omitzero"`
	Remote  netip.AddrPort `json:",omitzero"`
}

type savedSide struct {
	Lines   [][4]string   `json:",omitempty"`
	Audio   int           `json:",omitempty"`
	Formats [][2]uint8    `json:",omitempty"` // codec, payload type
	Event   uint8         `json:",omitempty"`
	Dir     direction     `json:",omitempty"`
	Mux     bool          `json:",omitempty"`
	Guard   Guard         `json:",omitempty"`
	Keys    []savedCrypto `json:",omitempty"`
	Setup   string        `json:",omitempty"`
	ICE     bool          `json:",omitempty"`
	Bundle  string        `json:",omitempty"`
	Wide    Wideband      `json:",omitzero"`
}

type savedCrypto struct {
	Tag   int
	Suite Suite
	Key   []byte
	MKI   string `json:",omitempty"`
}

// Keep is the session for ResumeSession.
func (s *Session) Keep() KeptSession {
	return KeptSession{
		Local: s.local, ID: s.id, Version: s.version, Codecs: s.codecs, Silent: s.silent, Protect: s.protection, Held: s.held, Keys: s.keys.keep(),
		ICE: [3]string{s.ice.name, string(s.ice.password), s.ice.peer}, Client: s.client,
		Said: s.said.save(), Last: string(s.last), Agreed: s.agreed.save(), Offerer: s.offerer, Open: s.open, Codec: s.codec,
		Wide: s.wide, Shown: s.shown, Numbers: [5]uint8{s.numbers.pcma, s.numbers.pcmu, s.numbers.event, s.numbers.g722, s.numbers.opus}, Taken: s.numbers.taken, Remote: s.remote,
	}
}

// ResumeSession is a session that another process has kept.
func ResumeSession(k KeptSession) *Session {
	s := NewSession(k.Local, k.ID)
	s.codecs, s.silent, s.protection = k.Codecs, k.Silent, k.Protect
	s.version, s.held, s.keys, s.client = k.Version, k.Held, k.Keys.keys(), k.Client
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

// KeptStream is a Stream as it is kept for another process. It holds keys.
type KeptStream struct {
	Stream
	Keys *KeptKeys  `json:",omitempty"`
	ICE  *[4]string `json:",omitempty"` // names and passwords, ours first
}

// Keep is the stream for KeptStream.Resume.
func (s Stream) Keep() KeptStream {
	k := KeptStream{Stream: s, Keys: s.Keys.keep()}
	if c := s.ICE; c != nil {
		k.ICE = &[4]string{c.OurName, c.TheirName, string(c.OurPassword), string(c.TheirSecret)}
	}
	k.Stream.Keys, k.Stream.ICE = nil, nil
	return k
}

// Resume is the stream that was kept.
func (k KeptStream) Resume() Stream {
	s := k.Stream
	s.Keys = k.Keys.keys()
	if c := k.ICE; c != nil {
		s.ICE = &Checks{OurName: c[0], TheirName: c[1], OurPassword: Secret(c[2]), TheirSecret: Secret(c[3])}
	}
	return s
}

// KeptKeys are Keys as they are kept. A Secret is not written by itself, lest it be by
// mistake.
type KeptKeys struct {
	Suite        Suite
	Ours, Theirs []byte
	MKI          string `json:",omitempty"`
}

func (k *Keys) keep() *KeptKeys {
	if k == nil {
		return nil
	}
	return &KeptKeys{k.Suite, []byte(k.Ours), []byte(k.Theirs), k.MKI}
}

func (k *KeptKeys) keys() *Keys {
	if k == nil {
		return nil
	}
	return &Keys{k.Suite, Secret(k.Ours), Secret(k.Theirs), k.MKI}
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
		k.Keys = append(k.Keys, savedCrypto{c.tag, c.suite, []byte(c.key), c.mki})
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
		o.keys = append(o.keys, cryptoLine{c.Tag, c.Suite, Secret(c.Key), c.MKI})
	}
	return o
}
