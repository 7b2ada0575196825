// Package pgtest gives every test a PostgreSQL database of its own, cloned from a
// template that holds the migrated schema.
//
// Owns: one ephemeral server for all test processes of a checkout, in memory where
// there is room, started by the first test and gone with the last; the template; each
// test's database, which goes with the test. Also when a test process is killed,
// nothing stays for longer than the "go test" that started it lives.
//
// Does not own: data. A cloned database holds what the migrations put there.
//
// Guarantees: a test that can't have a database fails; none is skipped. Tests run as
// the role deltaledger_app (DB.App), so that a missing or superfluous grant shows.
//
// With DELTALEDGER_TEST_DATABASE_URL, a superuser's URL, that server is used instead.
// Templates and databases that killed tests left there are dropped by later ones.
package pgtest
