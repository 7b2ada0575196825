package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"
)

// requestIDHeader carries the name of a request through every service that handles it.
const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// requestID is the name of the request that ctx belongs to.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// attend wraps every request: it names it, waits for silent peers only so long, answers for what
// panics, and writes one line of log.
func (s *server) attend(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := s.now()
		id := s.nameRequest(r)
		w.Header().Set(requestIDHeader, id)
		ctx := context.WithValue(r.Context(), requestIDKey{}, id)
		connection := http.NewResponseController(w)
		// A deadline may be left from the connection's last request. Not every writer has one.
		_ = connection.SetWriteDeadline(time.Time{})
		answer := &answerWriter{ResponseWriter: w, connection: connection, silence: s.silence}
		r = r.WithContext(ctx)
		r.Body = &bodyReader{ReadCloser: r.Body, connection: connection, silence: s.silence}
		broken := true
		defer func() {
			if broken {
				s.recover(answer, r, recover())
			}
			s.logRequest(r, answer, s.now().Sub(started))
			if answer.cut {
				panic(http.ErrAbortHandler) // the only way to let the client see that the answer isn't whole
			}
			answer.extend()
		}()
		next.ServeHTTP(answer, r)
		broken = false
	})
}

// nameRequest takes the client's name of the request if it is a sane one, and makes one otherwise.
func (s *server) nameRequest(r *http.Request) string {
	if id := r.Header.Get(requestIDHeader); saneID(id) {
		return id
	}
	var random [16]byte
	if _, err := io.ReadFull(s.random, random[:]); err != nil {
		return "none" // requests are only harder to find
	}
	return hex.EncodeToString(random[:])
}

func saneID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// recover answers for a handler that panicked with v.
func (s *server) recover(w *answerWriter, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		w.cut = true
		return
	}
	s.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked", slog.String("request_id", requestID(r.Context())),
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
	if w.status != 0 {
		w.cut = true
		return
	}
	s.writeProblem(w, r, internal.problem("the server met an error that it doesn't explain here; the request's id finds it in the log"))
}

func (s *server) logRequest(r *http.Request, w *answerWriter, took time.Duration) {
	level := slog.LevelInfo
	if isProbe(r.URL.Path) {
		level = slog.LevelDebug
	}
	s.log.LogAttrs(r.Context(), level, "request",
		slog.String("request_id", requestID(r.Context())),
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes),
		slog.Duration("took", took),
		slog.Bool("broken", w.cut),
		slog.String("peer", r.RemoteAddr))
}

// writeProblem writes a problem outside of the framework.
func (s *server) writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.RequestID = requestID(r.Context())
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemJSON)
	if r.Method == http.MethodHead {
		w.WriteHeader(p.Status)
		return
	}
	s.writeJSON(w, p.Status, p)
}

// writeJSON writes an answer as the framework does, outside of it. Its headers are set already.
func (s *server) writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	if err := s.api.Marshal(&body, "application/json", v); err != nil {
		panic(err) // structs of strings and numbers only: impossible
	}
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a client that went away needs no answer
}

// answerWriter counts what is written, and gives up a client that takes nothing for too long.
type answerWriter struct {
	http.ResponseWriter
	connection *http.ResponseController
	silence    time.Duration
	status     int
	bytes      int64
	cut        bool // the answer isn't whole
}

// Unwrap lets http.ResponseController find the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// extend gives the client time again. Deadlines are held against the system's clock, whatever clock
// the server was given.
func (w *answerWriter) extend() {
	_ = w.connection.SetWriteDeadline(time.Now().Add(w.silence)) // writers in tests have none
}

// bodyReader gives up a client that sends nothing for too long. Between reads there is no deadline: it
// would end requests that take long after their body was read.
type bodyReader struct {
	io.ReadCloser
	connection *http.ResponseController
	silence    time.Duration
	timedOut   bool
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.timedOut {
		return 0, os.ErrDeadlineExceeded
	}
	_ = b.connection.SetReadDeadline(time.Now().Add(b.silence)) // see extend
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.timedOut = true
	}
	_ = b.connection.SetReadDeadline(time.Time{})
	return n, err
}
