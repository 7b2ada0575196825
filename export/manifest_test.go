package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"deltaledger/ledger"
)

func testManifest() Manifest {
	return Manifest{
		Bytes: 5, Columns: []string{"position"}, EarlierPulls: []Pull{{N: 1, PulledAt: time.Unix(0, 0).UTC(), SHA256: "ab"}},
		File: "events-2025-12.csv", FormatVersion: FormatVersion, Frozen: true, LateRows: 1, Ledger: uuid.MustParse("00000000-0000-4000-8000-000000000001"),
		Month: Month{2025, time.December}, PreviousMonth: Month{2025, time.November}, PreviousWatermark: 3, PulledAt: time.Unix(1, 0).UTC(),
		Quantity: "1", ReportingZone: "UTC", Rows: 2, SHA256: "cd", Sums: Sums{"USD": {"quantity": "1", "amount": "-1.5"}, "EUR": {}},
		TZData: "2025b", Watermark: 9,
	}
}

func TestManifestIsJSONWithSortedKeys(t *testing.T) {
	t.Parallel()
	m := testManifest()
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	var keys []string
	for depth := 0; ; {
		token, err := dec.Token()
		if err != nil {
			break
		}
		switch v := token.(type) {
		case json.Delim:
			if strings.ContainsRune("{[", rune(v)) {
				depth++
			} else {
				depth--
			}
		case string:
			if at := string(text[:dec.InputOffset()]); depth == 1 && strings.HasSuffix(at, "\n  \""+v+"\"") {
				keys = append(keys, v)
			}
		}
	}
	if len(keys) != reflect.TypeFor[Manifest]().NumField() || !slices.IsSorted(keys) {
		t.Errorf("keys aren't sorted: %v", keys)
	}
	if text[len(text)-1] != '\n' || bytes.Contains(text, []byte("\r")) {
		t.Error("lines don't end in LF")
	}
	again, err := ParseManifest(text)
	if err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("read back: %+v, %v", again, err)
	}
	for name, bad := range map[string][]byte{
		"unknown field":  bytes.Replace(text, []byte(`"bytes"`), []byte(`"byte"`), 1),
		"other version":  bytes.Replace(text, []byte(`"format_version": 1`), []byte(`"format_version": 2`), 1),
		"two":            append(append([]byte{}, text...), text...),
		"no JSON at all": []byte("position,booked_month\n"),
	} {
		if _, err := ParseManifest(bad); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManifestsOfTheSameFile(t *testing.T) {
	t.Parallel()
	m, o := testManifest(), testManifest()
	o.PulledAt, o.EarlierPulls = time.Unix(9, 0), nil
	if !m.sameFile(o) {
		t.Error("another pull makes another file")
	}
	o.TZData = "2026a"
	if m.sameFile(o) {
		t.Error("a frozen file names the time zone data of its freeze")
	}
	if m.Frozen, o.Frozen = false, false; !m.sameFile(o) {
		t.Error("an open file names that of the pull")
	}
	o.SHA256 = "ef"
	if m.sameFile(o) {
		t.Error("other bytes make another file")
	}
}

func TestTimeZoneDataIsNamed(t *testing.T) {
	t.Parallel()
	if v := zoneData("Europe/London"); v == "" {
		t.Error("no version")
	}
	if v := zoneData("No/Where"); !strings.HasSuffix(v, "(embedded)") {
		t.Errorf("a zone that only the program knows: %s", v)
	}
	dir := t.TempDir()
	if v := zoneVersion(dir); v != "version unknown ("+dir+")" {
		t.Error(v)
	}
}
