package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"foyer/cmd/foyer/config"
)

// operator talks to the running switch over its admin socket: whoever may open
// the socket may do everything.
type operator struct{ http http.Client }

// errNotRunning: no switch serves this configuration.
var errNotRunning = errors.New("the switch is not running with this configuration (start it with `foyer serve`)")

func newOperator(cfg *config.Config) *operator {
	socket := cfg.Listen.AdminSocket
	return &operator{http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}},
	}}
}

// get reads a JSON answer into v, or the raw body when v is an io.Writer.
func (o *operator) get(path string, v any) error { return o.do(http.MethodGet, path, nil, v) }

func (o *operator) post(path string, body any) error { return o.do(http.MethodPost, path, body, nil) }

func (o *operator) do(method, path string, body, v any) error {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "http://admin/api/v1"+path, in)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := o.http
	if _, stream := v.(io.Writer); stream {
		client.Timeout = 0 // a month of journal takes its time
	}
	res, err := client.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return errNotRunning
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to use the admin socket; run as the switch's user or root")
	case err != nil:
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return problemOf(res)
	}
	switch v := v.(type) {
	case nil:
		return nil
	case io.Writer:
		_, err = io.Copy(v, res.Body)
		return err
	default:
		return json.NewDecoder(res.Body).Decode(v)
	}
}

// problemOf reads an RFC 9457 body.
func problemOf(res *http.Response) error {
	var p struct {
		Title, Detail, Hint string
		Errors              []struct{ Message string }
	}
	if json.NewDecoder(res.Body).Decode(&p) != nil || p.Title == "" {
		return fmt.Errorf("the switch answered %s", res.Status)
	}
	msg := p.Title
	if p.Detail != "" {
		msg = p.Detail
	}
	for _, e := range p.Errors {
		if e.Message != p.Detail {
			msg += "\n" + e.Message
		}
	}
	if p.Hint != "" {
		msg += " (" + p.Hint + ")"
	}
	return errors.New(msg)
}

// loadConfig reads the configuration for a command, and tells all that is wrong with it.
func loadConfig(path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	var problems *config.Problems
	if errors.As(err, &problems) {
		problems.WriteTo(os.Stderr)
		return nil, exitConfig
	}
	return cfg, err
}
