package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"foyer/cmd/foyer/config"
)

// banner tells an operator what to do next with a switch that has just started.
func (ex *exchange) banner(w io.Writer, cfg *config.Config) {
	say := func(format string, a ...any) { fmt.Fprintf(w, format+"\n", a...) }
	mode := ""
	if cfg.Demo {
		mode = "  DEMO: throw-away passwords, open console on loopback"
	}
	say("Foyer %s  %s%s", version, cfg.Site.Name, mode)
	for _, at := range []struct {
		how  string
		addr netip.AddrPort
	}{{"", cfg.Listen.SIPUDP.AddrPort}, {"", cfg.Listen.SIPTCP.AddrPort}, {" by TLS", cfg.Listen.SIPTLS.AddrPort}} {
		if at.addr.IsValid() {
			say("  phones register   sip:AGENT@%s, server %s%s", cfg.Registrar.Realm, at.addr, at.how)
			break
		}
	}
	if len(cfg.Agents) > 0 {
		a := cfg.Agents[0]
		secret := "the password of the configuration"
		if cfg.Demo {
			secret = "password " + a.SIP.Password.Reveal()
		}
		say("  for example       agent %s, %s (%d agents in all)", a.ID, secret, len(cfg.Agents))
	}
	for _, d := range cfg.DIDs {
		say("  number to call    %s -> queue %s", d.Number, d.To)
	}
	for _, t := range cfg.Trunks {
		say("  trunk %-11s calls from %v", t.ID, t.Auth.Allow)
	}
	if cfg.Listen.HTTP.IsValid() {
		say("  console           http://%s/", cfg.Listen.HTTP)
	}
	if cfg.Listen.HTTPS.Addr.IsValid() {
		say("  in browsers       https://%[1]s/, phones wss://%[1]s/sip", cfg.Listen.HTTPS.Addr)
	}
	say("  recordings        %s", cfg.Recording.Store.Dir)
	say("  stop              Ctrl-C; calls that are up are given time to end")
}

// logPause is how long a line of the log may wait for others.
const logPause = 100 * time.Millisecond

// newLogger writes the log that the configuration asks for to out.
func newLogger(cfg *config.Config, out *os.File) *zap.Logger {
	level, err := zapcore.ParseLevel(cfg.Observability.Log.Level)
	if err != nil {
		level = zapcore.InfoLevel
	}
	return logTo(out, level, cfg.Observability.Log.Format)
}

// logTo writes JSON lines, or plain ones in format console.
func logTo(out *os.File, level zapcore.Level, format string) *zap.Logger {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if format == "console" {
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	// A line each would be a system call each: lines go out together, at the
	// latest after logPause, and at once with one that is an error.
	lines := &zapcore.BufferedWriteSyncer{WS: out, Size: 64 << 10, FlushInterval: logPause}
	flush := func(e zapcore.Entry) error {
		if e.Level >= zapcore.ErrorLevel {
			return lines.Sync()
		}
		return nil
	}
	return zap.New(zapcore.NewCore(encoder, lines, level), zap.Hooks(flush))
}
