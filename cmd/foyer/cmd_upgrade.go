package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// upgradeCmd puts another release in the place of the running one while calls are up.
type upgradeCmd struct {
	Program string `arg:"" optional:"" help:"The new program; by default the one this command is of." type:"existingfile"`
}

// upgraded is what the switch says of itself, and what it is asked to become.
type upgraded struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	Calls   int    `json:"calls"`
	Program string `json:"program"` // device and inode of its file
}

// fileOf names a file, whatever its path.
func fileOf(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

func (ex *exchange) itself() upgraded {
	return upgraded{os.Getpid(), version, ex.calls.count(), fileOf(ownProgram)}
}

func (u *upgradeCmd) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	program := u.Program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return fmt.Errorf("upgrade: %w", err)
		}
	}
	if program, err = filepath.Abs(program); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	var was, is, wanted upgraded
	if err := op.do(http.MethodGet, "/upgrade", nil, &was); err != nil {
		return err
	}
	begun := time.Now()
	if err := op.do(http.MethodPost, "/upgrade", map[string]string{"program": program}, &wanted); err != nil {
		return err
	}
	for time.Since(begun) < time.Minute {
		time.Sleep(20 * time.Millisecond)
		if op.do(http.MethodGet, "/upgrade", nil, &is) == nil && is.PID != was.PID {
			break
		}
	}
	switch {
	case is.PID == 0 || is.PID == was.PID:
		return fmt.Errorf("upgrade: the switch has not come back; see its log")
	case is.Program != wanted.Program:
		return fmt.Errorf("upgrade: the new program died or was not ready in time; %s goes on, with its calls. The log says more", is.Version)
	}
	fmt.Printf("%s -> %s with %d calls up, %d ms from the order to the answer; for 10 s the keeper goes back by itself if it dies\n",
		was.Version, is.Version, was.Calls, time.Since(begun).Milliseconds())
	return nil
}

var errHandOver = errors.New("another program takes over")

// withUpgrade adds, for whoever may open the admin socket, what the switch is and
// the order to make room for another program.
func (ex *exchange) withUpgrade(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET /api/v1/upgrade", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, ex.itself())
	})
	mux.HandleFunc("POST /api/v1/upgrade", func(w http.ResponseWriter, r *http.Request) {
		var order struct{ Program string }
		next := ex.itself()
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&order)
		if err == nil {
			next.Program = fileOf(order.Program)
			err = ex.prepareUpgrade(order.Program)
		}
		if err != nil {
			answerJSON(w, http.StatusConflict, map[string]any{"title": "Not upgraded", "status": http.StatusConflict, "detail": err.Error()})
			return
		}
		answerJSON(w, http.StatusAccepted, next)
		time.AfterFunc(20*time.Millisecond, func() { ex.fail(errHandOver) }) // the answer is out by then
	})
	return mux
}

func answerJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone, or reads it
}

// prepareUpgrade makes sure that a program is a switch which can read our
// configuration, and gives it to the keeper.
func (ex *exchange) prepareUpgrade(path string) (err error) {
	switch {
	case !ex.keeper.Kept():
		return errors.New("this switch has no keeper that could start the new program: it was started with --alone, or its keeper is gone")
	case ex.draining.Load():
		return errors.New("the switch is draining")
	case !ex.upgrading.CompareAndSwap(false, true):
		return errors.New("another program is taking over; see how that ends")
	}
	defer func() {
		if err != nil {
			ex.upgrading.Store(false)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	program, file := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), ex.plan.Load().cfg.Files[0]
	run := func(args ...string) (string, error) {
		out, err := exec.Command(program, args...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	is, err := run("version")
	if err != nil || !strings.HasPrefix(is, "foyer ") {
		return fmt.Errorf("%s is no switch: asked for its version it said %q", path, is)
	}
	if out, err := run("check", "-c", file); err != nil {
		return fmt.Errorf("%s cannot serve this configuration:\n%s", is, out)
	}
	// It reads the file now, while calls need not wait for that.
	if body, err := exec.Command(program, "read", "-c", file).Output(); err == nil {
		head := headFor(file, strings.TrimPrefix(is, "foyer "), program)
		if err := addConfig(ex.keeper, head, body); err != nil {
			ex.log.Warn("the new program has to read the configuration itself", zap.Error(err))
		}
	}
	if err := ex.keeper.Prepare(int(f.Fd())); err != nil {
		return fmt.Errorf("%s: %w", is, err)
	}
	ex.log.Info("another program takes over", zap.String("program", path), zap.String("version", is))
	return nil
}
