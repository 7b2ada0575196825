package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"deltaledger/ledger"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Format{
		"a.json": JSON, "/x/a.NDJSON": NDJSON, "a.jsonl.gz": NDJSON, "a.b.csv.zst": CSV, "a.csv": CSV, "a.JSON.GZ": JSON,
		"a.xml": "", "csv": "", "a.gz": "", "": "", "a.csv.bak": "",
	} {
		if got, ok := FormatOfName(name); got != want || ok != (want != "") {
			t.Errorf("FormatOfName(%q) = %q, %v", name, got, ok)
		}
	}
	for name, want := range map[string]Format{
		"application/json": JSON, "application/json; charset=utf-8": JSON, "Application/X-NDJSON": NDJSON, "text/csv;header=present": CSV,
		"text/plain": "", "": "", "application/json;;;=": "",
	} {
		if got, ok := FormatOfContentType(name); got != want || ok != (want != "") {
			t.Errorf("FormatOfContentType(%q) = %q, %v", name, got, ok)
		}
	}
	for _, f := range []Format{JSON, NDJSON, CSV} {
		if got, err := ParseFormat(string(f)); got != f || err != nil {
			t.Errorf("ParseFormat(%q) = %q, %v", f, got, err)
		}
	}
	if _, err := ParseFormat("xml"); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("xml: %v", err)
	}
	if err := Decode(context.Background(), strings.NewReader(""), "xml", Options{}, nil); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("Decode xml: %v", err)
	}
}

// TestPiecesAndBatchesDontMatter: however the input is read and cut, the items are the same.
func TestPiecesAndBatchesDontMatter(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("y", ledger.MaxEvent+5)
	var lines, array, table strings.Builder
	lines.WriteString("\xef\xbb\xbf")
	array.WriteString("\xef\xbb\xbf[")
	table.WriteString("\xef\xbb\xbf" + shortHeader)
	for i := range 40 {
		fmt.Fprintf(&lines, "{\"id\":\"%d\",\"payload\":[\"}\\\"\"]}\r\n \n", i)
		fmt.Fprintf(&array, "{\"id\":\"%d\",\"payload\":[\"}\\\"\"]} , ", i)
		fmt.Fprintf(&table, "%d,\"sh\"\"op\",\"so\r\nld\",acme,2026-01-31T00:00:00Z,USD,1.50,\"x,y\"\n\r\n", i)
		if i == 20 {
			lines.WriteString(long + "\n" + `{"id":"caf` + "\xe9\"}\n")
			array.WriteString(`"` + long + `", 17,`)
			table.WriteString(long + "\nx,\"y\n")
		}
	}
	lines.WriteString(`{"id":"last"}`)
	array.WriteString("{}]\n")
	table.WriteString(strings.TrimSuffix(row("last"), "\n"))
	for f, text := range map[Format]string{NDJSON: lines.String(), JSON: array.String(), CSV: table.String()} {
		want := decodeAll(t, text, f, declared)
		if len(want) != 43 {
			t.Fatalf("%s: %d items: %s", f, len(want), summary(want))
		}
		for _, size := range []int{1, 7, 4096, 1 << 20} {
			if size == 1 && testing.Short() {
				continue
			}
			o := declared
			o.BatchSize, o.Workers = 1+size%5, 3
			var got []Item
			err := Decode(context.Background(), &pieces{text: text, n: size}, f, o, func(b Batch) error {
				got = append(got, b.Items...)
				return nil
			})
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s in pieces of %d: %v, %s, want %s", f, size, err, summary(got), summary(want))
			}
		}
	}
}

func TestSizesAddUp(t *testing.T) {
	t.Parallel()
	text := shortHeader + strings.Repeat(row("a"), 1000) + strings.Repeat("z", 1<<20) + "\n" + row("b")
	total := 0
	err := Decode(context.Background(), strings.NewReader(text), CSV, Options{BatchSize: 33}, func(b Batch) error {
		if len(b.Items) > 33 {
			return fmt.Errorf("%d items", len(b.Items))
		}
		total += b.Size
		return nil
	})
	if err != nil || total != len(text) {
		t.Errorf("%d bytes of %d, %v", total, len(text), err)
	}
}

func TestConcurrentBatches(t *testing.T) {
	t.Parallel()
	const lines, workers = 5000, 4
	text := strings.Repeat(`{"id":"a"}`+"\n", lines)
	var items, calls atomic.Int64
	var seen sync.Map
	together := make(chan struct{})
	err := Decode(context.Background(), strings.NewReader(text), NDJSON, Options{BatchSize: 100, Workers: workers, Concurrent: true},
		func(b Batch) error {
			if calls.Add(1) == workers {
				close(together) // all workers are in here at once
			}
			<-together
			if _, twice := seen.LoadOrStore(b.N, true); twice {
				return errors.New("a batch came twice")
			}
			items.Add(int64(len(b.Items)))
			return nil
		})
	if err != nil || items.Load() != lines {
		t.Errorf("%d items, %v", items.Load(), err)
	}
}

func TestDecodeStops(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(`{"id":"a"}`+"\n", 5000)
	broken := errors.New("broken")
	for _, concurrent := range []bool{false, true} {
		o := Options{BatchSize: 10, Workers: 3, Concurrent: concurrent}
		var calls atomic.Int64
		err := Decode(context.Background(), strings.NewReader(text), NDJSON, o, func(Batch) error {
			calls.Add(1)
			return broken
		})
		if !errors.Is(err, broken) || calls.Load() > 3 {
			t.Errorf("each fails: %v after %d calls", err, calls.Load())
		}

		ctx, cancel := context.WithCancel(context.Background())
		err = Decode(ctx, strings.NewReader(text), NDJSON, o, func(Batch) error {
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ctx ends: %v", err)
		}

		var lines atomic.Int64
		err = Decode(context.Background(), &pieces{text: text + `{"id":"cut`, n: 999, err: broken}, NDJSON, o, func(b Batch) error {
			lines.Add(int64(len(b.Items)))
			return nil
		})
		if !errors.Is(err, broken) || lines.Load() != 5000 {
			t.Errorf("Read fails: %v after %d lines", err, lines.Load())
		}
	}
	for f, cut := range map[Format]string{JSON: `[{"id":"a"},{"id":"b`, CSV: shortHeader + row("a") + "b,\"shop"} {
		got := ""
		err := Decode(context.Background(), &pieces{text: cut, n: 9, err: broken}, f, Options{}, func(b Batch) error {
			got += summary(b.Items)
			return nil
		})
		if !errors.Is(err, broken) || !strings.HasSuffix(got, ":a") {
			t.Errorf("Read of %s fails: %v, %s", f, err, got)
		}
	}
}

func TestDecodeDoesNotWaitForABlockedRead(t *testing.T) {
	t.Parallel()
	g := &gate{waited: make(chan struct{}), opened: make(chan struct{})}
	defer close(g.opened)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-g.waited
		cancel()
	}()
	if err := Decode(ctx, g, NDJSON, Options{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestItemsOutliveTheirBatch: what is given out must not change when buffers are used again.
func TestItemsOutliveTheirBatch(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, `{"id":"%d","dimensions":{"b":%d,"a":"x"},"payload":{"n":%d}}`+"\n", i, i, i)
	}
	for i, item := range decodeAll(t, text.String(), NDJSON, Options{BatchSize: 10}) {
		want := fmt.Sprintf(`%d{"a":"x","b":%d}{"n":%d}`, i, i, i)
		if got := item.Event.ID + string(item.Event.Dimensions) + string(item.Event.Payload); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestDecompress(t *testing.T) {
	t.Parallel()
	const text = "one\ntwo\n"
	var zipped, twice, packed bytes.Buffer
	for _, b := range []*bytes.Buffer{&zipped, &twice, &twice} {
		w := gzip.NewWriter(b)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err = w.Close(); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		text: text, "": "", "x": "x", zipped.String(): text, twice.String(): text + text, packed.String(): text,
	} {
		r, err := Decompress(iotest.OneByteReader(strings.NewReader(in)))
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got, err := io.ReadAll(r); string(got) != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, cut := range []string{zipped.String()[:len(zipped.String())-5], packed.String()[:len(packed.String())-3]} {
		r, err := Decompress(strings.NewReader(cut))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); err == nil {
			t.Errorf("%q was read to its end", cut)
		}
	}
	if _, err := Decompress(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// TestZstdWindowIsLimited: a stream that asks for 1 GiB of memory is refused, not served.
func TestZstdWindowIsLimited(t *testing.T) {
	t.Parallel()
	// Frame header: no content size, no dictionary, window descriptor 20<<3: 2^30 bytes; one empty last block.
	head := "\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00"
	r, err := Decompress(strings.NewReader(head))
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if !errors.Is(err, zstd.ErrWindowSizeExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"abc": "abc", "a\x00b": "a�b", "caf\xe9": "caf�",
		strings.Repeat("x", 81):       strings.Repeat("x", 77) + "…",
		"x" + strings.Repeat("é", 50): "x" + strings.Repeat("é", 37) + "…",
		strings.Repeat("\x00", 60):    strings.Repeat("�", 25) + "…",
		strings.Repeat("日", 40):       strings.Repeat("日", 25) + "…",
	} {
		if got := shown(in); got != want || len(got) > 80 {
			t.Errorf("shown(%q) = %q (%d bytes), want %q", in, got, len(got), want)
		}
	}
}
