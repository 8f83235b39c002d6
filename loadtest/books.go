package loadtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// CDR is what the verifier reads of one row of `foyer cdr export --format
// ndjson`.
type CDR struct {
	ID          string  `json:"id"`
	From        string  `json:"from"`
	To          string  `json:"to"`
	Outcome     string  `json:"outcome"`
	EndedBy     string  `json:"ended_by"`
	Agent       string  `json:"agent"`
	TransferTo  string  `json:"transfer_to"`
	TalkS       float64 `json:"talk_s"`
	HoldS       float64 `json:"hold_s"`
	DurationS   float64 `json:"duration_s"`
	SIPCode     int     `json:"sip_code"`
	RecordingID string  `json:"recording_id"`
	RecordedS   float64 `json:"recorded_s"`
	SRTP        string  `json:"srtp"`
	Codec       string  `json:"codec"`       // of the caller
	SIPCallID   string  `json:"sip_call_id"` // of the caller's leg
	MOSMin      float64 `json:"mos_min"`
	Quality     struct{ Caller, Agent Quality }
}

// Quality is what a row says the switch has measured of what one party sent.
type Quality struct {
	SRTP      string  `json:"srtp"`
	Codec     string  `json:"codec"`
	Packets   uint64  `json:"packets"`
	Lost      uint64  `json:"lost"`
	LossRatio float64 `json:"loss"`
	JitterMS  float64 `json:"jitter_ms"`
	MOS       float64 `json:"mos"`
}

// Recording is what the verifier reads of `foyer recording list -o json`.
type Recording struct {
	ID        string    `json:"id"`
	CallID    string    `json:"call_id"`
	Agent     string    `json:"agent"`
	Started   time.Time `json:"started"`
	DurationS float64   `json:"duration_s"`
	LostMS    int64     `json:"lost_ms"`
	State     string    `json:"state"`
}

// ReadCDRs reads one object a line.
func ReadCDRs(r io.Reader) ([]CDR, error) {
	var all []CDR
	d := json.NewDecoder(r)
	for {
		var c CDR
		switch err := d.Decode(&c); {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return all, fmt.Errorf("CDR row %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
}

// ReadRecordings reads the array.
func ReadRecordings(r io.Reader) ([]Recording, error) {
	var all []Recording
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return nil, fmt.Errorf("list of recordings: %w", err)
	}
	return all, nil
}

// Readings are gauges of a switch by metric name, summed over their labels.
type Readings map[string]float64

// ReadReadings reads the text format of Prometheus.
func ReadReadings(r io.Reader) (Readings, error) {
	all := Readings{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := s.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		end := strings.LastIndexByte(line, '}') // labels may hold spaces
		name, _, _ := strings.Cut(line, "{")
		rest := line[end+1:]
		if end < 0 {
			name, rest, _ = strings.Cut(line, " ")
		}
		value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return all, fmt.Errorf("metrics line %q: %w", line, err)
		}
		all[name] += v
	}
	if err := s.Err(); err != nil {
		return all, fmt.Errorf("metrics: %w", err)
	}
	return all, nil
}
