package wire

import (
	"mime"
	"path"
	"strings"

	"deltaledger/ledger"
)

// Format is a way to write events.
type Format string

const (
	JSON   Format = "json"   // one object, or an array of objects
	NDJSON Format = "ndjson" // an object on each line
	CSV    Format = "csv"    // a header, and a record for each event

	CloudEvents Format = "cloudevents" // one CloudEvent 1.0 in the JSON format, or an array of them
	Avro        Format = "avro"        // a file of Avro objects; as a message, Confluent's wire format
	Parquet     Format = "parquet"     // a Parquet file; never a stream
)

// ParseFormat is the format of that name. Its error wraps ledger.ErrInvalid.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case JSON, NDJSON, CSV, CloudEvents, Avro, Parquet:
		return f, nil
	}
	return "", invalid("format", s, "must be json, ndjson, csv, cloudevents, avro or parquet")
}

// FormatOfName tells the format by the extension of a file's name, in front of .gz or .zst if it has
// one. ok is false if it tells none.
func FormatOfName(filename string) (f Format, ok bool) {
	name := strings.ToLower(filename)
	for _, packed := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, packed)
	}
	switch path.Ext(name) {
	case ".json":
		return JSON, true
	case ".ndjson", ".jsonl":
		return NDJSON, true
	case ".csv":
		return CSV, true
	case ".avro":
		return Avro, true
	case ".parquet":
		return Parquet, true
	}
	return "", false
}

// FormatOfContentType tells the format by a media type, whose parameters don't matter. ok is false if it
// tells none.
func FormatOfContentType(ct string) (f Format, ok bool) {
	media, _, err := mime.ParseMediaType(ct)
	if err != nil {
		return "", false
	}
	switch media {
	case "application/json":
		return JSON, true
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return NDJSON, true
	case "text/csv":
		return CSV, true
	case mediaCloudEvents, mediaCloudEventsBatch:
		return CloudEvents, true
	case "application/avro":
		return Avro, true
	}
	return "", false
}

// fieldEvent names an event as a whole where no field can be named.
const fieldEvent = "event"

// invalid is ledger.Invalid for values that may hold anything: what can't be shown is replaced, and a
// long one is cut between two characters.
func invalid(field, value, rule string) *ledger.FieldError {
	return ledger.Invalid(shown(field), shown(value), rule)
}

// shown makes any bytes fit for a message: valid UTF-8 without NUL, at most 80 bytes.
func shown(s string) string {
	const most = 80
	dots := ""
	if len(s) > most {
		s, dots = s[:most-len("…")], "…"
		for i := len(s) - 1; i > len(s)-4; i-- { // drop a character that the cut left incomplete
			if s[i] >= 0xC0 {
				s = s[:i]
				break
			}
			if s[i] < 0x80 {
				break
			}
		}
	}
	s = strings.ReplaceAll(s, "\x00", "�")
	s = strings.ToValidUTF8(s, "�")
	if len(s)+len(dots) > most { // the replacement is longer than what it replaces
		return shown(s)
	}
	return s + dots
}
