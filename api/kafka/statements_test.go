package kafka_test

import (
	"testing"

	"deltaledger/migrations/pgtest"
	"deltaledger/migrations/sqltest"
)

func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	sqltest.Prepare(t, pgtest.New(t).App, ".")
}
