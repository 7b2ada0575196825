package wire

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/avro"

	"deltaledger/ledger"
)

const (
	ruleAvroEnds   = "must be complete: the data ends inside"
	ruleAvroVarint = "must be a number of Avro: it has too many bytes"
	ruleAvroInt    = "must be an int of 32 bits"
	ruleAvroLength = "must not have a negative length, or one beyond what was sent"
	ruleAvroBranch = "must be one of the types of the union"
	ruleAvroSymbol = "must be one of the symbols of the enum"
	ruleAvroBool   = "must be 0 or 1"
	ruleAvroDeep   = "must not be nested more than 32 deep"
	ruleAvroMany   = "must hold at most 65536 values"
	ruleAvroRest   = "must end with its last field: the data goes on, so it was written under another schema"
	ruleAvroKeys   = "must not have the same key twice"
	ruleAvroRange  = "must be a time in the years 0001 to 9999"
	ruleNumberSize = "must have at most 38 digits"
	ruleNumberNone = "must have at least one byte"
	ruleUnreadable = "has no symbol of that name in the schema that it is read under, and no default there"

	maxAvroValues = 1 << 16
)

// avroReader decodes values of Avro.
type avroReader struct {
	data  []byte
	text  string // the same
	pos   int
	made  int     // values so far
	arena []Value // room for the values of records
}

// avroFault says where data breaks a rule.
type avroFault struct{ path, value, rule string }

func fault(rule string) *avroFault { return &avroFault{rule: rule} }

func (f *avroFault) under(step string) *avroFault {
	switch {
	case f.path == "":
		f.path = step
	default:
		f.path = step + "." + f.path
	}
	return f
}

// read decodes one value, which takes all of the data. What was read before must not be used any more.
func (r *avroReader) read(t *avroType, data []byte) (Value, *ledger.FieldError) {
	if len(data) > ledger.MaxEvent {
		return Value{}, tooLong(data)
	}
	r.data, r.text, r.pos, r.made, r.arena = data, string(data), 0, 0, r.arena[:0]
	v, bad := r.value(t, 0)
	if bad == nil && r.pos < len(data) {
		bad = fault(ruleAvroRest)
	}
	if bad != nil {
		field := bad.path
		if field == "" {
			field = fieldEvent
		}
		return Value{}, invalid(field, bad.value, bad.rule+" (at byte "+strconv.Itoa(r.pos)+")")
	}
	return v, nil
}

func (r *avroReader) value(t *avroType, depth int) (v Value, bad *avroFault) {
	if r.made++; r.made > maxAvroValues {
		return v, fault(ruleAvroMany)
	}
	switch t.kind {
	case avroNull:
		return v, nil
	case avroBoolean:
		if r.pos >= len(r.data) {
			return v, fault(ruleAvroEnds)
		}
		b := r.data[r.pos]
		if b > 1 {
			return v, fault(ruleAvroBool)
		}
		r.pos++
		return BoolValue(b == 1), nil
	case avroInt, avroLong:
		return r.integer(t)
	case avroFloat, avroDouble:
		return r.float(t)
	case avroBytes, avroString, avroFixed:
		return r.bytes(t)
	case avroEnum:
		return r.enum(t)
	case avroUnion:
		n, bad := r.long()
		if bad != nil {
			return v, bad
		}
		if n < 0 || n >= int64(len(t.fields)) {
			return v, fault(ruleAvroBranch)
		}
		if t.fields[n].kind == avroUnion || depth > maxAvroDepth+1 {
			return v, fault(ruleAvroDeep)
		}
		return r.value(t.fields[n], depth)
	}
	if depth >= maxAvroDepth {
		return v, fault(ruleAvroDeep)
	}
	switch t.kind {
	case avroRecord:
		return r.record(t, depth)
	case avroArray:
		return r.blocks(t, depth, false)
	}
	return r.blocks(t, depth, true)
}

// long reads a number as Avro writes it.
func (r *avroReader) long() (int64, *avroFault) {
	n, size := binary.Uvarint(r.data[r.pos:])
	switch {
	case size == 0:
		return 0, fault(ruleAvroEnds)
	case size < 0:
		return 0, fault(ruleAvroVarint)
	}
	r.pos += size
	return int64(n>>1) ^ -int64(n&1), nil //nolint:gosec // the bits are those of the number, in zigzag
}

// take reads n bytes, and gives where they begin.
func (r *avroReader) take(n int64) (start int, _ *avroFault) {
	start = r.pos
	switch {
	case n < 0:
		return 0, fault(ruleAvroLength)
	case n > int64(len(r.data)-start):
		return 0, fault(ruleAvroEnds)
	}
	r.pos += int(n)
	return start, nil
}

func (r *avroReader) integer(t *avroType) (v Value, bad *avroFault) {
	n, bad := r.long()
	if bad != nil {
		return v, bad
	}
	if t.kind == avroInt && (n < math.MinInt32 || n > math.MaxInt32) {
		return v, fault(ruleAvroInt)
	}
	v = Value{kind: Integer, n: n}
	switch t.logical {
	case avroMillis, avroLocalMillis:
		v.kind, v.n = Instant, n*1000
		if v.n/1000 != n {
			return v, fault(ruleAvroRange)
		}
	case avroMicros, avroLocalMicros:
		v.kind = Instant
	case avroNanos, avroLocalNanos:
		v.kind, v.n, v.nanos = Instant, n/1000, uint16((n%1000+1000)%1000)
		if n < 0 && v.nanos > 0 {
			v.n--
		}
	case avroDate:
		return dateValue(n)
	case avroTimeMillis:
		return timeOfDay(n, time.Millisecond)
	case avroTimeMicros:
		return timeOfDay(n, time.Microsecond)
	default:
		return v, nil
	}
	if t.logical >= avroLocalMillis {
		v.kind = Local
	}
	if v.n < earliestMicro || v.n > latestMicro {
		return v, &avroFault{value: strconv.FormatInt(n, 10), rule: ruleAvroRange}
	}
	return v, nil
}

// earliestMicro and latestMicro are the first and the last microsecond of the years 0001 to 9999.
const (
	earliestMicro = -62135596800_000000
	latestMicro   = 253402300800_000000 - 1
)

// dateValue is a date as text, by the number of days since 1970.
func dateValue(days int64) (v Value, _ *avroFault) {
	const first, last = earliestMicro / 86400_000000, latestMicro / 86400_000000
	if days < first || days > last {
		return v, &avroFault{value: strconv.FormatInt(days, 10), rule: ruleAvroRange}
	}
	return TextValue(time.Unix(days*86400, 0).UTC().Format(time.DateOnly)), nil
}

// timeOfDay is a time of day as text, by the number of units since midnight.
func timeOfDay(n int64, unit time.Duration) (v Value, _ *avroFault) {
	if n < 0 || n >= int64(24*time.Hour/unit) {
		return v, &avroFault{value: strconv.FormatInt(n, 10), rule: "must be a time of day"}
	}
	return TextValue(time.Unix(0, 0).UTC().Add(time.Duration(n) * unit).Format("15:04:05.999999")), nil
}

func (r *avroReader) float(t *avroType) (v Value, bad *avroFault) {
	size, f := 8, 0.0
	if t.kind == avroFloat {
		size = 4
	}
	start, bad := r.take(int64(size))
	if bad != nil {
		return v, bad
	}
	if size == 4 {
		f = float64(math.Float32frombits(binary.LittleEndian.Uint32(r.data[start:])))
	} else {
		f = math.Float64frombits(binary.LittleEndian.Uint64(r.data[start:]))
	}
	return Value{kind: Float, text: strconv.FormatFloat(f, 'g', -1, 8*size)}, nil
}

func (r *avroReader) bytes(t *avroType) (v Value, bad *avroFault) {
	n := int64(t.size)
	if t.kind != avroFixed {
		if n, bad = r.long(); bad != nil {
			return v, bad
		}
	}
	start, bad := r.take(n)
	if bad != nil {
		return v, bad
	}
	raw, text := r.data[start:r.pos], r.text[start:r.pos]
	switch {
	case t.logical == avroDecimal:
		return decimalOf(raw, t.scale)
	case t.logical == avroUUID:
		return TextValue(uuid.UUID(raw).String()), nil
	case t.logical == avroDuration:
		return TextValue(avro.DurationFromBytes(raw).String()), nil
	case t.kind != avroString && !t.textual:
		return Value{kind: Binary, text: text}, nil
	}
	if rule := badText(raw); rule != "" {
		return v, &avroFault{value: text, rule: rule}
	}
	return Value{kind: Text, text: text}, nil
}

// decimalOf is the number whose digits, as a big-endian two's complement, are raw.
func decimalOf(raw []byte, scale int) (v Value, _ *avroFault) {
	const most = 64 // 38 digits, and 115 zeros behind them
	var unscaled string
	switch {
	case len(raw) == 0:
		return v, fault(ruleNumberNone)
	case len(raw) > most:
		return v, fault(ruleNumberSize)
	case len(raw) <= 8:
		n := int64(int8(raw[0])) //nolint:gosec // the first bit is the sign
		for _, b := range raw[1:] {
			n = n<<8 | int64(b)
		}
		unscaled = strconv.FormatInt(n, 10)
	default:
		n := new(big.Int).SetBytes(raw)
		if raw[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw)))) //nolint:gosec // at most 512
		}
		unscaled = n.String()
	}
	return Value{kind: Decimal, text: movePoint(unscaled, scale)}, nil
}

func (r *avroReader) enum(t *avroType) (v Value, bad *avroFault) {
	n, bad := r.long()
	if bad != nil {
		return v, bad
	}
	if n < 0 || n >= int64(len(t.symbols)) {
		return v, fault(ruleAvroSymbol)
	}
	symbol := t.symbols[n]
	if t.unread != nil {
		if t.unread[n] == "" {
			return v, &avroFault{value: symbol, rule: ruleUnreadable}
		}
		symbol = t.unread[n]
	}
	return Value{kind: Text, text: symbol}, nil
}

// room is place for n values.
func (r *avroReader) room(n int) []Value {
	const chunk = 64
	if cap(r.arena)-len(r.arena) < n {
		r.arena = make([]Value, 0, max(n, chunk, 2*cap(r.arena)))
	}
	start := len(r.arena)
	r.arena = r.arena[:start+n]
	return r.arena[start : start+n : start+n]
}

func (r *avroReader) record(t *avroType, depth int) (v Value, bad *avroFault) {
	v = Value{kind: Object, names: t.names, aliases: t.aliases, items: r.room(len(t.fields) + len(t.absent))}
	for i, f := range t.fields {
		if v.items[i], bad = r.value(f, depth+1); bad != nil {
			return v, bad.under(t.names[i])
		}
	}
	copy(v.items[len(t.fields):], t.absent)
	return v, nil
}

// blocks reads an array, or a map.
func (r *avroReader) blocks(t *avroType, depth int, keyed bool) (v Value, bad *avroFault) {
	v.kind = List
	if keyed {
		v.kind = Object
	}
	known := map[string]bool{}
	for {
		n, bad := r.long()
		if bad == nil && n < 0 { // the size of the block follows
			n = -n
			_, bad = r.long()
		}
		switch {
		case bad != nil:
			return v, bad
		case n == 0:
			return v, nil
		case n < 0 || n > maxAvroValues:
			return v, fault(ruleAvroMany)
		}
		for range n {
			step := "[" + strconv.Itoa(len(v.items)) + "]"
			if keyed {
				key, bad := r.bytes(&avroType{kind: avroString})
				if bad != nil {
					return v, bad
				}
				if step = key.text; known[step] {
					return v, fault(ruleAvroKeys).under(step)
				}
				known[step] = true
				v.names = append(v.names, step)
			}
			item, bad := r.value(t.items, depth+1)
			if bad != nil {
				return v, bad.under(strings.ReplaceAll(step, "\x00", ""))
			}
			v.items = append(v.items, item)
		}
	}
}
