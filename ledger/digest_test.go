package ledger_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"deltaledger/ledger"
)

// known is one vector of testdata/digests.json, which another implementation made.
type known struct {
	Name    string
	Content struct {
		ID, Source, Stream, Type, Account, Currency, Corrects, Kind, Reason, Reference, Maker string
		OccurredAt                                                                            time.Time `json:"occurred_at"`
		Seqn                                                                                  *int64
		Amount, Quantity                                                                      ledger.Amount
		Dimensions                                                                            json.RawMessage
		Private                                                                               bool
	}
	Canonical   string
	Digest      string
	EventKey    string  `json:"event_key"`
	PositionKey *string `json:"position_key"`
}

func (k known) event() ledger.Event {
	c := k.Content
	e := ledger.Event{
		ID: c.ID, Source: c.Source, Stream: c.Stream, Type: c.Type, Account: c.Account, Currency: c.Currency, Corrects: c.Corrects,
		Kind: ledger.Kind(c.Kind), Reason: c.Reason, Reference: c.Reference, Maker: c.Maker, OccurredAt: c.OccurredAt,
		Amount: c.Amount, Quantity: c.Quantity,
	}
	if c.Seqn != nil {
		e.Seqn, e.HasSeqn = *c.Seqn, true
	}
	if c.Private {
		e.Payload = []byte(`{"any":1}`)
	}
	e.Dimensions = c.Dimensions
	return e
}

func TestDigestKnownAnswers(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/digests.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []known
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 5 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, k := range vectors {
		e := k.event()
		if e.Dimensions != nil {
			if e.Dimensions, err = ledger.CanonicalDimensions(e.Dimensions); err != nil {
				t.Fatal(err)
			}
		}
		got := ledger.AppendCanonical(nil, &e)
		if string(got) != k.Canonical {
			t.Errorf("%s: canonical form\n%s, want\n%s", k.Name, got, k.Canonical)
		}
		sum := sha256.Sum256(got)
		if hex.EncodeToString(sum[:]) != k.Digest {
			t.Errorf("%s: digest %x, want %s", k.Name, sum, k.Digest)
		}
		if key := ledger.EventKey(e.Source, e.ID); hex.EncodeToString(key[:]) != k.EventKey {
			t.Errorf("%s: event key %x, want %s", k.Name, key, k.EventKey)
		}
		if e.HasSeqn {
			if key := ledger.PositionKey(e.Source, e.Stream, e.Seqn); hex.EncodeToString(key[:]) != *k.PositionKey {
				t.Errorf("%s: position key %x, want %s", k.Name, key, *k.PositionKey)
			}
		}
	}
}
