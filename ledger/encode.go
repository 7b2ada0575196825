package ledger

import (
	"encoding/binary"
	"strings"
	"time"
)

// Tuples of PostgreSQL's binary COPY format (documentation: COPY, "Binary Format"): a count of
// fields, then each field as its length and its bytes; length -1 is null.

// The columns of the events that every ledger has, in the order of appendEventTuple; see newLayout.
const sqlCopyEvents = `COPY ledger.events (position, recorded_at, caused_by, seqn, occurred_at, business_date, source, event_id, stream, type,
    account, currency, kind, amount, quantity, dimensions, state, corrects, reason, reference, maker, commitment)
FROM STDIN BINARY`

const sqlCopyKeys = `COPY ledger.event_keys (event_key, position_key, position, recorded_at, digest_version, digest)
FROM STDIN BINARY`

const sqlCopyPrivate = `COPY ledger.private (position, recorded_at, salt, payload, pii)
FROM STDIN BINARY`

const (
	eventFields   = 22 // and one for each declared column
	keyFields     = 6
	privateFields = 5
)

// Where position and recorded_at stand in a tuple that begins with them: they are known only after
// the draw, when the rest is encoded already.
const (
	positionOffset   = 2 + 4
	recordedAtOffset = positionOffset + 8 + 4
)

// patch writes position and recorded_at into the tuple at the start of d.
func patch(d []byte, position int64, recordedAt time.Time) {
	binary.BigEndian.PutUint64(d[positionOffset:], uint64(position))
	binary.BigEndian.PutUint64(d[recordedAtOffset:], uint64(postgresMicroseconds(recordedAt)))
}

// stored is an event as its row holds it.
type stored struct {
	*Event            // its amounts are deltas, also where it carries a state
	parts      parts  // of its dimensions
	commitment []byte // nil without private content
	caused     bool   // caused_by is patched in later; else null
}

// causedByOffset is where caused_by stands in the tuple of a row that was caused by an event.
const causedByOffset = recordedAtOffset + 8 + 4

// appendEventTuple encodes s; position, recorded_at and caused_by are patched in later.
func appendEventTuple(d []byte, s stored, l *layout, zone *time.Location) []byte {
	e := s.Event
	d = binary.BigEndian.AppendUint16(d, uint16(eventFields+len(l.columns)))
	d = appendInt64(d, 0)
	d = appendInt64(d, 0)
	if s.caused {
		d = appendInt64(d, 0)
	} else {
		d = appendNull(d)
	}
	if e.HasSeqn {
		d = appendInt64(d, e.Seqn)
	} else {
		d = appendNull(d)
	}
	d = appendInt64(d, postgresMicroseconds(e.OccurredAt))
	d = appendDate(d, businessDay(e.OccurredAt, zone))
	d = appendField(d, e.Source)
	d = appendField(d, e.ID)
	d = appendOptional(d, e.Stream)
	d = appendField(d, e.Type)
	d = appendField(d, e.Account)
	d = appendField(d, e.Currency)
	d = appendField(d, string(e.Kind))
	d = appendNumeric(d, e.Amount)
	d = appendNumeric(d, e.Quantity)
	d = appendJSONB(d, s.parts.others)
	d = appendState(d, e.State)
	d = appendOptional(d, e.Corrects)
	d = appendOptional(d, e.Reason)
	d = appendOptional(d, e.Reference)
	d = appendOptional(d, e.Maker)
	d = appendBytes(d, s.commitment)
	return l.appendColumns(d, s)
}

// appendState writes a state as the JSON object that was sent.
func appendState(d []byte, state []Measure) []byte {
	if len(state) == 0 {
		return appendNull(d)
	}
	return appendJSONB(d, appendMeasures(nil, "{", state))
}

func appendKeyTuple(d []byte, p *prepared, position int64, recordedAt time.Time) []byte {
	d = binary.BigEndian.AppendUint16(d, keyFields)
	d = appendField(d, string(p.eventKey[:]))
	if p.numbered {
		d = appendField(d, string(p.positionKey[:]))
	} else {
		d = appendNull(d)
	}
	d = appendInt64(d, position)
	d = appendInt64(d, postgresMicroseconds(recordedAt))
	d = append(d, 0, 0, 0, 2)
	d = binary.BigEndian.AppendUint16(d, DigestVersion)
	return appendBytes(d, p.digest[:])
}

// appendPrivateTuple encodes the private row of e; position and recorded_at are patched in later.
func appendPrivateTuple(d []byte, e *Event, salt []byte) []byte {
	d = binary.BigEndian.AppendUint16(d, privateFields)
	d = appendInt64(d, 0)
	d = appendInt64(d, 0)
	d = appendBytes(d, salt)
	d = appendOptional(d, string(e.Payload))
	return appendJSONB(d, e.private)
}

// The epoch of PostgreSQL's binary dates and times is 2000-01-01 UTC.
const (
	epochSeconds = 946684800
	epochDays    = epochSeconds / 86400
)

func postgresMicroseconds(t time.Time) int64 { return t.UnixMicro() - epochSeconds*1_000_000 }

// businessDay is the date of t in zone, in days since 2000-01-01.
func businessDay(t time.Time, zone *time.Location) int32 {
	y, m, d := t.In(zone).Date()
	seconds := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()
	return int32(seconds/86400 - epochDays)
}

func appendNull(d []byte) []byte { return append(d, 0xff, 0xff, 0xff, 0xff) }

func appendInt64(d []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(append(d, 0, 0, 0, 8), uint64(v))
}

// appendDate writes a date as days since 2000-01-01.
func appendDate(d []byte, days int32) []byte {
	return binary.BigEndian.AppendUint32(append(d, 0, 0, 0, 4), uint32(days))
}

func appendField(d []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(d, uint32(len(s))), s...)
}

// appendOptional writes null for an empty text.
func appendOptional(d []byte, s string) []byte {
	if s == "" {
		return appendNull(d)
	}
	return appendField(d, s)
}

func appendBytes(d, b []byte) []byte {
	if b == nil {
		return appendNull(d)
	}
	return append(binary.BigEndian.AppendUint32(d, uint32(len(b))), b...)
}

// appendJSONB writes version 1 of jsonb's binary form: the version and the text.
func appendJSONB(d, object []byte) []byte {
	if len(object) == 0 {
		return appendNull(d)
	}
	d = binary.BigEndian.AppendUint32(d, uint32(len(object)+1))
	return append(append(d, 1), object...)
}

// numericNegative is the sign word of a negative numeric.
const numericNegative = 0x4000

// appendNumeric writes a numeric: groups of four decimal digits, the weight (power of 10,000) of the
// first group, sign, and how many digits after the point are shown.
func appendNumeric(d []byte, a Amount) []byte {
	if !a.Valid() {
		return appendNull(d)
	}
	body, sign := a.text, uint16(0)
	if body[0] == '-' {
		body, sign = body[1:], numericNegative
	}
	whole, fraction, _ := strings.Cut(body, ".")
	var groups [2 + (MaxDigits+MaxDecimals)/4]uint16
	n := 0
	for begin, end := 0, (len(whole)-1)%4+1; begin < len(whole); begin, end = end, end+4 {
		groups[n] = group(whole[begin:end], end-begin)
		n++
	}
	weight := n - 1
	for begin := 0; begin < len(fraction); begin += 4 {
		groups[n] = group(fraction[begin:min(begin+4, len(fraction))], 4)
		n++
	}
	first := 0
	for first < n && groups[first] == 0 {
		first++
		weight--
	}
	for n > first && groups[n-1] == 0 {
		n--
	}
	if first == n {
		weight, sign = 0, 0
	}
	d = binary.BigEndian.AppendUint32(d, uint32(8+2*(n-first)))
	d = binary.BigEndian.AppendUint16(d, uint16(n-first))
	d = binary.BigEndian.AppendUint16(d, uint16(int16(weight)))
	d = binary.BigEndian.AppendUint16(d, sign)
	d = binary.BigEndian.AppendUint16(d, uint16(len(fraction)))
	for _, g := range groups[first:n] {
		d = binary.BigEndian.AppendUint16(d, g)
	}
	return d
}

// group reads digits as a number, filled up with zeros on the right to width digits.
func group(digits string, width int) uint16 {
	v := uint16(0)
	for i := range width {
		v *= 10
		if i < len(digits) {
			v += uint16(digits[i] - '0')
		}
	}
	return v
}
