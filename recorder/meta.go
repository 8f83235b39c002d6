package recorder

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Meta is what is known when a recording begins.
type Meta struct {
	CallID     string    `json:"call_id"`
	Client     string    `json:"client"`
	Queue      string    `json:"queue"`
	Agent      string    `json:"agent"`
	Policy     string    `json:"policy,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	LegalBasis string    `json:"legal_basis,omitempty"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to,omitempty"`
	Started    time.Time `json:"started"` // zero: now
}

// Info is one recording as listed. JSON is the contract of `foyer recording list -o json`.
type Info struct {
	ID         string    `json:"id"`
	CallID     string    `json:"call_id"`
	Client     string    `json:"client"`
	Queue      string    `json:"queue"`
	Agent      string    `json:"agent"`            // the first
	Agents     []string  `json:"agents,omitempty"` // all, when the call was handed on
	Started    time.Time `json:"started"`
	DurationS  float64   `json:"duration_s"` // of the talk, from the first tap's start to the last one's stop
	State      string    `json:"state"`      // recording, complete, interrupted, erased
	Policy     string    `json:"policy,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	LegalBasis string    `json:"legal_basis,omitempty"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to,omitempty"`
	Encrypted  bool      `json:"encrypted"`
	Bytes      int64     `json:"bytes"`
	LostMS     int64     `json:"lost_ms"` // audio that should be there and is not
	Held       *Word     `json:"held,omitempty"`
	Erased     *Word     `json:"erased,omitempty"`
}

// States of a recording.
const (
	stateRecording   = "recording"
	stateComplete    = "complete"
	stateInterrupted = "interrupted"
)

const (
	sheetFile = "meta.json"
	audioFile = "audio.fyr"
)

// ErrNotFound: there is no such recording.
var ErrNotFound = errors.New("no such recording")

// sheet is meta.json. Of a recording that is over it names the last chunk, so
// that a missing end is noticed too.
type sheet struct {
	Info
	Chunks int    `json:"chunks"`
	Chain  string `json:"chain,omitempty"` // SHA-256 of the last chunk
}

func (m *Meta) info(id recID) Info {
	return Info{
		ID: id.String(), CallID: m.CallID, Client: m.Client, Queue: m.Queue, Agent: m.Agent,
		Started: m.Started.UTC().Round(0), Policy: m.Policy, Purpose: m.Purpose, LegalBasis: m.LegalBasis, From: m.From, To: m.To,
	}
}

// sheet describes a recording in progress or just over, without reading its file.
func (r *recording) sheet(s *Store) sheet {
	sh := sheet{Info: r.meta.info(r.id)}
	sh.LostMS = r.lostMS(s)
	sh.Bytes = r.size
	sh.Encrypted = r.seal.aead != nil
	r.mu.Lock()
	defer r.mu.Unlock()
	sh.DurationS = seconds(r.startAt, max(r.stopAt, r.lastAt))
	if len(r.agents) > 1 {
		sh.Agents = append([]string(nil), r.agents...)
	}
	switch {
	case !r.shut:
		sh.State = stateRecording
		return sh
	case r.failed != nil, r.forced, r.startAt == 0:
		sh.State = stateInterrupted
	default:
		sh.State = stateComplete
	}
	sh.Chunks = int(r.seal.number) // the number of the last, and one
	sh.Chain = hex.EncodeToString(r.seal.prev[:])
	return sh
}

// seconds between two unix ns, to the millisecond.
func seconds(from, to int64) float64 {
	if from == 0 || to <= from {
		return 0
	}
	return float64((to-from+int64(time.Millisecond)/2)/int64(time.Millisecond)) / 1000
}

func (s *Store) openDir() string { return filepath.Join(s.dir, ".open") }

func (s *Store) recordingDir(id recID) string { return recordingDir(s.dir, id) }

func recordingDir(dir string, id recID) string {
	return filepath.Join(dir, id.time().Format("2006/01/02"), id.String())
}

// writeSheet replaces meta.json at once: a reader sees the old or the new one.
func writeSheet(d disk, dir string, sh sheet) error {
	text, err := json.MarshalIndent(sh, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", sheetFile, err)
	}
	tmp := filepath.Join(dir, "."+sheetFile)
	if err := d.put(tmp, append(text, '\n')); err != nil {
		return err
	}
	return d.rename(tmp, filepath.Join(dir, sheetFile))
}

func readSheet(dir string) (sh sheet, err error) {
	text, err := os.ReadFile(filepath.Join(dir, sheetFile))
	if err != nil {
		return sh, err
	}
	if err := json.Unmarshal(text, &sh); err != nil {
		return sh, fmt.Errorf("%s: %w", sheetFile, err)
	}
	return sh, nil
}
