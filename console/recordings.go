package console

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// RecordingRef is the recording a path names.
type RecordingRef struct {
	ID string `path:"id" maxLength:"128"`
}

func (c *console) recordingRoutes(api huma.API) {
	huma.Register(api, route("list-recordings", "GET /recordings", RecordingsRead, "Recordings, newest first"), c.listRecordings)
	huma.Register(api, route("get-recording", "GET /recordings/{id}", RecordingsRead, "One recording"), c.getRecording)
	audio := route("get-recording-audio", "GET /recordings/{id}/audio", RecordingsListen,
		"Listen: 8 kHz stereo PCM16 WAV, left the caller, right the agent. Ranges are served. Every request is audited.")
	audio.Responses = answers("audio/wav")
	huma.Register(api, audio, c.listen)
	huma.Register(api, route("get-recording-audit", "GET /recordings/{id}/audit", RecordingsRead, "Who listened to a recording, newest first"), c.auditRecording)
}

func (c *console) listRecordings(ctx context.Context, in *struct {
	From   time.Time `query:"from" doc:"Started at or after"`
	To     time.Time `query:"to" doc:"Started before"`
	Call   string    `query:"call"`
	Client string    `query:"client"`
	Queue  string    `query:"queue"`
	Agent  string    `query:"agent"`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}) (*list[Recording], error) {
	if c.Recordings == nil {
		return nil, notHere("recorder")
	}
	a := who(ctx)
	all, err := c.Recordings.List(ctx, RecordingQuery{
		From: in.From, To: in.To, Call: in.Call, Client: in.Client, Queue: in.Queue, Agent: in.Agent,
		Clients: a.clients, Limit: in.Limit,
	})
	if err != nil {
		return nil, c.problem(err, "recordings", "")
	}
	seen := all[:0:0]
	for _, r := range all {
		if a.sees(r.Client) {
			seen = append(seen, r)
		}
	}
	return listing(seen, ""), nil
}

// recording returns a recording the actor may know of.
func (c *console) recording(ctx context.Context, id string) (Recording, error) {
	if c.Recordings == nil {
		return Recording{}, notHere("recorder")
	}
	r, err := c.Recordings.Get(ctx, id)
	if err != nil {
		return Recording{}, c.problem(err, "recording", id)
	}
	if !who(ctx).sees(r.Client) {
		return Recording{}, notFound("recording", id)
	}
	return r, nil
}

func (c *console) getRecording(ctx context.Context, in *RecordingRef) (*one[Recording], error) {
	r, err := c.recording(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[Recording]{r}, nil
}

// listen sends the audio. The audit line comes first: no line, no audio.
func (c *console) listen(ctx context.Context, in *struct {
	RecordingRef
	Download bool   `query:"download" doc:"Offer it as a file"`
	Range    string `header:"Range" maxLength:"256" doc:"bytes=from-to"`
}) (*huma.StreamResponse, error) {
	rec, err := c.recording(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	audio, changed, err := c.Recordings.Audio(ctx, rec.ID)
	if err != nil {
		return nil, c.problem(err, "recording", in.ID)
	}
	a := who(ctx)
	line := AuditEntry{Actor: a.name, Action: "recording.listen", Object: rec.ID, Call: rec.CallID, Detail: rangeStart(in.Range), Remote: a.remote}
	if in.Download {
		line.Action = "recording.download"
	}
	if _, err := AppendAudit(ctx, c.DB, line); err != nil {
		shut(audio)
		return nil, c.problem(fmt.Errorf("listen to %s: %w", rec.ID, err), "recording", in.ID)
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		defer shut(audio)
		r, w := humago.Unwrap(out)
		w.Header().Set("Content-Type", "audio/wav")
		if in.Download {
			name := "foyer-" + rec.Started.UTC().Format("20060102-150405") + "-" + rec.ID + ".wav"
			w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
		}
		http.ServeContent(w, r, "", changed, audio)
	}}, nil
}

// rangeStart is what the audit says of a request for a part.
func rangeStart(header string) string {
	first, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return "from byte 0"
	}
	first, _, _ = strings.Cut(first, "-")
	if first == "" {
		return "the last bytes"
	}
	return "from byte " + first
}

func shut(audio io.ReadSeeker) {
	if c, ok := audio.(io.Closer); ok {
		c.Close()
	}
}

func (c *console) auditRecording(ctx context.Context, in *RecordingRef) (*list[AuditEntry], error) {
	rec, err := c.recording(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	lines, err := ListAudit(ctx, c.DB, AuditQuery{Object: rec.ID, Limit: 1000})
	if err != nil {
		return nil, c.problem(err, "recording", in.ID)
	}
	return listing(lines, ""), nil
}
