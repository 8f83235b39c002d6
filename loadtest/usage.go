package loadtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process and its children have used.
type Usage struct {
	CPU     time.Duration // user and system, since their start
	RSS     int64         // bytes: private memory and its share of what is shared
	Threads int
	Files   int // open descriptors, -1 if they may not be listed
	At      time.Time
}

// clockTicks is USER_HZ, which is 100 on every Linux a Go program runs on.
const clockTicks = 100

// UsageOf reads a process and all its descendants. CPU of a child that has ended
// is its parent's.
func UsageOf(pid int) (Usage, error) {
	u := Usage{At: time.Now()}
	tree, err := descendants(pid)
	if err != nil {
		return u, err
	}
	for _, p := range tree {
		one, err := usageOfOne(p)
		if err != nil {
			if p == pid {
				return u, err
			}
			continue // a child that ended between the listing and the reading
		}
		u.CPU += one.CPU
		u.RSS += one.RSS
		u.Threads += one.Threads
		u.Files += one.Files
	}
	return u, nil
}

func usageOfOne(pid int) (Usage, error) {
	var u Usage
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	f, err := statFields(dir)
	if err != nil {
		return u, err
	}
	// Fields of proc(5) by number, less the three before the state: utime 14,
	// stime 15, cutime 16, cstime 17, num_threads 20.
	var ticks int64
	for _, n := range []int{14, 15, 16, 17} {
		v, err := strconv.ParseInt(f[n-3], 10, 64)
		if err != nil {
			return u, fmt.Errorf("usage of process %d: %w", pid, err)
		}
		ticks += v
	}
	u.CPU = time.Duration(ticks) * time.Second / clockTicks
	u.Threads, _ = strconv.Atoi(f[20-3])
	u.RSS = memoryOf(dir)
	u.Files = -1
	if all, err := os.ReadDir(filepath.Join(dir, "fd")); err == nil {
		u.Files = len(all)
	}
	return u, nil
}

// statFields returns the fields of /proc/PID/stat from the state on: the name
// before may hold spaces.
func statFields(dir string) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	end := bytes.LastIndexByte(raw, ')')
	f := strings.Fields(string(raw[end+1:]))
	if end < 0 || len(f) < 20 {
		return nil, fmt.Errorf("usage: %s/stat has %d fields", dir, len(f))
	}
	return f, nil
}

// memoryOf is the proportional set size, or the resident size where that cannot
// be read.
func memoryOf(dir string) int64 {
	for _, try := range [][2]string{{"smaps_rollup", "Pss:"}, {"status", "VmRSS:"}} {
		raw, err := os.ReadFile(filepath.Join(dir, try[0]))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(raw), "\n") {
			if rest, ok := strings.CutPrefix(line, try[1]); ok {
				kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				return kb << 10
			}
		}
	}
	return 0
}

// descendants lists a process and everything below it.
func descendants(pid int) ([]int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	children := map[int][]int{}
	for _, path := range all {
		f, err := statFields(filepath.Dir(path))
		if err != nil {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(f[1])
		children[parent] = append(children[parent], child)
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// Since returns what was used between an earlier reading and this one, as cores
// and as total.
func (u Usage) Since(before Usage) (cores float64, used time.Duration) {
	used = u.CPU - before.CPU
	return used.Seconds() / u.At.Sub(before.At).Seconds(), used
}
