package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"deltaledger/ledger/canonical"
)

// DigestVersion is the version of the canonical form that new digests are made over.
const DigestVersion = 1

// Digest is SHA-256 over the canonical JSON of an event's public content.
type Digest [sha256.Size]byte

// Key is an entry of the identity index.
type Key [16]byte

// digestTime is how times stand in the canonical form: UTC, microseconds without trailing zeros.
const digestTime = "2006-01-02T15:04:05.999999Z"

// AppendCanonical appends version 1 of the canonical JSON of e's public content: an object with the
// keys in the order of RFC 8785, absent fields left out, numbers as plain decimals in strings, except
// seqn. Private content is not in it, only that there is some ("private":true), so that an event sent
// again without its payload differs; the commitment binds the content itself.
func AppendCanonical(d []byte, e *Event) []byte {
	d = append(d, `{"account":`...)
	d = canonical.AppendString(d, e.Account)
	d = appendNumber(d, `,"amount":"`, e.Amount)
	d = appendText(d, `,"corrects":`, e.Corrects)
	d = appendText(d, `,"currency":`, e.Currency)
	if len(e.Dimensions) > 0 {
		d = append(d, `,"dimensions":`...)
		d = append(d, e.Dimensions...)
	}
	d = append(d, `,"id":`...)
	d = canonical.AppendString(d, e.ID)
	if e.Kind != "" && e.Kind != Upstream {
		d = appendText(d, `,"kind":`, string(e.Kind))
	}
	d = appendText(d, `,"maker":`, e.Maker)
	d = appendMeasures(d, `,"measures":{`, e.Measures)
	d = append(d, `,"occurred_at":"`...)
	d = e.OccurredAt.AppendFormat(d, digestTime)
	d = append(d, '"')
	if e.hasPrivate() {
		d = append(d, `,"private":true`...)
	}
	d = appendNumber(d, `,"quantity":"`, e.Quantity)
	d = appendText(d, `,"reason":`, e.Reason)
	d = appendText(d, `,"reference":`, e.Reference)
	if e.HasSeqn {
		d = append(d, `,"seqn":`...)
		d = strconv.AppendInt(d, e.Seqn, 10)
	}
	d = appendText(d, `,"source":`, e.Source)
	d = appendMeasures(d, `,"state":{`, e.State)
	d = appendText(d, `,"stream":`, e.Stream)
	d = appendText(d, `,"type":`, e.Type)
	return append(d, '}')
}

func appendText(d []byte, key, text string) []byte {
	if text == "" {
		return d
	}
	return canonical.AppendString(append(d, key...), text)
}

func appendNumber(d []byte, key string, a Amount) []byte {
	if !a.Valid() {
		return d
	}
	d = append(d, key...)
	d = append(d, a.text...)
	return append(d, '"')
}

// appendMeasures expects the measures sorted by name; validation sorts them.
func appendMeasures(d []byte, key string, all []Measure) []byte {
	if len(all) == 0 {
		return d
	}
	d = append(d, key...)
	for i, m := range all {
		if i > 0 {
			d = append(d, ',')
		}
		d = canonical.AppendString(d, m.Name)
		d = append(d, ':', '"')
		d = append(d, m.Value.text...)
		d = append(d, '"')
	}
	return append(d, '}')
}

// appendPrivate appends the canonical form of e's private content, which the commitment is made over;
// nothing if there is none. The payload was checked to be JSON when the event was validated.
func appendPrivate(d []byte, e *Event) (_ []byte, err error) {
	if !e.hasPrivate() {
		return d, nil
	}
	d = append(d, '{')
	if len(e.Payload) > 0 {
		d = append(d, `"payload":`...)
		if d, err = canonical.Append(d, e.Payload, payloadLimits); err != nil {
			return d, err
		}
	}
	if len(e.private) > 0 {
		if len(e.Payload) > 0 {
			d = append(d, ',')
		}
		d = append(append(d, `"pii":`...), e.private...)
	}
	return append(d, '}'), nil
}

// commitment is SHA-256(salt ‖ canonical private content).
func commitment(salt, private []byte) Digest {
	h := sha256.New()
	h.Write(salt)
	h.Write(private)
	var d Digest
	h.Sum(d[:0])
	return d
}

// EventKey identifies an event: 16 bytes of SHA-256 over source and id, each preceded by its length
// in 4 bytes, so that no two pairs read the same.
func EventKey(source, id string) Key {
	sum := hashPair(source, id)
	return Key(sum[:])
}

// StreamPrefix begins the position keys of a stream: 10 bytes of SHA-256 over source and stream.
func StreamPrefix(source, stream string) [10]byte {
	sum := hashPair(source, stream)
	return [10]byte(sum[:])
}

// PositionKey is the place of an event in its stream: StreamPrefix, then seqn in 6 bytes, so that
// keys of one stream are ordered by seqn.
func PositionKey(source, stream string, seqn int64) Key {
	return placeKey(StreamPrefix(source, stream), seqn)
}

func placeKey(prefix [10]byte, seqn int64) Key {
	var k Key
	copy(k[:], prefix[:])
	binary.BigEndian.PutUint16(k[10:], uint16(seqn>>32))
	binary.BigEndian.PutUint32(k[12:], uint32(seqn))
	return k
}

func hashPair(a, b string) [sha256.Size]byte {
	var room [512]byte
	d := binary.BigEndian.AppendUint32(room[:0], uint32(len(a)))
	d = append(d, a...)
	d = binary.BigEndian.AppendUint32(d, uint32(len(b)))
	return sha256.Sum256(append(d, b...))
}
