// Package archive keeps months of recorded events outside of the database, and takes them out of the table that lists
// and aggregates read.
//
// Owns: the copy of a month (Parquet files and a manifest in a directory or an object store), holding a copy against
// the seals, the records of copies, and the decision whether a month may be detached.
//
// Does not own: the seals and leaves (package ledger), the tables and the function that moves a partition (migrations).
//
// A month is a calendar month, in UTC, of recorded_at: what one partition of ledger.events holds. Business months are of
// business_date and have nothing to do with it.
//
// Guarantees: a copy is recorded only after it was read back from where it was written, each event's leaf was made
// of it alone, and the roots of all seals that bind the month came out. A second copy never overwrites a first one.
// A month is detached only by a recorded copy. Nothing is deleted: the rows of a detached month stay in the database,
// in archive.events, under the same refusals.
//
// Does not guarantee: private content. Payloads and private dimensions are not in a copy, because they must stay
// erasable: they stay in ledger.private. The copy has the commitment of each event, which binds them.
//
// Decimals are DECIMAL(38,18) in 16 bytes, two's complement, most significant byte first. It has 20 digits before the
// point where the ledger takes 38: a value that doesn't fit is null there and stands, as a plain decimal, in the text
// column _text_NAME beside it, which is null otherwise. Both, instead of text alone, because every reader sums the
// first without a cast, and nothing is lost or rounded; the manifest counts the values that stand in the second.
package archive
