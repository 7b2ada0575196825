package ledger_test

import (
	"slices"
	"testing"

	"deltaledger/ledger"
)

// BenchmarkPolicy is what a policy adds to making events ready; "none" is the baseline.
func BenchmarkPolicy(b *testing.B) {
	for name, p := range map[string]ledger.ContentPolicy{
		"none": {}, "cards": {CardNumbers: "refuse"}, "all": {CardNumbers: "refuse", IBANs: "refuse", Emails: "refuse"},
	} {
		b.Run(name, func(b *testing.B) {
			l, _ := open(b)
			if p != (ledger.ContentPolicy{}) {
				policy(b, l, p)
			}
			events := sales("o1", 10_000)
			for b.Loop() {
				if _, err := l.Prepare(b.Context(), slices.Clone(events)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/event")
		})
	}
}
