package ledger

import (
	"context"
	"fmt"
	"time"
)

// declarationTTL bounds how long a changed declaration of a source may go unnoticed by a running service.
const declarationTTL = time.Second

// maxDeclared bounds how many sources are remembered: their names come from outside.
const maxDeclared = 10_000

// declaration is what the write path knows of a source, and since when.
type declaration struct {
	numbering string
	readAt    time.Time
}

const sqlNumbering = `
SELECT numbering
FROM ledger.sources
WHERE name = $1
ORDER BY n DESC
LIMIT 1`

// numberingNone is the numbering of a source that doesn't number its events.
const numberingNone = "none"

// mayLackSeqn is nil if source was declared not to number its events.
func (l *Ledger) mayLackSeqn(ctx context.Context, source string) (*FieldError, error) {
	now := l.now()
	known, _ := l.declared.Load(source)
	d, ok := known.(declaration)
	if !ok || now.Sub(d.readAt) > declarationTTL || now.Before(d.readAt) {
		d = declaration{readAt: now}
		err := l.pool.QueryRow(ctx, sqlNumbering, source).Scan(&d.numbering)
		if err != nil && !isNoRows(err) {
			return nil, fmt.Errorf("look up source %s: %w", source, err)
		}
		if _, known := l.declared.Swap(source, d); !known && l.sources.Add(1) > maxDeclared {
			l.sources.Store(0)
			l.declared.Clear()
		}
	}
	if d.numbering == numberingNone {
		return nil, nil
	}
	return Invalid("seqn", "", "is missing; a source that doesn't number its events is declared with: deltaledger sources declare "+source+" --numbering none"), nil
}
