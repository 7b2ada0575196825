package pg

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// OIDs of the types that parameters of QueryBinary are made of. They are part of PostgreSQL's wire protocol
// and never change.
const (
	BooleanOID     uint32 = 16
	ByteaOID       uint32 = 17
	BigintOID      uint32 = 20
	IntegerOID     uint32 = 23
	TextOID        uint32 = 25
	DateOID        uint32 = 1082
	TimestamptzOID uint32 = 1184
	NumericOID     uint32 = 1700
	UUIDOID        uint32 = 2950
	JSONBOID       uint32 = 3802
)

// AppendArrayHead appends what a one-dimensional array of n elements begins with. Each element follows as
// its length in four bytes, -1 for null, and its bytes: the form of a field of a binary COPY.
func AppendArrayHead(d []byte, element uint32, n int) []byte {
	d = binary.BigEndian.AppendUint32(d, 1) // dimensions
	d = binary.BigEndian.AppendUint32(d, 1) // there may be nulls
	d = binary.BigEndian.AppendUint32(d, element)
	d = binary.BigEndian.AppendUint32(d, uint32(n))
	return binary.BigEndian.AppendUint32(d, 1) // lower bound
}

// Bigints reads a one-dimensional array of bigint without nulls from its binary form; null is empty.
func Bigints(value []byte) ([]int64, error) {
	const head, element = 20, 12
	if len(value) < head { // null, or an array of no dimensions
		return nil, nil
	}
	n := int(binary.BigEndian.Uint32(value[12:]))
	if binary.BigEndian.Uint32(value[8:]) != BigintOID || len(value) != head+n*element {
		return nil, fmt.Errorf("an array of %d bytes is not one of %d bigints", len(value), n)
	}
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(binary.BigEndian.Uint64(value[head+i*element+4:]))
	}
	return all, nil
}

// QueryBinary runs one statement in a transaction of its own and returns its rows. Parameters and values
// are in PostgreSQL's binary form; a nil one is null. The statement is prepared once for each connection.
// A deadlock or serialization failure runs it again, a bounded number of times; a lock that wasn't to be
// had in time (IsLocked) doesn't.
func QueryBinary(ctx context.Context, pool *pgxpool.Pool, sql string, params [][]byte) (rows [][][]byte, err error) {
	var locked error
	err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		return again(ctx, func() error {
			rows, err = queryBinary(ctx, c.Conn(), sql, params)
			if IsLocked(err) {
				locked = err
				return nil
			}
			return err
		})
	})
	if err == nil {
		err = locked
	}
	return rows, err
}

// binaryFormat says that all parameters, or all values, are in binary form.
var binaryFormat = []int16{pgx.BinaryFormatCode}

func queryBinary(ctx context.Context, c *pgx.Conn, sql string, params [][]byte) ([][][]byte, error) {
	prepared, err := c.Prepare(ctx, sql, sql)
	if err != nil {
		return nil, err
	}
	result := c.PgConn().ExecPrepared(ctx, prepared.Name, params, binaryFormat, binaryFormat).Read()
	return result.Rows, result.Err
}
