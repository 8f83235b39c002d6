package config

import (
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// A process may read a configuration for another one of the same program: Pass
// writes what Load gave, the secrets too, and Receive reads it. It is for a pipe
// between the two and nothing else.

type passed struct {
	Config   *Config   // nil: not usable
	Problems *Problems // why not
}

// Pass writes what Load returned.
func Pass(w io.Writer, c *Config, err error) error {
	p := passed{Config: c}
	if err != nil && !errors.As(err, &p.Problems) {
		return err
	}
	return gob.NewEncoder(w).Encode(p)
}

// Receive returns what Load returned in the other process.
func Receive(r io.Reader) (*Config, error) {
	var p passed
	if err := gob.NewDecoder(r).Decode(&p); err != nil {
		return nil, fmt.Errorf("receive the configuration: %w", err)
	}
	if p.Config == nil {
		return nil, p.Problems
	}
	return p.Config, nil
}

// GobEncode is for Pass: it does not hide the secret.
func (s Secret) GobEncode() ([]byte, error) { return []byte(s.value), nil }

// GobDecode is for Receive.
func (s *Secret) GobDecode(b []byte) error {
	s.value = string(b)
	return nil
}

// GobEncode is for Pass: of two addresses both.
func (a Addresses) GobEncode() ([]byte, error) {
	return json.Marshal([2]netip.AddrPort{a.AddrPort, a.Other})
}

// GobDecode is for Receive.
func (a *Addresses) GobDecode(b []byte) error {
	var both [2]netip.AddrPort
	err := json.Unmarshal(b, &both)
	a.AddrPort, a.Other = both[0], both[1]
	return err
}

// onlySite is a Site without its methods.
type onlySite Site

// GobEncode is for Pass: a time zone goes by its name.
func (s Site) GobEncode() ([]byte, error) {
	return json.Marshal(struct {
		onlySite
		Timezone string // hides the one of onlySite
	}{onlySite(s), s.Timezone.String()})
}

// GobDecode is for Receive.
func (s *Site) GobDecode(b []byte) error {
	var zone struct{ Timezone string }
	if err := json.Unmarshal(b, &zone); err != nil {
		return err
	}
	var err error
	if s.Timezone, err = time.LoadLocation(zone.Timezone); err != nil {
		return err
	}
	return json.Unmarshal(b, &struct {
		*onlySite
		Timezone string
	}{onlySite: (*onlySite)(s)})
}
