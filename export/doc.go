// Package export writes the ledger's events as monthly files that can be pulled again, byte for byte.
//
// Owns: which frozen month file an event is in (law.go), the freezing of months, the file format,
// manifests, the log of pulls, and the differences between files.
//
// Does not own: events, watermarks, invoices; it reads them. It schedules nothing: the caller says
// when to freeze.
//
// The law. Months are calendar months of business_date. Each freeze (p, W_p) → (m, W_m) names the month
// frozen before it; the file of m is
//
//	{p < month <= m, position <= W_m} ∪ {month <= p, W_p < position <= W_m}
//
// with W_p = 0 and p before every month for the first. W never decreases along the chain, and freezing m
// first freezes, at the same W, each earlier unfrozen month that holds events. So every event is in
// exactly one frozen file, for any sequence of freezes, and the files of the chain add up to the ledger
// (invariant 9).
//
//   - A month without events gets no file, unless it is frozen by name while late events wait: then they
//     are its file. Freezing it by name when nothing waits is refused (NothingError).
//   - A month that was passed over because it had no events can't be frozen any more: what comes for it
//     later is late, and in the next file (NoFileError names the files).
//   - A watermark below the chain's last is raised to that one.
//   - A month can be frozen from its end in the reporting zone plus the ledger's freeze grace on.
//
// Before its freeze a month can be had as an open file, which carries its watermark W in its name: what
// would be frozen if the month were frozen at W, after the freezes whose own position is <= W, with the
// columns that were declared when the first watermark >= W was taken. All of that is decided for ever, so
// the same W gives the same bytes (invariant 5). If the month was frozen as of W, the file is the frozen one.
//
// The format (version 1): RFC 4180 with LF, UTF-8, a header, one line for each event in order of
// position. Plain decimals without exponent and trailing zeros; times in UTC with microseconds; dates as
// YYYY-MM-DD. A column that was declared before the freeze is in the file, and those declared later are in later files;
// of an event recorded before a dimension was declared it shows what the event holds under its name, if that is of the
// declared type, and the cell of dimensions holds it as it was sent. An absent value is an empty cell, an empty text is "" in quotes. No private content.
// A cell of a text column that begins with = + - @ TAB CR or ' gets a ' in front, so that no spreadsheet
// takes it for a formula: to read it back, take one ' off a text cell that begins with one. Cells of
// numbers, dates, times, booleans and UUIDs are never touched.
//
// Times: occurred_at is upstream's, recorded_at the database's; business_date is the date of occurred_at
// in the ledger's reporting zone. booked_month is the file that the event is in; late_from the month
// that it belongs to where that is another one.
//
// Does not guarantee: that a client which went away in the middle of a file shows in the log of pulls.
package export
