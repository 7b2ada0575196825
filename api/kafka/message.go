package kafka

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// Message is one committed record of a topic. Its time is the producer's or that of the broker's log, as the topic is
// configured, in milliseconds. Its bytes are valid until it is recorded; who keeps them copies them.
type Message = wire.Message

// Header is one header of a message. Keys may repeat.
type Header = wire.Header

// Decode appends the events of a message to events and returns all of them; none is no fault, and the message then only
// moves the offset. An error that wraps ledger.ErrInvalid says what is wrong with the message and makes it a dead letter;
// events that come with it are recorded all the same. With any other error, such as a schema registry that gives no
// answer, the partition waits, and the message is decoded again. Several goroutines call it.
type Decode func(ctx context.Context, m *Message, events []ledger.Event) ([]ledger.Event, error)

// NewDecode makes a Decode. measures reports whether a measure is declared, besides amount and quantity, when messages
// are decoded that were sent after it was. Several goroutines may call it.
type NewDecode func(measures func(name string) bool) (Decode, error)

// JSON decodes messages whose value is one event in the ledger's own JSON, whatever their headers say.
func JSON(measures func(name string) bool) (Decode, error) {
	o := wire.Options{Measures: measures}
	return func(_ context.Context, m *Message, events []ledger.Event) ([]ledger.Event, error) {
		if m.Value == nil {
			return events, ledger.Invalid("event", "", "must be one event as a JSON object; the message has no value")
		}
		e, bad := wire.DecodeOne(m.Value, o)
		if bad != nil {
			return events, bad
		}
		return append(events, e), nil
	}, nil
}

// By decodes messages with a decoder of package wire.
func By(d wire.MessageDecoder) Decode {
	return func(ctx context.Context, m *Message, events []ledger.Event) ([]ledger.Event, error) {
		items, err := d.Decode(ctx, *m)
		if err != nil {
			return events, err
		}
		var bad error
		for i := range items {
			if items[i].Err == nil {
				events = append(events, items[i].Event)
			} else if bad == nil {
				bad = items[i].Err
			}
		}
		return events, bad
	}
}

// measures are the declared ones, as they were when messages were last fetched.
type measures struct {
	l   *ledger.Ledger
	now atomic.Pointer[func(name string) bool]
}

func (m *measures) declared(name string) bool {
	f := m.now.Load()
	return f != nil && (*f)(name)
}

func (m *measures) refresh(ctx context.Context) error {
	f, err := m.l.MeasuresNow(ctx)
	if err == nil {
		m.now.Store(&f)
	}
	return err
}

// storedHeader is a Header as dead letters keep it. A key that no text column takes is kept in base64.
type storedHeader struct {
	Key       string  `json:"key"`
	KeyBase64 string  `json:"key_base64,omitempty"`
	Value     *string `json:"value"` // base64; null: it has none
}

// MarshalHeaders encodes headers as ledger.dead_letters keeps them; nil if there are none.
func MarshalHeaders(headers []Header) ([]byte, error) {
	if len(headers) == 0 {
		return nil, nil
	}
	stored := make([]storedHeader, len(headers))
	for i, h := range headers {
		s := storedHeader{Key: h.Key}
		if !utf8.ValidString(h.Key) || strings.ContainsRune(h.Key, 0) {
			s = storedHeader{KeyBase64: base64.StdEncoding.EncodeToString([]byte(h.Key))}
		}
		if h.Value != nil {
			value := base64.StdEncoding.EncodeToString(h.Value)
			s.Value = &value
		}
		stored[i] = s
	}
	return json.Marshal(stored)
}

// UnmarshalHeaders is the inverse of MarshalHeaders.
func UnmarshalHeaders(text []byte) ([]Header, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var stored []storedHeader
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("read the headers of a dead letter: %w", err)
	}
	headers := make([]Header, len(stored))
	for i, s := range stored {
		h := Header{Key: s.Key}
		if s.KeyBase64 != "" {
			key, err := base64.StdEncoding.DecodeString(s.KeyBase64)
			if err != nil {
				return nil, fmt.Errorf("read the headers of a dead letter: %w", err)
			}
			h.Key = string(key)
		}
		if s.Value != nil {
			value, err := base64.StdEncoding.DecodeString(*s.Value)
			if err != nil {
				return nil, fmt.Errorf("read the headers of a dead letter: %w", err)
			}
			h.Value = value
		}
		headers[i] = h
	}
	return headers, nil
}
