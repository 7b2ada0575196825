package billing

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger"
)

// oneCharge is a valid list of charges, for tests of something else.
const oneCharge = `"charges":[{"name":"amount","measure":"amount","model":"sum"}]`

func TestTermsGolden(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/terms/*.json")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no terms in testdata: %v", err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			terms, err := ParseTerms(raw, mustZone(t, "America/New_York"))
			var wrong *TermsError
			switch {
			case err == nil:
				fmt.Fprintf(&out, "%s\n", terms.JSON())
				if !terms.EffectiveFrom.IsZero() {
					fmt.Fprintf(&out, "effective %s\n", terms.EffectiveFrom.Format(time.RFC3339))
				}
			case errors.As(err, &wrong) && errors.Is(err, ledger.ErrInvalid):
				for _, p := range wrong.Problems {
					fmt.Fprintln(&out, p)
				}
			default:
				t.Fatalf("got %T %v, want *TermsError", err, err)
			}
			golden(t, strings.TrimSuffix(input, ".json")+".golden", out.String())
		})
	}
}

// Each input breaks one rule, and the problem names the field, the value and
// the rule.
func TestParseTermsRefuses(t *testing.T) {
	t.Parallel()
	charge := func(members string) string { return `{"charges":[{` + members + `}]}` }
	with := func(members string) string { return "{" + members + "," + oneCharge + "}" }
	for _, c := range []struct{ raw, field, value, rule string }{
		{``, "", "", "valid JSON"},
		{`{`, "", "", "valid JSON"},
		{`null`, "", "null", "object"},
		{`7`, "", "7", "object"},
		{with(`"a":1`) + `{}`, "", "", "valid JSON"},
		{`{}`, "charges", "", "must be given"},
		{`{"charges":{}}`, "charges", "{…}", "list"},
		{`{"charges":null}`, "charges", "null", "list"},
		{`{"charges":[` + strings.Repeat(`{},`, MaxCharges) + `{}]}`, "charges", "", "1 to 64"},
		{with(`"bill_on":"orders"`), "bill_on", "orders", "event or order"},
		{with(`"bill_on":"order"`), "finalising", "", "must be given"},
		{with(`"bill_on":"order","finalising":[]`), "finalising", "", "1 to 16"},
		{with(`"bill_on":"order","finalising":"done"`), "finalising", "done", "list"},
		{with(`"bill_on":"order","finalising":["done","done"]`), "finalising[1]", "done", "once"},
		{with(`"bill_on":"order","finalising":[7]`), "finalising[0]", "7", "string"},
		{with(`"bill_on":"event","finalising":["done"]`), "finalising", "[…]", "beside bill_on order"},
		{with(`"finalising":["done"]`), "finalising", "[…]", "beside bill_on order"},
		{with(`"version":3`), "version", "3", "unknown"},
		{with(`"Account":"a"`), "Account", "a", "unknown"},
		{with(`"account":"a","account":"b"`), "account", "b", "once"},
		{with(`"\u0061ccount":"a","account":"b"`), "account", "b", "once"},
		{with(`"account":"` + strings.Repeat("é", 129) + `"`), "account", strings.Repeat("é", 80) + "…", "256 bytes"},
		{with(`"account":"a\u0000"`), "account", "a\x00", "NUL"},
		{with(`"account":"\ud800"`), "", "", "surrogates"},
		{with(`"account":"\udc00\ud800"`), "", "", "surrogates"},
		{with(`"account":"\ud83d\u0041"`), "", "", "surrogates"},
		{with("\"account\":\"\xff\""), "", "", "UTF-8"},
		{with(`"account":true`), "account", "true", "string"},
		{with(`"cadence":"hourly"`), "cadence", "hourly", "monthly, daily, weekly"},
		{with(`"every":0`), "every", "0", "from 1 to 120 for monthly"},
		{with(`"every":-1`), "every", "-1", "from 1 to"},
		{with(`"every":1.0`), "every", "1.0", "whole number"},
		{with(`"every":1e1`), "every", "1e1", "whole number"},
		{with(`"every":"2"`), "every", "2", "whole number"},
		{with(`"every":true`), "every", "true", "whole number"},
		{with(`"cadence":"yearly","every":11`), "every", "11", "from 1 to 10 for yearly"},
		{with(`"cadence":""`), "cadence", "", "1 to 64 bytes"},
		{with(`"anchor":"2026-02-29"`), "anchor", "2026-02-29", "existing"},
		{with(`"anchor":"2026-01-31 15:00:00"`), "anchor", "2026-01-31 15:00:00", "existing"},
		{with(`"anchor":"2026-01-31T15:00:00.5"`), "anchor", "2026-01-31T15:00:00.5", "existing"},
		{with(`"anchor":"2026-01-31T24:00:00"`), "anchor", "2026-01-31T24:00:00", "existing"},
		{with(`"anchor":"1899-12-31"`), "anchor", "1899-12-31", "1900"},
		{with(`"effective_from":"2026-02-01T00:00:00+01:00"`), "effective_from", "2026-02-01T00:00:00+01:00", "offset"},
		{with(`"effective_from":"3000-01-01"`), "effective_from", "3000-01-01", "2999"},
		{with(`"zone":"Local"`), "zone", "Local", "IANA"},
		{with(`"zone":"localtime"`), "zone", "localtime", "IANA"},
		{with(`"zone":"right/Europe/London"`), "zone", "right/Europe/London", "IANA"},
		{with(`"zone":"./Europe/London"`), "zone", "./Europe/London", "IANA"},
		{with(`"zone":"Europe//London"`), "zone", "Europe//London", "IANA"},
		{with(`"zone":"Europe"`), "zone", "Europe", "IANA"},
		{with(`"zone":"+01:00"`), "zone", "+01:00", "IANA"},
		{with(`"grace":"-1h"`), "grace", "-1h", "31 days"},
		{with(`"grace":"744h1s"`), "grace", "744h1s", "31 days"},
		{with(`"grace":"1.5s"`), "grace", "1.5s", "whole seconds"},
		{with(`"grace":"2 days"`), "grace", "2 days", "31 days"},
		{with(`"grace":"+2d"`), "grace", "+2d", "31 days"},
		{with(`"grace":48`), "grace", "48", "string"},
		{with(`"group_by":"order"`), "group_by", "order", "account or stream"},
		{charge(`"measure":"amount","model":"sum"`), "charges[0].name", "", "must be given"},
		{charge(`"name":"a","model":"sum"`), "charges[0].measure", "", "must be given"},
		{charge(`"name":"a","measure":"amount"`), "charges[0].model", "", "must be given"},
		{charge(`"name":"a\nb","measure":"amount","model":"sum"`), "charges[0].name", "a\nb", "control"},
		{charge(`"name":"a","measure":"amount\"; DROP","model":"sum"`), "charges[0].measure", `amount"; DROP`, "measure"},
		{charge(`"name":"a","measure":"1st","model":"sum"`), "charges[0].measure", "1st", "measure"},
		{charge(`"name":"a","measure":"amount","model":"cubic"`), "charges[0].model", "cubic", "sum, percentage"},
		{charge(`"name":"a","measure":"amount","model":"sum","rate":"1"`), "charges[0].rate", "1", "absent"},
		{charge(`"name":"a","measure":"amount","model":"percentage"`), "charges[0].rate", "", "must be given"},
		{charge(`"name":"a","measure":"amount","model":"percentage","rate":1.5`), "charges[0].rate", "1.5", "string"},
		{charge(`"name":"a","measure":"amount","model":"percentage","rate":"1,5"`), "charges[0].rate", "1,5", "plain decimal"},
		{charge(`"name":"a","measure":"amount","model":"percentage","rate":"1e1"`), "charges[0].rate", "1e1", "plain decimal"},
		{charge(`"name":"a","measure":"amount","model":"percentage","rate":"+1"`), "charges[0].rate", "+1", "plain decimal"},
		{charge(`"name":"a","measure":"amount","model":"percentage","rate":"NaN"`), "charges[0].rate", "NaN", "plain decimal"},
		{charge(`"name":"a","measure":"amount","model":"percentage","rate":"0.0000000000000000001"`), "charges[0].rate", "0.0000000000000000001", "18 digits"},
		{charge(`"name":"a","measure":"amount","model":"percentage","rate":"1` + strings.Repeat("0", 38) + `"`), "charges[0].rate", "1" + strings.Repeat("0", 38), "38 digits"},
		{charge(`"name":"a","measure":"amount","model":"sum","types":"x"`), "charges[0].types", "x", "list"},
		{charge(`"name":"a","measure":"amount","model":"sum","types":[""]`), "charges[0].types[0]", "", "128 bytes"},
		{charge(`"name":"a","measure":"amount","model":"sum","types":["x","x"]`), "charges[0].types[1]", "x", "once"},
		{charge(`"name":"a","measure":"amount","model":"sum","tiers":[]`), "charges[0].tiers", "[…]", "the model sum has no tiers"},
		{strings.Repeat("[", 20) + strings.Repeat("]", 20), "", "", "levels"},
		{with(`"account":"` + strings.Repeat(" ", MaxTermsBytes) + `"`), "", "", "65536 bytes"},
	} {
		_, err := ParseTerms([]byte(c.raw), time.UTC)
		var wrong *TermsError
		if !errors.As(err, &wrong) || len(wrong.Problems) == 0 {
			t.Errorf("ParseTerms(%.80s) = %v, want a *TermsError", c.raw, err)
			continue
		}
		got := wrong.Problems[0]
		if got.Field != c.field || got.Value != c.value || !strings.Contains(got.Rule, c.rule) {
			t.Errorf("ParseTerms(%.80s) reports %+v, want field %q, value %q, and a rule on %q", c.raw, got, c.field, c.value, c.rule)
		}
	}
	if _, err := ParseTerms([]byte("{"+oneCharge+"}"), nil); err == nil {
		t.Error("terms without any zone are accepted")
	}
	many := "{" + strings.Repeat(`"x":1,`, 5000) + `"y":2}`
	var wrong *TermsError
	if _, err := ParseTerms([]byte(many), time.UTC); !errors.As(err, &wrong) || len(wrong.Problems) != maxProblems+1 {
		t.Errorf("%d problems are listed, want %d", len(wrong.Problems), maxProblems+1)
	}
}

func TestParseTermsDefaults(t *testing.T) {
	t.Parallel()
	zone := mustZone(t, "Asia/Kolkata")
	got, err := ParseTerms([]byte("{"+oneCharge+"}"), zone)
	if err != nil {
		t.Fatal(err)
	}
	if want := DefaultTerms(zone); !bytes.Equal(got.JSON(), want.JSON()) || !got.EffectiveFrom.IsZero() || got.Grace != 48*time.Hour {
		t.Errorf("defaults are %s, want %s", got.JSON(), want.JSON())
	}
	paired, err := ParseTerms([]byte(`{"account":"\ud83d\ude00\\ud800\u0041",`+oneCharge+"}"), zone)
	if err != nil || paired.Account != `😀\ud800A` {
		t.Errorf("account is %q, %v", paired.Account, err)
	}
	weekly, err := ParseTerms([]byte(`{"cadence":"weekly",`+oneCharge+"}"), zone)
	if err != nil {
		t.Fatal(err)
	}
	if at := weekly.Anchor.Date.In(time.UTC); at.Weekday() != time.Monday || weekly.Anchor.Clock != 0 {
		t.Errorf("weeks begin on %v", at.Weekday())
	}
	for text, want := range map[string]time.Duration{"0s": 0, "0d": 0, "2d": 48 * time.Hour, "31d": 744 * time.Hour, "36h30m": 36*time.Hour + 30*time.Minute, "1.5h": 90 * time.Minute} {
		terms, err := ParseTerms([]byte(`{"grace":"`+text+`",`+oneCharge+"}"), zone)
		if err != nil || terms.Grace != want {
			t.Errorf("grace %s is %v, %v", text, terms.Grace, err)
		}
	}
	for text, want := range map[string]string{"2018-11-04": "2018-11-04T03:00:00Z", "2018-11-04T00:30:00": "2018-11-04T03:00:00Z", "2018-11-03T06:00:00": "2018-11-03T09:00:00Z"} {
		terms, err := ParseTerms([]byte(`{"zone":"America/Sao_Paulo","effective_from":"`+text+`",`+oneCharge+"}"), zone)
		if err != nil || !terms.EffectiveFrom.Equal(mustTime(t, want)) || terms.EffectiveFrom.Location() != time.UTC {
			t.Errorf("effective from %s is %v, %v, want %s", text, terms.EffectiveFrom, err, want)
		}
	}
}

// sameTerms reports whether terms agree in all that their JSON holds, and in the instants that follow.
func sameTerms(a, b Terms) bool {
	return bytes.Equal(a.JSON(), b.JSON()) && a.EffectiveFrom.Equal(b.EffectiveFrom) && a.StartsAt.Equal(b.StartsAt) &&
		a.left == b.left && sameCharges(a.Charges, b.Charges)
}

func sameCharges(a, b []Charge) bool {
	return slices.EqualFunc(a, b, func(a, b Charge) bool { return a.definition() == b.definition() })
}

func drawLimit(rt *rapid.T) Limit {
	amount := decimal.New(rapid.Int64Range(0, 1e12).Draw(rt, "limit"), -2)
	return rapid.SampledFrom([]Limit{{}, {Every: &amount}, {By: map[string]decimal.Decimal{"EUR": amount, "JPY": decimal.Zero}}}).Draw(rt, "limits")
}

// What terms say as JSON is read back as the same terms, in any ledger.
func TestTermsRoundTrip(t *testing.T) {
	t.Parallel()
	zones := troubled()
	rapid.Check(t, func(rt *rapid.T) {
		terms := drawTerms(rt, zones)
		if name := rapid.SampledFrom([]string{"", "acme", `"<&>\é 😀`, "U+2028 \u2028"}).Draw(rt, "account"); name != "" {
			terms = drawOwn(rt, zones)
			terms.Account = name
		}
		terms.GroupBy = rapid.SampledFrom([]GroupBy{GroupByAccount, GroupByStream}).Draw(rt, "group by")
		terms.Grace = time.Duration(rapid.IntRange(0, int(MaxGrace/time.Second)).Draw(rt, "grace")) * time.Second
		terms.ReviewAbove, terms.ApproveAbove = drawLimit(rt), drawLimit(rt)
		if rapid.Bool().Draw(rt, "dated") {
			at := drawTerms(rt, zones).Anchor
			terms.EffectiveFrom = at.in(terms.Zone)
		}
		for i := range rapid.IntRange(1, 4).Draw(rt, "charges") {
			c := Charge{Name: fmt.Sprint("charge ", i), Measure: "amount", Model: ModelSum}
			c.Types = rapid.SampledFrom([][]string{nil, {"line.sold"}, {"a", "b"}}).Draw(rt, "types")
			if rapid.Bool().Draw(rt, "percentage") {
				c.Model, c.Rate = ModelPercentage, decimal.New(rapid.Int64().Draw(rt, "digits"), rapid.Int32Range(-18, 0).Draw(rt, "exponent"))
			}
			terms.Charges = append(terms.Charges, c)
		}
		zone := mustZone(rt, "Asia/Tokyo")
		if terms.left.zone {
			zone = terms.Zone
		}
		got, err := ParseTerms(terms.JSON(), zone)
		if err != nil {
			rt.Fatalf("%s: %v", terms.JSON(), err)
		}
		if !sameTerms(got, terms) || !bytes.Equal(got.JSON(), terms.JSON()) {
			rt.Fatalf("%s became %s", terms.JSON(), got.JSON())
		}
	})
}

// Terms are either refused with reasons, or good for a calendar and the same
// after a round trip.
func FuzzParseTerms(f *testing.F) {
	inputs, err := filepath.Glob("testdata/terms/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, input := range inputs {
		raw, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add(DefaultTerms(time.UTC).JSON())
	f.Fuzz(func(t *testing.T, raw []byte) {
		terms, err := ParseTerms(raw, time.UTC)
		if err != nil {
			var wrong *TermsError
			if !errors.As(err, &wrong) || len(wrong.Problems) == 0 || err.Error() == "" {
				t.Fatalf("refused with %T %v", err, err)
			}
			return
		}
		again, err := ParseTerms(terms.JSON(), time.UTC)
		if err != nil || !sameTerms(terms, again) {
			t.Fatalf("%s became %s, %v", terms.JSON(), again.JSON(), err)
		}
		base := DefaultTerms(time.UTC)
		terms.Version = 1
		c, err := NewCalendar([]Terms{base, terms})
		if err != nil {
			t.Fatalf("no calendar: %v", err)
		}
		if cy := c.Cycle(terms.EffectiveFrom); !cy.Start.Before(cy.End) {
			t.Fatalf("empty cycle %v", cy)
		}
	})
}
