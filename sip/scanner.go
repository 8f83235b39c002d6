package sip

import "bytes"

// scanners are pieces of the User-Agent headers of programs that look for
// telephone systems to break into. A program that means no harm asks from an
// address that the configuration names.
var scanners = [...]string{
	"friendly-scanner", "sipvicious", "sundayddr", "sipsak", "sipcli", "sip-scan", "sipscan", "pplsip", "smap",
	"iwar", "siparmyknife", "vaxsipuseragent", "sipptk", "voiphopper", "nmap", "masscan", "zgrab", "scanner",
}

// disguised are pieces of From headers that give the same programs away under any
// other name.
var disguised = [...]string{`"sipvicious"`, "@1.1.1.1", "sip:nm@nm", "sip:sipsak@"}

// scans reports whether a request is from a scanner.
func scans(agent, from []byte) bool {
	return holdsOne(agent, scanners[:]) || holdsOne(from, disguised[:])
}

// holdsOne reports whether one of the pieces, which are in lower case, stands in
// the beginning of b in any case.
func holdsOne(b []byte, pieces []string) bool {
	var room [128]byte
	low := room[:copy(room[:], b)]
	for i, c := range low {
		if c >= 'A' && c <= 'Z' {
			low[i] = c | 0x20
		}
	}
	for _, p := range pieces {
		if bytes.Contains(low, []byte(p)) {
			return true
		}
	}
	return false
}
