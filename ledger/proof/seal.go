package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Hash is a SHA-256. In JSON it is lower-case hex.
type Hash [sha256.Size]byte

// String is the hash in lower-case hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText gives lower-case hex.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads hex.
func (h *Hash) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(h) {
		return fmt.Errorf("%q isn't a SHA-256 in hex", text)
	}
	copy(h[:], raw)
	return nil
}

// SealFormat is the version of the canonical texts of leaves and seals that are made now.
const SealFormat = 1

// Seal binds a block of facts: those whose positions are in First … Last.
type Seal struct {
	Ledger    uuid.UUID `json:"ledger"`
	Format    int       `json:"format"`         // SealFormat when it was made
	Number    int64     `json:"number"`         // from 1, without gaps
	First     int64     `json:"first_position"` // one more than Last of the seal before; 1 for the first seal
	Last      int64     `json:"last_position"`  // everything up to it was decided
	Count     int64     `json:"count"`          // of facts in the block
	Root      Hash      `json:"root"`           // of the block's tree
	Positions Hash      `json:"positions"`      // of the list of the facts' positions, as it is stored beside the seal
	Tags      Hash      `json:"tags"`           // of the list of the beginnings of their hashes
	Previous  Hash      `json:"previous"`       // hash of the seal before; zero for the first one
	Position  int64     `json:"position"`       // of the seal itself
	SealedAt  time.Time `json:"sealed_at"`      // UTC, microseconds
}

// sealedAt is how the time stands in the canonical text.
const sealedAt = "2006-01-02T15:04:05.999999Z"

// AppendCanonical appends the text that the seal's hash is made over: JSON with sorted keys.
func (s Seal) AppendCanonical(d []byte) []byte {
	d = append(d, `{"count":`...)
	d = strconv.AppendInt(d, s.Count, 10)
	d = append(d, `,"first_position":`...)
	d = strconv.AppendInt(d, s.First, 10)
	d = append(d, `,"format":`...)
	d = strconv.AppendInt(d, int64(s.Format), 10)
	d = append(d, `,"last_position":`...)
	d = strconv.AppendInt(d, s.Last, 10)
	d = append(d, `,"ledger":"`...)
	d = append(d, s.Ledger.String()...)
	d = append(d, `","number":`...)
	d = strconv.AppendInt(d, s.Number, 10)
	d = append(d, `,"position":`...)
	d = strconv.AppendInt(d, s.Position, 10)
	d = append(d, `,"positions":"`...)
	d = hex.AppendEncode(d, s.Positions[:])
	if s.Previous != (Hash{}) {
		d = append(d, `","previous":"`...)
		d = hex.AppendEncode(d, s.Previous[:])
	}
	d = append(d, `","root":"`...)
	d = hex.AppendEncode(d, s.Root[:])
	d = append(d, `","sealed_at":"`...)
	d = s.SealedAt.UTC().AppendFormat(d, sealedAt)
	d = append(d, `","tags":"`...)
	d = hex.AppendEncode(d, s.Tags[:])
	return append(d, '"', '}')
}

// Hash is the seal's own hash: that of its canonical text, as a leaf.
func (s Seal) Hash() Hash { return LeafHash(s.AppendCanonical(nil)) }

// MarshalJSON writes the time as it stands in the canonical text, and no hash of a seal that isn't there.
func (s Seal) MarshalJSON() ([]byte, error) {
	type fields Seal
	var previous *Hash
	if s.Previous != (Hash{}) {
		previous = &s.Previous
	}
	return json.Marshal(struct {
		fields
		Previous *Hash  `json:"previous,omitempty"`
		SealedAt string `json:"sealed_at"`
		Hash     Hash   `json:"hash"`
	}{fields(s), previous, s.SealedAt.UTC().Format(sealedAt), s.Hash()})
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses a hash that isn't the seal's.
func (s *Seal) UnmarshalJSON(raw []byte) error {
	type fields Seal
	read := struct {
		*fields
		Hash *Hash `json:"hash"`
	}{fields: (*fields)(s)}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&read); err != nil {
		return err
	}
	if read.Hash != nil && *read.Hash != s.Hash() {
		return fmt.Errorf("the hash of seal %d is %s, not %s", s.Number, s.Hash(), *read.Hash)
	}
	return nil
}
