package main

import (
	"foyer/cmd/foyer/config"
	"foyer/sip"
)

// floodPolicy is what the edge is told of floods and strangers.
func (ex *exchange) floodPolicy(cfg *config.Config) *sip.FloodPolicy {
	f := cfg.Flood
	return &sip.FloodPolicy{
		Source: f.Source, Phone: f.Phone, Trunk: f.Trunk, Strangers: f.Strangers, Total: f.Total,
		Allow: cfg.Registrar.Ban.Allow,
		Hosts: []string{cfg.Registrar.Realm, cfg.Site.PublicHost},
		Shed:  func(reason string) { ex.metrics.shed.WithLabelValues(reason).Inc() },
	}
}
