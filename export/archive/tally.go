package archive

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// tally counts and sums what a copy holds, while it is written and while it is read back.
type tally struct {
	shape                                            ledger.CopyShape
	position, occurredAt, businessDate, currency     int
	measures                                         []int
	rows, firstPosition, lastPosition                int64
	firstOccurred, lastOccurred, firstDate, lastDate int64
	sums                                             map[string][]export.Total
	oversized                                        []int64
}

func newTally(shape ledger.CopyShape) (*tally, error) {
	t := &tally{shape: shape, sums: map[string][]export.Total{}}
	for _, c := range []struct {
		at   *int
		name string
	}{{&t.position, "position"}, {&t.occurredAt, "occurred_at"}, {&t.businessDate, "business_date"}, {&t.currency, "currency"}} {
		*c.at = slices.IndexFunc(shape.Events, func(e ledger.CopyColumn) bool { return e.Name == c.name })
		if *c.at < 0 {
			return nil, fmt.Errorf("there is no column %s: %w", c.name, ledger.ErrCorrupt)
		}
	}
	for i, c := range shape.Events {
		if c.Type == "numeric" {
			t.measures = append(t.measures, i)
		}
	}
	t.oversized = make([]int64, len(t.measures))
	return t, nil
}

// add takes an event into account and returns its position.
func (t *tally) add(event pg.Tuple) (int64, error) {
	if len(event[t.position]) != 8 || len(event[t.occurredAt]) != 8 || len(event[t.businessDate]) != 4 {
		return 0, fmt.Errorf("an event without position, time or date: %w", ledger.ErrCorrupt)
	}
	position := int64(binary.BigEndian.Uint64(event[t.position]))
	occurred := int64(binary.BigEndian.Uint64(event[t.occurredAt]))
	date := int64(int32(binary.BigEndian.Uint32(event[t.businessDate])))
	if t.rows == 0 {
		t.firstPosition, t.firstOccurred, t.lastOccurred, t.firstDate, t.lastDate = position, occurred, occurred, date, date
	} else if position <= t.lastPosition {
		return 0, fmt.Errorf("position %d comes behind %d: %w", position, t.lastPosition, ledger.ErrCorrupt)
	}
	t.rows++
	t.lastPosition = position
	t.firstOccurred, t.lastOccurred = min(t.firstOccurred, occurred), max(t.lastOccurred, occurred)
	t.firstDate, t.lastDate = min(t.firstDate, date), max(t.lastDate, date)
	sums, ok := t.sums[string(event[t.currency])]
	if !ok {
		sums = make([]export.Total, len(t.measures))
		t.sums[string(event[t.currency])] = sums
	}
	for i, at := range t.measures {
		if event[at] == nil {
			continue
		}
		if err := sums[i].Add(event[at]); err != nil {
			return 0, fmt.Errorf("position %d, column %s: %w", position, t.shape.Events[at].Name, err)
		}
		if _, weight, _, err := numericDigits(event[at]); err == nil && weight > highestFit {
			t.oversized[i]++
		}
	}
	return position, nil
}

// describe writes what was counted into a manifest.
func (t *tally) describe(m *Manifest) {
	instant := func(micros int64) time.Time { return time.UnixMicro(micros + epochMicros).UTC() }
	date := func(days int64) string { return time.Unix((days+epochDays)*86400, 0).UTC().Format(time.DateOnly) }
	m.Rows, m.FirstPosition, m.LastPosition = t.rows, t.firstPosition, t.lastPosition
	m.FirstOccurredAt, m.LastOccurredAt = instant(t.firstOccurred), instant(t.lastOccurred)
	m.FirstBusinessDate, m.LastBusinessDate = date(t.firstDate), date(t.lastDate)
	m.Sums, m.Oversized = Sums{}, map[string]int64{}
	for currency, sums := range t.sums {
		m.Sums[currency] = map[string]string{}
		for i, at := range t.measures {
			if sums[i].Any() {
				m.Sums[currency][t.shape.Events[at].Name] = sums[i].String()
			}
		}
	}
	for i, at := range t.measures {
		if t.oversized[i] > 0 {
			m.Oversized[t.shape.Events[at].Name] = t.oversized[i]
		}
	}
}
