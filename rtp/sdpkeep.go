package rtp

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// savedSession is a Session as it is kept for another process.
type savedSession struct {
	Local   netip.AddrPort
	ID      uint64
	Version uint64
	Codecs  []Codec
	Silent  bool `json:",omitempty"`
	Protect Protection
	Held    bool           `json:",omitempty"`
	Keys    *savedKeys     `json:",omitempty"`
	ICE     [3]string      `json:",omitzero"` // name, password, the peer's name
	Client  bool           `json:",omitempty"`
	Said    savedSide      `json:",omitzero"`
	Last    []byte         `json:",omitempty"`
	Agreed  savedSide      `json:",omitzero"`
	Offerer bool           `json:",omitempty"`
	Open    bool           `json:",omitempty"`
	Codec   Codec          `json:",omitempty"`
	Numbers [3]uint8       // PCMA, PCMU, telephone-event
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
}

// A Secret is not written by itself, lest it be by mistake.
type savedKeys struct {
	Suite        Suite
	Ours, Theirs []byte
	MKI          string `json:",omitempty"`
}

type savedCrypto struct {
	Tag   int
	Suite Suite
	Key   []byte
	MKI   string `json:",omitempty"`
}

// MarshalJSON keeps a session for ResumeSession. Its keys are in it.
func (s *Session) MarshalJSON() ([]byte, error) {
	var keys *savedKeys
	if k := s.keys; k != nil {
		keys = &savedKeys{k.Suite, []byte(k.Ours), []byte(k.Theirs), k.MKI}
	}
	return json.Marshal(savedSession{
		Local: s.local, ID: s.id, Version: s.version, Codecs: s.codecs, Silent: s.silent, Protect: s.protection, Held: s.held, Keys: keys,
		ICE: [3]string{s.ice.name, string(s.ice.password), s.ice.peer}, Client: s.client,
		Said: s.said.save(), Last: s.last, Agreed: s.agreed.save(), Offerer: s.offerer, Open: s.open, Codec: s.codec,
		Numbers: [3]uint8{s.numbers.pcma, s.numbers.pcmu, s.numbers.event}, Taken: s.numbers.taken, Remote: s.remote,
	})
}

// ResumeSession is a session that another process has kept.
func ResumeSession(kept []byte) (*Session, error) {
	var k savedSession
	if err := json.Unmarshal(kept, &k); err != nil {
		return nil, fmt.Errorf("kept session: %w", err)
	}
	s := NewSession(k.Local, k.ID)
	s.codecs, s.silent, s.protection = k.Codecs, k.Silent, k.Protect
	s.version, s.held, s.client = k.Version, k.Held, k.Client
	if k := k.Keys; k != nil {
		s.keys = &Keys{k.Suite, Secret(k.Ours), Secret(k.Theirs), k.MKI}
	}
	s.ice = iceSide{k.ICE[0], Secret(k.ICE[1]), k.ICE[2]}
	s.said, s.last, s.agreed, s.offerer, s.open, s.codec = k.Said.ours(), k.Last, k.Agreed.ours(), k.Offerer, k.Open, k.Codec
	s.numbers = numbers{k.Numbers[0], k.Numbers[1], k.Numbers[2], k.Taken}
	s.remote = k.Remote
	return s, nil
}

func (o *ours) save() savedSide {
	k := savedSide{Audio: o.audio, Event: o.event, Dir: o.dir, Mux: o.mux, Guard: o.guard, Setup: o.setup, ICE: o.ice, Bundle: o.bundle}
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
	o := ours{audio: k.Audio, event: k.Event, dir: k.Dir, mux: k.Mux, guard: k.Guard, setup: k.Setup, ice: k.ICE, bundle: k.Bundle}
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
