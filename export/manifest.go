package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"

	"deltaledger/ledger"
)

// Manifest says what is in a file and proves it. Two manifests of the same file differ in EarlierPulls and
// PulledAt, and for an open file perhaps in TZData; in nothing else. The fields stand in the order of
// their names in JSON, so that the keys are sorted.
type Manifest struct {
	Bytes             int64     `json:"bytes"`              // of the uncompressed file
	Columns           []string  `json:"columns"`            // in order
	EarlierPulls      []Pull    `json:"earlier_pulls"`      // of the same file; oldest first, the newest hundred
	File              string    `json:"file"`               // name of the uncompressed file
	FormatVersion     int       `json:"format_version"`     //
	Frozen            bool      `json:"frozen"`             // false: an open file, which a later one replaces
	LateRows          int64     `json:"late_rows"`          // of other months than Month
	Ledger            uuid.UUID `json:"ledger"`             // its id
	Month             Month     `json:"month"`              //
	PreviousMonth     Month     `json:"previous_month"`     // the frozen month before it in the chain; empty: none
	PreviousWatermark int64     `json:"previous_watermark"` // late rows came after it
	PulledAt          time.Time `json:"pulled_at"`          // UTC, by the clock of the database
	Quantity          string    `json:"quantity"`           // sum over all currencies
	ReportingZone     string    `json:"reporting_zone"`     // business dates are dates in it
	Rows              int64     `json:"rows"`               // without the header
	SHA256            string    `json:"sha256"`             // of the uncompressed file, lower-case hex
	Sums              Sums      `json:"sums"`               // by currency and measure
	TZData            string    `json:"tzdata"`             // time zone data of the freeze; of an open file, of the pull
	Watermark         int64     `json:"watermark"`          //
}

// Pull is an earlier time that a file was had.
type Pull struct {
	N        int64     `json:"n"`         // its number in the log of pulls
	PulledAt time.Time `json:"pulled_at"` // UTC
	SHA256   string    `json:"sha256"`
}

// Span is what the file holds.
func (m Manifest) Span() Span {
	return Span{Month: m.Month, Previous: m.PreviousMonth, Watermark: m.Watermark, PreviousWatermark: m.PreviousWatermark}
}

// Encode writes the manifest as JSON with sorted keys, two spaces to indent and a line feed at the end.
func (m Manifest) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b.Bytes(), nil
}

// ParseManifest reads what Encode wrote. Unknown fields are refused: they would be believed unread.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w: %w", err, ledger.ErrInvalid)
	}
	if dec.More() {
		return Manifest{}, fmt.Errorf("read manifest: something follows its end: %w", ledger.ErrInvalid)
	}
	if m.FormatVersion != FormatVersion {
		return Manifest{}, fmt.Errorf("read manifest: its format version is %d; this program knows %d: %w", m.FormatVersion, FormatVersion, ledger.ErrInvalid)
	}
	return m, nil
}

// readManifest reads a manifest from a file.
func readManifest(path string) (Manifest, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Manifest{}, fmt.Errorf("manifest %s: %w", path, ledger.ErrNotFound)
	case err != nil:
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// sameFile reports that two manifests speak of the same file with the same content.
func (m Manifest) sameFile(o Manifest) bool {
	for _, x := range []*Manifest{&m, &o} {
		x.EarlierPulls, x.PulledAt = nil, time.Time{}
		if !x.Frozen {
			x.TZData = ""
		}
	}
	return reflect.DeepEqual(m, o)
}

// manifestPath is where the manifest of a file lies: beside it.
func manifestPath(path string) string {
	for _, suffix := range []string{".gz", ".zst"} {
		path = strings.TrimSuffix(path, suffix)
	}
	return strings.TrimSuffix(path, ".csv") + ".manifest.json"
}
