package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/sip"
)

// carriers shows the trunks.
type carriers struct{ *desk }

func (c *carriers) List(context.Context) []console.TrunkView {
	var list []console.TrunkView
	for _, s := range c.ex.edge.TrunkStates() {
		list = append(list, c.view(s))
	}
	return list
}

func (c *carriers) Ping(ctx context.Context, id string) (console.TrunkView, error) {
	if _, known := c.ex.plan.Load().trunks[id]; !known {
		return console.TrunkView{}, fmt.Errorf("trunk %s: %w", id, console.ErrNotFound)
	}
	s, err := c.ex.edge.PingTrunk(ctx, id)
	if errors.Is(err, sip.ErrNoHost) {
		return console.TrunkView{}, fmt.Errorf("trunk %s has no host to ask: give it one in trunks[].host (%w)", id, console.ErrUnavailable)
	}
	return c.view(s), err
}

func (c *carriers) view(s sip.TrunkState) console.TrunkView {
	v := console.TrunkView{ID: s.ID, State: "unwatched", Why: s.Why, Calls: s.Calls, Since: momentOf(s.Since)}
	switch {
	case s.Watched && s.Up:
		v.State = "up"
	case s.Watched:
		v.State = "down"
	}
	for _, t := range c.ex.plan.Load().cfg.Trunks {
		if t.ID == s.ID {
			v.Mode, v.Transport, v.MaxCalls, v.Host = string(t.Auth.Mode), t.Transport, t.MaxCalls, hostText(t.Host)
		}
	}
	if s.Registered {
		v.Registration = &console.TrunkEnrol{Registrar: s.At.String(), Until: s.Until.UTC().Truncate(time.Second), Path: s.Path}
	}
	if s.Code != 0 || s.Missed > 0 || s.Pinged {
		v.Options = &console.TrunkAnswer{Code: s.Code, RTTMS: float64(s.RTT.Microseconds()) / 1000, Missed: s.Missed}
	}
	for _, p := range s.Places {
		v.Addresses = append(v.Addresses, p.String())
	}
	return v
}

// hostText is a host as it stands in the configuration.
func hostText(h config.Host) string {
	if h.Port == 0 {
		return h.Name
	}
	return fmt.Sprintf("%s:%d", h.Name, h.Port)
}
