package wire

import "deltaledger/ledger"

const (
	ruleReason    = "must be given: why the adjustment is made"
	ruleReference = "must be given: the document behind the adjustment, such as a ticket or a credit memo"
	ruleMaker     = "must be given: who makes the adjustment"
	ruleOtherName = "must be who sends the adjustment, or be left out"
)

// Adjustment decodes the JSON of an adjustment: an event with reason, reference and maker, which are all
// required, and without seqn and state. maker is who sends it, where that is known: the text may leave
// it out then, but may not name somebody else. Of the options it uses Measures.
func Adjustment(line []byte, o Options, maker string) (ledger.Event, *ledger.FieldError) {
	d := objectDecoder{measures: o.Measures, adjustment: true}
	e := ledger.Event{}
	if bad := d.decode(&e, line); bad != nil {
		return ledger.Event{}, bad
	}
	e.Kind = ledger.Adjustment
	switch {
	case maker != "" && e.Maker == "":
		e.Maker = maker
	case maker != "" && e.Maker != maker:
		return ledger.Event{}, invalid(fieldMaker.String(), e.Maker, ruleOtherName)
	}
	for _, required := range [...]struct {
		field      field
		text, rule string
	}{
		{fieldReason, e.Reason, ruleReason},
		{fieldReference, e.Reference, ruleReference},
		{fieldMaker, e.Maker, ruleMaker},
	} {
		if required.text == "" {
			return ledger.Event{}, invalid(required.field.String(), "", required.rule)
		}
	}
	return e, nil
}
