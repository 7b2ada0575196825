// Package wire turns what producers send into events: one decoder per format, one ledger.Event behind
// them.
//
// Owns: the spelling of an event in JSON (one object, an array, or NDJSON) and in CSV, and the refusal of
// everything that the ledger would have to guess about or that would be changed silently: unknown fields,
// keys named twice, numbers outside quotes, times without a zone or finer than microseconds, NUL, broken
// UTF-8.
//
// Does not own: what a well-spelled event may say. Lengths, required fields, known currencies and the
// reserved source are checked by package ledger for every event, however it came.
//
// Guarantees: what is wrong with one event becomes an Item with the line, the field, the value and the
// rule, and the events beside it still come out (invariant 10); memory is bounded, whatever is sent; an
// amount keeps every digit (invariant 4).
//
// Does not guarantee: that Decode has read to the end when it returns an error. Sending the same input
// again is safe, because the ledger records an event once (invariant 3).
//
// # JSON
//
// The fields are id, source, stream, seqn, type, account, occurred_at, currency, amount, quantity,
// measures, dimensions, corrects, payload and state. A null counts as absent. amount, quantity and the
// values under measures and state are strings; seqn is a number. occurred_at is RFC 3339 with a zone:
// it says when the event happened upstream, and is kept in UTC and whole microseconds.
//
// # CSV
//
// RFC 4180 as encoding/csv reads it, in UTF-8, with a header. A column is named like the field that it
// holds; a declared measure stands under measures.NAME; every other column is a dimension, as text, under
// its own name or under dimensions.NAME. The columns named in Options.PayloadColumns make up the payload
// instead. An empty cell is absent.
package wire
