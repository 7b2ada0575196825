package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"deltaledger/ledger/wire"
)

// maxSingle is how many bytes a body may have to be looked at by single: above, recording costs much more
// than the framework does.
const maxSingle = 16 << 10

// single serves POST /v1/events where the body is one event and nothing else is asked for, without the
// framework: that costs as much processor time as decoding and encoding the event. What it answers is what
// the route answers. Every other request goes to next, which reads the same body.
func (s *server) single(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !mayBeSingle(r) {
			next.ServeHTTP(w, r)
			return
		}
		body := r.Body
		raw := make([]byte, r.ContentLength)
		n, err := io.ReadFull(body, raw)
		if err == nil && isObject(raw) {
			s.answerSingle(w, r, raw)
			return
		}
		r.Body = &readAgain{Reader: bytes.NewReader(raw[:n]), rest: body, err: err}
		next.ServeHTTP(w, r)
	})
}

// mayBeSingle says of a request whether its headers let it hold a single event and ask for nothing special.
func mayBeSingle(r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/events" || r.URL.RawPath != "" || r.URL.RawQuery != "" || r.URL.ForceQuery {
		return false
	}
	if r.ContentLength <= 0 || r.ContentLength > maxSingle || r.Header["Content-Encoding"] != nil || r.Header["Ce-Specversion"] != nil {
		return false
	}
	if accepted := r.Header["Accept"]; len(accepted) > 1 || len(accepted) == 1 && accepted[0] != "*/*" && accepted[0] != "application/json" {
		return false
	}
	switch types := r.Header["Content-Type"]; {
	case len(types) == 0:
		return true
	case len(types) > 1:
		return false
	case types[0] == "application/json":
		return true
	default:
		format, p := formatOf(types[0])
		return p == nil && format == wire.JSON
	}
}

// isObject reports that a JSON text is an object, or would be one if it were JSON.
func isObject(raw []byte) bool {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == '{'
}

// answerSingle records the event and says what became of it.
func (s *server) answerSingle(w http.ResponseWriter, r *http.Request, raw []byte) {
	out, err := s.recordRaw(r.Context(), bytes.TrimRight(raw, " \t\r\n"))
	if err != nil {
		p := *problemOf(err, "body") // shared by nobody: it gets the name of this request
		s.report(r.Context(), &p)
		s.writeProblem(w, r, &p)
		return
	}
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Location"] = []string{out.Location}
	s.writeJSON(w, out.Status, out.Body)
}

// readAgain is a body of which the beginning, or everything, was read before.
type readAgain struct {
	*bytes.Reader
	rest io.ReadCloser
	err  error // of reading on; nil: it was read to its end
}

func (b *readAgain) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) && b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *readAgain) Close() error { return b.rest.Close() }
