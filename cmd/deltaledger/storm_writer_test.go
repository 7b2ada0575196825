//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// request is a request that records, and what its answer must be like.
type request struct {
	what   string
	path   string
	body   string
	media  string
	events []stormEvent
	// refuses is the status that the request must be refused with; 0: it must be taken.
	refuses int
	single  bool // the answer is for one event, not for many
	each    bool // the answer names each event
}

// writer sends events, one request at a time, each until it has an answer.
type writer struct {
	storm  *storm
	n      int
	next   int // how many events of streams
	aside  int // how many of any kind
	random *rand.Rand
}

func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.step()
		time.Sleep(time.Duration(w.random.IntN(60)) * time.Millisecond) // leaves a small machine something for what is tested
	}
}

// step sends one request, sometimes twice at once, and sometimes again.
func (w *writer) step() {
	if w.random.IntN(12) == 0 {
		w.states()
		return
	}
	r := w.choose()
	if r.refuses == 0 {
		w.storm.model.send(r.events)
	}
	if w.random.IntN(8) == 0 { // from two at once
		var both sync.WaitGroup
		for range 2 {
			random := rand.New(rand.NewPCG(w.random.Uint64(), 0))
			both.Go(func() { w.storm.until(r, random) })
		}
		both.Wait()
	} else {
		w.storm.until(r, w.random)
	}
	if r.refuses == 0 {
		w.storm.model.remember(r, w.random)
	}
	if again, ok := w.storm.model.remembered(w.random); ok && w.random.IntN(5) == 0 {
		w.storm.until(again, w.random)
	}
}

// states sends the states of a new stream in any order, half of them beside the other half. Now and then
// the stream moves to another account.
func (w *writer) states() {
	var all []request
	first := w.content()
	stream := fmt.Sprintf("m%d-%d", w.n, w.aside)
	for n := range 2 + w.random.IntN(5) {
		e := w.content()
		e.id, e.source, e.stream, e.seqn, e.state = fmt.Sprintf("%s-%d", stream, n), stormStates, stream, int64(n), true
		e.currency, e.payload, e.quantity = first.currency, "", fmt.Sprint(w.random.IntN(9))
		if w.random.IntN(3) > 0 {
			e.account = first.account
		}
		all = append(all, request{what: "state", path: "/v1/events", body: e.json(), media: "application/json", events: []stormEvent{e}, single: true})
	}
	w.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var both sync.WaitGroup
	for _, part := range [][]request{all[:len(all)/2], all[len(all)/2:]} {
		random := rand.New(rand.NewPCG(w.random.Uint64(), 0))
		both.Go(func() {
			for _, r := range part {
				w.storm.model.send(r.events)
				w.storm.until(r, random)
			}
		})
	}
	both.Wait()
}

// choose makes a request of one of the kinds.
func (w *writer) choose() request {
	switch n := w.random.IntN(20); {
	case n < 10:
		e := w.event()
		return request{what: "single", path: "/v1/events", body: e.json(), media: "application/json", events: []stormEvent{e}, single: true}
	case n < 13:
		return w.batch("batch", "/v1/events", 1+w.random.IntN(80))
	case n < 15:
		r := w.batch("batch with outcomes", "/v1/events?outcomes=all", 1+w.random.IntN(40))
		r.each = true
		return r
	case n < 17:
		return w.batch("atomic", "/v1/events?atomic=true", 1+w.random.IntN(40))
	case n == 17:
		return w.refused()
	case n == 18:
		e := w.content()
		e.id, e.source, e.stream, e.seqn = fmt.Sprintf("a%d-%d", w.n, w.aside), "finance", fmt.Sprintf("o%d-%d", w.n, w.aside), -1
		return request{what: "adjustment", path: "/v1/adjustments", body: e.json(), media: "application/json", events: []stormEvent{e}, single: true}
	}
	return w.conflict()
}

// refused is an atomic request of good events and a bad one.
func (w *writer) refused() request {
	r := request{what: "atomic that is refused", path: "/v1/events?atomic=true", media: "application/x-ndjson", refuses: http.StatusUnprocessableEntity}
	var body strings.Builder
	for n := range 1 + w.random.IntN(50) {
		e := w.content()
		e.id, e.source, e.stream, e.seqn = fmt.Sprintf("r%d-%d-%d", w.n, w.aside, n), "shop", fmt.Sprintf("r%d-%d", w.n, w.aside), int64(n)
		r.events = append(r.events, e)
		body.WriteString(e.json() + "\n")
	}
	r.body = body.String() + `{"id":"bad","source":"shop"}` + "\n"
	return r
}

// conflict sends other content under the id of an event that was acknowledged.
func (w *writer) conflict() request {
	old, ok := w.storm.model.remembered(w.random)
	if !ok {
		e := w.event()
		return request{what: "single", path: "/v1/events", body: e.json(), media: "application/json", events: []stormEvent{e}, single: true}
	}
	e := old.events[w.random.IntN(len(old.events))]
	e.typ = "other"
	path := "/v1/events"
	if e.seqn < 0 {
		path = "/v1/adjustments"
	}
	return request{what: "conflict", path: path, body: e.json(), media: "application/json", events: []stormEvent{e}, single: true, refuses: http.StatusConflict}
}

func (w *writer) batch(what, path string, n int) request {
	r := request{what: what, path: path, media: "application/x-ndjson"}
	var body strings.Builder
	for range n {
		e := w.event()
		r.events = append(r.events, e)
		body.WriteString(e.json() + "\n")
	}
	r.body = body.String()
	return r
}

// event is the next of the writer's own streams, whose numbers have no gaps in the end.
func (w *writer) event() stormEvent {
	w.next++
	e := w.content()
	e.id, e.source, e.stream, e.seqn = fmt.Sprintf("w%d-%d", w.n, w.next), "shop", fmt.Sprintf("o%d-%d", w.n, w.next/8), int64(w.next%8)
	return e
}

// content is an event of one of the months before stormEnd, without its identity.
func (w *writer) content() stormEvent {
	w.aside++
	e := stormEvent{
		account: fmt.Sprintf("account-%02d", w.random.IntN(40)), typ: []string{"sold", "returned"}[w.random.IntN(2)],
		at:       time.Date(2024, time.Month(1+w.random.IntN(8)), 1+w.random.IntN(28), w.random.IntN(24), w.random.IntN(60), 0, 0, time.UTC),
		currency: []string{"USD", "EUR"}[w.random.IntN(2)],
		amount:   fmt.Sprintf("%d.%03d", w.random.IntN(2000)-1000, 1+2*w.random.IntN(400)), // ends in an odd digit: no zeros to trim
	}
	if w.random.IntN(2) == 0 {
		e.quantity = fmt.Sprint(1 + w.random.IntN(9))
	}
	if w.random.IntN(4) == 0 {
		e.payload = strings.Repeat("x", w.random.IntN(200))
	}
	return e
}

// answer is what any answer to a recording request may hold.
type answer struct {
	Status    json.RawMessage // of one event a word, of a problem a number
	Position  int64
	Recorded  int
	Duplicate int
	Conflict  int
	Invalid   int
	Type      string
	Detail    string
	Outcomes  []struct {
		Source, ID, Status string
		Position           int64
	}
}

// until sends a request until it gets an answer that decides it.
func (s *storm) until(r request, random *rand.Rand) {
	var calm time.Time
	for try := 0; ; try++ {
		decided, err := s.attempt(r)
		if decided {
			return
		}
		if s.calm.Load() {
			if calm.IsZero() {
				calm = time.Now()
			}
			if time.Since(calm) > 90*time.Second {
				s.complain("a request doesn't get through although nothing fails any more", "%s: %v", r.what, err)
				return
			}
		}
		time.Sleep(time.Duration(10+random.IntN(40*min(try+1, 10))) * time.Millisecond)
	}
}

// attempt sends a request once, and reports whether its answer decides it.
func (s *storm) attempt(r request) (decided bool, err error) {
	req, err := http.NewRequest(http.MethodPost, s.base()+r.path, strings.NewReader(r.body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", r.media)
	got, err := s.do(req)
	if err != nil {
		return false, err
	}
	var a answer
	if err := json.Unmarshal(got.body, &a); err != nil {
		s.complain("an answer isn't JSON", "%s: %d: %s", r.what, got.status, got.body)
		return false, err
	}
	switch {
	case got.status == http.StatusServiceUnavailable || got.status == http.StatusRequestTimeout:
		return false, fmt.Errorf("%d: %s", got.status, a.Detail)
	case got.status == http.StatusBadRequest && a.Type == "/docs#problem-malformed" && strings.Contains(a.Detail, "broke off"):
		return false, fmt.Errorf("%d: %s", got.status, a.Detail) // the network's doing
	case r.refuses != 0 && got.status == r.refuses:
		if r.refuses == http.StatusConflict {
			s.model.mu.Lock()
			s.model.conflicts[r.events[0].name()] = time.Now().Format(time.StampMilli) + " " + string(got.body)
			s.model.mu.Unlock()
		}
		return true, nil
	case r.refuses == 0 && (got.status == http.StatusOK || got.status == http.StatusCreated):
		if err := s.taken(r, &a); err != nil {
			s.complain("an answer is wrong", "%s: %v: %s", r.what, err, got.body)
		}
		return true, nil
	}
	s.complain("an answer of another kind", "%s: %d: %s", r.what, got.status, got.body)
	return true, nil
}

// taken holds the answer of a request that was taken against the model.
func (s *storm) taken(r request, a *answer) error {
	switch {
	case r.single:
		var status string
		if err := json.Unmarshal(a.Status, &status); err != nil {
			return err
		}
		return s.model.acknowledge(r.events[0].name(), status, a.Position)
	case a.Recorded+a.Duplicate != len(r.events) || a.Conflict+a.Invalid != 0:
		return fmt.Errorf("%d events were sent", len(r.events))
	case r.each && len(a.Outcomes) != len(r.events):
		return fmt.Errorf("%d outcomes for %d events", len(a.Outcomes), len(r.events))
	}
	for i, o := range a.Outcomes {
		if name := o.Source + "/" + o.ID; name != r.events[i].name() {
			return fmt.Errorf("the outcome of %s is at the place of %s", name, r.events[i].name())
		} else if err := s.model.acknowledge(name, o.Status, o.Position); err != nil {
			return err
		}
	}
	return nil
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and reads its whole answer. A 503 must say what is wrong and when to come again, and
// a 500 is none of the answers to what fails here.
func (s *storm) do(req *http.Request) (r reply, err error) {
	response, err := s.client.Do(req)
	if err != nil {
		s.model.answered("none")
		return r, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	r = reply{response.StatusCode, response.Header, body}
	if err != nil {
		s.model.answered("broken")
		return r, err
	}
	s.model.answered(fmt.Sprint(response.StatusCode))
	if response.StatusCode < 500 {
		return r, nil
	}
	var p struct{ Type, Title, Detail string }
	bad := json.Unmarshal(body, &p) != nil || p.Type == "" || p.Detail == ""
	if bad || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" ||
		!bytes.HasPrefix([]byte(response.Header.Get("Content-Type")), []byte("application/problem+json")) {
		s.complain("a failure isn't explained", "%s %s: %s %v: %s", req.Method, req.URL.Path, response.Status, response.Header, body)
		s.keeper.show()
	} else {
		s.model.answered("503: " + p.Detail)
	}
	return r, nil
}
