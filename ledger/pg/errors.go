package pg

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Constraint names the constraint that refused a row, empty if err is no such refusal.
func Constraint(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(e.Code, "23") {
		return e.ConstraintName
	}
	return ""
}

// IsUniqueViolation reports that a row with the same key was there.
func IsUniqueViolation(err error) bool { return code(err) == "23505" }

// IsRefused reports that a trigger or a grant forbade to change a fact.
func IsRefused(err error) bool { return code(err) == "23001" || code(err) == "42501" }

// IsUndefined reports that the schema isn't there: the database isn't migrated.
func IsUndefined(err error) bool {
	c := code(err)
	return c == "42P01" || c == "3F000" || c == "42883" || c == "42703"
}

// IsDataError reports that a value can't be stored as it is: SQLSTATE classes 22 and 54, or a check
// constraint. Tried again, it fails again.
func IsDataError(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "22") || strings.HasPrefix(c, "54") || c == "23514" && !IsMissingPartition(err) || c == "23502"
}

// IsMissingPartition reports that a row belongs to a month that has no partition. PostgreSQL calls it a
// check violation, but no constraint was broken, and nothing is wrong with the row.
func IsMissingPartition(err error) bool { return code(err) == "23514" && Constraint(err) == "" }

// IsRetryable reports that the same transaction may succeed when it is run again.
func IsRetryable(err error) bool {
	switch code(err) {
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available in time
		return true
	}
	return false
}

// IsLocked reports that what somebody else is writing right now was waited for as long as lock_timeout says.
func IsLocked(err error) bool { return code(err) == "55P03" }

// IsTimeout reports that the statement was stopped by a time limit.
func IsTimeout(err error) bool { return code(err) == "57014" }

// IsFull reports that the server's disk has no room.
func IsFull(err error) bool { return code(err) == "53100" }

// IsUnavailable reports that the server is gone, starting, or full: it isn't known what was done, and
// the same request may succeed later.
func IsUnavailable(err error) bool {
	c := code(err)
	if strings.HasPrefix(c, "08") || strings.HasPrefix(c, "57P") || strings.HasPrefix(c, "53") {
		return true
	}
	// A server that takes no session because of a fault of its own, such as a full disk, calls it internal.
	if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting && strings.HasPrefix(c, "XX") {
		return true
	}
	return c == "" && err != nil && (pgconn.SafeToRetry(err) || isConnection(err))
}

// isConnection reports that a connection to the server could not be made, or broke.
func isConnection(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	_, ok := errors.AsType[*brokenError](err)
	return ok
}

// Message is the server's own text, without the client's decoration; empty if err isn't the server's.
func Message(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Message
	}
	return ""
}

func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}
