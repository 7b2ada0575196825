// Package pg is the one place where the program meets PostgreSQL's own ways.
//
// Owns: opening pools that run as a role of the ledger, the transaction helper, binary COPY, and what
// SQLSTATEs and constraint names mean.
//
// Does not own: any table. SQL stands beside its caller in the packages above.
//
// Guarantees: a transaction is committed or rolled back when InTx returns, also when its context has
// ended; only serialization failures and deadlocks are tried again, and only so often.
package pg
