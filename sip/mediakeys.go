package sip

import "bytes"

// Keys of media stand in SDP: SRTP master keys (RFC 4568) and ICE passwords (RFC
// 8839). Whoever read them in a trace could listen to what a network card took down
// of the call.
var (
	cryptoLine = []byte("crypto:")
	icePwdLine = []byte("ice-pwd:")
)

// withoutKeys is a body without them. One that has none comes back as it is.
func withoutKeys(body []byte) []byte {
	if !bytes.Contains(body, cryptoLine) && !bytes.Contains(body, icePwdLine) {
		return body
	}
	var out []byte
	for line := range bytes.Lines(body) {
		text := bytes.TrimRight(line, "\r\n")
		out = append(out, withoutKey(text)...)
		out = append(out, line[len(text):]...)
	}
	return out
}

// withoutKey cuts the secret from a line. What stands behind a key (its lifetime,
// its identifier, other keys) goes with it; tag and cipher stay.
func withoutKey(line []byte) []byte {
	head, rest, found := bytes.Cut(line, cryptoLine)
	if found {
		fields := bytes.Fields(rest)
		fields = append(fields[:min(len(fields), 2)], []byte("redacted"))
		return bytes.Join([][]byte{head, cryptoLine, bytes.Join(fields, []byte(" "))}, nil)
	}
	if head, _, found = bytes.Cut(line, icePwdLine); found {
		return bytes.Join([][]byte{head, icePwdLine, []byte("redacted")}, nil)
	}
	return line
}
