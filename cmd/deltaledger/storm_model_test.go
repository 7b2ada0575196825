//go:build linux || darwin

package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// model is what a ledger must hold by what it was sent and what it answered.
type model struct {
	mu        sync.Mutex
	facts     map[string]string     // what was sent and may be recorded
	positions map[string]int64      // what was acknowledged
	recorded  map[string]bool       // what was answered as recorded, and not as a duplicate
	conflicts map[string]string     // what was sent again with other content, and how that was refused
	statuses  map[string]int        // how often each answer came
	problems  map[string]bool       // said already
	states    map[string]stormEvent // the last state of each stream of states
	sent      []request             // some that were acknowledged, to be sent again by others
}

func newModel() *model {
	return &model{
		states: map[string]stormEvent{},
		facts:  map[string]string{}, positions: map[string]int64{}, recorded: map[string]bool{}, conflicts: map[string]string{},
		statuses: map[string]int{}, problems: map[string]bool{},
	}
}

func (m *model) holding() holding {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := map[string]string{}
	for stream, e := range m.states {
		states[stream] = e.account + " " + e.amount + " " + e.quantity
	}
	return holding{facts: m.facts, positions: m.positions, states: states, closed: true}
}

// send notes what is about to be sent: from now on it may be recorded.
func (m *model) send(events []stormEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		m.facts[e.name()] = e.fact()
		stream := e.source + "/" + e.stream
		if last, known := m.states[stream]; e.state && (!known || last.seqn < e.seqn) {
			m.states[stream] = e
		}
	}
}

// acknowledge holds an answer against those before it.
func (m *model) acknowledge(name, status string, position int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, known := m.positions[name]; position <= 0 || known && before != position {
		return fmt.Errorf("%s is at %d, before it was at %d", name, position, before)
	}
	m.positions[name] = position
	if status == "recorded" {
		if m.recorded[name] {
			return fmt.Errorf("%s was recorded twice", name)
		}
		m.recorded[name] = true
	}
	return nil
}

// remember keeps some requests to be sent again.
func (m *model) remember(r request, random *rand.Rand) {
	const most = 200
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sent) < most {
		m.sent = append(m.sent, r)
		return
	}
	m.sent[random.IntN(most)] = r
}

func (m *model) remembered(random *rand.Rand) (request, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sent) == 0 {
		return request{}, false
	}
	return m.sent[random.IntN(len(m.sent))], true
}

// count is how often an answer came.
func (m *model) count(what string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.statuses[what]
}

// answered counts an answer.
func (m *model) answered(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statuses[what]++
}

// stormEvent is an event as the writers make it. Everything follows from its id.
type stormEvent struct {
	id, source, stream string
	seqn               int64 // -1: an adjustment
	account, typ       string
	at                 time.Time
	currency, amount   string
	quantity, payload  string
	state              bool // amount and quantity are those of the stream after it
}

func (e *stormEvent) name() string { return e.source + "/" + e.id }

// fact is the event as sqlFacts spells it.
func (e *stormEvent) fact() string {
	kind, stream, seqn, quantity := "upstream", e.stream, strconv.FormatInt(e.seqn, 10), e.quantity
	if e.seqn < 0 {
		kind, seqn = "adjustment", "-"
	}
	if quantity == "" {
		quantity = "-"
	}
	amount := e.amount
	if e.state {
		amount = "state " + amount
	}
	return strings.Join([]string{kind, e.account, stream, seqn, e.typ, strconv.FormatInt(e.at.Unix(), 10), e.currency, amount, quantity}, " ")
}

// json is the event on the wire.
func (e *stormEvent) json() string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":%q,"source":%q,"stream":%q,"type":%q,"account":%q,"occurred_at":%q,"currency":%q`,
		e.id, e.source, e.stream, e.typ, e.account, e.at.Format(time.RFC3339), e.currency)
	if e.state {
		fmt.Fprintf(&b, `,"seqn":%d,"state":{"amount":%q,"quantity":%q}}`, e.seqn, e.amount, e.quantity)
		return b.String()
	}
	fmt.Fprintf(&b, `,"amount":%q`, e.amount)
	if e.quantity != "" {
		fmt.Fprintf(&b, `,"quantity":%q`, e.quantity)
	}
	if e.seqn < 0 {
		b.WriteString(`,"reason":"put right","reference":"ticket 1","maker":"jane"}`)
		return b.String()
	}
	fmt.Fprintf(&b, `,"seqn":%d,"dimensions":{"country":"US","shop":%q}`, e.seqn, e.account)
	if e.payload != "" {
		fmt.Fprintf(&b, `,"payload":{"note":%q}`, e.payload)
	}
	b.WriteString("}")
	return b.String()
}
