package config

import (
	"net/netip"
	"net/url"
	"strings"
)

func (k *checker) checkSite() {
	s := &k.c.Site
	at, given := k.at[&s.PublicURL]
	if !given {
		return
	}
	u, err := url.Parse(s.PublicURL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		k.errorf(at, "site.public_url %q must be an address such as https://acd.example.fr", s.PublicURL)
	case strings.HasSuffix(s.PublicURL, "/"):
		k.errorf(at, "site.public_url must not end with a slash: %q will do", strings.TrimRight(s.PublicURL, "/"))
	case u.Scheme == "http" && !onThisMachine(u.Hostname()):
		k.errorf(at, "site.public_url must begin with https: links that are given out bring passwords")
	}
}

func onThisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
