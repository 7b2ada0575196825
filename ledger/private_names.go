package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// partition divides dimensions, which are canonical JSON, into those that have one of the names and the others.
func partition(dimensions []byte, names []string) (public, private []byte, err error) {
	if len(dimensions) == 0 || len(names) == 0 {
		return dimensions, nil, nil
	}
	err = eachMember(dimensions, func(key, _, member []byte) {
		if slices.Contains(names, string(key)) {
			private = appendMember(private, member)
		} else {
			public = appendMember(public, member)
		}
	})
	return closed(public), closed(private), err
}

// asThen is an event with exactly those dimensions private that were when the event of its identity was
// recorded: what is private changes with declarations, and what was recorded doesn't.
type asThen struct {
	event *Event
	same  bool // it is what is recorded, as far as that wasn't erased
}

// The names of the private dimensions outlive an erasure.
const sqlPrivateNames = `
SELECT p.i, COALESCE((SELECT array_agg(k) FROM jsonb_object_keys(s.pii) k), y.pii), s.salt, e.commitment
FROM unnest($1::bigint[], $2::timestamptz[]) WITH ORDINALITY AS p (position, recorded_at, i)` + EventAtP + `
LEFT JOIN ledger.private s ON s.position = p.position
LEFT JOIN ledger.erased y ON y.position = p.position`

// divideAsThen looks at events whose digest isn't that of the recorded event of the same identity. Those that
// aren't divided otherwise than that one are left out.
func divideAsThen(ctx context.Context, tx pgx.Tx, b *Batch, others []*prepared, known map[*prepared]taken) (map[*prepared]asThen, error) {
	found := map[*prepared]asThen{}
	if len(others) == 0 {
		return found, nil
	}
	positions, times := make([]int64, len(others)), make([]time.Time, len(others))
	for i, p := range others {
		positions[i], times[i] = known[p].position, known[p].recordedAt
	}
	var (
		i            int64
		names        []string
		salt, commit []byte
	)
	err := pg.ForEach(ctx, tx, []any{&i, &names, &salt, &commit}, func() error {
		p := others[i-1]
		public, private, err := partition(b.events[p.input].Dimensions, names)
		if err != nil {
			return err
		}
		if bytes.Equal(private, p.public.private) {
			return nil
		}
		e := *p.public
		e.Dimensions, e.private = public, private
		then := asThen{event: &e}
		if sha256.Sum256(AppendCanonical(nil, &e)) == known[p].digest {
			content, err := appendPrivate(nil, &e)
			if err != nil {
				return err
			}
			c := commitment(salt, content)
			then.same = salt == nil || bytes.Equal(c[:], commit)
		}
		found[p] = then
		return nil
	}, sqlPrivateNames, positions, times)
	if err != nil {
		return nil, fmt.Errorf("compare with what was private then: %w", err)
	}
	return found, nil
}
