// Package proof holds what an auditor needs to check a ledger without asking the ledger.
//
// Owns: the hash of a leaf and of a seal, the Merkle trees over them (RFC 6962), checkpoints (signed
// notes of the C2SP tlog-checkpoint format) and their keys, and proofs that a fact is in the ledger.
//
// Does not own: where leaves come from and where seals are kept (package ledger).
//
// The leaves of a block are the canonical texts of facts in the order of their positions; a leaf's
// hash is SHA-256(0x00 ‖ text), a node's SHA-256(0x01 ‖ left ‖ right). A seal binds the root of its block
// and the seal before it; its hash is that of its own canonical text, as a leaf. A second tree is over
// the hashes of all seals. A checkpoint is the root of that tree after a number of seals, so that it
// stands for every fact that those seals cover.
//
// Guarantees: whoever holds a checkpoint and a proof that fits it knows that the fact was in the ledger,
// as it is spelled in the proof, when the checkpoint was made; nothing but the two is needed.
//
// Does not guarantee: that the fact was true, or that whoever made the checkpoint shows the same one to
// everybody. Compare checkpoints, and keep them where the ledger's operator can't write.
//
// Times are UTC, by the clock of the ledger's database.
package proof
