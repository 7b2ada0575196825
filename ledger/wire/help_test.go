package wire

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// declared are the measures of the tests.
var declared = Options{Measures: func(name string) bool { return name == "commission" || name == "tax" }}

// decodeAll gives all items of an input, which must be readable as a whole.
func decodeAll(t *testing.T, input string, f Format, o Options) []Item {
	t.Helper()
	var items []Item
	next := 0
	err := Decode(context.Background(), strings.NewReader(input), f, o, func(b Batch) error {
		if b.N != next || len(b.Items) == 0 || b.Size == 0 && input != "" {
			return fmt.Errorf("batch %d, expected %d, has %d items of %d bytes", b.N, next, len(b.Items), b.Size)
		}
		next++
		items = append(items, b.Items...)
		return nil
	})
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return items
}

// collect gives all items of an input.
func collect(r io.Reader, f Format, o Options) (items []Item, err error) {
	err = Decode(context.Background(), r, f, o, func(b Batch) error {
		items = append(items, b.Items...)
		return nil
	})
	return items, err
}

// summary is one line for each item: line, and id or field.
func summary(items []Item) string {
	var b strings.Builder
	for _, i := range items {
		if i.Err != nil {
			fmt.Fprintf(&b, "%d!%s ", i.Line, i.Err.Field)
		} else {
			fmt.Fprintf(&b, "%d:%s ", i.Line, i.Event.ID)
		}
	}
	return strings.TrimSpace(b.String())
}

func mustAmount(t *testing.T, s string) ledger.Amount {
	t.Helper()
	a, err := ledger.ParseAmount(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// encode writes an event as JSON, for tests that read it again.
func encode(e ledger.Event) []byte {
	b := []byte{'{'}
	key := func(name string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(canonical.AppendString(b, name), ':')
	}
	text := func(name, value string) {
		if value != "" {
			key(name)
			b = canonical.AppendString(b, value)
		}
	}
	values := func(name string, measures []ledger.Measure) {
		if measures == nil {
			return
		}
		key(name)
		for i, m := range measures {
			b = append(b, "{,"[min(i, 1)])
			b = canonical.AppendString(append(canonical.AppendString(b, m.Name), ':'), m.Value.String())
		}
		b = append(b, '}')
	}
	text("id", e.ID)
	text("source", e.Source)
	text("stream", e.Stream)
	if e.HasSeqn {
		key("seqn")
		b = fmt.Append(b, e.Seqn)
	}
	text("type", e.Type)
	text("account", e.Account)
	if !e.OccurredAt.IsZero() {
		text("occurred_at", e.OccurredAt.Format(time.RFC3339Nano))
	}
	text("currency", e.Currency)
	text("amount", e.Amount.String())
	text("quantity", e.Quantity.String())
	values("measures", e.Measures)
	values("state", e.State)
	if e.Dimensions != nil {
		key("dimensions")
		b = append(b, e.Dimensions...)
	}
	text("corrects", e.Corrects)
	if e.Payload != nil {
		key("payload")
		b = append(b, e.Payload...)
	}
	return append(b, '}')
}

// pieces is a reader that gives at most n bytes at a time, and then err.
type pieces struct {
	text string
	n    int
	err  error
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		if p.err == nil {
			return 0, io.EOF
		}
		return 0, p.err
	}
	n := copy(b[:min(len(b), p.n)], p.text)
	p.text = p.text[n:]
	return n, nil
}

// gate is a reader that blocks until it is opened, and says when it is waited for.
type gate struct {
	waited, opened chan struct{}
	once           sync.Once
}

func (g *gate) Read([]byte) (int, error) {
	g.once.Do(func() { close(g.waited) })
	<-g.opened
	return 0, io.EOF
}
