package sip

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Certificate is what the switch shows to those who connect by TLS: a certificate
// and its key, in two files that may be replaced while it serves. New files count
// from the next handshake on; connections that stand keep what they were made
// with. Files that cannot be used change nothing but the log. Any goroutine may
// call any method.
type Certificate struct {
	certFile, keyFile string
	log               *zap.Logger
	now               func() time.Time

	mu     sync.Mutex
	pair   *tls.Certificate
	looked time.Time // at the files, last
	seen   [2]stamp  // of the files that were tried last
}

// stamp tells one version of a file from the next.
type stamp struct {
	changed time.Time
	size    int64
}

// lookAgain is how often the files are looked at.
const lookAgain = time.Second

// OpenCertificate reads a certificate with its chain and its key, PEM both. An
// error says which of the two is wrong and why. One that is no longer good, or
// not yet, is taken, with a warning: there is no better.
func OpenCertificate(certFile, keyFile string, log *zap.Logger, now func() time.Time) (*Certificate, error) {
	if log == nil {
		log = zap.NewNop()
	}
	if now == nil {
		now = time.Now
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, now: now}
	c.seen, c.looked = c.stamps(), now()
	pair, err := loadPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	c.pair = pair
	if err := valid(pair.Leaf, now()); err != nil {
		log.Warn("certificate in use", zap.String("file", certFile), zap.Error(err))
	}
	return c, nil
}

// loadPair reads both files and sees that they belong together.
func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

func valid(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("expired on %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("not good before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// Expires is when the certificate in use ends.
func (c *Certificate) Expires() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair.Leaf.NotAfter
}

// Get returns the certificate for a handshake, for tls.Config.GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookAgain {
		c.looked = now
		if found := c.stamps(); found != c.seen {
			c.seen = found
			c.replace(now)
		}
	}
	return c.pair, nil
}

// Reload reads the files at once.
func (c *Certificate) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked, c.seen = c.now(), c.stamps()
	return c.replace(c.looked)
}

// replace takes what the files hold now, if it can be used. The caller holds mu.
func (c *Certificate) replace(now time.Time) error {
	pair, err := loadPair(c.certFile, c.keyFile)
	if err == nil {
		if err = valid(pair.Leaf, now); err != nil {
			err = fmt.Errorf("certificate %s: %w", c.certFile, err)
		}
	}
	if err != nil {
		c.log.Warn("new certificate not taken, the old one stays", zap.Error(err))
		return err
	}
	c.pair = pair
	c.log.Info("new certificate", zap.String("file", c.certFile), zap.Time("expires", pair.Leaf.NotAfter))
	return nil
}

// stamps are zero for a file that is not there: it may be on its way.
func (c *Certificate) stamps() (s [2]stamp) {
	for i, name := range [...]string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

// Config is TLS as we serve it: version 1.2 or newer, and of 1.2 only ciphers with
// forward secrecy that authenticate what they encrypt.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: c.Get,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}
