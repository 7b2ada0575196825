// Package imports records the files that upstreams drop in a directory or a bucket.
//
// Owns: the register of those files (ledger.import_files), who reads which, how far each is settled, its bad rows,
// and what people decided about it.
//
// Does not own: what a format or a mapping means (package wire), nor the recording (package ledger).
//
// Guarantees: however many importers share a place and however often they are killed, a row of a file is settled once:
// the transaction that records a batch moves the file's resume point and counts by compare-and-set, so that whoever lost
// a file records nothing more of it. A row that is bad is kept with its line and the rule, and stops no other. What
// lies under a name that was read before is never read silently when it is something else: it waits for a person.
//
// Does not guarantee: that a file in a directory is whole, where its upstream neither renames it into place nor leaves
// a marker beside it. A file that didn't change for a span is taken for whole then.
//
// Times are those of the database, but for the time of modification, which the place says.
package imports
