package document

import (
	"fmt"

	"deltaledger/billing"
	"deltaledger/ledger"
)

// Preview makes one page of the drafts of a preview, each of them on paper of its own. They are marked as drafts everywhere, have no
// number, and say what they hold. A preview without drafts is ErrNotFound: there is nothing to print.
func Preview(p billing.Preview, o Options) (Page, error) {
	if len(p.Drafts) == 0 {
		return Page{}, fmt.Errorf("the cycles of %q that have begun hold nothing yet, so there is no draft to print: %w", p.Account, ledger.ErrNotFound)
	}
	all := make([]content, len(p.Drafts))
	for i, d := range p.Drafts {
		all[i] = draftContent(p, d, o)
	}
	return render(o.Paper, "draft-"+p.Account, all...)
}

// draftContent is what an invoice would say that isn't written.
func draftContent(p billing.Preview, d billing.Draft, o Options) content {
	c := invoiceContent(p.Invoice(d), p.Names, o)
	c.Name = "Draft without a number"
	for i := range c.Facts {
		if c.Facts[i].Name == "Status" {
			c.Facts[i].Value = "preview, nothing is billed"
		}
	}
	if p.Supposed {
		c.fact("Terms", "proposed, not recorded")
	}
	c.Small = nil
	c.end(o, fmt.Sprintf("A preview, computed from what was recorded up to position %d. It isn't stored and isn't an invoice; what is billed is decided when the cycle is closed.", p.AsOf.Position))
	return c
}
