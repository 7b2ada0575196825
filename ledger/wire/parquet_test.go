package wire

import (
	"bytes"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"deltaledger/ledger"
)

// fixedDecimal is a number as its big-endian two's complement.
func fixedDecimal(unscaled string, size int) []byte {
	n, _ := new(big.Int).SetString(unscaled, 10)
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return n.FillBytes(make([]byte, size))
}

// parquetFile is a file of rows, each a map by the names of the columns.
func parquetFile(t testing.TB, columns parquet.Group, rows []map[string]any, o ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewWriter(&b, append([]parquet.WriterOption{parquet.NewSchema("events", columns)}, o...)...)
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decodeParquet(t testing.TB, file []byte, o Options) ([]Item, error) {
	t.Helper()
	return collect(RandomAccess(bytes.NewReader(file), int64(len(file))), Parquet, o)
}

func nativeColumns() parquet.Group {
	return parquet.Group{
		"id": parquet.String(), "source": parquet.String(), "stream": parquet.Optional(parquet.String()), "seqn": parquet.Optional(parquet.Int(64)),
		"type": parquet.Enum(), "account": parquet.String(), "occurred_at": parquet.Timestamp(parquet.Microsecond), "currency": parquet.String(),
		"amount":     parquet.Optional(parquet.Decimal(18, 38, parquet.FixedLenByteArrayType(16))),
		"quantity":   parquet.Optional(parquet.Decimal(2, 9, parquet.Int32Type)),
		"measures":   parquet.Optional(parquet.Group{"commission": parquet.Optional(parquet.Decimal(4, 18, parquet.Int64Type))}),
		"dimensions": parquet.Optional(parquet.Group{"country": parquet.Optional(parquet.String()), "level": parquet.Optional(parquet.Int(32)), "vip": parquet.Leaf(parquet.BooleanType)}),
		"payload":    parquet.Optional(parquet.JSON()),
	}
}

func nativeRow(i int) map[string]any {
	return map[string]any{
		"id": fmt.Sprint("p", i), "source": "orders", "stream": "o1", "seqn": int64(i), "type": "sold", "account": "acme",
		"occurred_at": int64(1767225600123456), "currency": "USD", "amount": fixedDecimal("-12500000000000000000", 16), "quantity": int32(-150),
		"measures": map[string]any{"commission": int64(-6300)}, "dimensions": map[string]any{"country": "FR", "level": int32(5), "vip": true},
		"payload": []byte(`{"x": [1]}`),
	}
}

// TestParquetFile: events come out whatever the compression, the row groups and the batches are.
func TestParquetFile(t *testing.T) {
	t.Parallel()
	want, fault := DecodeOne([]byte(`{"id":"p7","source":"orders","stream":"o1","seqn":7,"type":"sold","account":"acme","occurred_at":"2026-01-01T00:00:00.123456Z",
		"currency":"USD","amount":"-12.5","quantity":"-1.5","measures":{"commission":"-0.63"},"dimensions":{"country":"FR","level":5,"vip":true},"payload":{"x":[1]}}`), declared)
	if fault != nil {
		t.Fatal(fault)
	}
	rows := make([]map[string]any, 200)
	for i := range rows {
		rows[i] = nativeRow(i)
	}
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Lz4Raw, &parquet.Brotli} {
		file := parquetFile(t, nativeColumns(), rows, parquet.Compression(codec), parquet.MaxRowsPerRowGroup(70))
		for _, o := range []Options{declared, {Measures: declared.Measures, BatchSize: 7, Workers: 3}} {
			items, err := decodeParquet(t, file, o)
			if err != nil || len(items) != len(rows) || items[7].Err != nil || !reflect.DeepEqual(items[7].Event, want) || items[199].Event.ID != "p199" || items[199].Line != 200 {
				t.Fatalf("%s: %v, %d items, %+v", codec, err, len(items), items[min(7, len(items)):min(8, len(items))])
			}
		}
	}
}

// typedRow has a column of every type.
type typedRow struct {
	B     bool             `parquet:"b"`
	Bytes []byte           `parquet:"bytes"`
	D     float64          `parquet:"d"`
	Day   int32            `parquet:"day,date"`
	Dec   [2]byte          `parquet:"dec,decimal(2:4)"`
	Deep  *typedDeep       `parquet:"deep,optional"`
	F     float32          `parquet:"f"`
	I32   int32            `parquet:"i32"`
	Lines []typedLine      `parquet:"lines"`
	List  []int64          `parquet:"list,optional,list"`
	Local int64            `parquet:"local,timestamp(microsecond:local)"`
	Map   map[string]int64 `parquet:"map"`
	MS    int64            `parquet:"ms,timestamp(millisecond)"`
	NS    int64            `parquet:"ns,timestamp(nanosecond)"`
	U32   uint32           `parquet:"u32"`
	U64   uint64           `parquet:"u64"`
	UUID  [16]byte         `parquet:"uuid,uuid"`
}

type typedLine struct {
	N    int64    `parquet:"n"`
	Tags []string `parquet:"tags"`
}

type typedDeep struct {
	Er *typedDeeper `parquet:"er,optional"`
}

type typedDeeper struct {
	X *int64 `parquet:"x,optional"`
}

func TestParquetTypes(t *testing.T) {
	t.Parallel()
	rows := make([]typedRow, 3)
	for i := range rows {
		rows[i] = typedRow{
			B: true, Bytes: []byte{255}, D: 1e300, Day: 20454, Dec: [2]byte(fixedDecimal("-1250", 2)), F: 0.1, I32: -5, Local: 1, Map: map[string]int64{"k": 1},
			MS: 1767225600123, NS: -1, U32: 4294967295, U64: 18446744073709551615, UUID: [16]byte([]byte("0123456789abcdef")),
		}
	}
	nine := int64(9)
	rows[1].Lines, rows[1].Deep = []typedLine{{1, []string{"a", "b"}}, {2, nil}}, &typedDeep{}
	rows[2].Deep = &typedDeep{&typedDeeper{&nine}}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[typedRow](&b)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	m, err := ParseMapping("m", []byte(mapHead+"id: i32\noccurred_at: ms\ncurrency: {constant: EUR}\npayload: all\n"))
	if err != nil {
		t.Fatal(err)
	}
	items, err := decodeParquet(t, file, Options{Mapping: m})
	if err != nil || len(items) != 3 {
		t.Fatalf("%v %+v", err, items)
	}
	const same = `{"b":true,"bytes":"/w==","d":1e+300,"day":"2026-01-01","dec":-12.50,"deep":DEEP,"f":0.1,"i32":-5,"lines":LINES,"list":null,` +
		`"local":"1970-01-01T00:00:00.000001","map":{"k":1},"ms":"2026-01-01T00:00:00.123Z","ns":"1969-12-31T23:59:59.999999999Z",` +
		`"u32":4294967295,"u64":18446744073709551615,"uuid":"30313233-3435-3637-3839-616263646566"}`
	for i, c := range []struct{ deep, lines string }{{"null", "[]"}, {`{"er":null}`, `[{"n":1,"tags":["a","b"]},{"n":2,"tags":[]}]`}, {`{"er":{"x":9}}`, "[]"}} {
		want := strings.Replace(strings.Replace(same, "DEEP", c.deep, 1), "LINES", c.lines, 1)
		if items[i].Err != nil || string(items[i].Event.Payload) != want {
			t.Errorf("row %d: %v\ngot  %s\nwant %s", i+1, items[i].Err, items[i].Event.Payload, want)
		}
	}
}

// TestParquetLists: a list of Parquet is a list, without the levels that it is written with.
func TestParquetLists(t *testing.T) {
	t.Parallel()
	type row struct {
		ID   string  `parquet:"id"`
		List []int64 `parquet:"items,list"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	if _, err := w.Write([]row{{"a", []int64{1, 2}}, {"b", nil}, {"c", []int64{3}}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping("m", []byte(mapHead+"id: id\ncurrency: {constant: EUR}\nquantity: items.0\npayload: [items]\n"), "occurred_at")
	if err != nil {
		t.Fatal(err)
	}
	items, err := decodeParquet(t, b.Bytes(), Options{Mapping: m})
	if err != nil || len(items) != 3 {
		t.Fatalf("%v %+v", err, items)
	}
	for i, want := range []string{"1 {\"items\":[1,2]}", " {\"items\":[]}", "3 {\"items\":[3]}"} {
		if got := items[i].Event.Quantity.String() + " " + string(items[i].Event.Payload); items[i].Err != nil || got != want {
			t.Errorf("row %d: %v %s, want %s", i+1, items[i].Err, got, want)
		}
	}
}

func TestBadParquet(t *testing.T) {
	t.Parallel()
	long := nativeRow(1)
	long["account"] = strings.Repeat("x", ledger.MaxEvent)
	bad := nativeRow(2)
	bad["account"] = "a\x00"
	file := parquetFile(t, nativeColumns(), []map[string]any{nativeRow(0), long, bad, nativeRow(3)})
	items, err := decodeParquet(t, file, declared)
	if got := summary(items); err != nil || got != "1:p0 2!event 3!account 4:p3" {
		t.Errorf("%v %s", err, got)
	}
	if _, err := collect(bytes.NewReader(file), Parquet, declared); err == nil || !strings.Contains(err.Error(), ruleParquetStream) {
		t.Errorf("a stream: %v", err)
	}
	if _, err := io.ReadAll(RandomAccess(bytes.NewReader(file), 5)); err == nil {
		t.Error("a file was read as a stream")
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":        {nil, ruleParquetFile},
		"JSON":         {[]byte(`{"id":"a","source":"b"}`), ruleParquetFile},
		"cut":          {file[:len(file)-100], ruleParquetFile},
		"large footer": {append(append([]byte{}, file[:len(file)-8]...), "\xff\xff\xff\x7fPAR1"...), ruleParquetFooter},
		"bad footer":   {append(append([]byte{}, file[:len(file)-300]...), file[len(file)-8:]...), "can't be read"},
	} {
		if _, err := decodeParquet(t, c.file, declared); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
