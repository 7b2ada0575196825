package pg

import (
	"context"
	"io"

	"github.com/jackc/pgx/v5"
)

// copyHeader and copyTrailer frame the tuples of a binary COPY.
// Format: PostgreSQL documentation, COPY, "Binary Format".
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
)

// CopyIn sends encoded binary tuples, without header and trailer, by a statement of the form
// COPY table (columns) FROM STDIN BINARY, and returns how many rows were stored.
func CopyIn(ctx context.Context, tx pgx.Tx, sql string, tuples ...[]byte) (int64, error) {
	parts := make([][]byte, 0, len(tuples)+2)
	parts = append(parts, []byte(copyHeader))
	parts = append(parts, tuples...)
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, &chain{append(parts, []byte(copyTrailer))}, sql)
	return tag.RowsAffected(), err
}

// CopyOut runs a COPY … TO STDOUT statement and writes what the server sends to w. Parameters can't be
// bound in a COPY: values must have been quoted by the caller.
func CopyOut(ctx context.Context, tx pgx.Tx, w io.Writer, sql string) (int64, error) {
	tag, err := tx.Conn().PgConn().CopyTo(ctx, w, sql)
	return tag.RowsAffected(), err
}

// chain reads slices one after the other. It fills what it is given: each Read becomes one message.
type chain struct{ parts [][]byte }

func (c *chain) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(c.parts) > 0 {
		k := copy(p[n:], c.parts[0])
		n += k
		if c.parts[0] = c.parts[0][k:]; len(c.parts[0]) == 0 {
			c.parts = c.parts[1:]
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
