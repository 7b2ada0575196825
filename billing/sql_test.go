package billing

import (
	"testing"

	"deltaledger/migrations/pgtest"
	"deltaledger/migrations/sqltest"
)

// Every statement of the package must be one that the migrated schema understands.
func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	sqltest.Prepare(t, pgtest.New(t).App, ".")
}
