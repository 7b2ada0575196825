package billing

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"
)

// publicCase restates one test or document of a published billing system.
type publicCase struct {
	ID     string          `json:"id"`
	Group  string          `json:"group"` // says what input and expect look like
	Name   string          `json:"name"`
	Source string          `json:"source"`
	Input  json.RawMessage `json:"input"`
	Expect json.RawMessage `json:"expect"`
	Note   string          `json:"note"`
}

// publicGroups says for each group what runs its cases.
func publicGroups() map[string]func(*testing.T, publicCase) {
	return map[string]func(*testing.T, publicCase){
		"month_anchor":   caseOfBoundaries,
		"year_anchor":    caseOfBoundaries,
		"weekly":         caseOfBoundaries,
		"bill_cycle_day": caseOfFirstBill,
		"tz_month":       caseOfMonthInZone,
		"tz_day":         caseOfWindows,
		"dst":            caseOfClockChange,
		"cutoff":         caseOfCutoff,
		"dedupe":         caseOfDuplicates,
		"rounding":       caseOfRounding,
		"allocation":     caseOfSplit,
		"fee":            caseOfFee,
		"proration":      caseOfProration,
		"tz_proration":   caseOfJoining,
		"late":           caseOfLateEvents,
	}
}

// TestPublicCases runs every case of a file through the code that bills: of the file that
// DELTALEDGER_BILLING_CASES names, and otherwise of testdata/cases.json. A group, or a member of an input
// or of what is expected, that nobody here knows fails its case: a case is never passed over.
func TestPublicCases(t *testing.T) {
	t.Parallel()
	path := cmp.Or(os.Getenv("DELTALEDGER_BILLING_CASES"), "testdata/cases.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read the cases: %v", err)
	}
	var file struct {
		Version int          `json:"version"`
		Note    string       `json:"note"`
		Cases   []publicCase `json:"cases"`
	}
	strictly(t, raw, &file)
	if file.Version != 1 || len(file.Cases) == 0 {
		t.Fatalf("%s has %d cases in version %d, want some in version 1", path, len(file.Cases), file.Version)
	}
	groups, seen := publicGroups(), map[string]bool{}
	for _, c := range file.Cases {
		if c.ID == "" || seen[c.ID] {
			t.Errorf("two cases have the id %q, or one has none", c.ID)
		}
		seen[c.ID] = true
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			run, known := groups[c.Group]
			if !known {
				t.Fatalf("nothing runs cases of the group %q", c.Group)
			}
			run(t, c)
		})
	}
}

// strictly reads one JSON value, in which every member must be known.
func strictly(t *testing.T, raw []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("read the case: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("something follows the JSON: %v", err)
	}
}

// read decodes input and expectation.
func (c publicCase) read(t *testing.T, input, expect any) {
	t.Helper()
	strictly(t, c.Input, input)
	strictly(t, c.Expect, expect)
}

// sameInstant compares an instant with what a case says: in RFC 3339, or as a date, which is its start in
// the zone.
func sameInstant(t *testing.T, what string, got time.Time, want string, zone *time.Location) {
	t.Helper()
	if at := caseInstant(t, want, zone); !got.Equal(at) {
		t.Errorf("%s is %s, want %s", what, got.Format(time.RFC3339Nano), want)
	}
}

func caseInstant(t *testing.T, text string, zone *time.Location) time.Time {
	t.Helper()
	if len(text) == len(time.DateOnly) {
		return mustDate(t, text).In(zone)
	}
	return mustTime(t, text)
}
