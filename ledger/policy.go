package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/sensitive"
)

// What a content policy says about something that is found.
const (
	PolicyAllow   = "allow"   // nothing is looked for
	PolicyFlag    = "flag"    // the event is recorded, and noted: it becomes a finding
	PolicyPrivate = "private" // the dimension is private content of this event; elsewhere as PolicyRefuse
	PolicyRefuse  = "refuse"  // the event is invalid
)

// ContentPolicy is what the public content of a source's events may hold: what stands there is readable for
// everybody who may read the events, and stays for ever. Empty means PolicyAllow, or in a new declaration of a known source what
// was declared before.
type ContentPolicy struct {
	CardNumbers string `json:"card_numbers"` // as sensitive.HasCardNumber finds them
	IBANs       string `json:"ibans"`        // as sensitive.HasIBAN finds them
	Emails      string `json:"emails"`       // as sensitive.HasEmail finds them
}

func (p ContentPolicy) validate() error {
	for _, f := range []struct{ name, value string }{{"card_numbers", p.CardNumbers}, {"ibans", p.IBANs}, {"emails", p.Emails}} {
		if !slices.Contains([]string{"", PolicyAllow, PolicyFlag, PolicyPrivate, PolicyRefuse}, f.value) {
			return Invalid(f.name, f.value, "must be allow, flag, private or refuse")
		}
	}
	return nil
}

// or is p, with what it leaves open as old has it.
func (p ContentPolicy) or(old ContentPolicy) ContentPolicy {
	for _, f := range []struct{ to, from *string }{
		{&p.CardNumbers, &old.CardNumbers}, {&p.IBANs, &old.IBANs}, {&p.Emails, &old.Emails},
	} {
		if *f.to == "" {
			*f.to = *f.from
		}
		if *f.to == "" {
			*f.to = PolicyAllow
		}
	}
	return p
}

// contentRule is one thing that a source's policy wants to know of.
type contentRule struct {
	name   string // as ledger.content_flags has it
	what   string // for people
	option string // of the command that declares it
	action string
	has    func(string) bool
}

// policiesOf are the rules of the sources that have any.
func policiesOf(sources map[string]Source) map[string][]contentRule {
	policies := map[string][]contentRule{}
	for name, s := range sources {
		for _, r := range []contentRule{
			{"card_number", "a card number", "--card-numbers", s.CardNumbers, sensitive.HasCardNumber},
			{"iban", "an IBAN", "--ibans", s.IBANs, sensitive.HasIBAN},
			{"email", "an e-mail address", "--emails", s.Emails, sensitive.HasEmail},
		} {
			if r.action != PolicyAllow && r.action != "" {
				policies[name] = append(policies[name], r)
			}
		}
	}
	return policies
}

// marks are what the policy of its source found in an event.
type marks struct {
	hidden   []string      // dimensions that are private in it
	flags    []contentFlag // what is to be noted
	withheld *FieldError   // why it must not be recorded, nor kept as a conflict
}

type contentFlag struct{ field, rule string }

// hiddenWith are the private dimensions that the marks and others name.
func (m *marks) hiddenWith(others []string) []string {
	if m == nil || len(m.hidden) == 0 {
		return others
	}
	return append(slices.Clone(others), m.hidden...)
}

// look applies the policy of e's source to its public content; nil if there is none or it finds nothing.
func (d *declarations) look(e *Event) *marks {
	if len(d.policies) == 0 {
		return nil
	}
	rules := d.policies[e.Source]
	if len(rules) == 0 {
		return nil
	}
	var m marks
	for _, f := range [...]struct{ name, value string }{
		{"id", e.ID},
		{"stream", e.Stream},
		{"type", e.Type},
		{"account", e.Account},
		{"corrects", e.Corrects},
		{"reason", e.Reason},
		{"reference", e.Reference},
		{"maker", e.Maker},
	} {
		for _, r := range rules {
			if r.has(f.value) {
				m.found(e.Source, f.name, "", r)
			}
		}
	}
	d.lookAtDimensions(e, rules, &m)
	if m.withheld == nil && m.hidden == nil && m.flags == nil {
		return nil
	}
	// What is private isn't public content.
	m.flags = slices.DeleteFunc(m.flags, func(f contentFlag) bool {
		return slices.ContainsFunc(m.hidden, func(name string) bool { return f.field == "dimensions."+name })
	})
	return &m
}

// lookAtDimensions looks at the values of those that aren't private anyway. They are canonical JSON; a number is looked at as
// it is spelled there.
func (d *declarations) lookAtDimensions(e *Event, rules []contentRule, m *marks) {
	if len(e.Dimensions) == 0 {
		return
	}
	err := eachMember(e.Dimensions, func(key, value, _ []byte) {
		name := string(key)
		if d.layout.keys[name].private || slices.Contains(e.hidden, name) {
			return
		}
		for _, r := range rules { // a name stays where its value would be hidden or erased, and isn't repeated
			if r.has(name) {
				m.found(e.Source, "dimensions", "", r)
			}
		}
		text, rule := unquoted(value)
		for _, r := range rules {
			if rule == "" && r.has(text) {
				m.found(e.Source, "dimensions."+name, name, r)
			}
		}
	})
	if err != nil && m.withheld == nil { // impossible: they were made canonical when the event was validated
		m.withheld = jsonError("dimensions", err)
	}
}

// found notes that a rule found something in a field. dimension is its name if the field is one.
func (m *marks) found(source, field, dimension string, r contentRule) {
	switch {
	case r.action == PolicyFlag:
		if f := (contentFlag{field, r.name}); !slices.Contains(m.flags, f) {
			m.flags = append(m.flags, f)
		}
	case r.action == PolicyPrivate && dimension != "":
		if !slices.Contains(m.hidden, dimension) {
			m.hidden = append(m.hidden, dimension)
		}
	case m.withheld == nil && r.action == PolicyPrivate:
		m.withheld = invalidf(shown(field), "", "holds what looks like %s, which source %s was declared to keep private (%s private), and this field can't be: send it in a dimension or the payload",
			r.what, source, r.option)
	case m.withheld == nil:
		m.withheld = invalidf(shown(field), "", "holds what looks like %s, which source %s was declared not to send (%s refuse): leave it out, or send it in the payload",
			r.what, source, r.option)
	}
}

// dropWithheld leaves out of conflicts the events that must not be kept. They are invalid.
func (b *Batch) dropWithheld(conflicts []conflict) []conflict {
	return slices.DeleteFunc(conflicts, func(c conflict) bool {
		if c.p.marks == nil || c.p.marks.withheld == nil {
			return false
		}
		b.Outcomes[c.p.input] = Outcome{Status: Rejected, Err: c.p.marks.withheld, Withheld: true}
		return true
	})
}

// flagged reports whether something is to be noted of p beside its row.
func (p *prepared) flagged() bool { return p.marks != nil && len(p.marks.flags) > 0 }

const sqlInsertFlags = `
INSERT INTO ledger.content_flags (position, recorded_at, source, field, rule)
SELECT f.position, $2, f.source, f.field, f.rule
FROM unnest($1::bigint[], $3::text[], $4::text[], $5::text[]) AS f (position, source, field, rule)`

// insertFlags notes what the policies of their sources found in items, which have the positions given.
func insertFlags(ctx context.Context, tx pgx.Tx, items []*prepared, positions []int64, at time.Time) error {
	var (
		flagged                []int64
		sources, fields, rules []string
	)
	for i, p := range items {
		if !p.flagged() {
			continue
		}
		for _, f := range p.marks.flags {
			flagged, sources = append(flagged, positions[i]), append(sources, p.public.Source)
			fields, rules = append(fields, f.field), append(rules, f.rule)
		}
	}
	if len(flagged) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, sqlInsertFlags, flagged, at, sources, fields, rules); err != nil {
		return fmt.Errorf("note what was found in the content: %w", err)
	}
	return nil
}
