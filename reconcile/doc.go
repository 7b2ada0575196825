// Package reconcile holds billing against the events, heals what can be healed, and keeps a record of
// what can't.
//
// Owns: runs, findings, their sightings and resolutions, and the balances that roll forward.
//
// Does not own: what is late and where it is billed (package billing decides, under the account's
// lock), nor any correction of an invoice.
//
// Guarantees: a run answers as of one watermark, taken when it began; what commits later is the next
// run's. It looks at what came since the run before: new events, new invoices, and whatever still has
// an open finding. A finding is one thing that is wrong, however many runs see it; it is open until a
// later resolution. Running it twice changes nothing.
//
// Does not guarantee: that what a run doesn't look at is right. Nothing but a change behind the
// database's back could make it wrong; verifying the chain of seals finds that.
package reconcile
