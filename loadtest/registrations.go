package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Registrant is a phone that does nothing but register: a socket or connection of
// its own and a few hundred bytes, so that many of them cost little beside the
// registrar they load.
type Registrant struct {
	Agent
	realm, transport string
	dial             func() (net.Conn, error)
	conn             net.Conn
	in               *bufio.Reader // of a connection
	cseq             int
}

// Registrants are phones for agents by one transport, "udp" or "tls", at server,
// each of which connects when it registers first. roots is the file of who signed
// the server's certificate.
func Registrants(agents []Agent, transport, server, realm, roots string) ([]*Registrant, error) {
	dial := func() (net.Conn, error) { return net.Dial("udp", server) }
	if transport == "tls" {
		pem, err := os.ReadFile(roots)
		if err != nil {
			return nil, fmt.Errorf("registrants: %w", err)
		}
		secure := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: realm}
		secure.RootCAs.AppendCertsFromPEM(pem)
		dial = func() (net.Conn, error) {
			return tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", server, secure)
		}
	}
	all := make([]*Registrant, len(agents))
	for i, a := range agents {
		all[i] = &Registrant{Agent: a, realm: realm, transport: transport, dial: dial}
	}
	return all, nil
}

// CloseRegistrants pulls everybody's plug.
func CloseRegistrants(all []*Registrant) {
	for _, r := range all {
		if r.conn != nil {
			r.conn.Close()
		}
	}
}

// RegisterAll lets everybody register, so many at a time, each with a challenge
// and its answer. It returns the first thing that went wrong.
func RegisterAll(ctx context.Context, all []*Registrant, width int) error {
	return inParallel(len(all), width, func(i int) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := all[i].register(); err != nil {
			return fmt.Errorf("register %s by %s: %w", all[i].User, all[i].transport, err)
		}
		return nil
	})
}

// inParallel does n things, width at a time, and returns the first error.
func inParallel(n, width int, do func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, width)
	for w := range width {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += width {
				errs[w] = do(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *Registrant) register() (err error) {
	if r.conn == nil {
		if r.conn, err = r.dial(); err != nil {
			return err
		}
		if r.transport == "tls" {
			r.in = bufio.NewReaderSize(r.conn, 2048)
		}
	}
	answer, err := r.ask("")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "SIP/2.0 401") {
		return fmt.Errorf("answered %.40q", answer)
	}
	if answer, err = r.ask(r.credentials(answer)); err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "SIP/2.0 200") {
		return fmt.Errorf("answered %.40q", answer)
	}
	return nil
}

// credentials answers the challenge of a 401 (RFC 7616, MD5).
func (r *Registrant) credentials(challenge string) string {
	_, rest, _ := strings.Cut(challenge, `nonce="`)
	nonce, _, _ := strings.Cut(rest, `"`)
	uri := "sip:" + r.realm
	ha1 := md5hex(r.User + ":" + r.realm + ":" + r.Password)
	response := md5hex(ha1 + ":" + nonce + ":00000001:c:auth:" + md5hex("REGISTER:"+uri))
	return fmt.Sprintf("Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\n",
		r.User, r.realm, nonce, uri, response)
}

func md5hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// ask sends a REGISTER and waits for its answer. By UDP it is sent again after
// half a second, as a phone does.
func (r *Registrant) ask(credentials string) (string, error) {
	r.cseq++
	at := r.conn.LocalAddr().String()
	id := fmt.Sprintf("%s-%d", r.User, r.cseq)
	req := fmt.Sprintf("REGISTER sip:%s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%s@%s>;tag=%s\r\nTo: <sip:%s@%s>\r\nCall-ID: %s\r\nCSeq: %d REGISTER\r\n"+
		"Contact: <sip:%s@%s;transport=%s>\r\nExpires: 300\r\n%sUser-Agent: registrant\r\nContent-Length: 0\r\n\r\n",
		r.realm, strings.ToUpper(r.transport), at, id, r.User, r.realm, id, r.User, r.realm, r.User+at, r.cseq,
		r.User, at, r.transport, credentials)
	for tries := 1; ; tries++ {
		if _, err := r.conn.Write([]byte(req)); err != nil {
			return "", err
		}
		wait := 500 * time.Millisecond
		if r.in != nil {
			wait = 10 * time.Second
		}
		answer, err := r.answer(time.Now().Add(wait))
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || r.in != nil || tries == 8 {
			return answer, err
		}
	}
}

// answer reads until the answer to the last request; whatever else comes is let go.
func (r *Registrant) answer(until time.Time) (string, error) {
	_ = r.conn.SetReadDeadline(until)
	mine := []byte("CSeq: " + strconv.Itoa(r.cseq) + " ")
	for {
		msg, err := r.message()
		if err != nil {
			return "", err
		}
		if bytes.HasPrefix(msg, []byte("SIP/2.0 ")) && bytes.Contains(msg, mine) {
			return string(msg), nil
		}
	}
}

func (r *Registrant) message() ([]byte, error) {
	if r.in == nil {
		buf := make([]byte, 2048)
		n, err := r.conn.Read(buf)
		return buf[:n], err
	}
	var msg []byte
	for {
		line, err := r.in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		msg = append(msg, line...)
		if len(line) == 2 {
			return msg, nil // nobody sends a registrant a body
		}
	}
}
