package ledger

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteNDJSON writes one JSON object a line.
func WriteNDJSON(w io.Writer, c []CDR) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	for i := range c {
		if err := enc.Encode(&c[i]); err != nil {
			return fmt.Errorf("export CDR %s: %w", c[i].ID, err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("export CDRs: %w", err)
	}
	return nil
}

// ExportNDJSON writes what q selects, a page at a time.
func (s *Store) ExportNDJSON(ctx context.Context, w io.Writer, q Query) error {
	b := bufio.NewWriter(w)
	err := s.each(ctx, q, func(raw []byte) (string, error) {
		var place struct {
			ID      string  `json:"id"`
			Started Instant `json:"started"`
		}
		if err := json.Unmarshal(raw, &place); err != nil {
			return "", fmt.Errorf("read CDR: %w", err)
		}
		b.Write(raw)
		return CDR{ID: place.ID, Started: place.Started}.Cursor(), b.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("export CDRs: %w", err)
	}
	return nil
}

// CSVOptions fit a CSV to its reader. A French Excel wants both.
type CSVOptions struct {
	BOM       bool // begin with a byte-order mark, without which Excel takes UTF-8 for something else
	Semicolon bool // separate by ';' and write decimals with ','
}

// CSVFor are the options for a reader's language.
func CSVFor(locale string) CSVOptions {
	fr := strings.HasPrefix(strings.ToLower(locale), "fr")
	return CSVOptions{BOM: fr, Semicolon: fr}
}

// WriteCSV writes a header line and one line a CDR. Segments and the quality of
// each leg are not in it; they have no place in a table of calls.
func WriteCSV(w io.Writer, c []CDR, o CSVOptions) error {
	t, err := newTable(w, o, cdrColumns())
	if err != nil {
		return err
	}
	for i := range c {
		if err := t.row(&c[i]); err != nil {
			return err
		}
	}
	return t.flush()
}

// ExportCSV writes what q selects, a page at a time.
func (s *Store) ExportCSV(ctx context.Context, w io.Writer, q Query, o CSVOptions) error {
	t, err := newTable(w, o, cdrColumns())
	if err != nil {
		return err
	}
	if err := s.Each(ctx, q, func(c CDR) error { return t.row(&c) }); err != nil {
		return err
	}
	return t.flush()
}

type table struct {
	csv   *csv.Writer
	comma bool
	cells []string
}

func newTable(w io.Writer, o CSVOptions, header []string) (*table, error) {
	if o.BOM {
		if _, err := io.WriteString(w, "\ufeff"); err != nil {
			return nil, fmt.Errorf("export CSV: %w", err)
		}
	}
	t := &table{csv: csv.NewWriter(w), comma: o.Semicolon}
	t.csv.UseCRLF = true // RFC 4180 section 2
	if o.Semicolon {
		t.csv.Comma = ';'
	}
	t.cells = make([]string, 0, len(header))
	return t, t.write(header)
}

func cdrColumns() []string {
	return []string{
		"id", "client", "did", "direction", "from", "to", "queue", "trunk",
		"started", "answered", "ended",
		"queued_s", "ring_s", "talk_s", "hold_s", "diverted_s", "wrapup_s", "duration_s",
		"wrapup_code", "wrapup_note", "diverted_to", "callback", "origin", "agent", "agents", "outcome", "ended_by", "cause", "sip_code", "q850", "service_level_met",
		"sip_call_id", "recording_id", "recorded_s", "codec", "transport",
		"mos_min", "loss_ratio", "jitter_ms_p95",
	}
}

func (t *table) row(c *CDR) error {
	t.cells = t.cells[:0]
	t.text(c.ID, c.Client, c.DID, c.Direction, c.From, c.To, c.Queue, c.Trunk,
		c.Started.String(), c.Answered.String(), c.Ended.String())
	t.seconds(c.QueuedFor, c.RungFor, c.TalkedFor, c.HeldFor, c.DivertedFor, c.WrappedUpIn, c.Duration)
	t.text(c.WrapUpCode, c.WrapUpNote, c.DivertedTo, c.Callback, c.Origin, c.Agent, strings.Join(c.Agents, " "), string(c.Outcome), c.EndedBy, c.Cause)
	t.count(c.SIPCode)
	t.count(c.Q850)
	t.text(strconv.FormatBool(c.ServiceLevelMet), c.SIPCallID, c.RecordingID)
	t.seconds(c.RecordedFor)
	t.text(c.Codec, c.Transport)
	t.ratio(c.MOSMin)
	t.ratio(c.LossRatio)
	t.ratio(c.JitterMS)
	return t.write(t.cells)
}

func (t *table) write(cells []string) error {
	if err := t.csv.Write(cells); err != nil {
		return fmt.Errorf("export CSV: %w", err)
	}
	return nil
}

func (t *table) flush() error {
	t.csv.Flush()
	if err := t.csv.Error(); err != nil {
		return fmt.Errorf("export CSV: %w", err)
	}
	return nil
}

func (t *table) text(cells ...string) {
	for _, c := range cells {
		t.cells = append(t.cells, inert(c))
	}
}

func (t *table) seconds(lengths ...Millis) {
	for _, m := range lengths {
		t.number(m.String())
	}
}

func (t *table) ratio(f float64) { t.number(strconv.FormatFloat(f, 'f', -1, 64)) }

func (t *table) count(n int) {
	if n == 0 {
		t.cells = append(t.cells, "")
		return
	}
	t.number(strconv.Itoa(n))
}

func (t *table) number(digits string) {
	if t.comma {
		digits = strings.Replace(digits, ".", ",", 1)
	}
	t.cells = append(t.cells, digits)
}

// inert keeps a spreadsheet from computing what a caller has put into a name or a
// number: a text that begins like a formula gets an apostrophe before it.
//
// A telephone number in E.164, a plus and up to 15 digits, is left as it is. As a
// formula it can do no more than show itself without the plus, while an apostrophe
// would spoil the number for every program that reads the file. Who wants to see
// the plus in a spreadsheet imports the column as text.
func inert(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return cell
	}
	if cell[0] == '+' && len(cell) > 1 && len(cell) <= 16 && strings.Trim(cell[1:], "0123456789") == "" {
		return cell
	}
	return "'" + cell
}
