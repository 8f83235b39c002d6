package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a machine without zone files still knows Paris
)

// set reads text into a field of any scalar type and holds it against the
// field's tags. The error continues a sentence that begins with the field's path.
func set(target reflect.Value, f field, text string) error {
	if err := allowed(f, text); err != nil {
		return err
	}
	switch into := target.Addr().Interface().(type) {
	case *time.Duration:
		return setDuration(into, f, text)
	case *netip.AddrPort:
		return setAddrPort(into, text)
	case *Addresses:
		return setAddrPort(&into.AddrPort, text)
	case *netip.Addr:
		return setAddr(into, text)
	case *netip.Prefix:
		return setPrefix(into, text)
	case *Size:
		return setSize(into, f, text)
	case *PortRange:
		return setPorts(into, text)
	case *Host:
		return setHost(into, text)
	case **time.Location:
		return setZone(into, text)
	case *Date:
		return setDate(into, text)
	case *Span:
		return setSpan(into, text)
	case *Target:
		return setTarget(into, text)
	case *Money:
		return setMoney(into, text)
	case *Secret:
		into.value = text
		return nil
	}
	switch target.Kind() {
	case reflect.String:
		if strings.TrimSpace(text) == "" {
			return errors.New("is empty")
		}
		target.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("must be true or false, not %q", text)
		}
		target.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("must be a whole number, not %q", text)
		}
		target.SetInt(int64(n))
		return within(f, text, float64(n))
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("must be a number, not %q", text)
		}
		target.SetFloat(x)
		return within(f, text, x)
	default:
		return fmt.Errorf("cannot be read (a field of type %s)", target.Type())
	}
	return nil
}

// allowed holds text against the values the field may take.
func allowed(f field, text string) error {
	if slices.Contains(strings.Fields(f.Tag.Get("later")), text) {
		return fmt.Errorf("%q is not supported by this release", text)
	}
	enum := strings.Fields(f.Tag.Get("enum"))
	if len(enum) == 0 || slices.Contains(enum, text) {
		return nil
	}
	if hint := meant(text, enum); hint != "" {
		return fmt.Errorf("cannot be %q%s", text, hint)
	}
	return fmt.Errorf("must be %s, not %q", anyOf(enum), text)
}

func anyOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// within holds a number against the field's range.
func within(f field, text string, x float64) error {
	low, errLow := strconv.ParseFloat(f.Tag.Get("min"), 64)
	high, errHigh := strconv.ParseFloat(f.Tag.Get("max"), 64)
	if errLow == nil && x < low || errHigh == nil && x > high {
		return fmt.Errorf("must be between %s and %s, not %s", f.Tag.Get("min"), f.Tag.Get("max"), text)
	}
	return nil
}

func setDuration(into *time.Duration, f field, text string) error {
	d, err := parseDuration(text)
	if err != nil {
		return err
	}
	*into = d
	low, errLow := parseDuration(f.Tag.Get("min"))
	high, errHigh := parseDuration(f.Tag.Get("max"))
	if errLow == nil && d < low || errHigh == nil && d > high {
		return fmt.Errorf("must be between %s and %s, not %s", f.Tag.Get("min"), f.Tag.Get("max"), text)
	}
	return nil
}

// parseDuration reads 30s, 5m, 1h30m and, beyond what Go reads, days: 180d.
func parseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("must be a duration such as 30s, 5m, 12h or 180d, not %q", text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, bad
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" && found {
		return d, nil
	}
	// A bare 0 means something to Go, but "0 of what?" to a reader.
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || rest == "0" || strings.HasPrefix(rest, "+") || strings.HasPrefix(rest, "-") || d+more < d {
		return 0, bad
	}
	return d + more, nil
}

func setAddrPort(into *netip.AddrPort, text string) error {
	host, port, ok := cutLast(text, ":")
	if !ok || port == "" {
		return fmt.Errorf("must be address:port, such as 127.0.0.1:5060 or :5060, not %q", text)
	}
	n, err := strconv.ParseUint(port, 10, 32)
	if err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("has port %q; a port is between 1 and 65535", port)
	}
	if host == "" {
		host = "[::]" // which on this machine's sockets is IPv4 too
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if err != nil || strings.HasPrefix(host, "[") != addr.Is6() {
		return fmt.Errorf("has address %q; write an IP address, such as 127.0.0.1 or [::1]", host)
	}
	*into = netip.AddrPortFrom(addr, uint16(n))
	return nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func setAddr(into *netip.Addr, text string) error {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return fmt.Errorf("must be an IP address, such as 192.0.2.10, not %q", text)
	}
	*into = addr
	return nil
}

func setPrefix(into *netip.Prefix, text string) error {
	if addr, err := netip.ParseAddr(text); err == nil {
		return fmt.Errorf("must be a prefix: write %s/%d for this address alone", addr, addr.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("must be a prefix such as 192.0.2.0/24, not %q", text)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has address bits beyond its length: did you mean %s, or %s/%d?",
			text, p.Masked(), p.Addr(), p.Addr().BitLen())
	}
	*into = p
	return nil
}

func setPorts(into *PortRange, text string) error {
	from, to, _ := strings.Cut(text, "-")
	low, errLow := strconv.ParseUint(from, 10, 32)
	high, errHigh := strconv.ParseUint(to, 10, 32)
	switch {
	case errLow != nil || errHigh != nil:
		return fmt.Errorf("must be a range such as 20000-29999, not %q", text)
	case low < 1024 || high > 65535:
		return fmt.Errorf("must be between 1024 and 65535, not %s", text)
	case low > high:
		return fmt.Errorf("%s is empty: its first port is above its last", text)
	case low%2 == 1 || high%2 == 0:
		return fmt.Errorf("%s must begin with an even port and end with an odd one: RTP takes the even, RTCP the odd above it", text)
	}
	*into = PortRange{uint16(low), uint16(high)}
	return nil
}

// hostName is a name the domain name system may know (RFC 1123 section 2.1).
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func setHost(into *Host, text string) error {
	bad := fmt.Errorf("must be a host name or an address, such as sip.carrier.example, 192.0.2.10:5070 or [2001:db8::1]:5070, not %q", text)
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return bad
		}
		*into = Host{Name: text}
		return nil
	}
	if at, err := netip.ParseAddrPort(text); err == nil && at.Port() > 0 && at.Addr().Zone() == "" {
		*into = Host{Name: at.Addr().String(), Port: at.Port()}
		return nil
	}
	name, port, given := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if given && (err != nil || n == 0) && !strings.Contains(port, ":") {
		return fmt.Errorf("has port %q; a port is between 1 and 65535", port)
	}
	// What is made of digits alone was meant as an address.
	if given && n == 0 || strings.Trim(name, "0123456789.") == "" || len(name) > 253 || !hostName.MatchString(name) {
		return bad
	}
	*into = Host{Name: name, Port: uint16(n)}
	return nil
}

func setZone(into **time.Location, text string) error {
	zone, err := time.LoadLocation(text)
	if err != nil || text == "" || text == "Local" {
		return fmt.Errorf("must be a time zone such as Europe/Paris, not %q", text)
	}
	*into = zone
	return nil
}
