package imports

import (
	"testing"

	"deltaledger/migrations/pgtest"
	"deltaledger/migrations/sqltest"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	sqltest.Prepare(t, pgtest.New(t).App, ".")
}
