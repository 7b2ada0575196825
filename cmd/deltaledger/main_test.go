//go:build linux || darwin

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deltaledger/ledger/pg/embedded"
)

// Two months of two accounts.
const shopCSV = `id,source,stream,seqn,type,account,occurred_at,currency,amount,quantity,country
e1,shop,o1,1,sold,acme,2025-01-05T10:00:00Z,USD,100.00,2,US
e2,shop,o1,2,returned,acme,2025-01-20T10:00:00Z,USD,-50.00,-1,US
e3,shop,o2,1,sold,acme,2025-02-01T00:00:00Z,USD,10.005,1,CA
e4,shop,o3,1,sold,umbrella,2025-01-31T23:59:59.999999Z,EUR,0.10,1,DE
e5,shop,o3,2,sold,umbrella,2025-02-10T12:00:00+02:00,EUR,0.20,1,DE
`

// TestTour takes one ledger through every stage, from outside.
func TestTour(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	var sum summary
	p.ask(&sum, "ingest", p.file("shop.csv", shopCSV))
	if sum != (summary{Recorded: 5, Watermark: sum.Watermark}) || sum.Watermark == 0 {
		t.Errorf("first ingest: %+v", sum)
	}
	p.ask(&sum, "ingest", "shop.csv")
	if sum.Duplicate != 5 || sum.Recorded != 0 {
		t.Errorf("second ingest: %+v", sum)
	}
	t.Run("reading", func(t *testing.T) { tourReading(t, p.on(t)) })
	t.Run("billing", func(t *testing.T) { tourBilling(t, p.on(t)) })
	t.Run("export", func(t *testing.T) { tourExport(t, p.on(t)) })
	t.Run("late", func(t *testing.T) { tourLate(t, p.on(t)) })
}

type group struct {
	Month, Type, Currency, Amount, Quantity string
	Billed, BookedMonth                     *string
	Count                                   int64
}

func tourReading(t *testing.T, p *program) {
	var groups []group
	p.into(&groups, "aggregate", "--measure", "amount,quantity", "--by", "month")
	want := []group{
		{Month: "2025-01", Currency: "EUR", Amount: "0.1", Quantity: "1", Count: 1},
		{Month: "2025-01", Currency: "USD", Amount: "50", Quantity: "1", Count: 2},
		{Month: "2025-02", Currency: "EUR", Amount: "0.2", Quantity: "1", Count: 1},
		{Month: "2025-02", Currency: "USD", Amount: "10.005", Quantity: "1", Count: 1},
	}
	if fmt.Sprint(groups) != fmt.Sprint(want) {
		t.Errorf("aggregate: %+v", groups)
	}
	var page struct {
		Events []struct{ ID string }
		Cursor string `json:"next_cursor"`
	}
	p.into(&page, "events", "list", "--where", "country=DE", "--where", "country=CA", "--limit", "2")
	if len(page.Events) != 2 || page.Events[0].ID != "e5" || page.Cursor == "" {
		t.Errorf("first page: %+v", page)
	}
	cursor := page.Cursor
	page.Cursor = ""
	p.into(&page, "events", "list", "--cursor", cursor)
	if len(page.Events) != 1 || page.Events[0].ID != "e3" || page.Cursor != "" {
		t.Errorf("second page: %+v", page)
	}
	var event struct{ ID, Account, Amount string }
	p.into(&event, "events", "show", "shop", "e3")
	if event.Amount != "10.005" {
		t.Errorf("event: %+v", event)
	}
	var view struct {
		Totals  []struct{ Measure, Sum string }
		Entries []struct{ Event struct{ ID string } }
	}
	p.into(&view, "stream", "shop", "o1")
	if len(view.Entries) != 2 || view.Totals[1].Sum+view.Totals[0].Sum != "501" && view.Totals[0].Sum+view.Totals[1].Sum != "501" {
		t.Errorf("stream: %+v", view)
	}
	var difference struct{ Added []struct{ ID string } }
	p.into(&difference, "stream", "shop", "o1", "--diff", "1", "2")
	if len(difference.Added) != 1 {
		t.Errorf("difference: %+v", difference)
	}
}

type closeResult struct {
	Cycles, Invoices, Pinned, Late int64
	Totals                         map[string]string
	Frozen                         []string
}

type invoicePage struct {
	Invoices []struct {
		ID, Number, Account, Total, Currency, Status string
		Lines                                        []struct{ Late bool }
	}
}

func tourBilling(t *testing.T, p *program) {
	terms := p.file("acme.json", `{"account":"acme","cadence":"monthly","zone":"America/New_York","charges":[{"name":"sales","measure":"amount","model":"sum"},{"name":"fee","measure":"amount","types":["sold"],"model":"percentage","rate":"10"}]}`)
	p.must("terms", "set", "--file", terms)
	var view struct {
		Coming  []any
		History []any
	}
	p.into(&view, "terms", "show", "acme")
	if len(view.History) == 0 || len(view.Coming) == 0 {
		t.Errorf("terms: %+v", view)
	}
	var ahead struct {
		Cycles []any
		Drafts []struct{ Total string }
	}
	p.into(&ahead, "terms", "preview", "acme", "--count", "2")
	if len(ahead.Cycles) < 3 || len(ahead.Drafts) != 1 {
		t.Errorf("preview: %+v", ahead)
	}
	if out := p.must("terms", "preview", "acme"); !strings.Contains(out, "2025-01-01 to 2025-02-01: 71.01 USD of 3 events") {
		t.Errorf("preview:\n%s", out)
	}
	var r closeResult
	if p.ask(&r, "close", "--through", "2025-01-30"); r.Cycles != 0 || len(r.Frozen) != 0 {
		t.Errorf("close through the last day but one of the first month: %+v", r)
	}
	p.ask(&r, "close", "--through", "2025-02-28")
	// In New York e3 still happened in January: 60.005 of sales and 11.0005 of fees.
	if r.Cycles != 3 || r.Invoices != 3 || r.Pinned != 5 || r.Late != 0 || r.Totals["USD"] != "71.01" || r.Totals["EUR"] != "0.30" {
		t.Errorf("close: %+v", r)
	}
	if out := p.must("invoices", "list", "--account", "acme"); !strings.Contains(out, "2025-01-01   2025-02-01  America/New_York") {
		t.Errorf("cycles aren't shown by the dates of their zone:\n%s", out)
	}
	if strings.Join(r.Frozen, " ") != "2025-01 2025-02" {
		t.Errorf("frozen: %v", r.Frozen)
	}
	p.ask(&r, "close", "--through", "2025-02-28")
	if r.Cycles != 0 || r.Invoices != 0 {
		t.Errorf("second close: %+v", r)
	}
	var page invoicePage
	p.into(&page, "invoices", "list", "--account", "acme")
	if len(page.Invoices) != 1 || page.Invoices[0].Total != "71.01" || page.Invoices[0].Status != "issued" {
		t.Fatalf("invoices: %+v", page)
	}
	var pinned []struct{ ID string }
	p.into(&pinned, "invoices", "events", page.Invoices[0].Number)
	if len(pinned) != 3 {
		t.Errorf("events of the invoice: %v", pinned)
	}
	var void struct {
		Invoice, Rebill string
		Number          string `json:"rebill_number"`
	}
	p.ask(&void, "invoices", "void", page.Invoices[0].ID, "--outcome", "rebill", "--why", "wrong address")
	if void.Rebill == "" || void.Number != "INV-000004" {
		t.Errorf("void: %+v", void)
	}
	var invoice struct{ Total, Status string }
	p.into(&invoice, "invoices", "show", void.Number)
	if invoice.Total != "71.01" || invoice.Status != "issued" {
		t.Errorf("the invoice in its place: %+v", invoice)
	}
	tourAfter(t, p, void.Number)
}

// tourAfter is what happens to an invoice over 71.01 USD after it was issued.
func tourAfter(t *testing.T, p *program, number string) {
	p.must("invoices", "sent", number, "--note", "by mail")
	var paid struct {
		Paid, Open string
		Payment    struct{ Amount, By string }
	}
	pay := []string{"invoices", "pay", number, "--reference", "bank/1", "--amount", "20.01", "--date", "2025-03-04"}
	p.into(&paid, pay...) // twice, and recorded once
	if paid.Open != "51.00" || paid.Payment.By != maker {
		t.Errorf("payment: %+v", paid)
	}
	p.ask(&paid, "invoices", "pay", number, "--reference", "back/1", "--amount=-0.01", "--reverses", "bank/1")
	if paid.Paid != "20.00" {
		t.Errorf("what went back: %+v", paid)
	}
	for _, c := range []struct{ args, want string }{
		{"invoices pay " + number + " --reference bank/2 --amount 51.02", "51.01 USD of it is open"},
		{"invoices void " + number + " --outcome rebill --why x", "credit note"},
		{"invoices credit " + number + " --line 1=71 --reason x", "is left to take back"},
	} {
		if r := p.run(strings.Fields(c.args)...); r.code != exitFailed || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: exit code %d, %s", c.args, r.code, r.stderr)
		}
	}
	var note struct{ Number, Total, Corrects string }
	p.ask(&note, "invoices", "credit", number, "--line", "1=10", "--line", "2", "--reason", "broken")
	if note.Number != "CN-000001" || note.Corrects != number {
		t.Errorf("credit note: %+v", note)
	}
	p.into(&note, "credit-notes", "show", note.Number)
	if p.into(&note, "credit-notes", "cancel", "CN-000001", "--reason", "not broken"); note.Number != "CN-000002" || !strings.HasPrefix(note.Total, "-") { // twice, and made once
		t.Errorf("the note that cancels: %+v", note)
	}
	var notes []struct{ Number string }
	if p.into(&notes, "credit-notes", "list", "--invoice", number); len(notes) != 2 {
		t.Errorf("credit notes: %+v", notes)
	}
	var payments []struct{ Reference, Amount string }
	if p.into(&payments, "invoices", "payments", number); len(payments) != 2 || payments[1].Amount != "-0.01" {
		t.Errorf("payments: %+v", payments)
	}
	var parked, numbers []any
	p.into(&parked, "accounts", "parked")
	if p.into(&numbers, "numbers", "show"); len(parked) != 0 || len(numbers) != 2 {
		t.Errorf("parked %v, numbers %v", parked, numbers)
	}
	if out := p.must("invoices", "show", number); !strings.Contains(out, "payment bank/1 of 2025-03-04: 20.01 USD") || !strings.Contains(out, "credit note CN-000001") {
		t.Errorf("the invoice doesn't show what happened to it:\n%s", out)
	}
}

type exportResult struct {
	Path     string
	Manifest struct {
		Rows   int64
		SHA256 string
		Frozen bool
	}
}

func tourExport(t *testing.T, p *program) {
	var first, second exportResult
	p.ask(&first, "export", "month", "2025-01", "--out", "files")
	p.ask(&second, "export", "month", "2025-01", "--out", "files2", "--compress", "gzip")
	if first.Manifest.Rows != 3 || !first.Manifest.Frozen || first.Manifest.SHA256 != second.Manifest.SHA256 {
		t.Errorf("exports: %+v %+v", first, second)
	}
	var check struct{ OK bool }
	p.into(&check, "export", "check", second.Path)
	if !check.OK {
		t.Error("the check failed")
	}
	var frozen []struct{ Month string }
	p.into(&frozen, "export", "list")
	if len(frozen) != 2 {
		t.Errorf("frozen months: %v", frozen)
	}
	path := filepath.Join(p.dir, first.Path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(content), ",100,", ",101,", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := p.run("export", "check", first.Path); r.code != exitFailed || !strings.Contains(r.stderr, "SHA-256") {
		t.Errorf("check of a changed file: %+v", r)
	}
	if r := p.run("export", "month", "2025-01", "--out", "files"); r.code != exitFailed {
		t.Errorf("a file with other content was not refused: %+v", r)
	}
}

func tourLate(t *testing.T, p *program) {
	before := p.must("export", "month", "2025-01", "--out", "before", "--output", "json")
	late := strings.Split(shopCSV, "\n")[0] + "\ne6,shop,o1,3,sold,acme,2025-01-21T10:00:00Z,USD,7.00,1,US\n"
	p.must("ingest", p.file("late.csv", late))
	p.must("adjust", "--file", p.file("adjust.json", `{"id":"a1","source":"finance","stream":"o1","type":"goodwill","account":"acme","occurred_at":"2025-03-01T12:00:00Z","currency":"USD","amount":"-5.00","reason":"broken","reference":"T-1"}`))
	var r closeResult
	p.ask(&r, "close", "--through", "2025-03-31")
	if r.Pinned != 2 || r.Late != 1 {
		t.Errorf("close with a late event: %+v", r)
	}
	after := p.must("export", "month", "2025-01", "--out", "after", "--output", "json")
	same(t, filepath.Join(p.dir, "before", "events-2025-01.csv"), filepath.Join(p.dir, "after", "events-2025-01.csv"))
	if before == after {
		t.Error("the second manifest doesn't name the first pull")
	}
	var difference struct {
		Added int64
		Rows  []struct {
			EventID string `json:"event_id"`
			Number  int64
		}
	}
	if r := p.run("export", "diff", "5", "2025-12-31T00:00:00Z"); r.code != exitUsage {
		t.Errorf("difference to a time before there was a ledger: %+v", r)
	}
	var sum summary
	p.ask(&sum, "ingest", "late.csv")
	p.into(&difference, "export", "diff", "5", fmt.Sprint(sum.Watermark))
	if difference.Added != 2 || difference.Rows[0].EventID != "e6" || difference.Rows[0].Number == 0 {
		t.Errorf("difference: %+v", difference)
	}
	conn := p.connect(embedded.Reader)
	if n := one[int64](t, conn, "SELECT count(*) FROM billing.pins_v1 WHERE live"); n != 7 {
		t.Errorf("%d live pins, not one for each of 7 events", n)
	}
}

// same fails unless two files hold the same bytes.
func same(t testing.TB, a, b string) {
	t.Helper()
	first, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) == 0 || string(first) != string(second) {
		t.Errorf("%s and %s differ", a, b)
	}
}

// TestExitCodes holds the ways to fail to their codes and to standard error.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.file("bad.json", `{"charges":[{"model":"guess"}],"cadence":"hourly"}`)
	p.file("a.ndjson", `{"id":"e1","source":"shop","stream":"o1","seqn":1,"type":"sold","account":"acme","occurred_at":"2025-01-05T10:00:00Z","currency":"USD","amount":"1"}`)
	p.must("ingest", "a.ndjson")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", exitUsage, "See:"},
		{"nothing", exitUsage, "nothing"},
		{"ingest", exitUsage, "file"},
		{"ingest a.ndjson --format xml", exitUsage, "must be json, ndjson, csv, cloudevents, avro or parquet"},
		{"ingest missing.csv", exitFailed, "missing.csv"},
		{"events list --where country", exitUsage, "key=value"},
		{"events list --limit 100000", exitUsage, "1000"},
		{"events list --as-of 99999999", exitUsage, "not decided"},
		{"events show shop nothing", exitFailed, "not found"},
		{"aggregate --measure profit", exitUsage, "amount"},
		{"aggregate", exitUsage, "measure"},
		{"close --through tomorrow", exitUsage, "tomorrow"},
		{"terms set --file bad.json", exitUsage, "hourly"},
		{"stream shop o1 --diff 1", exitUsage, "--diff"},
		{"sources declare shop --numbering odd", exitUsage, "must be stream, source or none"},
		{"export month 2025-13 --out x", exitUsage, "2025-13"},
		{"export month 2099-01 --out x", exitFailed, "--open"},
		{"export month 2025-01 --out x --freeze --open", exitUsage, "exclude"},
		{"invoices void 00000000-0000-0000-0000-000000000000 --outcome rebill --why x", exitFailed, "not found"},
		{"migrate --zone Mars/Olympus", exitUsage, "Mars/Olympus"},
		{"migrate --zone Europe/London", exitFailed, "UTC"},
		{"serve --addr 0.0.0.0:0", exitUsage, "--unsafe-listen"},
		{"sources list --output yaml --log-level loud", exitUsage, "--log-level"},
		{"verify", exitFailed, "seals"},
	} {
		r := p.run(strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.says) || r.stdout != "" {
			t.Errorf("%q: exit code %d, want %d with %q on standard error\nstdout: %s\nstderr: %s", c.args, r.code, c.code, c.says, r.stdout, r.stderr)
		}
		if !strings.HasPrefix(r.stderr, "deltaledger: ") {
			t.Errorf("%q: standard error doesn't begin with the program's name: %s", c.args, r.stderr)
		}
	}
}

// TestMisspelledKey: a dimension isn't declared, so a wrong name is no error, but it is named.
func TestMisspelledKey(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("ingest", p.file("e.csv", shopCSV))
	r := p.run("aggregate", "--measure", "quantity", "--by", "country,contry")
	if r.code != exitDone || !strings.Contains(r.stderr, `no event here has a value of "contry"`) || strings.Contains(r.stderr, `"country"`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// TestEveryCommandHasHelp: a plain sentence for every command, argument and flag.
func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	for _, problem := range withoutHelp(t) {
		t.Error(problem)
	}
}

// TestZoneFirst makes a ledger in another zone by the first command of a directory.
func TestZoneFirst(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	var m struct {
		Zone  string `json:"reporting_zone"`
		Grace string `json:"freeze_grace"`
	}
	p.ask(&m, "migrate", "--zone", "America/Sao_Paulo", "--freeze-grace", "1h")
	if m.Zone != "America/Sao_Paulo" || m.Grace != "1h" {
		t.Errorf("migrated: %+v", m)
	}
	p.must("migrate")
	p.must("migrate", "--zone", "America/Sao_Paulo")
	var event struct {
		Date string `json:"business_date"`
	}
	p.must("ingest", p.file("e.ndjson", `{"id":"e1","source":"shop","stream":"o1","seqn":1,"type":"sold","account":"acme","occurred_at":"2025-01-01T01:00:00Z","currency":"USD","amount":"1"}`))
	p.into(&event, "events", "show", "shop", "e1")
	if event.Date != "2024-12-31" {
		t.Errorf("business date: %s", event.Date)
	}
}

// TestTwoAtOnce runs the first commands of a directory at the same time.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	results := make(chan result, 4)
	for range cap(results) {
		go func() { results <- p.run("sources", "list", "--output", "json") }()
	}
	for range cap(results) {
		if r := <-results; r.code != exitDone || r.stdout != "[]\n" {
			t.Errorf("%+v", r)
		}
	}
}

// TestDB looks after the private server, and tries what nobody may do to facts.
func TestDB(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	var st dbStatus
	p.into(&st, "db", "status")
	if st.Running {
		t.Errorf("before the start: %+v", st)
	}
	p.ask(&st, "db", "start")
	if !st.Running || st.Postgres == 0 {
		t.Errorf("after the start: %+v", st)
	}
	p.must("ingest", p.file("shop.csv", shopCSV))
	p.must("close", "--through", "2025-02-28")
	for _, role := range []embedded.Role{embedded.Superuser, embedded.Owner, embedded.App} {
		refusesChanges(t, p.connect(role))
	}
	for _, role := range []embedded.Role{embedded.App, embedded.Reader, embedded.Private} {
		if user := one[string](t, p.connect(role), "SELECT session_user::text"); user != role.User() {
			t.Errorf("the URL of %s logs in as %s", role, user)
		}
	}
	p.must("db", "stop")
	p.into(&st, "db", "status")
	if st.Running {
		t.Errorf("after the stop: %+v", st)
	}
	var page struct{ Events []json.RawMessage }
	p.into(&page, "events", "list")
	if len(page.Events) != 5 {
		t.Errorf("%d events after a stop", len(page.Events))
	}
}
