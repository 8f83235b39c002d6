package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"
)

// Problem is every error of the API: RFC 9457, with a code for programs and a hint
// for people.
type Problem struct {
	Type         string              `json:"type,omitempty" doc:"about:blank: the title says it"`
	Title        string              `json:"title"`
	Status       int                 `json:"status"`
	Detail       string              `json:"detail,omitempty" doc:"What happened this time"`
	Code         string              `json:"code" doc:"A word that programs may rely on" example:"not_found"`
	Hint         string              `json:"hint,omitempty" doc:"What to do about it"`
	CurrentState string              `json:"current_state,omitempty" doc:"With 409: what the state is now"`
	Errors       []*huma.ErrorDetail `json:"errors,omitempty" doc:"With 422: each thing that is wrong with the request"`

	headers http.Header
}

func (p *Problem) Error() string  { return p.Detail }
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of RFC 9457 section 3.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders are headers that go with the problem.
func (p *Problem) GetHeaders() http.Header { return p.headers }

func problem(status int, code, detail, hint string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail, Hint: hint}
}

func notFound(what, id string) *Problem {
	return problem(http.StatusNotFound, "not_found", "There is no "+what+" "+id+".",
		"It may have ended, or your token may not cover its client.")
}

func notHere(what string) *Problem {
	return problem(http.StatusNotImplemented, "not_available", "This switch has no "+what+".", "")
}

// problem turns an error of the switch into an HTTP problem; it is the only place
// that does. What is nobody's business outside goes into the log.
func (c *console) problem(err error, what, id string) error {
	var p *Problem
	var conflict *StateConflict
	var bad *BadField
	var config *BadConfig
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, ErrNotFound):
		return notFound(what, id)
	case errors.As(err, &conflict):
		p := problem(http.StatusConflict, "state_changed", "The state of "+what+" "+id+" is now "+conflict.State+".",
			"Look at the state again and decide anew.")
		if conflict.Why != "" {
			p.Detail = conflict.Why
		}
		p.CurrentState = conflict.State
		return p
	case errors.As(err, &bad):
		p := problem(http.StatusUnprocessableEntity, "invalid", bad.Why, "")
		if bad.Known != nil {
			p.Hint = "It is one of: " + strings.Join(bad.Known, ", ") + "."
		}
		p.Errors = []*huma.ErrorDetail{{Message: bad.Why, Location: "body." + bad.Field, Value: bad.Value}}
		return p
	case errors.As(err, &config):
		p := problem(http.StatusUnprocessableEntity, "bad_configuration", config.Why, config.Hint)
		for _, each := range config.Problems {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: each})
		}
		return p
	case errors.Is(err, ErrGone):
		return problem(http.StatusGone, "erased", "The recording was erased.", "Its entry says by whom, when and why.")
	case errors.Is(err, ErrUnavailable):
		return problem(http.StatusServiceUnavailable, "unavailable", err.Error(), "")
	case errors.Is(err, ErrBadQuery):
		return problem(http.StatusBadRequest, "bad_query", err.Error(), "")
	}
	c.log.Error("console", zap.String("about", what), zap.String("id", id), zap.Error(err))
	return problem(http.StatusInternalServerError, "internal", "The switch could not do this.", "The log says why.")
}

// problems gives the errors that huma itself makes the shape of ours.
func problems(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problem(e.Status, "bad_request", e.Detail, "The API is described at /api/docs.")
	if e.Status == http.StatusUnprocessableEntity {
		p.Code = "invalid"
	}
	p.Errors = e.Errors
	return p, nil
}

// write sends a problem outside of huma.
func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}
