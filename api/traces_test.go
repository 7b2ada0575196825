package api_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
)

func TestTracesThereAndBack(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/terms", `{"charges":[{"name":"sales","measure":"amount","model":"sum"},{"name":"=fee","model":"per_event","unit_amount":"0.10"}]}`), 200)
	s.want(s.post("/v1/events", "["+event("e1", 1, "amount", `"10"`, "payload", `{"note":"private"}`)+","+event("e2", 2, "amount", `"-2.5"`)+","+event("e3", 3, "amount", `"1"`)+"]"), 200)
	if a := s.want(s.get("/v1/events/orders/e1/billing"), 200); a.at(t, "rows.0.unbilled.reason") != "closable" || a.at(t, "rows.0.unbilled.zone") != "UTC" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200)
	a := s.want(s.get("/v1/events/orders/e1/billing"), 200)
	number := a.at(t, "rows.0.billed.0.number")
	if a.at(t, "account") != "acme" || a.at(t, "rows.0.billed.0.lines.1.charge") != "=fee" || a.at(t, "rows.0.billed.0.run") != "1" || a.at(t, "rows.0.billed.0.status") != "issued" || number == "" {
		t.Errorf("%s", a.body)
	}
	if strings.Contains(string(a.body), "private") {
		t.Errorf("private content is shown: %s", a.body)
	}
	table := s.want(s.get("/v1/events/orders/e1/billing", "Accept", "text/csv"), 200)
	rows, err := csv.NewReader(bytes.NewReader(table.body)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][14] != "number" || rows[1][14] != number || rows[2][27] != "'=fee" || rows[2][26] != "2" {
		t.Errorf("%v\n%s", err, table.body)
	}
	s.want(s.get("/v1/events/orders/nothing/billing"), 404)

	lines := func(query string) []string {
		a := s.want(s.get("/v1/invoices/"+number+"/events"+query), 200)
		return strings.FieldsFunc(string(a.body), func(r rune) bool { return r == '\n' })
	}
	all := lines("")
	if len(all) != 3 || !strings.Contains(all[0], `"lines":[1,2]`) {
		t.Errorf("%q", all)
	}
	page := lines("?limit=2&line=2")
	if len(page) != 2 || page[0] != all[0] {
		t.Errorf("%q", page)
	}
	position := strings.TrimPrefix(strings.Split(page[1], ",")[0], `{"position":`)
	if rest := lines("?limit=2&line=2&after=" + position); len(rest) != 1 || rest[0] != all[2] {
		t.Errorf("%q", rest)
	}
	s.want(s.get("/v1/invoices/"+number+"/events?line=3"), 404)
	s.want(s.get("/v1/invoices/"+number+"/events?limit=0"), 422)
}
