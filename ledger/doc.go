// Package ledger records events, each exactly once and for ever, and answers questions about them.
//
// Owns: the tables of the schema ledger; the identity of events, their canonical form and digests; the deltas made of
// states; declared columns, types and sources; private content and its erasure; conflicts and what was decided of them;
// positions and watermarks; seals, and what verifies them; how complete each source is; the readings of events: lists,
// streams, aggregates.
//
// Does not own: the formats in which events come (package wire), proofs checked without a database (package proof), what
// looks like a card number or an address (package sensitive), what is billed (package billing), files and copies (packages
// export and archive), who may ask (package api).
//
// Guarantees: an event whose outcome is Recorded is durable and never changes (invariants 1 and 2);
// one source and ID is recorded once, however often and by however many it is sent (3); numbers are
// decimals from the wire to the disk (4); an answer as of a watermark never changes (5); a bad event
// stops no good one (10). The deltas of a stream of states sum to the same in whatever order the states came. What changed
// behind a seal is named by Verify.
//
// Does not guarantee: that positions have no gaps, that events of one request have neighbouring
// positions, or that a lower position commits first. Only watermarks say what is decided.
//
// Times: occurred_at is upstream's; recorded_at is the database's clock, the same for all events of one
// transaction; business_date is the date of occurred_at in the reporting zone; taken_at of a watermark
// is the database's clock when the last position was read.
package ledger
