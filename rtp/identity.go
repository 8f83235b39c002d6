package rtp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha256" // of printHash
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// newIdentity makes the certificate of our DTLS handshakes. Nobody signs it: SDP
// carries its fingerprint (RFC 5763 section 5), so it is as good as the signalling,
// and one for the life of the process is enough.
func newIdentity(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // RFC 8827 section 6.5
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("media certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("media certificate: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "media"},
		NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(10, 0, 0), // phones' clocks are wrong
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("media certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// identityKey is what the certificate is kept under.
const identityKey = keyPrefix + "identity"

// keptIdentity is the certificate of the last process, or a new one: what phones were
// promised in SDP holds for their calls, and another would mean another handshake (RFC
// 8842 section 3.1).
func keptIdentity(memory Memory, now time.Time) (tls.Certificate, error) {
	if memory == nil {
		return newIdentity(now)
	}
	if b, ok := memory.Get(identityKey); ok {
		if old, err := tls.X509KeyPair(b, b); err == nil {
			return old, nil
		}
	}
	identity, err := newIdentity(now)
	if err != nil {
		return identity, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(identity.PrivateKey)
	if err != nil {
		return identity, fmt.Errorf("media certificate: %w", err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: identity.Certificate[0]})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := memory.Put(identityKey, b); err != nil {
		return identity, fmt.Errorf("media certificate: %w", err)
	}
	return identity, nil
}

// Fingerprint is that of the certificate of our DTLS handshakes, for SDP.
func (m *Media) Fingerprint() string {
	return "sha-256 " + printOf(m.identity.Certificate[0], crypto.SHA256)
}

// printOf is the fingerprint of a certificate (RFC 8122 section 5).
func printOf(der []byte, hash crypto.Hash) string {
	h := hash.New()
	h.Write(der)
	text := strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
	var b strings.Builder
	for i := 0; i < len(text); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(text[i : i+2])
	}
	return b.String()
}

// fits tells whether a certificate is one of those an SDP promised.
func fits(der []byte, prints string) bool {
	for line := range strings.SplitSeq(prints, "\n") {
		name, print, _ := strings.Cut(line, " ")
		if h := printHash(name); h != 0 && printOf(der, h) == print {
			return true
		}
	}
	return false
}
