package export

// Span is what one file holds: the events of months after Previous up to Month, as far as they were
// recorded up to Watermark, and those of Previous and before that came after PreviousWatermark. It is
// the whole law of frozen months in one value.
type Span struct {
	Month             Month `json:"month"`
	Previous          Month `json:"previous_month"` // zero: the first of the chain
	Watermark         int64 `json:"watermark"`
	PreviousWatermark int64 `json:"previous_watermark"` // 0 for the first
}

// Holds reports whether an event of a business month, recorded at position, is in the file.
func (s Span) Holds(month Month, position int64) bool {
	if position > s.Watermark || month.Compare(s.Month) > 0 {
		return false
	}
	return month.Compare(s.Previous) > 0 || position > s.PreviousWatermark
}

// FileOf finds the file of a chain that holds an event of a business month, recorded at position. There is
// at most one; none means that the event waits for the next freeze.
func FileOf(chain []Span, month Month, position int64) (Span, bool) {
	for _, s := range chain {
		if s.Holds(month, position) {
			return s, true
		}
	}
	return Span{}, false
}

// found says how many events were found, and between which positions.
type found struct {
	month       Month
	rows        int64
	first, last int64
}

func (f found) and(o found) found {
	switch {
	case o.rows == 0:
		return f
	case f.rows == 0:
		o.month = f.month
		return o
	}
	return found{month: f.month, rows: f.rows + o.rows, first: min(f.first, o.first), last: max(f.last, o.last)}
}

// planned is a file that a freeze makes: what it spans and what is in it.
type planned struct {
	Span
	found
	late int64 // rows of months other than the file's
}

// plan says which files come into being when every month up to m is frozen at watermark w, after tail, the
// chain's last file (zero if there is none). months are the unfrozen months up to m that hold events, in
// order; late are the events of frozen months that wait. m itself comes last, and only if something is in it.
func plan(tail Span, months []found, late found, m Month, w int64) []planned {
	if late.rows > 0 {
		if len(months) == 0 {
			months = []found{{month: m}}
		}
		months = append([]found{months[0].and(late)}, months[1:]...)
	}
	files := make([]planned, 0, len(months))
	for _, f := range months {
		s := Span{Month: f.month, Previous: tail.Month, Watermark: w, PreviousWatermark: tail.Watermark}
		files = append(files, planned{Span: s, found: f, late: late.rows})
		tail, late = s, found{}
	}
	return files
}
