package sip

import "bytes"

// Keys of media stand in SDP: SRTP master keys (RFC 4568) and ICE passwords (RFC
// 8839). Who could read them in a trace could listen to the recording that a
// network card made of the call.

// withoutKeys is a body without them. One that has none comes back as it is.
func withoutKeys(body []byte) []byte {
	if lower := bytes.ToLower(body); !bytes.Contains(lower, []byte("inline:")) && !bytes.Contains(lower, []byte("a=ice-pwd:")) {
		return body
	}
	var out []byte
	for line := range bytes.Lines(body) {
		out = append(out, withoutKey(line)...)
	}
	return out
}

// withoutKey cuts the secret from one line. What follows a key (its lifetime, the
// identifier, other keys) goes with it.
func withoutKey(line []byte) []byte {
	for _, word := range []string{"inline:", "a=ice-pwd:"} {
		at := bytes.Index(bytes.ToLower(line), []byte(word))
		if at < 0 {
			continue
		}
		end := at + len(word)
		rest := bytes.TrimRight(line, "\r\n")
		kept := append([]byte(nil), line[:end]...)
		kept = append(kept, "redacted"...)
		return append(kept, line[len(rest):]...)
	}
	return line
}
