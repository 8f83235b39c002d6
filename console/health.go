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
	sayState(w, err)
}

// ready answers whether calls should be sent here.
func (c *console) ready(w http.ResponseWriter, r *http.Request) {
	var err error
	if c.Ready != nil {
		err = c.Ready(r.Context())
	}
	sayState(w, err)
}

func sayState(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, err.Error()+"\n")
		return
	}
	io.WriteString(w, "ok\n")
}
