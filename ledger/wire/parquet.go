package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"deltaledger/ledger"
)

const (
	ruleParquetStream = "must be a file, not a stream: the table of contents of Parquet stands at the end"
	ruleParquetFile   = "must be a Parquet file, which begins and ends with PAR1"
	ruleParquetFooter = "must have a table of contents of at most 67108864 bytes"
	ruleParquetWide   = "must have at most 10000 columns, nested at most 32 deep"

	parquetMagic  = "PAR1"
	maxFooter     = 64 << 20
	maxColumns    = 10_000
	rowsAtOnce    = 64
	parquetHead   = len(parquetMagic)
	parquetFooter = 4 + len(parquetMagic)
)

// RandomAccess is a file that can be read at any place, as Parquet is; size is that of all of it. As a stream it can't
// be read.
func RandomAccess(file io.ReaderAt, size int64) io.Reader { return &randomAccess{file, size} }

type randomAccess struct {
	io.ReaderAt
	size int64
}

func (*randomAccess) Read([]byte) (int, error) {
	return 0, invalid("Parquet file", "", "must not be read as a stream")
}

// parquetSplitter finds the rows of a Parquet file. What is wrong with the file ends the input.
type parquetSplitter struct {
	file *parquet.File
	root *parquetNode

	group  int          // row groups begun
	rows   parquet.Rows // of the current one; nil: none
	buffer []parquet.Row
	next   int   // row of buffer that comes next
	have   int   // rows in buffer
	n      int64 // rows so far
}

func (s *parquetSplitter) split(f *feed, c *chunk) (more bool) {
	defer func() {
		if broken := recover(); broken != nil { // a file that was made to break the library
			f.err, more = s.broken(fmt.Sprint(broken)), false
		}
		if !more && s.rows != nil {
			_ = s.rows.Close() // only read
			s.rows = nil
		}
	}()
	if err := s.prepare(f); err != nil {
		f.err = err
		return false
	}
	row := s.buffer[s.next]
	s.next++
	s.n++
	c.parquet = s.root
	start := len(f.data)
	f.data = appendRow(f.data, row)
	r := record{start: start, end: len(f.data), line: s.n}
	if r.end-start > ledger.MaxEvent {
		r.rule, r.end = ruleTooLong, start
		f.data = f.data[:start]
	}
	f.pos = len(f.data)
	c.records = append(c.records, r)
	return true
}

func (s *parquetSplitter) broken(what string) error {
	return invalid("Parquet file", "", fmt.Sprintf("can't be read behind row %d: %s", s.n, shown(what)))
}

// prepare makes sure that the buffer has a row. io.EOF: there is none left.
func (s *parquetSplitter) prepare(f *feed) error {
	if s.file == nil {
		if err := s.open(f.r); err != nil {
			return err
		}
	}
	for s.next == s.have {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		if s.rows == nil {
			groups := s.file.RowGroups()
			if s.group == len(groups) {
				return io.EOF
			}
			s.rows = groups[s.group].Rows()
			s.group++
		}
		n, err := s.rows.ReadRows(s.buffer)
		s.next, s.have = 0, n
		switch {
		case errors.Is(err, io.EOF) || err == nil && n == 0:
			err = s.rows.Close()
			s.rows = nil
			if err != nil {
				return s.broken(err.Error())
			}
		case err != nil:
			return s.broken(err.Error())
		}
	}
	return nil
}

// open reads the table of contents.
func (s *parquetSplitter) open(r io.Reader) (err error) {
	file, ok := r.(*randomAccess)
	if !ok {
		return invalid("Parquet file", "", ruleParquetStream)
	}
	if err := checkParquet(file); err != nil {
		return err
	}
	s.file, err = parquet.OpenFile(file, file.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(256<<10))
	if err != nil {
		return s.broken(err.Error())
	}
	p := parquetTree{}
	s.root = p.node(s.file.Root(), 0, 0, 0)
	if p.wide {
		return invalid("Parquet file", "", ruleParquetWide)
	}
	s.root.leaves = p.leaves
	s.buffer = make([]parquet.Row, rowsAtOnce)
	return nil
}

// checkParquet looks at the ends of a file, before memory is taken for what they announce.
func checkParquet(file *randomAccess) error {
	head, foot := make([]byte, parquetHead), make([]byte, parquetFooter)
	if file.size < int64(parquetHead+parquetFooter) {
		return invalid("Parquet file", "", ruleParquetFile)
	}
	for at, part := range map[int64][]byte{0: head, file.size - int64(parquetFooter): foot} {
		if _, err := file.ReadAt(part, at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read events: %w", err)
		}
	}
	if string(head) != parquetMagic || string(foot[4:]) != parquetMagic {
		return invalid("Parquet file", string(head), ruleParquetFile)
	}
	if size := int64(binary.LittleEndian.Uint32(foot)); size > maxFooter || size > file.size {
		return invalid("Parquet file", "", ruleParquetFooter)
	}
	return nil
}

// appendRow appends the values of a row: of each the column, the levels, and the bytes, as long as they say.
func appendRow(dst []byte, row parquet.Row) []byte {
	var raw []byte
	for i := range row {
		v := &row[i]
		dst = binary.AppendUvarint(dst, uint64(v.Column())) //nolint:gosec // never negative
		dst = append(dst, byte(v.RepetitionLevel()), byte(v.DefinitionLevel()))
		raw = raw[:0]
		if !v.IsNull() {
			raw = v.AppendBytes(raw)
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(raw))), raw...)
	}
	return dst
}
