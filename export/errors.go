package export

import (
	"fmt"
	"strings"
	"time"

	"deltaledger/ledger"
)

// NotFrozenError says that a month has no frozen file yet. It wraps ledger.ErrConflict. The caller
// waits, freezes the month, or asks for an open file.
type NotFrozenError struct {
	Month     Month
	Available time.Time // from then on it can be frozen; UTC
	Now       time.Time // the instant that was held against Available; UTC
}

func (e *NotFrozenError) Error() string {
	if e.Now.Before(e.Available) {
		return fmt.Sprintf("%s is not frozen yet and can be frozen from %s on; until then there is only an open file, which may still change",
			e.Month, e.Available.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s is not frozen yet, but can be: it was due at %s; until it is frozen there is only an open file, which may still change",
		e.Month, e.Available.Format(time.RFC3339))
}

// Unwrap makes errors.Is(err, ledger.ErrConflict) true.
func (e *NotFrozenError) Unwrap() error { return ledger.ErrConflict }

// NothingError says that a month can't be frozen because its file would be empty. It wraps
// ledger.ErrConflict. Nothing was frozen, also none of the earlier months.
type NothingError struct {
	Month     Month
	Watermark int64
	Earlier   []Month // unfrozen months before it that hold events and can be frozen
}

func (e *NothingError) Error() string {
	text := fmt.Sprintf("nothing to freeze: no event of %s was recorded up to watermark %d", e.Month, e.Watermark)
	if len(e.Earlier) > 0 {
		return text + "; months before it that hold events: " + monthList(e.Earlier)
	}
	return text + ", and no late events wait for a file"
}

// Unwrap makes errors.Is(err, ledger.ErrConflict) true.
func (e *NothingError) Unwrap() error { return ledger.ErrConflict }

// NoFileError says that a month has no file and will never have one: it held no events when a later
// month was frozen. It wraps ledger.ErrConflict.
type NoFileError struct {
	Month  Month
	Passed Month   // the frozen month that passed it over
	In     []Month // the frozen files that hold its events; empty if there are none
	Next   bool    // some of its events wait for the next frozen file
}

func (e *NoFileError) Error() string {
	text := fmt.Sprintf("%s has no file and gets none: it held no events when %s was frozen", e.Month, e.Passed)
	if len(e.In) > 0 {
		text += fmt.Sprintf("; what came for it later is, marked as late, in the file of %s", monthList(e.In))
	}
	if e.Next {
		text += "; events that came for it since then will be in the next file that is frozen"
	}
	return text
}

// Unwrap makes errors.Is(err, ledger.ErrConflict) true.
func (e *NoFileError) Unwrap() error { return ledger.ErrConflict }

func monthList(months []Month) string {
	names := make([]string, len(months))
	for i, m := range months {
		names[i] = m.String()
	}
	return strings.Join(names, ", ")
}
