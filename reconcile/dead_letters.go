package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// checkLetters makes a finding of each topic with dead letters that wait for a decision. It is gone when all of them are
// decided.
func (u *run) checkLetters(ctx context.Context, tx pgx.Tx) error {
	all, err := ledger.CountOpenLetters(ctx, tx)
	if err != nil {
		return err
	}
	waiting := int64(0)
	for _, o := range all {
		waiting += o.Letters
		subject, err := json.Marshal(struct {
			Topic   string    `json:"topic"`
			Letters int64     `json:"dead_letters"`
			Oldest  int64     `json:"oldest"` // its number
			Since   time.Time `json:"since"`
		}{o.Topic, o.Letters, o.Oldest, o.Since})
		if err != nil {
			return err
		}
		what := "1 dead letter waits"
		if o.Letters > 1 {
			what = fmt.Sprintf("%d dead letters wait", o.Letters)
		}
		u.add(Finding{
			Fingerprint: fingerprint(checkDeadLetters, o.Topic), Check: checkDeadLetters, Subject: subject,
			Detail: fmt.Sprintf("%s for a decision of what came in topic %s; the oldest is dead letter %d, seen %s",
				what, o.Topic, o.Oldest, o.Since.Format(time.RFC3339)),
		})
	}
	u.checked(checkDeadLetters, waiting, "undecided dead letters")
	return nil
}
