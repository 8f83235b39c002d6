package config

// Flood is how many SIP messages a second are looked at before the rest is shed
// unread; for a moment twice as many. A phone or carrier that is shed sends again.
// The addresses of registrar.ban.allow are exempt from source, phone and strangers:
// a proxy with many phones behind it belongs there.
type Flood struct {
	// Source is for one address (IPv6: a /64) that is no trunk's, outside the
	// flows of registered phones.
	Source int `yaml:"source" default:"20" min:"1" max:"100000"`
	// Phone is for one registered phone.
	Phone int `yaml:"phone" default:"50" min:"5" max:"100000"`
	// Trunk is for one address of a carrier.
	Trunk int `yaml:"trunk" default:"5000" min:"10" max:"1000000"`
	// Strangers is for all addresses of the first kind together.
	Strangers int `yaml:"strangers" default:"1000" min:"1" max:"1000000"`
	// Total is for everybody together. What belongs to a call that is up is never
	// shed for it; then come new calls, phones that register again, strangers.
	Total int `yaml:"total" default:"10000" min:"100" max:"1000000"`
}

// checkFlood: a narrower limit that a wider one swallows protects nobody.
func (k *checker) checkFlood() {
	f := &k.c.Flood
	for _, x := range []struct {
		narrow, wide string
		limit        *int
		by           int
	}{
		{"source", "strangers", &f.Source, f.Strangers},
		{"strangers", "total", &f.Strangers, f.Total},
		{"phone", "total", &f.Phone, f.Total},
	} {
		if *x.limit > x.by {
			at, given := k.at[x.limit]
			if !given {
				at = k.at[f]
			}
			k.errorf(at, "flood.%s is %d messages a second, more than the %d of flood.%s, which would be used up by one", x.narrow, *x.limit, x.by, x.wide)
		}
	}
}
