package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"deltaledger/ledger"
)

const (
	ruleBareQuote = `must have a cell that holds a quote in quotes, and the quote in it doubled`
	ruleStray     = `must have a comma or the end of the line behind a cell in quotes; a quote inside is doubled`
	ruleOpenQuote = `must close the quote that it opens within 262144 bytes; what follows was read as further records`
	ruleNUL       = "must not hold the character NUL"
	ruleUTF8      = "must be valid UTF-8"
)

// recordSplitter splits CSV into records, as encoding/csv does, except that a broken record never takes
// the lines behind its first one along.
type recordSplitter struct {
	options Options
	columns *columns
	line    int64 // lines read
}

func (v *recordSplitter) split(f *feed, c *chunk) bool {
	f.skipMark()
	if v.columns == nil {
		if v.columns = v.header(f, c); v.columns == nil {
			return false
		}
	}
	c.columns = v.columns
	return v.next(f, c)
}

// header reads the columns; nil if that fails, with the reason in f.err.
func (v *recordSplitter) header(f *feed, c *chunk) *columns {
	for len(c.records) == 0 {
		if !v.next(f, c) {
			if errors.Is(f.err, io.EOF) {
				f.err = fmt.Errorf("header of the CSV: %w", invalid("line 1", "", "must name the columns: the input is empty"))
			}
			return nil
		}
	}
	head := c.records[0]
	c.records = c.records[:0]
	raw, rule := f.data[head.start:head.end], head.rule
	if rule == "" {
		rule = badText(raw)
	}
	if rule != "" {
		f.err = fmt.Errorf("header of the CSV: %w", invalid("line "+strconv.FormatInt(head.line, 10), string(raw), rule))
		return nil
	}
	var row cells
	h, err := parseHeader(row.split(string(raw)), v.options)
	if err != nil {
		f.err = err
	}
	return h
}

// next adds the next record, or what is wrong with it; false if there is none.
func (v *recordSplitter) next(f *feed, c *chunk) bool {
	start := f.pos
	end, what := f.line(start, ledger.MaxEvent)
	if what == lineNone {
		return false
	}
	v.line++
	if what == lineLong {
		f.skipLong(c, v.line)
		return true
	}
	f.pos = min(end+1, len(f.data))
	r := record{start: start, end: withoutReturn(f.data, start, end), line: v.line}
	text := f.data[r.start:r.end]
	if spaces(text) == len(text) {
		return true
	}
	if bytes.IndexByte(text, '"') >= 0 {
		q := quoteScan{f: f, start: start, at: start, end: r.end, next: f.pos}
		r.rule = q.record()
		switch {
		case r.rule == ruleOpenQuote && f.cut():
			return false
		case r.rule == "":
			r.end, f.pos = q.end, q.next
			v.line += q.lines
		}
	}
	c.records = append(c.records, r)
	return true
}

// withoutReturn is the end of the text of a line, in front of its line break.
func withoutReturn(b []byte, start, end int) int {
	if end > start && b[end-1] == '\r' {
		return end - 1
	}
	return end
}

// quoteScan walks through a record with quotes in it, which may take several lines.
type quoteScan struct {
	f     *feed
	start int   // of the record
	at    int   // what comes next
	end   int   // of the text of the current line
	next  int   // beginning of the line behind it
	lines int64 // read after the first
}

// record walks to the end of the record, or gives the rule that it breaks.
func (q *quoteScan) record() (rule string) {
	for {
		if q.at < q.end && q.f.data[q.at] == '"' {
			rule = q.quotedCell()
		} else {
			rule = q.plainCell()
		}
		if rule != "" || q.at == q.end {
			return rule
		}
		q.at++
	}
}

// plainCell walks to the comma behind a cell without quotes around it, or to the end of the record.
func (q *quoteScan) plainCell() (rule string) {
	cell := q.f.data[q.at:q.end]
	if i := bytes.IndexByte(cell, ','); i >= 0 {
		cell = cell[:i]
	}
	if bytes.IndexByte(cell, '"') >= 0 {
		return ruleBareQuote
	}
	q.at += len(cell)
	return ""
}

// quotedCell is plainCell for a cell with quotes around it.
func (q *quoteScan) quotedCell() (rule string) {
	for q.at++; ; {
		i := bytes.IndexByte(q.f.data[q.at:q.end], '"')
		if i < 0 {
			if !q.line() {
				return ruleOpenQuote
			}
			continue
		}
		q.at += i + 1
		switch {
		case q.at == q.end || q.f.data[q.at] == ',':
			return ""
		case q.f.data[q.at] != '"':
			return ruleStray
		}
		q.at++
	}
}

// line goes on to the next line; false if there is none, or the record would get too long.
func (q *quoteScan) line() bool {
	end, what := q.f.line(q.next, ledger.MaxEvent-(q.next-q.start))
	if what == lineNone || what == lineLong {
		return false
	}
	q.at, q.end = q.next, withoutReturn(q.f.data, q.next, end)
	q.next = min(end+1, len(q.f.data))
	q.lines++
	return true
}
