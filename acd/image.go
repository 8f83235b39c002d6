package acd

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"foyer/acd/flat"
)

// Image is a floor as it stood between two steps: all that later decisions depend on,
// and all that is shown of it. It stays as it is while the floor goes on.
//
// It is made in two parts, so that the floor has to stand still for the first alone:
// Freeze writes down what changes and shares what never does; Encode, on any
// goroutine, makes bytes of all of it.
type Image struct {
	lasting lasting
	talked  []stamp[AgentID]
	left    []stamp[time.Time]
	overs   [2]uint64
	state   []byte
}

// lasting is what an image holds and nothing ever changes. It is written as the journal
// writes it.
type lasting struct {
	Config *Config     `json:"config"`
	Queues []Queue     `json:"queues,omitempty"` // no longer configured, with calls still
	Agents []*AgentCfg `json:"agents,omitempty"` // likewise, with work in hand
	Facts  []*Facts    `json:"facts,omitempty"`  // of the callbacks promised
}

// imageVersion is the form of an image. One of another version is not read.
const imageVersion = 1

// ErrImage: these bytes are no image of a floor, or one of another version.
var ErrImage = errors.New("no image of a floor that can be read")

// Freeze takes an image. False while something is left to be repaired by the next
// step, or is so broken that no image could show it.
func (f *Floor) Freeze() (*Image, bool) {
	if len(f.freshAgents)+len(f.freshCalls)+len(f.growing)+len(f.touchedAgents)+len(f.touchedCalls)+len(f.out) > 0 {
		return nil, false
	}
	m := &Image{
		lasting: lasting{Config: f.config},
		talked:  f.talked.order, left: f.left.order, overs: [2]uint64{f.talked.over, f.left.over},
	}
	p := painter{Form: flat.Writing(make([]byte, 0, f.frozen+f.frozen/8+1<<10)), f: f, lasting: &m.lasting}
	p.gather()
	p.floor()
	if p.Err() != nil || p.timers != len(f.due.heap) {
		return nil, false
	}
	m.state = p.Bytes()
	f.frozen = len(m.state)
	return m, true
}

// Encode makes bytes of an image.
func (m *Image) Encode() ([]byte, error) {
	lasting, err := json.Marshal(&m.lasting)
	if err != nil {
		return nil, fmt.Errorf("image of the floor: %w", err)
	}
	f := flat.Writing(make([]byte, 0, len(lasting)+len(m.state)+32*(len(m.talked)+len(m.left))+64))
	version := uint64(imageVersion)
	flat.Number(f, &version)
	f.Blob(&lasting)
	f.Blob(&m.state)
	stamps(f, &m.overs[0], &m.talked, func(v *AgentID) { flat.Text(f, v) })
	stamps(f, &m.overs[1], &m.left, f.Moment)
	return f.Bytes(), nil
}

// Thaw makes a floor of an image. It goes on as the one did that the image is of.
// What is decided on later is the same, if the bytes are those that Encode gave.
func Thaw(image []byte) (*Floor, error) {
	f := flat.Reading(image)
	var version uint64
	if flat.Number(f, &version); f.Err() != nil || version != imageVersion {
		return nil, fmt.Errorf("%w: version %d", ErrImage, version)
	}
	floor := NewFloor()
	var text, state []byte
	var last lasting
	f.Blob(&text)
	f.Blob(&state)
	stamps(f, &floor.talked.over, &floor.talked.order, func(v *AgentID) { flat.Text(f, v) })
	stamps(f, &floor.left.over, &floor.left.order, f.Moment)
	if err := f.End(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	if err := json.Unmarshal(text, &last); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	floor.talked.recall()
	floor.left.recall()
	p := painter{Form: flat.Reading(state), f: floor, lasting: &last}
	p.floor()
	if p.End() == nil {
		p.complete()
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	return floor, nil
}

// stamps goes over what is remembered of calls that are over.
func stamps[T any](f *flat.Form, over *uint64, list *[]stamp[T], value func(*T)) {
	flat.Number(f, over)
	base := time.Time{}
	if len(*list) > 0 {
		base = (*list)[0].at
	}
	f.Base(time.Time{})
	f.Moment(&base)
	f.Base(base)
	flat.List(f, list, func(s *stamp[T]) {
		flat.Text(f, &s.key)
		f.Moment(&s.at)
		f.Bool(&s.gone)
		value(&s.value)
	})
}

// recall fills in what the order says.
func (m *recent[T]) recall() {
	order, over := m.order, m.over
	m.order = make([]stamp[T], 0, len(order))
	for _, s := range order {
		m.note(s)
	}
	m.over = over
}

// Config is what the floor was configured with last; nil before it was. It must not be
// changed.
func (f *Floor) Config() *Config { return f.config }

// Now is the moment of the floor's last step.
func (f *Floor) Now() time.Time { return f.now }
