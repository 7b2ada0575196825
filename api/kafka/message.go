package kafka

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// Message is one committed record of a topic. Its bytes are valid until the message is recorded; who keeps them copies them.
type Message struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time // of the producer or of the broker's log, as the topic is configured; UTC, in milliseconds
	Key       []byte    // nil: it has none
	Headers   []Header
	Value     []byte // nil: a tombstone
}

// Header is one header of a message. Keys may repeat.
type Header struct {
	Key   string
	Value []byte // nil: it has none
}

// Decode appends the events of a message to events and returns all of them; none is no fault, and the message then only
// moves the offset. An error says what is wrong with the message and makes it a dead letter; events appended before it
// are dropped. A *ledger.FieldError names the field. What may be right later, such as a schema registry that gives no
// answer, is wrapped in Later, and the partition waits. Several goroutines call it.
type Decode func(m *Message, events []ledger.Event) ([]ledger.Event, error)

// LaterError is an error of a Decode that is not the message's fault: the message is decoded again after a while.
type LaterError struct{ Err error }

func (e *LaterError) Error() string { return e.Err.Error() }

// Unwrap gives what happened.
func (e *LaterError) Unwrap() error { return e.Err }

// Later wraps err in a LaterError.
func Later(err error) error { return &LaterError{err} }

// JSON decodes messages whose value is one event in the ledger's own JSON. measures reports whether a measure is
// declared; nil: none is.
func JSON(measures func(name string) bool) Decode {
	o := wire.Options{Measures: measures}
	return func(m *Message, events []ledger.Event) ([]ledger.Event, error) {
		if m.Value == nil {
			return events, ledger.Invalid("event", "", "must be one event as a JSON object; the message has no value")
		}
		e, bad := wire.DecodeOne(m.Value, o)
		if bad != nil {
			return events, bad
		}
		return append(events, e), nil
	}
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
