package ledger

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"deltaledger/ledger/canonical"
)

// ownership divides dimensions, which are canonical JSON, into those that are declared to describe the
// stream, which values stand under, and those of the event. A value of a declared type has one spelling,
// whether it was just sent or read back.
func (l *layout) ownership(dimensions []byte) (ofStream string, ofEvent []byte) {
	if len(l.owning) == 0 || len(dimensions) == 0 {
		return "", dimensions
	}
	var stream, event []byte
	err := eachMember(dimensions, func(key, value, member []byte) {
		kind, owning := l.owning[string(key)]
		if !owning {
			event = appendMember(event, member)
			return
		}
		stream = appendMember(stream, member[:len(member)-len(value)])
		stream = append(stream, spelling(kind, value)...)
	})
	if err != nil { // impossible: they are canonical
		return "", dimensions
	}
	return string(closed(stream)), closed(event)
}

// spelling is how a declared dimension of some type reads when it comes back from its column. What can't
// be a value of the type was recorded before the column was declared, and stays as it is.
func spelling(kind string, value []byte) []byte {
	encoded, rule := encodeDimension(kind, value)
	if rule != "" {
		return value
	}
	switch kind {
	case "text":
		return canonical.AppendString(nil, encoded)
	case "bigint":
		return strconv.AppendInt(nil, int64(binary.BigEndian.Uint64(encoded)), 10)
	case "boolean":
		return strconv.AppendBool(nil, encoded[0] == 1)
	case "date":
		days := int64(int32(binary.BigEndian.Uint32(encoded)))
		return []byte(time.Unix((days+epochDays)*86400, 0).UTC().Format(`"` + time.DateOnly + `"`))
	case "uuid":
		h := hex.EncodeToString(encoded)
		return []byte(`"` + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:] + `"`)
	}
	return value
}

// joined is the canonical object of the members of both.
func joined(ofEvent []byte, ofStream string) ([]byte, error) {
	switch {
	case len(ofEvent) == 0 && ofStream == "":
		return nil, nil
	case ofStream == "":
		return CanonicalDimensions(ofEvent)
	case len(ofEvent) == 0:
		return CanonicalDimensions([]byte(ofStream))
	}
	both := append(append(make([]byte, 0, len(ofEvent)+len(ofStream)), ofEvent[:len(ofEvent)-1]...), ',')
	return CanonicalDimensions(append(both, ofStream[1:]...))
}
