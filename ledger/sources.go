package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// What a source's sequence numbers count.
const (
	NumberingStream = "stream" // each stream for itself; what an undeclared source is taken to do
	NumberingSource = "source" // all events of the source
	NumberingNone   = "none"   // its events have no numbers
)

// Source is the declaration of an upstream producer.
type Source struct {
	Name      string `json:"name"`
	States    bool   `json:"states"`    // sends states: absolute values that the ledger turns into deltas
	Numbering string `json:"numbering"` // NumberingStream, NumberingSource or NumberingNone
	Strict    bool   `json:"strict"`    // takes only events of declared types; false: open, an unknown type becomes a finding
	ContentPolicy
	By         string    `json:"declared_by"` // who declared it
	DeclaredAt time.Time `json:"declared_at"` // by the clock of the database; set by the ledger
}

func (s Source) validate() error {
	switch {
	case s.Name == "":
		return Invalid("name", "", "is missing")
	case len(s.Name) > MaxSource:
		return invalidf("name", s.Name, "must have at most %d bytes, not %d", MaxSource, len(s.Name))
	case !storable(s.Name):
		return Invalid("name", strings.ToValidUTF8(s.Name, "�"), ruleStorable)
	case s.Name == ReservedSource || strings.HasPrefix(s.Name, ReservedSource+"."):
		return Invalid("name", s.Name, "is reserved for rows that the ledger makes itself")
	case !slices.Contains([]string{NumberingStream, NumberingSource, NumberingNone}, s.Numbering):
		return Invalid("numbering", s.Numbering, "must be stream, source or none")
	case s.States && s.Numbering == NumberingNone:
		return Invalid("numbering", s.Numbering, "must be stream or source for a source that sends states: what a state changes depends on the events before it")
	case s.ContentPolicy.validate() != nil:
		return s.ContentPolicy.validate()
	case s.By == "":
		return Invalid("by", "", "is missing: who declares the source")
	case len(s.By) > MaxText || !storable(s.By):
		return invalidf("by", strings.ToValidUTF8(s.By, "�"), "%s, in at most %d bytes", ruleStorable, MaxText)
	}
	return nil
}

const ruleStorable = "must be valid UTF-8 without the character NUL"

// storable reports whether PostgreSQL can hold s as text.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

const sqlDeclareSource = `
INSERT INTO ledger.sources (name, states, numbering, strict, card_numbers, ibans, emails, declared_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

// DeclareSource declares a source, or changes its declaration; a declaration that is in force already
// changes nothing, and of the content policy what is left empty stays as it is. A source that was declared to send states stays one: what its late deltas mean
// follows from the states recorded before. Trying to withdraw it is ErrConflict. With a policy, or strict, it returns when
// nobody records by what was declared before; ErrBusy: somebody hangs who may.
func (l *Ledger) DeclareSource(ctx context.Context, s Source) error {
	if err := s.validate(); err != nil {
		return err
	}
	if inForce, err := declaredAlready(ctx, l.pool, &s); err != nil || inForce {
		return err
	}
	err := pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		if err := declareTx(ctx, tx, "source "+s.Name); err != nil {
			return err
		}
		// Again, now that declarations queue: somebody may have declared states since.
		if inForce, err := declaredAlready(ctx, tx, &s); err != nil || inForce {
			return err
		}
		_, err := tx.Exec(ctx, sqlDeclareSource, s.Name, s.States, s.Numbering, s.Strict, s.CardNumbers, s.IBANs, s.Emails, s.By)
		return err
	})
	if err != nil {
		return readError("declare source "+s.Name, err)
	}
	if s.Strict || len(policiesOf(map[string]Source{s.Name: s})) > 0 {
		return l.inForce(ctx, "source "+s.Name)
	}
	return nil
}

// declaredAlready reports whether the declaration is in force. It is ErrConflict if it can't come into force.
// What s leaves open of its policy becomes what is in force.
func declaredAlready(ctx context.Context, db querier, s *Source) (bool, error) {
	old, found, err := declaredSource(ctx, db, s.Name)
	if err != nil {
		return false, err
	}
	s.ContentPolicy = s.ContentPolicy.or(old.ContentPolicy)
	switch {
	case !found:
		return false, nil
	case old.States && !s.States:
		return false, fmt.Errorf("source %s was declared to send states on %s, which can't be withdrawn: %w",
			s.Name, old.DeclaredAt.Format(time.RFC3339), ErrConflict)
	}
	return old.States == s.States && old.Numbering == s.Numbering && old.Strict == s.Strict && old.ContentPolicy == s.ContentPolicy, nil
}

const sqlSource = `
SELECT name, states, numbering, strict, card_numbers, ibans, emails, declared_by, declared_at
FROM ledger.sources
WHERE name = $1
ORDER BY n DESC
LIMIT 1`

// SourceOf is the declaration of a source that is in force; ErrNotFound if it was never declared.
func (l *Ledger) SourceOf(ctx context.Context, name string) (Source, error) {
	if !storable(name) {
		return Source{}, Invalid("source", strings.ToValidUTF8(name, "�"), ruleStorable)
	}
	s, found, err := declaredSource(ctx, l.pool, name)
	if err == nil && !found {
		err = fmt.Errorf("source %s was never declared: %w", name, ErrNotFound)
	}
	return s, err
}

func declaredSource(ctx context.Context, db querier, name string) (s Source, found bool, err error) {
	rows, err := db.Query(ctx, sqlSource, name)
	if err != nil {
		return Source{}, false, readError("read source "+name, err)
	}
	s, err = pgx.CollectOneRow(rows, pgx.RowToStructByPos[Source])
	switch {
	case isNoRows(err):
		return Source{}, false, nil
	case err != nil:
		return Source{}, false, readError("read source "+name, err)
	}
	s.DeclaredAt = s.DeclaredAt.UTC()
	return s, true, nil
}

const sqlSources = `
SELECT DISTINCT ON (name) name, states, numbering, strict, card_numbers, ibans, emails, declared_by, declared_at
FROM ledger.sources
ORDER BY name, n DESC`

// Sources are the declarations in force, by name.
func (l *Ledger) Sources(ctx context.Context) ([]Source, error) {
	rows, err := l.pool.Query(ctx, sqlSources)
	if err != nil {
		return nil, readError("list sources", err)
	}
	sources, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Source])
	if err != nil {
		return nil, readError("list sources", err)
	}
	for i := range sources {
		sources[i].DeclaredAt = sources[i].DeclaredAt.UTC()
	}
	return sources, nil
}

// StrictOr is whether a source is to be strict: as asked, or, if nothing is asked, as it is declared now.
func (l *Ledger) StrictOr(ctx context.Context, name string, asked *bool) (bool, error) {
	if asked != nil {
		return *asked, nil
	}
	s, err := l.SourceOf(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return s.Strict, err
}
