package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

type ingestCmd struct {
	Files          []string `arg:"" name:"file" help:"Files of events, plain, gzip or zstd; - is standard input."`
	Format         string   `placeholder:"FORMAT" help:"json, ndjson, csv, cloudevents, avro or parquet; without it the name or the content of each file tells."`
	Mapping        string   `placeholder:"FILE" help:"Mapping file, in YAML or JSON, from the upstream's own field names to those of an event."`
	Atomic         bool     `help:"Record each file whole or not at all."`
	PayloadColumns []string `placeholder:"COLUMN,…" help:"CSV columns that are kept as private payload instead of dimensions."`
	Errors         string   `placeholder:"FILE" help:"Write every line that was not recorded to this file, as NDJSON."`
	Writers        int      `placeholder:"N" help:"Transactions at a time; without it as many as there are processors."`
}

// Help is shown below the command's flags.
func (ingestCmd) Help() string {
	return `An event that was recorded before counts as duplicate, so the same file may be sent again at any time, also after a crash. Lines that break a rule or collide with what is recorded don't stop the others; they are named on standard error as FILE:LINE: field: value: rule, and the exit code is 1.

  deltaledger ingest orders.ndjson refunds.csv.gz
  zcat orders.csv.gz | deltaledger ingest --format csv --payload-columns description -
  deltaledger ingest --atomic --errors refused.ndjson payouts.csv
  deltaledger ingest --mapping shop.yaml orders.avro`
}

// Run records the files one after the other and shows their sum.
func (c *ingestCmd) Run(ctx context.Context, s *session) error {
	if c.Writers < 0 {
		return usagef("--writers is %d, but must not be negative", c.Writers)
	}
	var format wire.Format
	if c.Format != "" {
		var err error
		if format, err = wire.ParseFormat(c.Format); err != nil {
			return usage(err)
		}
	}
	mapping, err := c.mapping()
	if err != nil {
		return err
	}
	inputs, err := openInputs(s, c.Files)
	defer closeInputs(inputs)
	if err != nil {
		return err
	}
	if err := notAnInput(c.Errors, c.Files); err != nil {
		return err
	}
	problems, err := newProblems(s, c.Errors)
	if err != nil {
		return err
	}
	var sum wire.Summary
	err = withApp(ctx, s, func(a *app) error {
		measures, err := a.ledger.DeclaredMeasures(ctx)
		if err != nil {
			return err
		}
		for _, in := range inputs {
			part, err := c.one(ctx, s, a.ledger, in, format, wire.Options{PayloadColumns: c.PayloadColumns, Mapping: mapping, Measures: measures}, problems)
			sum.Add(part)
			if err != nil && !errors.Is(err, ledger.ErrAtomic) {
				s.warn("before it failed %d events were recorded, and %d were there already; the same command may be run again, and records none of them twice", sum.Recorded, sum.Duplicate)
				return inputError(in.name, err)
			}
			if err != nil {
				problems.refused = append(problems.refused, in.name)
			}
		}
		if sum.Watermark == 0 { // nothing but refused atomic files
			w, err := a.ledger.Current(ctx)
			sum.Watermark = w.Position
			return err
		}
		return nil
	})
	if err := errors.Join(err, problems.close()); err != nil {
		return err
	}
	if err := s.show(sum, summaryTable(sum)); err != nil {
		return err
	}
	if problems.n > 0 || len(problems.refused) > 0 {
		return errShown
	}
	return nil
}

// mapping reads the mapping file; nil if none was given.
func (c *ingestCmd) mapping() (*wire.Mapping, error) {
	if c.Mapping == "" {
		return nil, nil //nolint:nilnil // without a mapping the fields are ours
	}
	if len(c.PayloadColumns) > 0 {
		return nil, usagef("--payload-columns can't stand beside --mapping, which says what goes into the payload")
	}
	text, err := os.ReadFile(c.Mapping)
	if err != nil {
		return nil, err
	}
	m, err := wire.ParseMapping(c.Mapping, text)
	if err != nil {
		return nil, usage(err)
	}
	return m, nil
}

// inputError says which input failed. That a file can't be read as events is a failure, not bad usage.
func inputError(name string, err error) error {
	if errors.Is(err, ledger.ErrInvalid) {
		return fmt.Errorf("%s: %s", name, err.Error())
	}
	return fmt.Errorf("%s: %w", name, err)
}

func summaryTable(sum wire.Summary) table {
	t := table{columns: []column{number("recorded"), number("duplicate"), number("conflict"), number("invalid"), number("watermark")}}
	t.add(fmt.Sprint(sum.Recorded), fmt.Sprint(sum.Duplicate), fmt.Sprint(sum.Conflict), fmt.Sprint(sum.Invalid), fmt.Sprint(sum.Watermark))
	if sum.Refused > 0 {
		t.note = fmt.Sprintf("%d good events were not recorded, because they were to be recorded all or none", sum.Refused)
	}
	return t
}

// one records one input.
func (c *ingestCmd) one(ctx context.Context, s *session, l *ledger.Ledger, in *input, format wire.Format, o wire.Options, p *problems) (wire.Summary, error) {
	if file, ok := in.parquet(format); ok {
		return wire.Ingest(ctx, l, file, wire.Parquet, wire.IngestOptions{
			Options: o, Atomic: c.Atomic, Writers: c.Writers, Report: func(found wire.Problem) { p.report(in.name, found) },
		})
	}
	bar := s.bytesBar(in.name, in.size)
	defer bar.done()
	r, err := wire.Decompress(bar.reader(in.r))
	if err != nil {
		return wire.Summary{}, err
	}
	defer r.Close()
	buffered := bufio.NewReaderSize(r, 256<<10)
	if format == "" {
		if format, err = formatOf(in.name, buffered); err != nil {
			return wire.Summary{}, err
		}
	}
	return wire.Ingest(ctx, l, buffered, format, wire.IngestOptions{
		Options: o, Atomic: c.Atomic, Writers: c.Writers,
		Report: func(found wire.Problem) { bar.clear(); p.report(in.name, found) },
	})
}

// formatOf tells the format by the name or else by the first bytes.
func formatOf(name string, r *bufio.Reader) (wire.Format, error) {
	if f, ok := wire.FormatOfName(name); ok {
		return f, nil
	}
	head, err := r.Peek(r.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if bytes.HasPrefix(head, []byte("Obj\x01")) {
		return wire.Avro, nil
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	switch {
	case bytes.HasPrefix(text, []byte("[")):
		return wire.JSON, nil
	case !bytes.HasPrefix(text, []byte("{")):
		return wire.CSV, nil
	}
	if line, _, found := bytes.Cut(text, []byte("\n")); found && !json.Valid(line) {
		return wire.JSON, nil // one object over several lines
	}
	return wire.NDJSON, nil
}

// input is an opened file.
type input struct {
	name string
	r    io.ReadCloser
	size int64 // -1: not known
}

// parquet is the input as a Parquet file, where the format, the name or the content says that it is one. A stream isn't.
func (in *input) parquet(format wire.Format) (io.Reader, bool) {
	file, ok := in.r.(*os.File)
	if !ok || in.size < 0 {
		return nil, false
	}
	if format == "" {
		if format, ok = wire.FormatOfName(in.name); !ok {
			head := make([]byte, 4)
			if _, err := file.ReadAt(head, 0); err == nil && string(head) == "PAR1" {
				format = wire.Parquet
			}
		}
	}
	return wire.RandomAccess(file, in.size), format == wire.Parquet
}

// openInputs opens all files before the first is read, so that a mistyped name records nothing.
func openInputs(s *session, names []string) ([]*input, error) {
	var inputs []*input
	for _, name := range names {
		if name == "-" {
			inputs = append(inputs, &input{name: "-", r: io.NopCloser(s.std.in), size: -1})
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return inputs, err
		}
		in := &input{name: name, r: f, size: -1}
		inputs = append(inputs, in)
		st, err := f.Stat()
		switch {
		case err != nil:
			return inputs, err
		case st.IsDir():
			return inputs, usagef("%s is a directory: name the files in it", name)
		case st.Mode().IsRegular():
			in.size = st.Size()
		}
	}
	return inputs, nil
}

// notAnInput refuses to write the errors over one of the files that are read.
func notAnInput(path string, inputs []string) error {
	there, err := os.Stat(path)
	if err != nil {
		return nil // nothing is there to be overwritten, or the creation says why it can't be
	}
	for _, name := range inputs {
		if st, err := os.Stat(name); err == nil && os.SameFile(st, there) {
			return usagef("--errors %s would overwrite an input: name another file", path)
		}
	}
	return nil
}

func closeInputs(inputs []*input) {
	for _, in := range inputs {
		_ = in.r.Close() // only read
	}
}

// problems says which lines are not in the ledger: the first ones on standard error, all in a file.
type problems struct {
	s       *session
	n       int64
	file    *os.File // nil: none was asked for
	w       *bufio.Writer
	err     error    // of the first write that failed
	refused []string // atomic files of which nothing was recorded
}

// mostShown is how many lines standard error gets.
const mostShown = 50

func newProblems(s *session, path string) (*problems, error) {
	p := &problems{s: s}
	if path == "" {
		return p, nil
	}
	var err error
	if p.file, err = os.Create(path); err != nil {
		return nil, err
	}
	p.w = bufio.NewWriter(p.file)
	return p, nil
}

func (p *problems) report(file string, found wire.Problem) {
	p.n++
	if p.n <= mostShown {
		tell(p.s.std.err, "%s", problemLine(file, found))
	}
	if p.w == nil || p.err != nil {
		return
	}
	b, err := json.Marshal(struct {
		File string `json:"file"`
		wire.Problem
	}{file, found})
	if err == nil {
		_, err = p.w.Write(append(b, '\n'))
	}
	p.err = err
}

func problemLine(file string, found wire.Problem) string {
	parts := []string{fmt.Sprintf("%s:%d", file, found.Line)}
	if found.Status == ledger.Conflict {
		parts = append(parts, "conflict")
	}
	if found.Field != "" {
		parts = append(parts, found.Field)
	}
	if found.Value != "" {
		parts = append(parts, fmt.Sprintf("%q", found.Value))
	}
	return strings.Join(append(parts, found.Rule), ": ")
}

// close says how many there were and finishes the file.
func (p *problems) close() error {
	if more := p.n - mostShown; more > 0 {
		hint := ""
		if p.file == nil {
			hint = " (--errors FILE writes all of them)"
		}
		tell(p.s.std.err, "… and %d more%s", more, hint)
	}
	for _, name := range p.refused {
		p.s.warn("%s: nothing was recorded, because --atomic was given and not all of its lines can be recorded", name)
	}
	if p.file == nil {
		return nil
	}
	if err := errors.Join(p.err, p.w.Flush(), p.file.Close()); err != nil {
		return fmt.Errorf("write the file of errors: %w", err)
	}
	return nil
}
