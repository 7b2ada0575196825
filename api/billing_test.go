package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"deltaledger/export"
)

// afterJanuary is when January can be closed and frozen.
var afterJanuary = time.Date(2026, 2, 5, 8, 0, 0, 0, time.UTC)

func TestTerms(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	if a := s.want(s.get("/v1/terms"), 200); a.at(t, "in_force.version") != "0" || a.at(t, "in_force.terms.cadence") != "monthly" || a.at(t, "coming.0.start") != "2026-02-01T00:00:00Z" {
		t.Errorf("%s", a.body)
	}
	terms := `{"account":"acme","cadence":"weekly","charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"2.5"}]}`
	a := s.want(s.post("/v1/terms?by=jane", terms), 200)
	if a.at(t, "version") == "0" || a.at(t, "terms.cadence") != "weekly" || a.at(t, "inherited.2") != "grace" {
		t.Errorf("%s", a.body)
	}
	if again := s.want(s.post("/v1/terms?by=jane", terms), 200); again.at(t, "version") != a.at(t, "version") {
		t.Errorf("the same terms became version %s", again.at(t, "version"))
	}
	for _, path := range []string{"/v1/accounts/acme/terms", "/v1/terms?account=acme"} {
		if b := s.want(s.get(path), 200); b.at(t, "in_force.version") != a.at(t, "version") {
			t.Errorf("%s: %s", path, b.body)
		}
	}
	b := s.want(s.post("/v1/terms", `{"cadence":"hourly","charges":[{"name":"fee","measure":"amount","model":"percentage","rate":2.5}],"x":1}`), 422)
	if b.count(t, "errors") < 3 || !strings.Contains(string(b.body), "body.charges[0].rate") {
		t.Errorf("%s", b.body)
	}
	s.want(s.post("/v1/terms", `{"charges":`), 400)
	s.want(s.post("/v1/terms", ``), 400)
	s.want(s.post("/v1/terms", `{}`, "Content-Type", "text/csv"), 415)
	s.want(s.post("/v1/terms", `{"x":"`+strings.Repeat("x", 70_000)+`"}`), 413)
}

func TestPreview(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/terms", `{"grace":"9d","charges":[{"name":"sales","measure":"amount","model":"sum"}]}`), 200)
	s.want(s.post("/v1/terms", `{"account":"acme","start":"2026-01-10","anchor":"anniversary","cadence":"quarterly"}`), 200)
	s.want(s.post("/v1/events", "["+event("e1", 1, "amount", `"10"`)+","+event("e2", 2, "amount", `"-2.5"`)+"]"), 200)
	a := s.want(s.get("/v1/accounts/acme/preview?count=2"), 200)
	if a.at(t, "drafts.0.total") != "7.50" || a.at(t, "drafts.0.lines.0.charge") != "sales" || a.at(t, "drafts.0.events") != "2" {
		t.Errorf("%s", a.body)
	}
	if n := a.count(t, "cycles"); a.at(t, "cycles.1.start") != "2026-04-10T00:00:00Z" && a.at(t, "cycles.2.start") != "2026-04-10T00:00:00Z" {
		t.Errorf("%d cycles: %s", n, a.body)
	}
	old := a.at(t, "as_of.position")
	s.want(s.post("/v1/events", "["+event("e3", 3, "amount", `"1"`)+"]"), 200)
	if b := s.want(s.get("/v1/accounts/acme/preview?as_of="+old), 200); b.at(t, "drafts.0.total") != "7.50" {
		t.Errorf("%s", b.body)
	}
	if b := s.want(s.get("/v1/accounts/acme/preview"), 200); b.at(t, "drafts.0.total") != "8.50" || b.count(t, "cycles") < 13 {
		t.Errorf("%s", b.body)
	}
	if b := s.want(s.get("/v1/accounts/nobody/preview?count=0"), 200); b.count(t, "cycles") != 1 || b.count(t, "drafts") != 0 {
		t.Errorf("%s", b.body)
	}
	fee := `{"account":"acme","charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"10"}]}`
	if b := s.want(s.post("/v1/accounts/acme/preview?count=1", fee), 200); b.at(t, "drafts.0.total") != "0.85" {
		t.Errorf("%s", b.body)
	}
	if b := s.want(s.post("/v1/accounts/globex/preview", fee), 422); b.at(t, "errors.0.location") != "body.account" {
		t.Errorf("%s", b.body)
	}
	s.want(s.post("/v1/accounts/acme/preview", `{"account":`), 400)
	s.want(s.get("/v1/accounts/acme/preview?count=1001"), 422)
	s.want(s.get("/v1/accounts/acme/preview?as_of=yesterday"), 422)
	for _, wrong := range []struct{ terms, field string }{
		{`{"account":"globex","anchor":"anniversary"}`, "body.start"},
		{`{"start":"2026-01-10","charges":[{"name":"a","measure":"clicks","model":"sum"}]}`, "body.charges[0].measure"},
		{`{"account":"globex","every":2}`, "body.every"},
	} {
		if b := s.want(s.post("/v1/terms", wrong.terms), 422); !strings.Contains(string(b.body), wrong.field) {
			t.Errorf("%s: %s", wrong.terms, b.body)
		}
	}
}

func TestBilling(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/events", "["+event("e1", 1, "amount", `"10"`)+","+event("=e2", 2, "amount", `"-2.5"`)+"]"), 200)
	if a := s.want(s.post("/v1/cycles/close", `{"through":"2026-02-30"}`), 422); a.at(t, "errors.0.location") != "body.through" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/cycles/close", `{}`), 422)
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31","account":"nobody"}`), 404)
	a := s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31","by":"jane"}`), 200)
	if a.at(t, "cycles") != "1" || a.at(t, "invoices") != "1" || a.at(t, "pinned") != "2" || a.at(t, "totals.USD") != "7.50" || a.at(t, "frozen.0") != "2026-01" {
		t.Errorf("%s", a.body)
	}
	if again := s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200); again.at(t, "invoices") != "0" {
		t.Errorf("%s", again.body)
	}
	list := s.want(s.get("/v1/invoices?account=acme&status=issued&from=2026-01-01&to=2026-02-01"), 200)
	id, number := list.at(t, "invoices.0.id"), list.at(t, "invoices.0.number")
	if id == "" || number == "" || list.at(t, "invoices.0.total") != "7.50" {
		t.Fatalf("%s", list.body)
	}
	if none := s.want(s.get("/v1/invoices?account=nobody"), 200); string(none.body) != `{"invoices":[]}`+"\n" {
		t.Errorf("%s", none.body)
	}
	for _, name := range []string{id, number} {
		if v := s.want(s.get("/v1/invoices/"+name), 200); v.at(t, "id") != id || v.at(t, "lines.0.amount") != "7.50" || v.at(t, "lines.0.exact") != "7.5" {
			t.Errorf("%s", v.body)
		}
	}
	if l := s.want(s.get("/v1/invoices/"+id+"/lines"), 200); l.at(t, "lines.0.events") != "2" || l.at(t, "invoice") != id {
		t.Errorf("%s", l.body)
	}
	events := s.want(s.get("/v1/invoices/"+number+"/events"), 200)
	if lines := bytes.Split(bytes.TrimSpace(events.body), []byte("\n")); len(lines) != 2 || !bytes.Contains(lines[1], []byte(`"amount":"-2.5"`)) {
		t.Errorf("%s", events.body)
	}
	table := s.want(s.get("/v1/invoices/"+id+"/events?format=csv"), 200)
	if rows, err := csv.NewReader(bytes.NewReader(table.body)).ReadAll(); err != nil || len(rows) != 3 || rows[2][5] != "'=e2" || rows[2][11] != "-2.5" {
		t.Errorf("%v\n%s", err, table.body)
	}
	for _, path := range []string{"/v1/invoices/INV-999999", "/v1/invoices/nonsense", "/v1/invoices/nonsense/lines", "/v1/invoices/INV-999999/events"} {
		s.want(s.get(path), 404)
	}
	s.want(s.get("/v1/invoices?status=lost"), 422)
	s.want(s.get("/v1/invoices?from=soon"), 422)
	s.want(s.get("/v1/invoices?cursor=xyz"), 422)

	s.want(s.post("/v1/invoices/"+id+"/void", `{"outcome":"rebill","why":"wrong"}`), 422)
	s.want(s.post("/v1/invoices/INV-999999/void", `{"outcome":"rebill","why":"wrong","by":"jane"}`), 404)
	void := s.want(s.post("/v1/invoices/"+number+"/void", `{"outcome":"rebill","why":"wrong terms","by":"jane"}`), 200)
	if void.at(t, "invoice") != id || void.at(t, "rebill") == "" {
		t.Errorf("%s", void.body)
	}
	s.want(s.post("/v1/invoices/"+id+"/void", `{"outcome":"write-off","why":"again","by":"jane"}`), 409)
	if v := s.want(s.get("/v1/invoices/"+id), 200); v.at(t, "status") != "void" || v.at(t, "rebilled_by") != void.at(t, "rebill") {
		t.Errorf("%s", v.body)
	}
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/events", event("e1", 1)), 201)
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200)
	s.want(s.post("/v1/events", event("e2", 2)), 201)
	if a := s.want(s.post("/v1/reconciliations", `{"heal":false}`), 200); a.at(t, "late") != "1" || a.at(t, "healed") != "0" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.post("/v1/reconciliations", `{}`), 200); a.at(t, "late") != "1" || a.at(t, "healed") != "1" {
		t.Errorf("%s", a.body)
	}
	s.want(s.get("/v1/findings"), 200)
	s.want(s.post("/v1/reconciliations", `{"heal":"yes"}`), 422)
}

func TestMonthFiles(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/events", lines(1, 2000), "Content-Type", ndjson), 200)
	const path = "/v1/exports/months/2026-01.csv"
	a := s.want(s.get(path), 409)
	if a.at(t, "type") != "/docs#problem-not-frozen" || a.at(t, "available_from") != "2026-02-03T00:00:00Z" || a.header.Get("Retry-After") == "" {
		t.Errorf("%s", a.body)
	}
	open := s.want(s.get(path+"?open=true"), 200)
	if open.header.Get("Ledger-Frozen") != "false" || !strings.Contains(open.header.Get("Content-Disposition"), ".open-W") {
		t.Errorf("%v", open.header)
	}
	if b := s.want(s.get("/v1/exports/months"), 200); string(b.body) != `{"months":[]}`+"\n" {
		t.Errorf("reading froze something: %s", b.body)
	}
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200)
	frozen := s.want(s.get(path), 200)
	if bytes.Count(frozen.body, []byte("\n")) != 2001 || frozen.header.Get("Ledger-Rows") != "2000" || frozen.header.Get("Content-Disposition") != `attachment; filename="events-2026-01.csv"` {
		t.Errorf("%v %.200s", frozen.header, frozen.body)
	}
	s.want(s.post("/v1/events", lines(2001, 10), "Content-Type", ndjson), 200)
	if again := s.want(s.get(path), 200); !bytes.Equal(again.body, frozen.body) || again.header.Get("Etag") != frozen.header.Get("Etag") {
		t.Error("the frozen file changed")
	}
	if again := s.want(s.get(path+"?open=true&as_of="+open.header.Get("Ledger-Watermark")), 200); !bytes.Equal(again.body, open.body) {
		t.Error("the open file of a watermark changed")
	}
	s.sameAsExporter(t, frozen.body)
	if b := s.get(path, "If-None-Match", frozen.header.Get("Etag")); b.status != 304 || len(b.body) > 0 {
		t.Errorf("If-None-Match: %d %s", b.status, b.body)
	}
	if b := s.do(http.MethodHead, path, nil); b.status != 200 || b.header.Get("Ledger-Rows") != "2000" {
		t.Errorf("HEAD: %d %v", b.status, b.header)
	}
	m := s.want(s.get("/v1/exports/months/2026-01.json"), 200)
	if m.at(t, "rows") != "2000" || m.at(t, "frozen") != "true" || m.at(t, "file") != "events-2026-01.csv" {
		t.Errorf("%s", m.body)
	}
	if b := s.want(s.get("/v1/exports/months"), 200); b.at(t, "months.0.month") != "2026-01" {
		t.Errorf("%s", b.body)
	}
	if b := s.want(s.get("/v1/exports/months/2026-13.csv"), 422); b.at(t, "errors.0.location") != "path.month" {
		t.Errorf("%s", b.body)
	}
	s.want(s.get(path+"?as_of=5"), 422)
	s.want(s.get("/v1/exports/months/2026-01.txt"), 404)
}

// sameAsExporter holds a file against what the exporter writes, and the trailer against its hash.
func (s *service) sameAsExporter(t *testing.T, got []byte) {
	t.Helper()
	month := export.Month{Year: 2026, Month: time.January}
	f, err := s.e.File(t.Context(), export.FileRequest{Month: month})
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if _, err := f.Write(context.Background(), &want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want.Bytes(), got) {
		t.Error("not the exporter's bytes")
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/exports/months/2026-01.csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(got)
	if digest := response.Trailer.Get("Content-Digest"); digest != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
		t.Errorf("Content-Digest %q", digest)
	}
}
