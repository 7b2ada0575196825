// Package billing turns recorded events into bills: it knows the terms of every
// account, cuts time into cycles, prices what a cycle holds, and keeps invoices,
// lines, pins and what was late.
//
// # Owns
//
// The terms of accounts and their history; the calendar of cycles; prices,
// rounding and splits; the closes of cycles; invoices with their lines, pins,
// numbers, statuses, payments, voids and credit notes; the record of late events,
// and of accounts that are parked.
//
// # Does not own
//
// Events and their amounts (package ledger): billing reads them as of a
// watermark and never changes one. It records what is paid of an invoice, keeps no
// balances of accounts, and converts no currencies: each currency of a cycle has lines of its own.
//
// # Guarantees
//
//   - Cycles tile time: every instant is in exactly one cycle of an account,
//     whatever its terms were and however often they changed.
//   - A boundary through which an account is closed never moves. New terms act
//     from the next boundary that isn't closed.
//   - Boundaries are counted from the anchor as it was written, so a 31st stays
//     the end of the month and doesn't drift.
//   - Every billable event of a closed cycle is pinned to exactly one live
//     invoice, and the database refuses a second one (invariant 6).
//   - The total of an invoice is the sum of its lines, and a line can be
//     computed again from its pins and the terms that were in force (7).
//   - An issued invoice never changes (8). What happens to it is further rows; what
//     is open of it is computed from them.
//   - Numbers have no gaps in their series, and no two documents have numbers that
//     read the same.
//   - Payments never exceed what is open, and credit notes never what a line bills.
//   - A price is exact; it is rounded once, on its line, to the digits of the
//     currency, halves away from zero. No float is involved (4).
//
// # Does not guarantee
//
// That a cycle's bill is complete when its grace is over: what arrives later is
// billed in the next open cycle, on lines that name the cycle where it belongs.
// Cycles have no fixed length: a change of terms or of zone is bridged by one
// cycle of any length, and clock changes make days of 23 or 25 hours.
//
// # Times
//
// Instants are UTC with the precision of the database (microseconds). Cycles
// are half open: an event at the end of a cycle is in the next one. An event
// belongs to a cycle by its occurred_at; whether it was in time is decided by
// its position and the watermark of the close, never by recorded_at.
//
//   - start: when an account begins to be billed; a cycle begins there.
//   - effective_from: the instant from which the operator wants terms to hold.
//     They act from the first boundary at or after it.
//   - not before: the boundary through which the account was closed when the
//     terms were recorded.
//   - grace: how long after its end a cycle stays open for events that are on
//     their way.
//
// Calendar, terms, prices and rounding are values in, values out: they need no
// database and read no clock. Local dates follow the time zone data that Go
// finds: the system's, and otherwise the copy that is linked in.
package billing
