package api_test

import (
	"fmt"
	"testing"
	"time"

	"deltaledger/ledger/proof"
)

func TestSealsAndProofs(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	seals := s.sealer(t)
	if a := s.want(s.get("/v1/seals"), 200); a.count(t, "seals") != 0 {
		t.Errorf("%s", a.body)
	}
	for n := range 3 {
		s.want(s.post("/v1/events", event(fmt.Sprintf("e/%d", n), n)), 201)
		s.want(s.get("/v1/events/orders/e%2F"+fmt.Sprint(n)+"/proof"), 503) // not sealed yet
		if _, err := s.l.TakeWatermark(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := seals.SealAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	page := s.want(s.get("/v1/seals?limit=2"), 200)
	if page.at(t, "seals.0.number") != "3" || page.at(t, "seals.0.previous") != page.at(t, "seals.1.hash") || page.at(t, "next_before") != "2" {
		t.Errorf("%s", page.body)
	}
	if last := s.want(s.get("/v1/seals?limit=2&before=2"), 200); last.count(t, "seals") != 1 || last.value(t, "next_before") != nil || last.value(t, "seals.0.previous") != nil {
		t.Errorf("%s", last.body)
	}
	for size, want := range map[string]string{"": page.at(t, "seals.0.tree_root"), "?size=2": page.at(t, "seals.1.tree_root")} {
		a := s.want(s.get("/v1/events/orders/e%2F1/proof"+size), 200)
		p, err := proof.Read(a.body)
		if err == nil {
			err = p.Check("")
		}
		if err != nil || p.Tree.Root.String() != want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v\n%s", size, err, a.body)
		}
	}
	s.want(s.get("/v1/events/orders/nothing/proof"), 404)
	s.want(s.get("/v1/events/orders/e%2F1/proof?size=99"), 404)
	s.want(s.get("/v1/seals?limit=1001"), 422)
}
