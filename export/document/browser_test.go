package document

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/ledongthuc/pdf"
	"github.com/shopspring/decimal"

	"deltaledger/billing"
)

// browser is a real one, in a tab of it that shows pages as a server sends them.
type browser struct {
	*testing.T
	ctx    context.Context
	server *httptest.Server
	page   atomic.Pointer[Page]
	others atomic.Int64 // requests for anything but the page
}

// patience is how long the browser may take for everything that a test asks of it.
const patience = 5 * time.Minute

// newBrowser starts a browser. A machine without one fails the test: what the pages look like can't be told without.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{T: t}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	b.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			b.others.Add(1)
		}
		p := b.page.Load()
		w.Header().Set("Content-Security-Policy", p.Policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(p.HTML)
	}))
	t.Cleanup(b.server.Close)
	if err := chromedp.Do(b.ctx); err != nil {
		t.Fatalf("no browser: install Chromium (package chromium) or Chrome, see CONTRIBUTING.md: %v", err)
	}
	return b
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// open shows a page.
func (b *browser) open(p Page) {
	b.Helper()
	b.page.Store(&p)
	b.do(chromedp.Navigate(b.server.URL))
}

// ask evaluates an expression in the page.
func ask[T any](b *browser, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// sheet is a printed page.
type sheet struct {
	width, height float64 // points
	text          string
	left, right   float64 // where its first and its last letter begin
}

// print prints the page as its own style says.
func (b *browser) print(p Page) []sheet {
	b.Helper()
	b.open(p)
	raw, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
	if err != nil {
		b.Fatal(err)
	}
	r, err := pdf.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		b.Fatal(err)
	}
	sheets := make([]sheet, r.NumPage())
	for i := range sheets {
		on := r.Page(i + 1)
		box := on.V.Key("MediaBox")
		s := sheet{width: box.Index(2).Float64(), height: box.Index(3).Float64(), left: box.Index(2).Float64()}
		var text strings.Builder
		for _, letter := range on.Content().Text {
			text.WriteString(letter.S)
			s.left, s.right = min(s.left, letter.X), max(s.right, letter.X)
		}
		s.text = text.String()
		sheets[i] = s
	}
	return sheets
}

// margin is that of the style, in points, with room for rounding.
const margin = 16/25.4*72 - 1

func TestPrintingOnPaper(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	for paper, size := range map[Paper][2]int{A4: {595, 842}, Letter: {612, 792}} {
		o := options(t)
		o.Paper = paper
		v := long(t, 300)
		sheets := b.print(page(t, v, nil, o))
		if len(sheets) < 8 || len(sheets) > 30 {
			t.Fatalf("%s: %d pages", paper, len(sheets))
		}
		whole := ""
		for i, s := range sheets {
			whole += s.text
			if int(s.width+.5) != size[0] || int(s.height+.5) != size[1] {
				t.Errorf("%s: page %d is %v x %v points", paper, i+1, s.width, s.height)
			}
			if s.left < margin || s.right > s.width-margin {
				t.Errorf("%s: page %d: text from %v to %v is in the margins", paper, i+1, s.left, s.right)
			}
			for _, want := range []string{"DescriptionBasisAmount (EUR)", fmt.Sprintf("Page %d of %d", i+1, len(sheets)), "Invoice 2026-0042"} {
				if !strings.Contains(s.text, want) {
					t.Errorf("%s: page %d lacks %q:\n%s", paper, i+1, want, s.text)
				}
			}
		}
		for i, l := range v.Lines {
			if n := strings.Count(whole, fmt.Sprintf("Partner item%03d", i+1)); n != 1 {
				t.Errorf("%s: line %d stands %d times", paper, i+1, n)
			}
			if !strings.Contains(whole, grouped(l.Amount.String())) {
				t.Errorf("%s: the amount of line %d is missing", paper, i+1)
			}
		}
		last := sheets[len(sheets)-1].text
		for _, want := range []string{"Partner item300", "TotalEUR " + grouped(v.Total.String()), "Open amountEUR", "Payable within 14 days"} {
			if !strings.Contains(last, want) {
				t.Errorf("%s: the last page lacks %q:\n%s", paper, want, last)
			}
		}
	}
	if n := b.others.Load(); n != 0 {
		t.Errorf("the pages asked for %d other things", n)
	}
}

// However many lines there are, the page of the totals has lines too.
func TestTotalsStandWithLines(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	broken := map[int]bool{}
	for lines := 8; lines <= 46; lines++ {
		sheets := b.print(page(t, long(t, lines), nil, options(t)))
		broken[len(sheets)] = true
		i := slices.IndexFunc(sheets, func(s sheet) bool { return strings.Contains(s.text, "TotalEUR ") })
		if i < 0 || !strings.Contains(sheets[i].text, fmt.Sprintf("Partner item%03d", lines)) || !strings.Contains(sheets[i].text, "Open amountEUR ") {
			t.Errorf("%d lines: the totals stand without the last line", lines)
		}
	}
	if !broken[1] || !broken[2] || !broken[3] {
		t.Errorf("the invoices had %v pages", broken)
	}
}

func TestStampsStandOnEveryPage(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	v := long(t, 60)
	v.Status = billing.Void
	void := b.print(page(t, v, nil, options(t)))
	v.Number, v.IssuedAt, v.Status = "", nil, billing.Ready
	draft := b.print(page(t, v, nil, options(t)))
	ahead := preview(t)
	ahead.Drafts[1].Lines = v.Lines
	p, err := Preview(ahead, options(t))
	if err != nil {
		t.Fatal(err)
	}
	preview := b.print(p)
	if n := slices.IndexFunc(preview, func(s sheet) bool { return strings.Contains(s.text, "2026-03-01 – 2026-03-31") }); n < 1 || strings.Contains(preview[n].text, "Goodwill") {
		t.Errorf("the second draft begins on sheet %d", n)
	}
	for _, c := range []struct {
		stamp  string
		sheets []sheet
	}{{"VOID", void}, {"DRAFT", draft}, {"DRAFT", preview}} {
		stamp, sheets := c.stamp, c.sheets
		if len(sheets) < 3 {
			t.Errorf("%s: %d pages", stamp, len(sheets))
		}
		for i, s := range sheets {
			if !strings.Contains(s.text, stamp) {
				t.Errorf("page %d lacks %s:\n%s", i+1, stamp, s.text)
			}
		}
	}
}

// On a screen nothing of the page covers the stamp.
func TestStampIsSeenOnTheScreen(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	p, err := Preview(preview(t), options(t))
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(880, 1240))
	b.open(p)
	if top := ask[string](b, `(() => {
		const stamp = document.querySelector(".stamp"), box = stamp.getBoundingClientRect();
		stamp.style.setProperty("pointer-events", "auto"); // so that the browser counts it among what is there
		return document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2).className;
	})()`); top != "stamp" {
		t.Errorf("in the middle of the page stands %q", top)
	}
}

// hostile is an invoice whose every text is meant to do harm, with the longest numbers that there can be.
func hostile(t testing.TB) (billing.Invoice, billing.Names, Options) {
	v, names := invoice(t)
	evil := `</td><script>document.title='run'</script><img src=x onerror=document.title='run'>` + "\u202e\u2066fdp.exe\x00 " + strings.Repeat("unbroken", 40)
	v.Account, v.Number, v.Lines[0].Charge, v.Payments[0].Reference = evil, `"; } body { display: none } /*`, evil, evil
	huge := decimal.RequireFromString("-99999999999999999999999999999999999999.123456789012345678")
	v.Lines[1].Added, v.Lines[1].Amount.Amount, v.Total.Amount, v.Open.Amount = huge, huge, huge, huge
	o := options(t)
	o.Letterhead = Letterhead{From: []string{evil}, To: []string{evil}, Notes: []string{evil}}
	return v, names, o
}

func TestNothingIsClippedOrRun(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	v, names, o := hostile(t)
	plainV, plainNames := invoice(t)
	for name, p := range map[string]Page{"hostile": page(t, v, names, o), "plain": page(t, plainV, plainNames, options(t))} {
		sheets := b.print(p)
		if name == "hostile" && !strings.Contains(sheets[0].text, `Invoice "; } body { display: none } /*Page`) && !strings.Contains(sheets[0].text, `1 of 3Invoice "; } body { display: none } /*`) {
			t.Errorf("the foot of the page isn't the number:\n%s", sheets[0].text)
		}
		for _, s := range sheets {
			if s.left < margin || s.right > s.width-margin {
				t.Errorf("%s: text from %v to %v of %v is in the margins:\n%s", name, s.left, s.right, s.width, s.text)
			}
		}
		// As wide as what is printed on A4, and as a telephone shows it.
		for _, media := range []struct {
			name  string
			width int64
		}{{"print", 672}, {"screen", 360}} {
			b.do(chromedp.EmulateViewport(media.width, 900), chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
				_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media.name})
				return err
			}))
			b.open(p)
			clipped := ask[[]string](b, `[...document.querySelectorAll("main, main *")].filter(e => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1)
				.map(e => e.tagName + "." + e.className + " " + e.scrollWidth + " > " + e.clientWidth + ": " + e.textContent.slice(0, 60))`)
			if media.name == "print" && len(clipped) > 0 {
				t.Errorf("%s on %s: clipped: %q", name, media.name, clipped)
			}
		}
		if title, scripts := ask[string](b, "document.title"), ask[int](b, "document.scripts.length + document.images.length"); title == "run" || scripts != 0 {
			t.Errorf("%s: markup from outside got in: title %q, %d elements", name, title, scripts)
		}
		if align := ask[string](b, `getComputedStyle(document.querySelector("tbody td.n:last-child")).textAlign`); align != "right" {
			t.Errorf("%s: amounts are set %s: the policy refuses the style", name, align)
		}
		if hidden := ask[string](b, `getComputedStyle(document.body).display`); hidden != "block" {
			t.Errorf("%s: the body is %s", name, hidden)
		}
	}
	b.open(page(t, v, names, o))
	if text := ask[string](b, "document.body.innerText"); strings.ContainsAny(text, "\u202e\u2066\x00") || !strings.Contains(text, `\u202e\u2066fdp.exe\u0000`) {
		t.Errorf("what turns text around is in it:\n%s", text)
	}
}

// The picture in the documentation is of the page that is tested; -update takes it.
func TestPictureForTheDocumentation(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	v, names := invoice(t)
	b.do(chromedp.EmulateViewport(880, 1240))
	b.open(page(t, v, names, options(t)))
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "invoice.png")
	if *update {
		if err := os.WriteFile(path, shot, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := png.DecodeConfig(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(kept)); err != nil || c.Width != taken.Width || c.Height != taken.Height || len(kept) > 200<<10 {
		t.Errorf("%s: %d x %d, %d bytes, %v; taken now: %d x %d", path, c.Width, c.Height, len(kept), err, taken.Width, taken.Height)
	}
}
