// Package sqltest lets a test run against every database the books may be kept in.
// PostgreSQL is started by the first test that wants it, with files of its own in a
// temporary directory and nothing but a Unix socket to reach it, and stopped when
// the package's tests are over. Debian's own cluster is not touched.
package sqltest

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Each runs a test once for SQLite, with no connection string, and once for
// PostgreSQL, with that of an empty database.
func Each(t *testing.T, run func(t *testing.T, postgres string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { run(t, "") })
	t.Run("postgres", func(t *testing.T) { run(t, Postgres(t)) })
}

// Postgres is the connection string of an empty database. The package's TestMain
// must go through Main.
func Postgres(t testing.TB) string {
	t.Helper()
	dsn, err := shared.database()
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Main is m with the server's end after it:
//
//	func TestMain(m *testing.M) { os.Exit(sqltest.Main(m).Run()) }
func Main(m interface{ Run() int }) Runner { return Runner{m} }

// Runner runs a package's tests.
type Runner struct{ m interface{ Run() int } }

// Run runs the tests and then stops what they started.
func (r Runner) Run() int {
	code := r.m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// shared is the one server of a test process: starting one takes seconds.
var shared server

type server struct {
	mu    sync.Mutex
	dir   string        // guarded by mu; empty: not started
	cmd   *exec.Cmd     // guarded by mu
	ended chan struct{} // closed when the process is gone
	err   error         // of the start; guarded by mu
	given int           // databases made; guarded by mu
}

// database makes a database, on the server it starts if there is none.
func (s *server) database() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" && s.err == nil {
		s.err = s.start()
	}
	if s.err != nil {
		return "", s.err
	}
	db, err := sql.Open("pgx", s.dsn("postgres"))
	if err != nil {
		return "", err
	}
	defer db.Close()
	s.given++
	name := "test" + strconv.Itoa(s.given)
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		return "", fmt.Errorf("PostgreSQL: %w\n%s", err, s.log())
	}
	return s.dsn(name), nil
}

func (s *server) dsn(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {"foyer"}}.Encode()
}

func (s *server) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}

// start makes a cluster and serves it until stop, or until this process dies.
func (s *server) start() error {
	bin, err := programs()
	if err != nil {
		return err
	}
	// Not TMPDIR: the path of a Unix socket has 107 bytes at most.
	if s.dir, err = os.MkdirTemp("/tmp", "foyer-pg-"); err != nil {
		return err
	}
	who, err := unprivileged(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "foyer", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.Dir, init.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: who}
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
		"-c", "shared_buffers=16MB", "-c", "max_connections=200")
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, log, log
	// SIGQUIT ends it at once, together with us if we are killed.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGQUIT}
	if err := s.serve(); err != nil {
		return err
	}
	return s.await()
}

// serve starts the process from a thread that lives as long as it does: the kernel
// takes the end of the starting thread for the death of the parent.
func (s *server) serve() error {
	started, ended := make(chan error, 1), make(chan struct{})
	s.ended = ended
	cmd := s.cmd
	go func() {
		runtime.LockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	return <-started
}

// await waits until the server answers.
func (s *server) await() error {
	db, err := sql.Open("pgx", s.dsn("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for end := time.Now().Add(30 * time.Second); ; {
		if err = db.Ping(); err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("PostgreSQL ended at its start:\n%s", s.log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("PostgreSQL does not answer within 30 s: %w\n%s", err, s.log())
		}
	}
}

func (s *server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return nil
	}
	defer os.RemoveAll(s.dir)
	if s.ended == nil || s.cmd.Process == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.ended:
		return nil
	case <-time.After(10 * time.Second):
		return errors.Join(fmt.Errorf("PostgreSQL did not stop within 10 s"), s.cmd.Process.Kill())
	}
}

// programs is where initdb and postgres are: the newest of Debian's, or on the path.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("PostgreSQL is not installed; run `make setup`")
	}
	return filepath.Dir(path), nil
}

// unprivileged is who runs the server where we are root, which it refuses to be;
// the directory becomes theirs.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if errU != nil || errG != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("PostgreSQL will not run as root, and there is no user postgres or nobody")
}
