package main

// The figures of other systems, measured November 2026 on a 2-core machine (24
// GiB, Linux 6.18, loopback) by generators that check every packet. Absolute
// figures move by 15 to 30 % from run to run.
const measuredWhere = "measured November 2026 on a 2-core machine"

// known are those figures by row of the table.
type known struct{ asterisk, freeswitch, goal string }

var peers = map[string]known{
	"media/50":                 {"5.8-7.5", "4.6-7.5", ""},
	"media/200":                {"5.0-5.8", "4.8-5.1", "0.9"},
	"media/500":                {"", "", ""},
	"media/1000":               {"", "", "0.65"},
	"memory":                   {"440-524 KB", "1190-1265 KB", "60 KB"},
	"lost":                     {"0", "up to 0.05 %", "0"},
	"delay":                    {"0.2 / 1.0", "13-26 / 24-40", ""},
	"offer":                    {"1.5-3.0 / 4.0-7.2", "58-71 / 109-139", "1.5 / 4"},
	"rate":                     {"100", "100", ""},
	"percall":                  {"4.1-4.8", "13-20", "1.5"},
	"waiting":                  {"1.45-1.51", "1.90", "0.25"},
	"waiting/memory":           {"259-285 MB", "617-845 MB", ""},
	"freed/one":                {"604-646", "nobody in 3 s", "10"},
	"registrations/all":        {"", "", "60"},
	"registrations/udp":        {"270", "1900-2400", "55-95"},
	"registrations/udp/memory": {"", "", "10"},
	"registrations/tls/memory": {"", "", "45"},
	"freed/all":                {"3000-5100", "nobody in 30 s", "100"},
}
