package wire

import (
	"strconv"
	"strings"
	"time"

	"deltaledger/ledger"
)

// timeForm says how a time is written.
type timeForm struct {
	unit    int      // of a number: digits from it to a microsecond, such as 6 of seconds
	number  bool     // the time is a number of units since 1970
	pattern []string // of a text; nil: RFC 3339
	zone    *time.Location
	later   bool // of a time that is on the clock twice, the second
	earlier bool // the first
}

const (
	ruleUnixUnit  = "must be a whole number of microseconds at most: the ledger keeps nothing finer, and rounds nothing"
	ruleUnix      = "must be a number of units since 1970, as the mapping says"
	ruleTimeKind  = "must be a string with a time, or a time of Avro or Parquet"
	ruleTimeUnit  = "must be a string: the mapping has to say, with time: unix_ms or another unit, what a number counts"
	ruleLocalZone = "has no zone: the mapping must name one, such as zone: Europe/Paris"
	ruleSkipped   = "is no time of the zone: its clocks skip it"
	ruleTwiceOn   = "is on the clocks of the zone twice: the mapping may say with ambiguous: earlier, or later, which is meant"
	rulePattern   = "must be written as the pattern of the mapping says"
)

func (r *mapRun) occurredAt(m *mapped) *ledger.FieldError {
	v, at, bad := r.read(m)
	if bad != nil || v.kind == Null {
		return bad
	}
	t, rule := m.time.instant(v)
	if rule == "" {
		switch {
		case t.Nanosecond()%1000 != 0:
			rule = ruleMicros
		case t.Year() < 1 || t.Year() > 9999:
			rule = ruleYears
		}
	}
	if rule != "" {
		return m.fault(at, v.String(), rule)
	}
	r.e.OccurredAt = t
	return nil
}

// instant is the point in time that v means, in UTC, or the rule that it breaks.
func (f *timeForm) instant(v Value) (t time.Time, rule string) {
	switch v.kind {
	case Instant:
		return v.time(), ""
	case Local:
		if f.zone == nil {
			return t, ruleLocalZone
		}
		return f.inZone(v.time())
	case Integer, Decimal:
		if !f.number {
			return t, ruleTimeUnit
		}
		return f.sinceEpoch(v.String())
	case Text:
	case Float:
		return t, ruleFloat
	default:
		return t, ruleTimeKind
	}
	switch {
	case f.number:
		return f.sinceEpoch(v.text)
	case f.pattern != nil:
		return f.parse(v.text)
	}
	if f.zone != nil && !zoned(v.text) {
		t, rule = parseTime(v.text + "Z")
		if rule != "" {
			return t, rule
		}
		return f.inZone(t)
	}
	return parseTime(v.text)
}

// zoned reports whether a text of RFC 3339 says what zone it is in.
func zoned(text string) bool {
	const date = len("2006-01-02")
	return len(text) > date && strings.ContainsAny(text[date:], "Zz+-")
}

func (v Value) time() time.Time { return time.UnixMicro(v.n).UTC().Add(time.Duration(v.nanos)) }

// sinceEpoch reads a number of units since 1970.
func (f *timeForm) sinceEpoch(text string) (time.Time, string) {
	a, err := ledger.ParseAmount(text)
	if err != nil {
		return time.Time{}, ruleUnix
	}
	micros := movePoint(a.String(), -f.unit)
	if whole, fraction, _ := strings.Cut(micros, "."); strings.Trim(fraction, "0") == "" {
		micros = whole
	} else {
		return time.Time{}, ruleUnixUnit
	}
	n, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		return time.Time{}, ruleYears
	}
	return time.UnixMicro(n).UTC(), ""
}

// inZone is the instant at which clocks in the zone show what t shows in UTC.
func (f *timeForm) inZone(t time.Time) (time.Time, string) {
	const day = 24 * time.Hour
	var found []time.Time
	for _, near := range [...]time.Time{t.Add(-day), t.Add(day)} {
		_, offset := near.In(f.zone).Zone()
		is := t.Add(-time.Duration(offset) * time.Second)
		if _, really := is.In(f.zone).Zone(); really == offset && (len(found) == 0 || !found[0].Equal(is)) {
			found = append(found, is)
		}
	}
	switch {
	case len(found) == 0:
		return time.Time{}, ruleSkipped
	case len(found) == 1 || f.earlier:
		return found[0], ""
	case f.later:
		return found[1], ""
	}
	return time.Time{}, ruleTwiceOn
}

// patternParts are what a pattern of a time may hold; everything else stands for itself.
var patternParts = []string{"YYYY", "YY", "MM", "DD", "hh", "mm", "ss", ".f", "Z"}

const ruleTimePattern = "must be rfc3339, unix_s, unix_ms, unix_us, unix_ns or a pattern such as YYYY-MM-DD hh:mm:ss.f Z, with YYYY, MM and DD in it: " +
	"hh, mm and ss are the time of day, .f a fraction of the second that may be missing, Z an offset or the letter"

// parsePattern splits a pattern into what it consists of, or gives the rule that it breaks.
func parsePattern(text string) (parts []string, rule string) {
	seen := map[string]bool{}
next:
	for i := 0; i < len(text); {
		for _, p := range patternParts {
			if !strings.HasPrefix(text[i:], p) {
				continue
			}
			if seen[p] || p == "YY" || p == ".f" && (len(parts) == 0 || parts[len(parts)-1] != "ss") {
				return nil, ruleTimePattern
			}
			seen[p] = true
			parts = append(parts, p)
			i += len(p)
			continue next
		}
		if c := text[i]; 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Y' && c != 'T' {
			return nil, ruleTimePattern
		}
		parts = append(parts, text[i:i+1])
		i++
	}
	if !seen["YYYY"] || !seen["MM"] || !seen["DD"] || seen["mm"] && !seen["hh"] || seen["ss"] && !seen["mm"] {
		return nil, ruleTimePattern
	}
	return parts, ""
}

// parse reads a text by the pattern: it puts it in the spelling of RFC 3339, whose rules then hold.
func (f *timeForm) parse(text string) (time.Time, string) {
	got := map[string]string{"hh": "00", "mm": "00", "ss": "00"}
	for _, p := range f.pattern {
		n := len(p)
		switch p {
		case ".f":
			if n = 0; strings.HasPrefix(text, ".") {
				n = 1
				for n < len(text) && '0' <= text[n] && text[n] <= '9' {
					n++
				}
			}
		case "Z":
			if n = len("+00:00"); strings.HasPrefix(text, "Z") {
				n = 1
			}
		}
		if n > len(text) || len(p) == 1 && p != "Z" && text[:n] != p {
			return time.Time{}, rulePattern
		}
		got[p], text = text[:n], text[n:]
	}
	if text != "" {
		return time.Time{}, rulePattern
	}
	zone := got["Z"]
	local := zone == ""
	if local {
		zone = "Z"
	}
	t, rule := parseTime(got["YYYY"] + "-" + got["MM"] + "-" + got["DD"] + "T" + got["hh"] + ":" + got["mm"] + ":" + got["ss"] + got[".f"] + zone)
	if rule == ruleTime {
		rule = rulePattern
	}
	if rule != "" || !local {
		return t, rule
	}
	return f.inZone(t)
}
