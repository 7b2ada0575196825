// Package kafka reads topics into the ledger, and publishes what the ledger holds.
//
// It owns: which messages of a topic count (those of committed transactions, each once, in the order of their partition),
// the offsets up to which they are recorded (ledger.offsets), and what can't be recorded (ledger.dead_letters).
//
// It doesn't own what a message means: a Decode makes events of it. It doesn't own the events' identities either: a
// message that is read again is a duplicate by what it says, not by where it stands.
//
// It guarantees:
//   - A message's events, or its dead letter, and the offset behind it are committed in one transaction. Whatever is
//     killed, nothing is lost and nothing is recorded twice (invariants 2 and 3).
//   - Records of aborted transactions and control records are never recorded, nor are those of open ones before they end.
//   - An offset moves only from where its reader believes it to be. A consumer that was evicted, or that somebody reset,
//     has its transaction rolled back and reads again from what is stored. What the group committed to Kafka decides nothing.
//   - A topic is read by its id. One that was deleted and made anew under its name, or lost messages that weren't
//     recorded yet, stops with an error that says so; the other partitions go on.
//   - A message is a dead letter for what it holds, never for what the database or Kafka couldn't do.
//
// Of publishing it owns how far each publisher came (ledger.publishers), and guarantees:
//   - Only facts at or below a watermark are written, and each of them is, at least once.
//   - In a partition the first copies stand in the order of their positions. Each publisher writes a partition from a place
//     through which everything is there, one acknowledged request after the other; so at any time a prefix of the facts is
//     there, however many publishers believe to be the one at work and however often a request is repeated.
//   - The stored position moves only from where its publisher believes it to be, by the session that holds the lock of its name.
//
// It needs brokers of Kafka 3.1 or newer, which know topics by their ids.
package kafka
