package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"deltaledger/export/archive"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Exit codes.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitFindings = 3
)

// usageError is a call that can't succeed however often it is made.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage marks err as bad usage; nil stays nil.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

var (
	// errFindings: the command did its work and found something wrong, which it has shown.
	errFindings = errors.New("findings remain")
	// errShown: the command failed, and has said why.
	errShown = errors.New("failed")
)

// report says on w what went wrong and returns the exit code.
func report(ctx context.Context, w io.Writer, err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, errShown):
		return exitFailed
	case ctx.Err() != nil:
		tell(w, "deltaledger: stopped by a signal; what was said to be recorded stays, and the same command may be run again")
		return exitFailed
	}
	for line := range strings.Lines(explain(err)) {
		tell(w, "deltaledger: %s", strings.TrimSuffix(line, "\n"))
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if errors.Is(err, ledger.ErrInvalid) && !errors.Is(err, ledger.ErrAtomic) {
		return exitUsage
	}
	return exitFailed
}

// explain adds to an error what to do next, where that is known.
func explain(err error) string {
	text := ledger.Message(err)
	switch {
	case pg.IsUndefined(err) && !strings.Contains(text, "deltaledger migrate"):
		return text + "\nThe database is older or newer than this program: run `deltaledger migrate` with the newer one."
	case pg.IsUnavailable(err):
		return text + "\nThe database gives no answer: run the same command again; if that fails too, check that the database runs and that --database-url is right."
	case errors.Is(err, ledger.ErrBusy):
		return text + "\nNothing was done: run the same command again in a moment."
	case errors.Is(err, archive.ErrDamaged):
		return text + "\nDon't rely on that copy. Run `deltaledger verify` to see whether the database still holds what was sealed; if it does, archive the month to another place."
	case errors.Is(err, ledger.ErrCorrupt):
		return text + "\nThe database holds what this program can't have written: stop writing to it and look before anything else."
	}
	return text
}
