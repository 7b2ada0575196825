package wire

import (
	"bytes"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"deltaledger/ledger"
)

const avroPlainSchema = `{"type":"record","name":"E","fields":[{"name":"id","type":"string"},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
	{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"payload","type":["null","string"]}]}`

// avroFile is a file of n events, with one too long after 20 of them if long is set.
func avroFile(t testing.TB, n, perBlock int, long bool, codec ocf.Codec) []byte {
	t.Helper()
	var b bytes.Buffer
	o := []ocf.WriterOpt{ocf.WithBlockCount(perBlock), ocf.WithBlockBytes(64 << 20)}
	if codec != nil {
		o = append(o, ocf.WithCodec(codec))
	}
	w, err := ocf.NewWriter(&b, avro.MustParse(avroPlainSchema), o...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		record := map[string]any{"id": fmt.Sprint(i), "amount": big.NewRat(int64(-i), 4), "occurred_at": time.UnixMilli(int64(i)), "payload": nil}
		if long && i == 20 {
			record["payload"] = strings.Repeat("x", ledger.MaxEvent)
		}
		if err := w.Encode(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAvroFile: whatever the codec, the blocks, the batches and the pieces are, the events are the same.
func TestAvroFile(t *testing.T) {
	t.Parallel()
	want := decodeAll(t, string(avroFile(t, 50, 1, true, nil)), Avro, Options{})
	if len(want) != 50 || want[20].Err == nil || want[20].Err.Rule != ruleTooLong || want[49].Event.ID != "49" || want[49].Event.Amount.String() != "-12.25" || want[49].Line != 50 {
		t.Fatalf("%s", summary(want))
	}
	for name, codec := range map[string]ocf.Codec{"null": nil, "deflate": ocf.DeflateCodec(6), "snappy": ocf.SnappyCodec(), "zstandard": ocf.MustZstdCodec(nil, nil)} {
		for _, perBlock := range []int{1, 7, 1000} {
			file := avroFile(t, 50, perBlock, true, codec)
			for _, o := range []Options{{}, {BatchSize: 3, Workers: 3}} {
				total := 0
				var got []Item
				err := Decode(t.Context(), &pieces{text: string(file), n: 1 + perBlock}, Avro, o, func(b Batch) error {
					got, total = append(got, b.Items...), total+b.Size
					return nil
				})
				if err != nil || total > len(file) || !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %d in a block: %v, %d bytes of %d, %s", name, perBlock, err, total, len(file), summary(got))
				}
			}
		}
	}
}

// TestBadAvroFile: what comes before the fault is delivered, and the fault is named.
func TestBadAvroFile(t *testing.T) {
	t.Parallel()
	file := string(avroFile(t, 30, 10, false, nil))
	last := strings.LastIndex(file, "29")
	marker := file[len(file)-16:]
	block := func(count, size, data string) string { return file + count + size + data + marker }
	for _, c := range []struct {
		name, file, want string
		items            int
	}{
		{"empty", "", "must be a file of Avro objects", 0},
		{"JSON", `{"id":"a"}`, "must be a file of Avro objects", 0},
		{"header cut", file[:100], "the header of the Avro file: must be complete", 0},
		{"header too long", avroMagic + "\x02\xfe\xff\xff\xff\x0f", "must have a header of at most", 0},
		{"a number without end", avroMagic + strings.Repeat("\xff", 12), ruleAvroVarint, 0},
		{"no schema", avroMagic + "\x00", "with avro.schema", 0},
		{"schema that is none", avroMagic + "\x02\x16avro.schema\x02{\x00", "schema: ", 0},
		{"codec", strings.Replace(file, "null", "lzma", 1), "", 0},
		{"cut in a block", file[:last], "block 3 of the Avro file: must be complete", 20},
		{"cut in a marker", file[:len(file)-3], "block 3 of the Avro file: must be complete", 20},
		{"marker", file[:len(file)-3] + "xyz", "block 3: must end with the marker", 20},
		{"negative count", block("\x01", "\x00", ""), "block 4: must be a block of at most", 30},
		{"too large", block("\x02", "\xfe\xff\xff\xff\x0f", ""), "block 4: must be a block of at most", 30},
		{"bytes left", block("\x02", "\x0c", "\x02x\x00\x00\x00\x00") + "\x02\x00" + marker, "", 31},
		{"fewer than said", block("\x04", "\x0a", "\x02x\x02\x00\x00"), "", 31},
		{"claims of nothing", block("\xfe\xff\xff\xff\xff\x0f", "\x00", ""), "", 31},
	} {
		items, err := collect(strings.NewReader(c.file), Avro, Options{})
		if c.name == "bytes left" && len(items) == 31 || c.name == "codec" {
			continue // which of the faults comes first depends on the bytes
		}
		if len(items) != c.items || (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d items, %v", c.name, len(items), err)
		}
		for _, i := range items[min(30, len(items)):] {
			if checkFault(t, i.Err); i.Err == nil {
				t.Errorf("%s: %+v", c.name, i)
			}
		}
	}
	packed := avroFile(t, 5, 5, false, ocf.SnappyCodec())
	packed[len(packed)-17] ^= 1
	if _, err := collect(bytes.NewReader(packed), Avro, Options{}); err == nil || !strings.Contains(err.Error(), "block 1: can't be unpacked: its checksum is wrong") {
		t.Errorf("a wrong checksum: %v", err)
	}
}

// TestAvroBombs: a small file that unpacks into a huge one is refused.
func TestAvroBombs(t *testing.T) {
	t.Parallel()
	schema := avro.MustParse(`"bytes"`)
	for name, codec := range map[string]ocf.Codec{"deflate": ocf.DeflateCodec(1), "zstandard": ocf.MustZstdCodec(nil, nil)} {
		var b bytes.Buffer
		w, err := ocf.NewWriter(&b, schema, ocf.WithCodec(codec), ocf.WithBlockBytes(1<<30))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Encode(make([]byte, maxAvroBlock+1)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := collect(&b, Avro, Options{}); err == nil || !strings.Contains(err.Error(), errUnpacksLarge.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMappedFiles: the same documents make the same events, whatever they came in.
func TestMappedFiles(t *testing.T) {
	t.Parallel()
	m, err := ParseMapping("m", []byte(mapHead+"id: key\namount: {from: total, units: minor}\noccurred_at: when\ncurrency: {constant: EUR}\nrest: dimensions\n"))
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"key":"k1","total":"-1250","when":"2026-01-31T00:00:00Z","shop":"north"}`
	const ce = `{"specversion":"1.0","id":"k1","source":"s","type":"t","data":` + line + `}`
	var b bytes.Buffer
	schema := avro.MustParse(recordOf(`[{"name":"key","type":"string"},{"name":"total","type":"string"},{"name":"when","type":"string"},{"name":"shop","type":"string"}]`))
	w, err := ocf.NewWriter(&b, schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Encode(map[string]any{"key": "k1", "total": "-1250", "when": "2026-01-31T00:00:00Z", "shop": "north"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want, fault := DecodeOne([]byte(`{"id":"k1","source":"shop","type":"order.changed","account":"acme","occurred_at":"2026-01-31T00:00:00Z","currency":"EUR","amount":"-12.50","dimensions":{"shop":"north"}}`), declared)
	if fault != nil {
		t.Fatal(fault)
	}
	for f, input := range map[Format]string{JSON: line, NDJSON: line + "\n", CSV: "key,total,when,shop,none\nk1,-1250,2026-01-31T00:00:00Z,north,\n", Avro: b.String()} {
		items := decodeAll(t, input, f, Options{Mapping: m})
		if len(items) != 1 || items[0].Err != nil || !reflect.DeepEqual(items[0].Event, want) {
			t.Errorf("%s: %+v", f, items)
		}
	}
	inside, err := ParseMapping("m", []byte(mapHead+"id: id\namount: {from: data.total, units: minor}\noccurred_at: data.when\ncurrency: {constant: EUR}\ndimensions: [data.shop]\nignore: [specversion, source, type, data.key]\n"))
	if err != nil {
		t.Fatal(err)
	}
	items := decodeAll(t, ce, CloudEvents, Options{Mapping: inside})
	binary := message(t, MessageOptions{Mapping: inside}, line, "ce_specversion", "1.0", "ce_id", "k1", "ce_source", "s", "ce_type", "t")
	for _, i := range append(items, binary...) {
		if i.Err != nil || !reflect.DeepEqual(i.Event, want) {
			t.Errorf("a CloudEvent: %+v", i)
		}
	}
	if _, err := collect(strings.NewReader("a,a\n"), CSV, Options{Mapping: m}); err == nil {
		t.Error("a column that stands twice")
	}
}
