//go:build linux || darwin

package main

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"deltaledger/ledger"
)

// The demo holds what it promises, twice on one data directory, and then serves its ledger.
func TestDemo(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	for range 2 {
		var told struct {
			Steps  []chapter `json:"steps"`
			Held   int       `json:"held"`
			Broken int       `json:"broken"`
		}
		p.ask(&told, "demo", "--exit")
		if len(told.Steps) < 10 || told.Held < 20 || told.Broken != 0 {
			t.Errorf("%d steps, %d checks held, %d did not: %+v", len(told.Steps), told.Held, told.Broken, told.Steps)
		}
	}
	story := p.must("demo", "--exit", "--output", "table")
	for _, want := range []string{"byte for byte", "late, for December 2025", "is refused", "0 did not"} {
		if !strings.Contains(story, want) {
			t.Errorf("the story lacks %q:\n%s", want, story)
		}
	}
}

var servedAt = regexp.MustCompile(`listening on (http://[0-9.:]+)`)

func TestDemoServes(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	cmd := p.command(t.Context(), "demo", "--addr", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []byte
	for end := time.Now().Add(2 * time.Minute); servedAt.FindSubmatch(said) == nil; {
		if time.Now().After(end) {
			t.Fatalf("it doesn't serve: %s", said)
		}
		chunk := make([]byte, 4096)
		n, err := stderr.Read(chunk)
		said = append(said, chunk[:n]...)
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	response, err := http.Get(string(servedAt.FindSubmatch(said)[1]) + "/v1/aggregates?measure=amount&by=booked_month")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.Body.Close() != nil || !strings.Contains(string(body), `"booked_month":"2025-12"`) {
		t.Errorf("%v: %s", err, body)
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }() // what it says at its end must not block it
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
}

// The generator's books add up and its order of deliveries loses nothing.
func TestWorld(t *testing.T) {
	t.Parallel()
	a, b := makeWorld(7), makeWorld(7)
	if len(a.events) != len(b.events) || !slices.EqualFunc(a.events, b.events, func(x, y ledger.Event) bool { return x.ID == y.ID && x.Amount == y.Amount }) {
		t.Error("one seed makes two worlds")
	}
	if len(a.late) != 41 || a.order == "" {
		t.Errorf("%d late events, order %q", len(a.late), a.order)
	}
}
