package console

import (
	"io"
	"net/http"
)

// health answers whether the process works; a supervisor restarts it if not.
func (c *console) health(w http.ResponseWriter, _ *http.Request) {
	var err error
	if c.Healthy != nil {
		err = c.Healthy()
	}
	sayState(w, err, nil)
}

// ready answers whether calls should be sent here.
func (c *console) ready(w http.ResponseWriter, r *http.Request) {
	var err error
	if c.Ready != nil {
		err = c.Ready(r.Context())
	}
	var warnings []string
	if c.Warnings != nil {
		warnings = c.Warnings()
	}
	sayState(w, err, warnings)
}

// sayState answers ok, or why not, and then what an operator must see to.
func sayState(w http.ResponseWriter, err error, warnings []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, err.Error()+"\n")
	} else {
		io.WriteString(w, "ok\n")
	}
	for _, line := range warnings {
		io.WriteString(w, "warning: "+line+"\n")
	}
}
