package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// maxSmall is how many events the small way takes. Above, COPY is cheaper, although it takes five round
// trips to the server instead of one.
const maxSmall = 500

// sqlWriteSmall records a few events in one statement, and so in one round trip. The keys are inserted in
// the order given; whichever of the two keys of an event is taken, its row is left out, and so are the
// others of the event. It waits for a transaction that is inserting the same key, but no longer than $2
// says: all that are recorded together would wait with it.
const sqlWriteSmall = `
WITH drawn AS MATERIALIZED (
    SELECT positions, recorded_at, declared, set_config('lock_timeout', $2, true)
    FROM ledger.draw($1)
), free AS (
    INSERT INTO ledger.event_keys (event_key, position_key, position, recorded_at, digest_version, digest)
    SELECT k.event_key, k.position_key, d.positions[k.i], d.recorded_at, $3, k.digest
    FROM drawn d, unnest($5::uuid[], $6::uuid[], $7::integer[], $8::bytea[]) AS k (event_key, position_key, i, digest)
    WHERE d.declared = $4
    ON CONFLICT DO NOTHING
    RETURNING position
), stored AS (
    INSERT INTO ledger.events (position, recorded_at, caused_by, seqn, occurred_at, business_date, source, event_id, stream, type,
        account, currency, kind, amount, quantity, dimensions, state, corrects, reason, reference, maker, commitment)
    SELECT d.positions[e."#"], d.recorded_at, e.caused_by, e.seqn, e.occurred_at, e.business_date, e.source, e.event_id, e.stream, e.type,
        e.account, e.currency, e.kind, e.amount, e.quantity, e.dimensions, e.state, e.corrects, e.reason, e.reference, e.maker, e.commitment
    FROM drawn d, unnest($13::bigint[], $14::bigint[], $15::timestamptz[], $16::date[], $17::text[], $18::text[], $19::text[],
        $20::text[], $21::text[], $22::text[], $23::text[], $24::numeric[], $25::numeric[], $26::jsonb[], $27::jsonb[], $28::text[],
        $29::text[], $30::text[], $31::text[], $32::bytea[]) WITH ORDINALITY AS e (caused_by, seqn, occurred_at, business_date, source,
        event_id, stream, type, account, currency, kind, amount, quantity, dimensions, state, corrects, reason, reference, maker, commitment,
        "#")
    WHERE d.positions[e."#"] IN (SELECT position FROM free)
), private AS (
    INSERT INTO ledger.private (position, recorded_at, salt, payload, pii)
    SELECT d.positions[p.i], d.recorded_at, p.salt, p.payload, p.pii
    FROM drawn d, unnest($9::integer[], $10::bytea[], $11::text[], $12::jsonb[]) AS p (i, salt, payload, pii)
    WHERE d.positions[p.i] IN (SELECT position FROM free)
)
SELECT d.declared, d.positions, (SELECT array_agg(f.position) FROM free f)
FROM drawn d`

// smallTypes are the types of the columns of ledger.events that every ledger has, behind position and
// recorded_at, in the order of appendEventTuple.
var smallTypes = [eventFields - 2]uint32{
	pg.BigintOID, pg.BigintOID, pg.TimestamptzOID, pg.DateOID, pg.TextOID, pg.TextOID, pg.TextOID, pg.TextOID,
	pg.TextOID, pg.TextOID, pg.TextOID, pg.NumericOID, pg.NumericOID, pg.JSONBOID, pg.JSONBOID, pg.TextOID, pg.TextOID, pg.TextOID,
	pg.TextOID, pg.ByteaOID,
}

// declaredTypes are the types that declared columns may have.
var declaredTypes = map[string]uint32{
	"text": pg.TextOID, "bigint": pg.BigintOID, "boolean": pg.BooleanOID, "date": pg.DateOID, "uuid": pg.UUIDOID,
	"timestamptz": pg.TimestamptzOID, "numeric": pg.NumericOID,
}

// firstEventArray is the number of the first parameter of sqlWriteSmall that is a column of the events.
const firstEventArray = 13

// smallWay is sqlWriteSmall with the declared columns of a layout, and the types of its columns.
type smallWay struct {
	sql   string
	types []uint32
}

func newSmallWay(declared []Column) smallWay {
	w := smallWay{types: slices.Clone(smallTypes[:])}
	var names, values, arrays strings.Builder
	for i, c := range declared {
		name := pgx.Identifier{c.Name}.Sanitize()
		names.WriteString(", " + name)
		values.WriteString(", e." + name)
		fmt.Fprintf(&arrays, ", $%d::%s[]", firstEventArray+len(smallTypes)+i, c.Type)
		w.types = append(w.types, declaredTypes[c.Type])
	}
	w.sql = strings.NewReplacer(
		"maker, commitment)", "maker, commitment"+names.String()+")",
		"e.commitment", "e.commitment"+values.String(),
		"::bytea[]) WITH", "::bytea[]"+arrays.String()+") WITH",
		"commitment,\n        \"#\")", "commitment"+names.String()+", \"#\")",
	).Replace(sqlWriteSmall)
	return w
}

// writeSmall records items, of which no two have a key in common, and says of those whose keys are taken
// why. The second needs a look at what is there, in a transaction after the one that met it.
func (w *writer) writeSmall(ctx context.Context, b *Batch, items []*prepared) error {
	params := smallParameters(b, items, w.lockWait)
	var rows [][][]byte
	err := w.l.withPartitions(ctx, func() (err error) {
		rows, err = pg.QueryBinary(ctx, w.l.pool, b.by.layout.small.sql, params)
		return err
	})
	if err != nil {
		return err
	}
	declared, positions, stored, err := smallResult(rows, len(items))
	if err != nil {
		return err
	}
	if declared != b.by.n {
		return errDeclared
	}
	var met []*prepared
	slices.Sort(stored)
	for i, p := range items {
		if _, found := slices.BinarySearch(stored, positions[i]); !found {
			met = append(met, p)
			continue
		}
		b.Outcomes[p.input] = Outcome{Status: Recorded, Position: positions[i]}
	}
	if len(met) == 0 {
		return nil
	}
	return w.run(func(tx pgx.Tx) error { return w.classify(ctx, tx, b, met, map[*prepared]taken{}) })
}

// smallResult reads what sqlWriteSmall answers: how many declarations are in force, the positions of n
// events in their order, and those of them that were recorded.
func smallResult(rows [][][]byte, n int) (declared int64, positions, stored []int64, err error) {
	if len(rows) != 1 || len(rows[0]) != 3 || len(rows[0][0]) != 8 {
		return 0, nil, nil, fmt.Errorf("recording %d events was answered with %d rows: %w", n, len(rows), ErrCorrupt)
	}
	declared = int64(binary.BigEndian.Uint64(rows[0][0]))
	if positions, err = pg.Bigints(rows[0][1]); err != nil {
		return 0, nil, nil, err
	}
	if len(positions) != n {
		return 0, nil, nil, fmt.Errorf("drew %d positions instead of %d: %w", len(positions), n, ErrCorrupt)
	}
	stored, err = pg.Bigints(rows[0][2])
	return declared, positions, stored, err
}

// smallParameters are those of sqlWriteSmall, in binary form.
func smallParameters(b *Batch, items []*prepared, lockWait time.Duration) [][]byte {
	params := make([][]byte, 0, firstEventArray-1+len(b.by.layout.small.types))
	params = append(params,
		binary.BigEndian.AppendUint32(nil, uint32(len(items))),
		strconv.AppendInt(nil, lockWait.Milliseconds(), 10),
		binary.BigEndian.AppendUint16(nil, DigestVersion),
		binary.BigEndian.AppendUint64(nil, uint64(b.by.n)))
	params = append(params, keyColumns(items)...)
	params = append(params, privateColumns(b, items)...)
	return append(params, eventColumns(b, items)...)
}

// keyColumns are event_key, position_key, the number of the item and digest, in the order of insertion.
func keyColumns(items []*prepared) [][]byte {
	index := make([]int32, len(items))
	for i := range index {
		index[i] = int32(i)
	}
	slices.SortFunc(index, func(i, j int32) int { return order(items[i], items[j]) })
	n := len(items)
	events := pg.AppendArrayHead(make([]byte, 0, 20+20*n), pg.UUIDOID, n)
	places := pg.AppendArrayHead(make([]byte, 0, 20+20*n), pg.UUIDOID, n)
	numbers := pg.AppendArrayHead(make([]byte, 0, 20+8*n), pg.IntegerOID, n)
	digests := pg.AppendArrayHead(make([]byte, 0, 20+36*n), pg.ByteaOID, n)
	for _, i := range index {
		p := items[i]
		events = appendBytes(events, p.eventKey[:])
		if p.numbered {
			places = appendBytes(places, p.positionKey[:])
		} else {
			places = appendNull(places)
		}
		numbers = appendInt32(numbers, i+1)
		digests = appendBytes(digests, p.digest[:])
	}
	return [][]byte{events, places, numbers, digests}
}

// eventColumns turns the tuples of items, behind position and recorded_at, into an array for each column.
func eventColumns(b *Batch, items []*prepared) [][]byte {
	types := b.by.layout.small.types
	columns := make([][]byte, len(types))
	for c, oid := range types {
		columns[c] = pg.AppendArrayHead(make([]byte, 0, 20+24*len(items)), oid, len(items))
	}
	for _, p := range items {
		fields(p.tuple.of(b.tuples)[recordedAtOffset+8:], columns)
	}
	return columns
}

// privateColumns are the number of the item, salt, payload and pii of the items that have private content.
func privateColumns(b *Batch, items []*prepared) [][]byte {
	n := 0
	for _, p := range items {
		if p.row.to > p.row.from {
			n++
		}
	}
	columns := [][]byte{nil, nil, nil, nil}
	for c, oid := range [...]uint32{pg.IntegerOID, pg.ByteaOID, pg.TextOID, pg.JSONBOID} {
		columns[c] = pg.AppendArrayHead(nil, oid, n)
	}
	for i, p := range items {
		if p.row.to == p.row.from {
			continue
		}
		columns[0] = appendInt32(columns[0], int32(i+1))
		fields(p.row.of(b.private)[recordedAtOffset+8:], columns[1:])
	}
	return columns
}

// fields appends the fields that tuple begins with to columns, one to each: a field of a tuple and an
// element of an array look the same.
func fields(tuple []byte, columns [][]byte) {
	for c := range columns {
		size := 4
		if n := int32(binary.BigEndian.Uint32(tuple)); n > 0 {
			size += int(n)
		}
		columns[c] = append(columns[c], tuple[:size]...)
		tuple = tuple[size:]
	}
}

func appendInt32(d []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(append(d, 0, 0, 0, 4), uint32(v))
}
