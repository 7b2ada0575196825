package billing

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	// Links in a copy, so that zones are found even where the system has no time zone data.
	_ "time/tzdata"

	"deltaledger/ledger"
)

// localLayout is how a local time is written: to the second, without an offset.
const localLayout = "2006-01-02T15:04:05"

// Problem is one thing that is wrong with terms.
type Problem struct {
	// Field is where, such as charges[0].rate; empty for the whole document.
	Field string
	// Value is what was written there, shortened; empty if nothing was.
	Value string
	// Rule says what would be right.
	Rule string
}

// String returns the problem as a phrase.
func (p Problem) String() string {
	text := p.Rule
	if p.Value != "" {
		text = strconv.Quote(p.Value) + ": " + text
	}
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	return text
}

// TermsError reports everything that is wrong with terms at once. It wraps
// ledger.ErrInvalid.
type TermsError struct {
	Problems []Problem
}

func (e *TermsError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.String()
	}
	return "terms: " + strings.Join(texts, "; ")
}

// Unwrap makes errors.Is(err, ledger.ErrInvalid) true.
func (e *TermsError) Unwrap() error { return ledger.ErrInvalid }

// ParseTerms reads terms from JSON. Whatever is wrong is reported at once, in a
// *TermsError. Absent fields of the default terms are as in DefaultTerms, and
// charges must be given; those of terms of an account are left to the default
// terms. zone is where local times are of terms that don't name their zone: the
// ledger's, or for an account that of the default terms. Whether measures and
// event types exist is not checked here.
func ParseTerms(raw []byte, zone *time.Location) (Terms, error) {
	t, problems := parseTerms(raw, zone)
	if len(problems) > 0 {
		return Terms{}, &TermsError{Problems: problems}
	}
	return t, nil
}

// parseTerms returns as much as could be read, and what is wrong with the rest.
func parseTerms(raw []byte, zone *time.Location) (Terms, []Problem) {
	p := &termsParser{}
	root := p.document(raw)
	if len(p.problems) > 0 && root.kind != objectNode {
		return Terms{}, p.problems
	}
	t := p.terms(root, zone)
	return t, p.problems
}

// termsParser collects what is wrong while terms are read.
type termsParser struct {
	problems []Problem
	line     bool // what is read is a charge as a line keeps it
}

// refuse notes a problem. Values are shortened to what a person can read, and
// after maxProblems the rest isn't listed.
func (p *termsParser) refuse(field, value, format string, args ...any) {
	switch n := len(p.problems); {
	case n == maxProblems:
		p.problems = append(p.problems, Problem{Rule: "more is wrong than is listed here"})
		return
	case n > maxProblems:
		return
	}
	p.problems = append(p.problems, Problem{Field: field, Value: shorten(value), Rule: fmt.Sprintf(format, args...)})
}

// shorten cuts a value as messages show it.
func shorten(value string) string {
	const most = 80
	if runes := []rune(value); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return value
}

func (p *termsParser) terms(root node, zone *time.Location) Terms {
	f := p.fields("", root, "account", "effective_from", "start", "cadence", "every", "anchor", "zone", "grace", "group_by", "bill_on", "finalising", "contract", "review_above", "approve_above", "charges")
	t := Terms{Grace: DefaultGrace, Zone: zone}
	_, own := f.values["account"]
	leaves := func(name string) bool {
		_, written := f.values[name]
		return own && !written
	}
	t.left = left{
		cadence: leaves("cadence"), anchor: leaves("anchor"), zone: leaves("zone"), grace: leaves("grace"),
		groupBy: leaves("group_by"), billOn: leaves("bill_on"), review: leaves("review_above"), approve: leaves("approve_above"), charges: leaves("charges"),
	}
	if s, ok := f.text("account", ledger.MaxAccount); ok {
		t.Account = s
	}
	t.Cadence = Cadence(f.choice("cadence", string(Monthly), cadences()...))
	t.Every = f.count("every", 1, t.Cadence.mostEvery(), "for "+string(t.Cadence)+" cycles")
	if every, written := f.values["every"]; written && t.left.cadence {
		p.refuse("every", every.shown(), "must be given beside cadence: the number alone says nothing")
	}
	t.GroupBy = GroupBy(f.choice("group_by", string(GroupByAccount), string(GroupByAccount), string(GroupByStream)))
	t.BillOn = BillOn(f.choice("bill_on", string(BillOnEvent), string(BillOnEvent), string(BillOnOrder)))
	t.Finalising = p.finalising(f, t)
	t.Contract = p.name(f, "contract", MaxContract)
	if n, written := f.values["contract"]; written && !own {
		p.refuse("contract", n.shown(), "must be absent, or be given beside account: it is a contract with one account")
	}
	t.Zone = p.zone(f, zone)
	t.Anchor = p.anchor(f, t.Cadence)
	if a, ok := p.local(f, "effective_from"); ok && t.Zone != nil {
		t.EffectiveFrom = a.in(t.Zone)
	}
	p.start(f, own, &t)
	if s, ok := f.text("grace", maxShort); ok {
		grace, err := parseGrace(s)
		if err != nil {
			p.refuse("grace", s, "%v", err)
		}
		t.Grace = grace
	}
	t.ReviewAbove, t.ApproveAbove = p.limit(f, "review_above"), p.limit(f, "approve_above")
	if !t.left.charges {
		t.Charges = p.charges(f)
		for i, c := range t.Charges {
			if t.minimumByDays(c) && c.Model != ModelFlat && c.Currency == "" {
				p.refuse(fmt.Sprintf("charges[%d].currency", i), "", "must be given beside minimum, which is due also for cycles without events; or group_by stream, for a minimum of each stream that has events")
			}
		}
		if t.Account != "" && t.recurs() && f.values["effective_from"].kind == noNode && f.values["start"].kind == noNode {
			p.refuse("start", "", "must be given, or effective_from: from when on cycles without events are billed")
		}
	}
	return t
}

// finalising reads the event types that finalise an order.
func (p *termsParser) finalising(f fields, t Terms) []string {
	n, written := f.values["finalising"]
	switch on, said := f.values["bill_on"]; {
	case said && on.text != string(BillOnEvent) && on.text != string(BillOnOrder):
		return nil // refused
	case t.BillOn == BillOnOrder && !written:
		p.refuse("finalising", "", "must be given: a list of the event types with which an order is final, beside bill_on order")
		return nil
	case t.BillOn != BillOnOrder && written:
		p.refuse("finalising", n.shown(), "must be absent, or be given beside bill_on order")
		return nil
	case !written:
		return nil
	}
	list, ok := f.list("finalising")
	if ok && (len(list) == 0 || len(list) > MaxFinalising) {
		p.refuse("finalising", "", "must have 1 to %d event types, not %d", MaxFinalising, len(list))
	}
	types := p.texts("finalising", list, 1, ledger.MaxType)
	slices.Sort(types)
	return types
}

// anchor reads the anchor of a cadence.
func (p *termsParser) anchor(f fields, c Cadence) Anchor {
	out := defaultAnchor(c)
	if f.values["anchor"].text == anniversary {
		out.Anniversary = true
		return out
	}
	if a, ok := p.local(f, "anchor"); ok {
		return a
	}
	return out
}

// start reads when the account starts.
func (p *termsParser) start(f fields, own bool, t *Terms) {
	a, ok := p.local(f, "start")
	switch {
	case !ok:
	case !own:
		p.refuse("start", a.String(), "must be absent, or be given beside account: it is when one account starts")
	default:
		t.Start = a
		t.begin()
	}
}

// begin makes the instant of the start.
func (t *Terms) begin() {
	if t.Zone != nil && t.Start.Date.exists() {
		t.StartsAt = t.Start.in(t.Zone)
	}
}

// zone reads the time zone. Names whose meaning depends on the machine, or that
// count leap seconds, are refused: boundaries must be the same everywhere.
func (p *termsParser) zone(f fields, ledgerZone *time.Location) *time.Location {
	name, ok := f.text("zone", maxShort)
	if !ok {
		if _, written := f.values["zone"]; !written && ledgerZone == nil {
			p.refuse("zone", "", "must be given, since the ledger's own zone isn't known")
		}
		return ledgerZone
	}
	first, _, _ := strings.Cut(name, "/")
	ofMachine := slices.Contains([]string{"Local", "localtime", "posixrules", "right", "posix"}, first)
	isPath := strings.ContainsAny(name, `.\`) || strings.Contains(name, "//") || strings.HasSuffix(name, "/")
	zone, err := time.LoadLocation(name)
	if err != nil || ofMachine || isPath {
		p.refuse("zone", name, "must be the name of a time zone of the IANA database, such as Europe/London")
		return nil
	}
	return zone
}

// local reads a local date or date and time.
func (p *termsParser) local(f fields, name string) (Anchor, bool) {
	s, ok := f.text(name, maxShort)
	if !ok {
		return Anchor{}, false
	}
	layout := time.DateOnly
	if len(s) > len(time.DateOnly) {
		layout = localLayout
	}
	t, err := time.Parse(layout, s)
	if err != nil || len(s) != len(layout) || t.Year() < 1900 || t.Year() > 2999 {
		rule := "must be an existing local date such as 2026-01-31, or a local time such as 2026-01-31T15:00:00 " +
			"without an offset, of the years 1900 to 2999"
		if name == "anchor" {
			rule += "; or anniversary"
		}
		p.refuse(name, s, "%s", rule)
		return Anchor{}, false
	}
	date := DateOf(t)
	return Anchor{Date: date, Clock: time.Duration(t.Unix()-date.wall()) * time.Second}, true
}

// parseGrace reads a number of days such as 2d, or a duration of Go such as
// 36h30m.
func parseGrace(s string) (time.Duration, error) {
	rule := errors.New(`must be a time of 0 to 31 days in whole seconds, such as "48h" or "2d"`)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 8)
		if err != nil || n > uint64(MaxGrace/day) {
			return 0, rule
		}
		return time.Duration(n) * day, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > MaxGrace || d%time.Second != 0 {
		return 0, rule
	}
	return d, nil
}

const (
	maxShort = 64  // bytes of a name, a date, a zone
	maxRate  = 128 // characters of a rate, as ledger.ParseAmount allows

	maxProblems = 100 // that are listed
)

// string checks a text: not empty, not too long, nothing in it that the database
// refuses. Otherwise accounts and types are whatever upstream calls them.
func (p *termsParser) string(path string, n node, maxBytes int) (string, bool) {
	switch {
	case n.kind != stringNode:
		p.refuse(path, n.shown(), "must be a JSON string")
	case n.text == "" || len(n.text) > maxBytes:
		p.refuse(path, n.text, "must be a text of 1 to %d bytes", maxBytes)
	case strings.Contains(n.text, "\x00"):
		p.refuse(path, n.text, "must have no NUL characters")
	default:
		return n.text, true
	}
	return "", false
}
