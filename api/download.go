package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// download is an answer that is written while it is read.
type download struct {
	contentType string
	header      http.Header                            // besides Content-Type; may be nil
	trailers    []string                               // names of headers that are known only at the end
	write       func(w io.Writer) (http.Header, error) // returns the trailers
}

// downloadBuffer is how much of a download is held back: an error before it is full is still a problem
// document.
const downloadBuffer = 64 << 10

// download makes the answer. If writing fails after the first bytes left, the connection is cut, so that
// what arrived can't be taken for the whole.
func (s *server) download(ctx context.Context, d download) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		out := &downloadWriter{hc: hc, d: d}
		if hc.Method() == http.MethodHead {
			out.begin()
			return
		}
		buffered := bufio.NewWriterSize(out, downloadBuffer)
		trailers, err := d.write(buffered)
		if err == nil {
			err = buffered.Flush()
		}
		if err != nil {
			s.downloadFailed(ctx, out, err)
			return
		}
		if !out.begun {
			out.begin()
		}
		for name, values := range trailers {
			for _, value := range values {
				hc.SetHeader(name, value)
			}
		}
	}}
}

func (s *server) downloadFailed(ctx context.Context, out *downloadWriter, err error) {
	if !out.begun {
		p := problemOf(err, "query")
		s.report(ctx, p)
		s.answerProblem(out.hc, p)
		return
	}
	if ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelError, "answer broken off", slog.String("request_id", requestID(ctx)), slog.String("error", err.Error()))
	}
	panic(fmt.Errorf("%w: %w", http.ErrAbortHandler, err))
}

// downloadWriter sends the headers with the first bytes.
type downloadWriter struct {
	hc    huma.Context
	d     download
	begun bool
}

func (w *downloadWriter) begin() {
	w.begun = true
	w.hc.SetHeader("Content-Type", w.d.contentType)
	for name, values := range w.d.header {
		for _, value := range values {
			w.hc.SetHeader(name, value)
		}
	}
	for _, name := range w.d.trailers {
		w.hc.AppendHeader("Trailer", name)
	}
	w.hc.SetStatus(http.StatusOK)
}

func (w *downloadWriter) Write(b []byte) (int, error) {
	if !w.begun {
		w.begin()
	}
	return w.hc.BodyWriter().Write(b)
}

// textAnswer describes an answer in the OpenAPI document that isn't JSON.
func textAnswer(description string, contentTypes ...string) map[string]*huma.Response {
	content := map[string]*huma.MediaType{}
	for _, ct := range contentTypes {
		content[ct] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return map[string]*huma.Response{"200": {Description: description, Content: content}}
}
