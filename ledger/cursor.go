package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
)

// cursor is a listing and how far it was read. Callers hold it as text that says nothing to them:
// base64url of a checksum and JSON. The checksum, which the ledger's id goes into, shows at once a
// cursor that was cut off, changed, or made by another ledger; what it holds is checked like any request.
type cursor struct {
	Version     int       `json:"v"`
	Where       []Filter  `json:"w,omitempty"`
	From        string    `json:"f,omitempty"`
	To          string    `json:"t,omitempty"`
	AsOf        int64     `json:"a"`
	AsOfN       int64     `json:"n"`
	AsOfTaken   time.Time `json:"k"`
	OldestFirst bool      `json:"o,omitempty"`
	Limit       int       `json:"l"`           // of a page that asks for none
	Last        int64     `json:"p,omitempty"` // position of the last event given out; 0: none yet
}

const (
	cursorVersion = 1
	checksumSize  = 8
	maxCursor     = 4 << 20 // characters; more than the largest filters make
	ruleCursor    = "isn't a cursor of this ledger: use next_cursor of a page as it is, or begin again without"
)

func newCursor(q ListQuery, w Watermark) cursor {
	return cursor{
		Version: cursorVersion, Where: q.Where, From: q.From, To: q.To, OldestFirst: q.OldestFirst, Limit: DefaultLimit,
		AsOf: w.Position, AsOfN: w.N, AsOfTaken: w.TakenAt,
	}
}

func (c cursor) watermark() Watermark {
	return Watermark{N: c.AsOfN, Position: c.AsOf, TakenAt: c.AsOfTaken}
}

func (c cursor) encode(ledgerID uuid.UUID) string {
	content, err := json.Marshal(c)
	if err != nil { // impossible: numbers and valid text
		panic("ledger: encode cursor: " + err.Error())
	}
	// The checksum stands behind, so that no cursor begins with the dash of a flag.
	return base64.RawURLEncoding.EncodeToString(append(content, checksum(ledgerID, content)...))
}

func decodeCursor(s string, ledgerID uuid.UUID) (cursor, error) {
	refused := Invalid("cursor", shown(s), ruleCursor)
	if len(s) > maxCursor {
		return cursor{}, refused
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) < checksumSize {
		return cursor{}, refused
	}
	content, sum := raw[:len(raw)-checksumSize], raw[len(raw)-checksumSize:]
	if !bytes.Equal(sum, checksum(ledgerID, content)) {
		return cursor{}, refused
	}
	var c cursor
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return cursor{}, refused
	}
	if _, err := d.Token(); err != io.EOF {
		return cursor{}, refused
	}
	if c.Version != cursorVersion || c.AsOf < 0 || c.Last <= 0 || c.Last > c.AsOf || c.Limit < 1 || c.Limit > MaxLimit || checkWhere(c.Where) != nil {
		return cursor{}, refused
	}
	return c, nil
}

// excludes refuses a question beside the cursor that isn't the cursor's own.
func (c cursor) excludes(q ListQuery) error {
	const rule = "must be left out, or be the same, beside a cursor, which carries its own"
	sameFilter := func(a, b Filter) bool { return a.Key == b.Key && slices.Equal(a.Values, b.Values) }
	switch {
	case len(q.Where) > 0 && !slices.EqualFunc(q.Where, c.Where, sameFilter):
		return Invalid("where", "", rule)
	case q.From != "" && q.From != c.From:
		return Invalid("from", shown(q.From), rule)
	case q.To != "" && q.To != c.To:
		return Invalid("to", shown(q.To), rule)
	case q.OldestFirst && !c.OldestFirst:
		return Invalid("order", "oldest", rule)
	case q.AsOf != "":
		return Invalid("as_of", shown(q.AsOf), "must be left out beside a cursor, which carries its own")
	}
	return nil
}

func checksum(ledgerID uuid.UUID, content []byte) []byte {
	h := sha256.New()
	h.Write([]byte("cursor"))
	h.Write(ledgerID[:])
	h.Write(content)
	return h.Sum(nil)[:checksumSize]
}
