// Package embedded lends a private PostgreSQL to any number of processes, so
// that a first run and every test work without a server being set up.
//
// # Law
//
// The server runs exactly while somebody uses it. To use it is to hold a shared
// flock, which the kernel takes back however a process ends. Nothing counts
// users, so no count can be wrong after a kill -9.
//
// A cluster is never deleted, overwritten or upgraded. Only what an Ephemeral
// server made, in a folder of another name, is removed. A cluster of another
// major version is refused untouched.
//
// A durable server (the default) keeps fsync, full_page_writes and
// synchronous_commit on, whatever its settings say: a row that was acknowledged
// survives the death of every process here, at any moment (invariant 2).
//
// # One directory
//
//	gate        flock, exclusive: somebody is joining, starting or stopping
//	use         flock, shared: one holder per user
//	alive       flock, exclusive: the supervisor's, as long as it lives
//	state.json  where the server listens; there only while it is ready
//	keep        its presence keeps the server up without users
//	data/       the cluster
//	data.new.*  a cluster that initdb hasn't finished; never used again
//	scratch/    an ephemeral cluster, and scratch.new.* as above
//	sock/       an ephemeral server's socket
//	password    the superuser's, mode 0600
//	port        the port of last time, taken again where it is free
//	server.log  what PostgreSQL and the supervisor say
//
// # Processes
//
// The supervisor is the caller's own program, started a second time in a session
// of its own, so that Ctrl-C and a kill of the process group don't reach it.
// Supervise, the first line of main, is where it branches off. It is the parent
// of PostgreSQL, looks ten times a second whether anybody is left, and starts a
// durable PostgreSQL again that died under its users. When nobody is left it
// closes the gate, looks once more, and stops the server. When the supervisor is
// killed, the kernel stops PostgreSQL (Linux) and the next user, or Watch, starts
// both again; on macOS the orphaned server goes on until then.
//
// # Not owned here
//
// The roles of the ledger, their grants and their passwords: the caller sets
// them, with State.Password if it likes. Which database URL is used at all.
package embedded
