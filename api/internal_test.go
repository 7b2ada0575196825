package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
	"deltaledger/migrations/sqltest"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	sqltest.Prepare(t, pgtest.New(t).App, ".")
}

func TestProblemOf(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	field := ledger.Invalid("amount", "x", "must be a number")
	for name, c := range map[string]struct {
		err        error
		status     int
		kind       kind
		retryAfter string
	}{
		"field":          {fmt.Errorf("record: %w", field), 422, invalid, ""},
		"terms":          {&billing.TermsError{Problems: []billing.Problem{{Field: "zone", Rule: "must exist"}}}, 422, invalid, ""},
		"not found":      {fmt.Errorf("event: %w", ledger.ErrNotFound), 404, notFound, ""},
		"conflict":       {fmt.Errorf("void: %w", ledger.ErrConflict), 409, conflicting, ""},
		"forbidden":      {ledger.ErrForbidden, 403, forbidden, ""},
		"busy":           {ledger.ErrBusy, 503, busy, "1"},
		"deadline":       {context.DeadlineExceeded, 503, busy, "1"},
		"given up":       {context.Canceled, 503, busy, "1"},
		"not frozen":     {fmt.Errorf("export: %w", &export.NotFrozenError{Available: at, Now: at.Add(-time.Hour)}), 409, notFrozen, "Tue, 03 Feb 2026 00:00:00 GMT"},
		"not frozen yet": {&export.NotFrozenError{Available: at, Now: at}, 409, notFrozen, "60"},
		"corrupt":        {fmt.Errorf("secret: %w", ledger.ErrCorrupt), 500, internal, ""},
		"unknown":        {errors.New("secret"), 500, internal, ""},
		"body":           {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), 400, malformed, ""},
	} {
		p := problemOf(c.err, "body")
		if p.Status != c.status || p.Type != "/docs#problem-"+c.kind.Name || p.retryAfter != c.retryAfter {
			t.Errorf("%s: %d %s, retry after %q", name, p.Status, p.Type, p.retryAfter)
		}
		if strings.Contains(p.Detail, "secret") {
			t.Errorf("%s tells about the inside: %s", name, p.Detail)
		}
	}
	both := problemOf(errors.Join(field, ledger.Invalid("why", "", "is missing")), "body")
	if len(both.Errors) != 2 || both.Errors[1] != (FieldDetail{Location: "body.why", Message: "is missing"}) {
		t.Errorf("two fields: %+v", both.Errors)
	}
}

// TestKinds: a kind's link must lead to its place on the page, whatever it is called.
func TestKinds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range kinds() {
		if seen[k.Name] || k.Title == "" || k.Advice == "" || k.Status < 400 {
			t.Errorf("kind %+v", k)
		}
		seen[k.Name] = true
	}
	for _, status := range []int{400, 404, 405, 406, 408, 413, 415, 422, 500, 502, 503} {
		if k := kindOf(status); !seen[k.Name] {
			t.Errorf("status %d has the kind %q, which the page doesn't list", status, k.Name)
		}
	}
}

// TestMeanings: the services may rename what they own; then the descriptions must follow.
func TestMeanings(t *testing.T) {
	t.Parallel()
	if s := newServer(Config{}); len(s.undescribed) > 0 {
		t.Errorf("no schema has these fields: %v", s.undescribed)
	}
}

// attended is a server around one handler.
func attended(t *testing.T, log io.Writer, h http.HandlerFunc) string {
	t.Helper()
	s := newServer(Config{Logger: slog.New(slog.NewJSONHandler(log, nil))})
	server := httptest.NewServer(s.attend(h))
	t.Cleanup(server.Close)
	return server.URL
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	url := attended(t, &log, func(http.ResponseWriter, *http.Request) { panic("secret") })
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var p Problem
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil || response.StatusCode != 500 || p.RequestID == "" || strings.Contains(p.Detail, "secret") {
		t.Errorf("%d %+v %v", response.StatusCode, p, err)
	}
	if !strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), p.RequestID) {
		t.Errorf("log:\n%s", log.String())
	}
}

// TestDownloadBreaksOff: an error in the middle of an answer must not look like its end.
func TestDownloadBreaksOff(t *testing.T) {
	t.Parallel()
	for name, bytesBefore := range map[string]int{"before the first bytes": 10, "in the middle": 3 * downloadBuffer} {
		var log bytes.Buffer
		s := newServer(Config{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		server := httptest.NewServer(s.attend(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := s.download(r.Context(), download{contentType: "text/csv", write: func(w io.Writer) (http.Header, error) {
				if _, err := w.Write(make([]byte, bytesBefore)); err != nil {
					return nil, err
				}
				return nil, errors.New("the disk is gone")
			}})
			answer.Body(humachi.NewContext(nil, r, w))
		})))
		response, err := http.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		server.Close()
		if bytesBefore < downloadBuffer {
			if err != nil || response.StatusCode != 500 || response.Header.Get("Content-Type") != problemJSON {
				t.Errorf("%s: %d %v", name, response.StatusCode, err)
			}
		} else if err == nil {
			t.Errorf("%s: the client took it for whole", name)
		}
		if !strings.Contains(log.String(), "the disk is gone") {
			t.Errorf("%s: log:\n%s", name, log.String())
		}
	}
}

func TestPartitionedThrough(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		names   []string
		through string
		months  int
	}{
		{nil, "", -1},
		{[]string{"events_2026_10"}, "", -1},
		{[]string{"events_2026_11"}, "2026-11", 0},
		{[]string{"events_2026_10", "events_2026_11", "events_2026_12", "events_2027_01"}, "2027-01", 2},
		{[]string{"events_2026_11", "events_2027_01", "events_2027_02"}, "2026-11", 0},
	} {
		if through, months := partitionedThrough(c.names, now); through != c.through || months != c.months {
			t.Errorf("%v: %s, %d", c.names, through, months)
		}
	}
}

// TestClientTakesNothing: a client that asks for much and reads none of it is given up.
func TestClientTakesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(Config{Silence: 200 * time.Millisecond})
	failed := make(chan error, 1)
	server := httptest.NewServer(s.attend(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for block := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(block)
		}
		failed <- err
	})))
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the handler met %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the handler still writes")
	}
}
