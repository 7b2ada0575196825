package billing

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"deltaledger/ledger/currency"
)

// caseOfRounding rounds an amount as a line is.
func caseOfRounding(t *testing.T, c publicCase) {
	var in struct{ Amount, Currency string }
	var want struct{ Amount string }
	c.read(t, &in, &want)
	sum := mustCharge(t, `{"name":"c","model":"sum","measure":"amount"}`)
	_, amount := LineAmount(sum, in.Currency, Inputs{}, Inputs{Sum: dec(in.Amount), Count: 1}, decimal.Zero)
	if !amount.Equal(dec(want.Amount)) {
		t.Errorf("%s %s is rounded to %s, want %s", in.Amount, in.Currency, amount, want.Amount)
	}
}

// caseOfSplit splits an amount of a currency with two digits by weights, in the order of their names.
func caseOfSplit(t *testing.T, c publicCase) {
	var in struct {
		Amount  string
		Weights map[string]string
	}
	var want struct{ Parts map[string]string }
	c.read(t, &in, &want)
	names := slices.Sorted(maps.Keys(in.Weights))
	weights := make([]decimal.Decimal, len(names))
	for i, name := range names {
		weights[i] = dec(in.Weights[name])
	}
	digits, _ := currency.Digits("USD")
	for i, part := range Split(dec(in.Amount), weights, digits) {
		if !part.Equal(dec(want.Parts[names[i]])) {
			t.Errorf("%s gets %s, want %s", names[i], part, want.Parts[names[i]])
		}
	}
	if len(want.Parts) != len(names) {
		t.Errorf("%d parts are wanted of %d weights", len(want.Parts), len(names))
	}
}

// caseOfFee prices quantities or events by a charge that the case spells out in words of its own.
func caseOfFee(t *testing.T, c publicCase) {
	var in struct {
		Multiplier  string   `json:"multiplier"`
		RatePercent string   `json:"rate_percent"`
		Fixed       string   `json:"fixed"`
		FreeEvents  int      `json:"free_events"`
		Quantities  []string `json:"quantities"`
		Amounts     []string `json:"amounts"`
		Tiers       []string `json:"tiers"`
		Total       string   `json:"total"`
		Split       []string `json:"split"`
	}
	var want struct {
		Amounts []string `json:"amounts"`
		Running []string `json:"running"`
		Tax     string   `json:"with_20_percent_tax"`
		Fourth  string   `json:"charge_for_4th"`
		Total   string   `json:"total"`
		Second  string   `json:"second_part"`
	}
	c.read(t, &in, &want)
	same := func(what string, got decimal.Decimal, want string) {
		t.Helper()
		if !got.Equal(dec(want)) {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	line := func(charge Charge, before, added Inputs, billed decimal.Decimal) decimal.Decimal {
		_, amount := LineAmount(charge, "USD", before, added, billed)
		return amount
	}
	switch {
	case in.Multiplier != "": // a percentage of a hundred times as much
		charge := mustCharge(t, `{"name":"c","model":"percentage","measure":"amount","rate":"`+dec(in.Multiplier).Shift(2).String()+`"}`)
		for i, quantity := range in.Quantities {
			same(quantity, line(charge, Inputs{}, inputsOf(charge, quantity), decimal.Zero), want.Amounts[i])
		}
	case in.RatePercent != "":
		raw := map[string]any{"name": "c", "model": "percentage", "measure": "amount", "rate": in.RatePercent, "fixed_amount": in.Fixed, "free_events": in.FreeEvents}
		if in.FreeEvents == 0 { // the name of the case says what is free
			if !strings.Contains(c.Name, "free up to 3 events or 500") {
				t.Fatalf("what is free isn't known: %s", c.Name)
			}
			raw["free_events"], raw["free_amount"] = 3, "500"
		}
		charge := mustCharge(t, toJSON(t, raw))
		billed := decimal.Zero
		for i := range in.Amounts {
			before, added := inputsOf(charge, in.Amounts[:i]...), inputsAt(charge, i, in.Amounts[i])
			amount := line(charge, before, added, billed)
			billed = billed.Add(amount)
			if want.Running != nil {
				same("so far", billed, want.Running[i])
			}
			if i == 3 && want.Fourth != "" {
				same("the fourth", amount, want.Fourth)
			}
		}
		if want.Tax != "" {
			same("with tax", Round(billed.Mul(dec("1.2")), "USD"), want.Tax)
		}
	case in.Total != "":
		charge := mustCharge(t, toJSON(t, map[string]any{"name": "c", "model": "graduated", "measure": "quantity", "tiers": caseTiers(t, in.Tiers)}))
		same("the whole", line(charge, Inputs{}, inputsOf(charge, in.Total), decimal.Zero), want.Total)
		first := inputsOf(charge, in.Split[0])
		same("the second part", line(charge, first, inputsOf(charge, in.Split[1]), line(charge, Inputs{}, first, decimal.Zero)), want.Second)
	case in.Tiers != nil:
		charge := mustCharge(t, toJSON(t, map[string]any{"name": "c", "model": "volume", "measure": "quantity", "tiers": caseTiers(t, in.Tiers)}))
		for i, quantity := range in.Quantities {
			same(quantity, line(charge, Inputs{}, inputsOf(charge, quantity), decimal.Zero), want.Amounts[i])
		}
	default:
		t.Fatal("nothing prices this")
	}
}

// caseTiers reads tiers such as "1-5: flat 100", "<=15: 10 each", "16+: 1 each" and ">15: 5 each".
func caseTiers(t *testing.T, texts []string) []map[string]any {
	t.Helper()
	var tiers []map[string]any
	for _, text := range texts {
		span, price, ok := strings.Cut(text, ": ")
		tier := map[string]any{}
		if flat, is := strings.CutPrefix(price, "flat "); is {
			tier["flat_amount"] = flat
		} else if unit, is := strings.CutSuffix(price, " each"); is {
			tier["unit_amount"] = unit
		} else {
			ok = false
		}
		if _, end, is := strings.Cut(span, "-"); is {
			tier["up_to"] = end
		} else if end, is := strings.CutPrefix(span, "<="); is {
			tier["up_to"] = end
		} else if !strings.HasSuffix(span, "+") && !strings.HasPrefix(span, ">") {
			ok = false
		}
		if !ok {
			t.Fatalf("the tier %q isn't understood", text)
		}
		tiers = append(tiers, tier)
	}
	return tiers
}

// begun is the first cycle of an account whose terms take over on a local date, and the days that a flat charge bills.
func begun(t *testing.T, cadence Cadence, anchor, from Date, zone *time.Location) (days, of int64) {
	t.Helper()
	base := DefaultTerms(zone)
	base.Cadence, base.Anchor = Daily, Anchor{Date: from}
	own := DefaultTerms(zone)
	own.Version, own.Account, own.Cadence, own.Anchor, own.EffectiveFrom = 1, "acme", cadence, Anchor{Date: anchor}, from.In(zone)
	cal, err := NewCalendar([]Terms{base, own})
	if err != nil {
		t.Fatal(err)
	}
	return cal.days(cal.Cycle(own.EffectiveFrom))
}

// caseOfProration prices days of a cycle by a flat charge.
func caseOfProration(t *testing.T, c publicCase) {
	var in struct {
		Amount    string `json:"amount"`
		Days      int64  `json:"numerator_days"`
		Of        int64  `json:"denominator_days"`
		Scale     int32  `json:"scale"`
		Cadence   string `json:"cadence"`
		AnchorDay int    `json:"anchor_day"`
		Active    string `json:"active_from"`
		Period    string `json:"period"`
		Used      string `json:"used"`
		Zone      string `json:"tz"`
	}
	var want struct {
		Amount  string  `json:"amount"`
		Of      int64   `json:"denominator_days"`
		Wrong   []int64 `json:"wrong_values"`
		Days    string  `json:"by_days"`
		Elapsed string  `json:"by_elapsed"`
	}
	c.read(t, &in, &want)
	first, last, _ := strings.Cut(strings.TrimSuffix(in.Period, " local"), "..")
	switch {
	case in.Cadence != "":
		if in.Cadence != "quarterly" && in.Cadence != "quarterly_calendar" {
			t.Fatalf("the cadence %s isn't known here", in.Cadence)
		}
		anchor := Date{Year: 2024, Month: time.January, Day: max(1, in.AnchorDay)}
		days, of := begun(t, Quarterly, anchor, mustDate(t, in.Active), time.UTC)
		if of != want.Of || slices.Contains(want.Wrong, of) || mustDate(t, in.Active).AddDays(int(days)) != mustDate(t, last) {
			t.Errorf("%d of %d days, want %d", days, of, want.Of)
		}
	case in.Used != "": // the days of local dates, however many hours they have
		zone := mustZone(t, in.Zone)
		_, until, _ := strings.Cut(strings.TrimSuffix(in.Used, " local"), "..")
		begin, end, mid := mustDate(t, first).In(zone), mustDate(t, last).In(zone), mustDate(t, until).In(zone)
		s := span{terms: DefaultTerms(zone)}
		got := prorate(dec(in.Amount), s.daysBetween(begin, mid), s.daysBetween(begin, end)).Round(2)
		elapsed := prorate(dec(in.Amount), int64(mid.Sub(begin)/time.Hour), int64(end.Sub(begin)/time.Hour)).Round(2)
		if !got.Equal(dec(want.Days)) || !elapsed.Equal(dec(want.Elapsed)) {
			t.Errorf("%s by days and %s by hours, want %s and %s", got, elapsed, want.Days, want.Elapsed)
		}
	default:
		flat := Charge{Name: "c", Model: ModelFlat, Amount: dec(in.Amount), RoundingDigits: &in.Scale}
		if _, amount := LineAmount(flat, "USD", Inputs{}, Inputs{Days: in.Days, PeriodDays: in.Of}, decimal.Zero); !amount.Equal(dec(want.Amount)) {
			t.Errorf("%d of %d days cost %s, want %s", in.Days, in.Of, amount, want.Amount)
		}
	}
}

// caseOfJoining bills the days of a week from the local day on which somebody joined.
func caseOfJoining(t *testing.T, c publicCase) {
	var in struct {
		Cadence string `json:"cadence"`
		Start   string `json:"week_start"`
		Zone    string `json:"tz"`
		Amount  string `json:"full_amount"`
		Joined  string `json:"joined_at"`
	}
	var want struct {
		Days   int64  `json:"days_billed"`
		Amount string `json:"amount"`
	}
	c.read(t, &in, &want)
	weekdays := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	start := slices.Index(weekdays, in.Start)
	if in.Cadence != "weekly_calendar" || start < 0 {
		t.Fatalf("the cadence %s from %s isn't known here", in.Cadence, in.Start)
	}
	zone := mustZone(t, in.Zone)
	days, of := begun(t, Weekly, defaultAnchor(Weekly).Date.AddDays(start), DateOf(mustTime(t, in.Joined).In(zone)), zone)
	flat := mustCharge(t, toJSON(t, map[string]any{"name": "c", "model": "flat", "amount": in.Amount, "currency": "USD"}))
	_, amount := LineAmount(flat, "USD", Inputs{}, Inputs{Days: days, PeriodDays: of}, decimal.Zero)
	if days != want.Days || !amount.Equal(dec(want.Amount)) {
		t.Errorf("%d of %d days cost %s, want %d and %s", days, of, amount, want.Days, want.Amount)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
