// Package sample has statements that are right and wrong, for the test of sqltest.
package sample

import "example.com/elsewhere"

const columns = "position, recorded_at"

const sqlJoined = "SELECT " + columns + " FROM ledger.events WHERE position = $1"

const sqlNamedArgument = `SELECT position FROM ledger.events WHERE position = @position AND dimensions @> '{}'`

const sqlCopyIn = `COPY ledger.events (position, "recorded_at")
FROM STDIN BINARY`

const sqlCopyOut = `COPY (SELECT count(*) FROM ledger.events) TO STDOUT (FORMAT csv)`

const sqlWrongColumn = `SELECT nothing FROM ledger.events`

const sqlWrongCopy = `COPY ledger.events (position, nothing) FROM STDIN BINARY`

const sqlWrongCopyOut = `COPY (SELECT nothing FROM ledger.events) TO STDOUT`

const sqlTwo = `SELECT 1; SELECT 2`

const sqlfish = "not a statement"

func use() {
	const sqlLocal = `SELECT missing_function()`
	elsewhere.Do(sqlLocal)
}
