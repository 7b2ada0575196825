package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// mostGaps is how many findings a source may make of its missing numbers, and as many of its doubled
// ones: the oldest. One more says how many there are besides.
const mostGaps = 100

// checkSequences makes findings of the numbers that are missing in the sources, or there twice. It reads what
// completeness holds, which was advanced when the run began, and no event.
func (u *run) checkSequences(ctx context.Context, tx pgx.Tx) error {
	r, err := u.ledger.GapReportTx(ctx, tx, mostGaps)
	if err != nil {
		return err
	}
	gaps, doubled, events := map[string]int64{}, map[string]int64{}, int64(0)
	for _, g := range r.Gaps {
		gaps[g.Source]++
		if err := u.addGap(g); err != nil {
			return err
		}
	}
	for _, d := range r.Doubled {
		doubled[d.Source]++
		if err := u.addDoubled(d); err != nil {
			return err
		}
	}
	for _, s := range r.Sources {
		events += s.Events
		if s.LookedAtThrough != nil {
			continue
		}
		if err := u.addMore(s, "more gaps", s.Gaps-gaps[s.Source]); err != nil {
			return err
		}
		if err := u.addMore(s, "more doubled numbers", s.Doubled-doubled[s.Source]); err != nil {
			return err
		}
	}
	u.checked(checkGaps, events, "events")
	return nil
}

func (u *run) addGap(g ledger.OpenGap) error {
	subject, err := json.Marshal(g)
	if err != nil {
		return err
	}
	numbers, of := "number "+strconv.FormatInt(g.From, 10)+" is", ""
	if g.To > g.From {
		numbers = fmt.Sprintf("numbers %d to %d are", g.From, g.To)
	}
	if g.Stream != "" {
		of = " of stream " + strconv.Quote(g.Stream)
	}
	detail := fmt.Sprintf("%s missing%s of source %s since %s; the event behind occurred at %s, at position %d",
		numbers, of, strconv.Quote(g.Source), g.Since.Format(time.RFC3339), g.NextOccurredAt.Format(time.RFC3339), g.NextPosition)
	if g.PreviousOccurredAt == nil {
		detail += "; it is the first, and 0 or 1 was expected"
	}
	u.add(Finding{
		Fingerprint: fingerprint(checkGaps, g.Source, g.Stream, strconv.FormatInt(g.From, 10)), Check: checkGaps, Subject: subject, Detail: detail,
	})
	return nil
}

func (u *run) addDoubled(d ledger.DoubledNumber) error {
	subject, err := json.Marshal(d)
	if err != nil {
		return err
	}
	u.add(Finding{
		Fingerprint: fingerprint(checkGaps, "doubled", d.Source, strconv.FormatInt(d.Position, 10)), Check: checkGaps, Subject: subject,
		Detail: fmt.Sprintf("event %s of source %s, in stream %s, bears the number %d, which another event of the source has",
			strconv.Quote(d.ID), strconv.Quote(d.Source), strconv.Quote(d.Stream), d.Seqn),
	})
	return nil
}

// addMore makes one finding of those that are too many to name.
func (u *run) addMore(s ledger.SourceCompleteness, what string, n int64) error {
	if n <= 0 {
		return nil
	}
	subject, err := json.Marshal(map[string]any{"source": s.Source, "gaps": s.Gaps, "missing": s.Missing, "doubled": s.Doubled})
	if err != nil {
		return err
	}
	hint := ""
	if s.Numbering == ledger.NumberingStream {
		hint = "; if its numbers count across its streams, declare that: deltaledger sources declare " + s.Source + " --numbering source"
	}
	u.add(Finding{
		Fingerprint: fingerprint(checkGaps, what, s.Source), Check: checkGaps, Subject: subject,
		Detail: fmt.Sprintf("source %s has %d %s", strconv.Quote(s.Source), n, what) + hint,
	})
	return nil
}
