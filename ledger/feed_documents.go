package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

const (
	// feedRows is how many rows a part of a fact may have to be handed on with it, and feedText how long the fact may be
	// with them, in bytes. Of what has more, each part is given by its number of rows and their SHA-256.
	feedRows = 500
	feedText = 700_000
)

// SealFacts are the seals themselves, for those who read a feed. A seal binds no seals.
func SealFacts() FactTable { return FactTable{Kind: "seal", Table: "ledger.seals_v1"} }

// nextDocument finds the first position in (after, through] of a fact that isn't an event.
func nextDocument(ctx context.Context, tx pgx.Tx, tables []FactTable, after, through int64) (position int64, found bool, err error) {
	if len(tables) == 0 {
		return 0, false, nil
	}
	var first []string
	for _, t := range tables {
		first = append(first, "(SELECT f.position FROM "+t.Table+" f WHERE "+within("f", after, through)+" ORDER BY f.position LIMIT 1)")
	}
	var least *int64
	if err := tx.QueryRow(ctx, "SELECT least("+strings.Join(first, ", ")+")").Scan(&least); err != nil {
		return 0, false, fmt.Errorf("look for the next fact: %w", err)
	}
	if least == nil {
		return 0, false, nil
	}
	return *least, true, nil
}

// readDocuments reads the facts of tables in (after, through].
func readDocuments(ctx context.Context, tx pgx.Tx, tables []FactTable, after, through int64) (facts []Fact, err error) {
	for _, t := range tables {
		found, err := readDocumentsOf(ctx, tx, t, after, through)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", t.Table, err)
		}
		facts = append(facts, found...)
	}
	return facts, nil
}

func readDocumentsOf(ctx context.Context, tx pgx.Tx, t FactTable, after, through int64) (facts []Fact, err error) {
	heavy, err := heavyFacts(ctx, tx, t, after, through)
	if err != nil {
		return nil, err
	}
	for _, p := range append(heavy, through+1) { // whole up to the next heavy one, and that one in brief
		found, err := readLeaves(ctx, tx, t, after, p-1)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if len(found[i].Data) > feedText && len(t.Parts) > 0 {
				if found[i], err = readBrief(ctx, tx, t, found[i].Position); err != nil {
					return nil, err
				}
			}
		}
		if facts = append(facts, found...); p > through {
			break
		}
		one, err := readBrief(ctx, tx, t, p)
		if err != nil {
			return nil, err
		}
		facts, after = append(facts, one), p
	}
	return facts, nil
}

// heavyFacts are the positions of facts with a part that has too many rows.
func heavyFacts(ctx context.Context, tx pgx.Tx, t FactTable, after, through int64) (positions []int64, err error) {
	for _, p := range t.Parts {
		if p.Digest {
			continue
		}
		var on []string
		for _, pair := range p.On {
			on = append(on, "p."+pgx.Identifier{pair[0]}.Sanitize()+" = f."+pgx.Identifier{pair[1]}.Sanitize())
		}
		var position int64
		err := pg.ForEach(ctx, tx, []any{&position}, func() error {
			positions = append(positions, position)
			return nil
		}, fmt.Sprintf("SELECT f.position FROM %s f JOIN %s p ON %s WHERE %s GROUP BY f.position HAVING count(*) > %d",
			t.Table, p.Table, strings.Join(on, " AND "), within("f", after, through), feedRows))
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(positions)
	return slices.Compact(positions), nil
}

// readBrief reads the fact at a position with nothing but the digests of its parts.
func readBrief(ctx context.Context, tx pgx.Tx, t FactTable, position int64) (Fact, error) {
	t.Parts = slices.Clone(t.Parts)
	for i := range t.Parts {
		t.Parts[i].Digest = true
	}
	found, err := readLeaves(ctx, tx, t, position-1, position)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d facts at position %d: %w", len(found), position, ErrCorrupt)
	}
	if err != nil {
		return Fact{}, err
	}
	return found[0], nil
}

// readLeaves reads the facts of a table in (after, through] as seals bind them.
func readLeaves(ctx context.Context, tx pgx.Tx, t FactTable, after, through int64) (facts []Fact, err error) {
	if after >= through {
		return nil, nil
	}
	r := newLeafReader([]FactTable{t})
	if err := r.begin(ctx, tx); err != nil {
		return nil, err
	}
	r.each = func(text []byte) {
		facts = append(facts, Fact{Position: r.out.leaves[len(r.out.leaves)-1].position, Kind: t.Kind, Data: slices.Clone(text)})
	}
	if err := r.readTable(ctx, t, after, through); err != nil {
		return nil, err
	}
	for i := range facts {
		var leaf struct {
			Fact struct {
				Account string `json:"account"`
			} `json:"fact"`
		}
		if err := json.Unmarshal(facts[i].Data, &leaf); err != nil {
			return nil, fmt.Errorf("position %d: %w: %w", facts[i].Position, err, ErrCorrupt)
		}
		facts[i].Account = leaf.Fact.Account
	}
	return facts, nil
}
