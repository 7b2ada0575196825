package reconcile_test

import "testing"

const salesOnly = `{"cadence":"monthly","charges":[{"name":"sales","measure":"amount","types":["sold"],"model":"sum"}]}`

// A close that forgets an account leaves no trace of it: no invoice, no close, and nothing new.
func TestAccountThatACloseForgets(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]string{
		"its row is gone":  "DELETE FROM billing.accounts WHERE account = 'acme'",
		"its row is wrong": "UPDATE billing.accounts SET pending_from = NULL, pending_through = '2020-01-01' WHERE account = 'acme'",
	} {
		for _, looked := range []bool{true, false} { // before the close
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				k := open(t)
				k.record(sale("acme", 1, 1, "sold", "10"), sale("acme", 3, 1, "sold", "1"), sale("globex", 1, 1, "sold", "3"))
				if looked {
					k.want(k.run(true), 0, 0)
				} else {
					k.close("2025-12-31") // so that the account is known
				}
				k.tamper(forget)
				if res := k.close("2026-01-31"); res.Pinned != 1 {
					t.Fatalf("%d events are pinned", res.Pinned)
				}
				k.want(k.run(true), 0, 0, "unbilled")
				k.want(k.run(true), 0, 0, "unbilled")
			})
		}
	}
}

func TestLateEventThatTheNextCloseForgets(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "10"))
	k.close("2026-01-31")
	k.record(sale("acme", 1, 2, "sold", "4"), sale("acme", 2, 1, "sold", "4"))
	k.want(k.run(true), 1, 1)
	k.close("2026-02-28")
	k.tamper(`ALTER TABLE billing.pins DISABLE TRIGGER ALL; DELETE FROM billing.pins WHERE position = (SELECT position FROM billing.late_events);
		ALTER TABLE billing.pins ENABLE ALWAYS TRIGGER refuse_row`)
	k.want(k.run(true), 0, 0, "unbilled", "invoice")
}

// What nothing will ever bill counts as unbilled all the same, and the books still roll forward.
func TestLateEventThatNoChargeSelects(t *testing.T) {
	t.Parallel()
	k := open(t)
	if _, err := k.b.SetTerms(t.Context(), []byte(salesOnly), "test"); err != nil {
		t.Fatal(err)
	}
	k.record(sale("acme", 1, 1, "sold", "10"))
	k.close("2026-01-31")
	k.record(sale("acme", 1, 2, "gift", "4"))
	res := k.run(true)
	k.want(res, 0, 0, "uncovered")
	if err := k.r.Resolve(t.Context(), res.Findings[0].ID, "accepted", "gifts are free", "kim"); err != nil {
		t.Fatal(err)
	}
	for i, through := range []string{"2026-02-28", "2026-03-31"} {
		k.record(sale("acme", i+2, 1, "sold", "4"))
		k.want(k.run(true), 0, 0)
		k.close(through)
		k.want(k.run(true), 0, 0)
	}
}

func TestOtherLateEventsThanWereAccepted(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "10"))
	k.close("2026-01-31")
	k.record(sale("acme", 1, 2, "sold", "10"))
	res := k.run(false)
	k.want(res, 1, 0, "late")
	if err := k.r.Resolve(t.Context(), res.Findings[0].ID, "accepted", "February bills it", "kim"); err != nil {
		t.Fatal(err)
	}
	k.want(k.run(false), 1, 0)
	k.want(k.run(true), 1, 1)
	k.record(sale("acme", 1, 3, "sold", "99"))
	k.want(k.run(false), 1, 0, "late")
}

// The clock of the program may be behind that of the database.
func TestResolutionCountsWhateverTheClock(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "10"))
	k.close("2026-01-31")
	k.tamper(`INSERT INTO ledger.watermarks (position, taken_at) VALUES ((SELECT max(position) FROM ledger.watermarks), clock_timestamp() + interval '1 hour')`)
	k.record(sale("acme", 1, 2, "sold", "10"))
	res := k.run(false)
	k.want(res, 1, 0, "late")
	if err := k.r.Resolve(t.Context(), res.Findings[0].ID, "accepted", "February bills it", "kim"); err != nil {
		t.Fatal(err)
	}
	if open, err := k.r.Findings(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("open: %+v, %v", open, err)
	}
}
