package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"deltaledger/billing"
	"deltaledger/ledger"
)

var update = flag.Bool("update", false, "write the golden files, and the picture for the documentation, instead of comparing")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s isn't what is made now:\n%s", path, got)
	}
}

func page(t *testing.T, v billing.Invoice, names billing.Names, o Options) Page {
	t.Helper()
	p, err := Invoice(v, names, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// note is a credit note for the invoice.
func note(t testing.TB) (billing.CreditNote, billing.Invoice) {
	v, _ := invoice(t)
	n := v.CreditNotes[0]
	issued := at(t, "2026-03-09T22:30:00Z")
	n.Account, n.Invoice, n.Corrects, n.IssuedAt, n.Reason, n.Reference = v.Account, v.ID, v.Number, &issued, "Returns that were handled twice", "case-77"
	n.Lines = []billing.CreditNoteLine{{Line: 3, Charge: "Returns handled", Amount: money("36.00")}}
	return n, v
}

func TestPagesAreGolden(t *testing.T) {
	t.Parallel()
	v, names := invoice(t)
	golden(t, "invoice.html", page(t, v, names, options(t)).HTML)
	n, v := note(t)
	p, err := CreditNote(n, v, options(t))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "credit-note.html", p.HTML)
	if p, err = Preview(preview(t), options(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "preview.html", p.HTML)
	var lines, credited bytes.Buffer
	if err := errors.Join(CSV(&lines, v, names), CreditNoteCSV(&credited, n)); err != nil {
		t.Fatal(err)
	}
	golden(t, "invoice.csv", lines.Bytes())
	golden(t, "credit-note.csv", credited.Bytes())
}

// Every adjustment on a page says whose it is, and why.
func TestAdjustmentsSayWhose(t *testing.T) {
	t.Parallel()
	v, names := invoice(t)
	l := &v.Lines[4]
	l.Adjusts, l.Why, l.By = billing.AdjustsTerms, "agreed <in> March", "ann"
	html := string(page(t, v, names, options(t)).HTML)
	for _, want := range []string{
		"<bdi>Goodwill for the outage of 3 February</bdi>", "<bdi>Made by jane.doe, approved by john.roe</bdi>",
		"<bdi>By terms that were changed: agreed &lt;in&gt; March</bdi>", "<bdi>Recorded by ann</bdi>",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the invoice lacks %q", want)
		}
	}
	n, corrected := note(t)
	n.By = "mary"
	n.Lines = append(n.Lines, billing.CreditNoteLine{Line: 6, Charge: "adjustment", Amount: money("-5.00")})
	p, err := CreditNote(n, corrected, options(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<dt>Made by</dt><dd><bdi>mary</bdi></dd>", "<bdi>Goodwill for the outage of 3 February</bdi>", "<bdi>Made by jane.doe, approved by john.roe</bdi>"} {
		if !strings.Contains(string(p.HTML), want) {
			t.Errorf("the credit note lacks %q", want)
		}
	}
}

func TestPreviewWithoutDrafts(t *testing.T) {
	t.Parallel()
	p := preview(t)
	p.Drafts = nil
	if _, err := Preview(p, options(t)); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

var styleElement = regexp.MustCompile(`(?s)<style>(.*)</style>`)

// The policy allows the one style sheet that is in the page, and nothing else.
func TestPolicy(t *testing.T) {
	t.Parallel()
	v, names := invoice(t)
	v.Number = `2026"</style>\0042`
	p := page(t, v, names, options(t))
	style := styleElement.FindSubmatch(p.HTML)
	if len(style) != 2 || bytes.Contains(style[1], []byte("<")) {
		t.Fatalf("%s", p.HTML)
	}
	sum := sha256.Sum256(style[1])
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(p.Policy, want) || !strings.HasPrefix(p.Policy, "default-src 'none'; ") {
		t.Errorf("%s, want %s", p.Policy, want)
	}
	if strings.Contains(string(p.HTML), "http://") || strings.Contains(string(p.HTML), "https://") || strings.Contains(string(p.HTML), "url(") {
		t.Errorf("the page names something elsewhere")
	}
	if p.Name != "2026---style--0042" {
		t.Errorf("file name %q", p.Name)
	}
}

func TestReadable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Müller & Söhne":                  "Müller & Söhne",
		"invoice\u202efdp.exe":            `invoice\u202efdp.exe`,
		"a\u2066b\u2069":                  `a\u2066b\u2069`,
		"a\x00b\u200bc\ufeff":             `a\u0000b\u200bc\ufeff`,
		"می\u200cخواهم":                   "می\u200cخواهم",
		"two\nlines\tof it":               "two lines of it",
		"\xffbroken":                      "\uFFFDbroken",
		"日本":                              "日本",
		"e" + strings.Repeat("\u0301", 9): "e" + strings.Repeat("\u0301", 8) + `\u0301`,
	} {
		if got := readable(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for plain, want := range map[string]string{
		"0": "0", "999": "999", "1000": "1,000", "-1234567.5": "-1,234,567.5", "-100.00": "-100.00", "0.123456": "0.123456", "99999999999999999999999999999999999999": "99,999,999,999,999,999,999,999,999,999,999,999,999",
	} {
		if got := grouped(plain); got != want {
			t.Errorf("%s became %s, want %s", plain, got, want)
		}
	}
}

func TestPeriod(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ start, end, zone, want string }{
		{"2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z", "Europe/Berlin", "2026-02-01 – 2026-02-28"},
		{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "Europe/Berlin", "2026-02-01 01:00 – 2026-03-01 01:00"},
		{"2024-09-07T04:00:00Z", "2024-09-08T04:00:00Z", "America/Santiago", "2024-09-07"}, // the next day begins at one
		{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "Moon/Base", "2026-02-01 – 2026-02-28"},
	} {
		if got := period(at(t, c.start), at(t, c.end), zone(c.zone)); got != c.want {
			t.Errorf("%s to %s in %s: %s, want %s", c.start, c.end, c.zone, got, c.want)
		}
	}
}

func TestLetterhead(t *testing.T) {
	t.Parallel()
	if l, err := ParseLetterhead([]byte(`{"from":["A"],"notes":["b","c"]}`)); err != nil || len(l.From) != 1 || len(l.Notes) != 2 {
		t.Errorf("%+v %v", l, err)
	}
	for _, wrong := range []string{``, `[]`, `{"form":["A"]}`, `{"from":"A"}`, `{} {}`, `{"to":["` + strings.Repeat("x", 1001) + `"]}`, `{"to":[` + strings.Repeat(`"x",`, 20) + `"x"]}`} {
		if _, err := ParseLetterhead([]byte(wrong)); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%.40s: %v", wrong, err)
		}
	}
	if p, err := ParsePaper("Letter"); err != nil || p != Letter {
		t.Errorf("%s %v", p, err)
	}
	if _, err := ParsePaper("a3"); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a3: %v", err)
	}
}

// What was never issued and what is void says so, and asks for nothing.
func TestDraftsAndVoids(t *testing.T) {
	t.Parallel()
	v, names := invoice(t)
	v.Number, v.IssuedAt, v.Status = "", nil, billing.Ready
	if html := string(page(t, v, names, options(t)).HTML); !strings.Contains(html, `<div class="stamp" aria-hidden="true">DRAFT</div>`) || strings.Contains(html, "Open amount") || !strings.Contains(html, "Total of the draft") {
		t.Errorf("%s", html)
	}
	v, names = invoice(t)
	v.Status, v.Open = billing.Void, money("0")
	if html := string(page(t, v, names, options(t)).HTML); !strings.Contains(html, ">VOID</div>") || !strings.Contains(html, "Void: nothing is to be paid") || strings.Contains(html, "Open amount") {
		t.Errorf("%s", html)
	}
}

// The day of issue is that of the number, wherever the account is.
func TestDayOfIssueIsThatOfTheNumber(t *testing.T) {
	t.Parallel()
	n, v := note(t)
	issued := at(t, "2026-12-31T23:30:00Z") // in Tokyo it is 2027
	v.Number, v.Zone, v.IssuedAt, n.IssuedAt = "INV-2026-000042", "Asia/Tokyo", &issued, &issued
	o := options(t)
	o.Zone = time.UTC
	credit, err := CreditNote(n, v, o)
	if err != nil {
		t.Fatal(err)
	}
	for name, html := range map[string]string{"invoice": string(page(t, v, nil, o).HTML), "credit note": string(credit.HTML)} {
		if !strings.Contains(html, "<dt>Issued</dt><dd><bdi>2026-12-31</bdi>") || strings.Contains(html, "2027-01-01") {
			t.Errorf("%s: %s", name, html)
		}
	}
}
