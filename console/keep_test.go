package console

import (
	"slices"
	"strings"
	"testing"
)

// Orders about recordings are written down before they are carried out, and refused
// where the state forbids them.
func TestKeeping(t *testing.T) {
	v := newVisit(t)
	token := v.token([]string{RecordingsKeep}, []string{"acme"})
	for _, c := range []struct {
		path, body string
		code       int
		state      string
	}{
		{"r1/keep", `{"reason":"case 17"}`, 200, ""},
		{"held/keep", `{"reason":"case 18 too"}`, 200, ""},
		{"held/release", `{"reason":"closed"}`, 200, ""},
		{"r1/erase", `{"reason":"asked for"}`, 200, ""},
		{"r1/erase", `{}`, 422, ""},
		{"r1/erase", `{"reason":""}`, 422, ""},
		{"held/erase", `{"reason":"x"}`, 409, "held"},
		{"live/erase", `{"reason":"x"}`, 409, "recording"},
		{"live/keep", `{"reason":"while it is recorded"}`, 200, ""},
		{"gone/erase", `{"reason":"x"}`, 409, "erased"},
		{"gone/keep", `{"reason":"x"}`, 409, "erased"},
		{"r1/release", `{"reason":"x"}`, 409, "complete"},
		{"none/erase", `{"reason":"x"}`, 404, ""},
		{"r2/erase", `{"reason":"another client's"}`, 404, ""},
	} {
		w := v.ask("POST", "/api/v1/recordings/"+c.path, c.body, "token", token)
		if w.Code != c.code {
			t.Errorf("%s %s: %d %s", c.path, c.body, w.Code, w.Body)
			continue
		}
		if c.state != "" {
			if p := problemIn(t, w); p.CurrentState != c.state {
				t.Errorf("%s: %+v", c.path, p)
			}
		}
	}
	want := []string{"hold r1 case 17", "hold held case 18 too", "release held ", "erase r1 asked for", "hold live while it is recorded"}
	if !slices.Equal(v.shelf.orders, want) {
		t.Errorf("carried out: %q", v.shelf.orders)
	}
	trail, err := ListAudit(t.Context(), v.db, AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range slices.Backward(trail) {
		if strings.HasPrefix(e.Action, "recording.") {
			lines = append(lines, e.Action+" "+e.Object+" "+e.Detail)
		}
	}
	want = []string{"recording.hold r1 case 17", "recording.hold held case 18 too", "recording.release held closed",
		"recording.erase r1 asked for", "recording.hold live while it is recorded"}
	if !slices.Equal(lines, want) {
		t.Errorf("written down: %q", lines)
	}
	// No line, no deed.
	if _, err := v.db.Exec("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END"); err != nil {
		t.Fatal(err)
	}
	v.shelf.orders = nil
	if w := v.ask("POST", "/api/v1/recordings/r1/erase", `{"reason":"x"}`, "token", token); w.Code != 500 || v.shelf.orders != nil {
		t.Errorf("erased without a trace: %d, %q", w.Code, v.shelf.orders)
	}
}
