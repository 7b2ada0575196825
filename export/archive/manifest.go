package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"deltaledger/export"
	"deltaledger/ledger"
)

// Format is the version of the files and the manifest that this program writes.
const Format = 1

// Manifest says what is in the copy of a month and proves it. It is written last: a copy without it is not whole.
type Manifest struct {
	Format            int              `json:"format"`
	Ledger            uuid.UUID        `json:"ledger"`
	Month             export.Month     `json:"month"`    // of recorded_at, in UTC
	Contents          string           `json:"contents"` // what is in the files and what isn't
	Columns           []Column         `json:"columns"`  // of the files, in order
	Shape             ledger.CopyShape `json:"shape"`    // columns of the ledger that the files hold
	Rows              int64            `json:"rows"`
	FirstPosition     int64            `json:"first_position"`
	LastPosition      int64            `json:"last_position"`
	FirstOccurredAt   time.Time        `json:"first_occurred_at"`
	LastOccurredAt    time.Time        `json:"last_occurred_at"`
	FirstBusinessDate string           `json:"first_business_date"`
	LastBusinessDate  string           `json:"last_business_date"`
	Sums              Sums             `json:"sums"`      // exact, by currency and measure
	Oversized         map[string]int64 `json:"oversized"` // by measure: values that stand in the column _text_NAME
	Files             []FileEntry      `json:"files"`
	Seals             SealSpan         `json:"seals"`
	Verified          string           `json:"verified"` // what was verified before this was written
	WrittenAt         time.Time        `json:"written_at"`
	WrittenBy         string           `json:"written_by"`
}

// Sums are plain decimals, by currency and measure.
type Sums map[string]map[string]string

// Column is a column of the files.
type Column struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
}

// FileEntry is one Parquet file. Files hold the events in the order of positions, one behind the other.
type FileEntry struct {
	Name          string `json:"name"`
	Rows          int64  `json:"rows"`
	Bytes         int64  `json:"bytes"`
	SHA256        string `json:"sha256"`
	FirstPosition int64  `json:"first_position"`
	LastPosition  int64  `json:"last_position"`
}

// SealSpan are the seals that bind the events of the month, by number. The hash of the last one binds all before it.
type SealSpan struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

const (
	contents = "Every event recorded in the month (UTC), with its identity, its keys and its digest. Not in it: private content " +
		"(payloads, private dimensions), which stays in the database, where it can be erased; the commitment of an event binds it."
	verified = "Every file was read back from where it was written; the SHA-256 of its bytes, the number of rows and the sums came out; of each event the " +
		"leaf was made of the copy alone, and the roots of all seals given here came out."
)

func folder(m export.Month) string       { return "events-" + m.String() + "/" }
func manifestName(m export.Month) string { return folder(m) + "manifest.json" }

func (m Manifest) encode() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// parseManifest reads a manifest and checks that it is one of this ledger's.
func parseManifest(text []byte, id uuid.UUID) (m Manifest, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("the manifest can't be read: %v: %w", err, ledger.ErrCorrupt) //nolint:errorlint // what JSON says is for people
	}
	switch {
	case m.Format != Format:
		return m, fmt.Errorf("the manifest has format %d, and this program reads %d: %w", m.Format, Format, ledger.ErrConflict)
	case m.Ledger != id:
		return m, fmt.Errorf("the copy is of the ledger %s, not of this one, %s: %w", m.Ledger, id, ledger.ErrConflict)
	case m.Rows <= 0 || len(m.Files) == 0:
		return m, fmt.Errorf("the manifest lists no events: %w", ledger.ErrCorrupt)
	}
	return m, nil
}
