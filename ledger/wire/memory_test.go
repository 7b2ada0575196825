package wire

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"
)

// endless is a reader that repeats a text until size bytes were read.
type endless struct {
	text string
	size int
	at   int
}

func (e *endless) Read(b []byte) (n int, err error) {
	if e.size <= 0 {
		return 0, io.EOF
	}
	for n < len(b) && n < e.size {
		m := copy(b[n:min(len(b), e.size)], e.text[e.at:])
		n, e.at = n+m, (e.at+m)%len(e.text)
	}
	e.size -= n
	return n, nil
}

// TestMemoryIsBounded sends what a bomb would unpack into. It counts what all of the process allocates, so
// it runs alone.
func TestMemoryIsBounded(t *testing.T) {
	const size, most = 256 << 20, 64 << 20
	for _, c := range []struct {
		name, head, text string
		f                Format
	}{
		{"one line", `{"id":"`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NDJSON},
		{"one string", `[{"id":"`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", JSON},
		{"white space", `[{"id":"a"}`, "                                ", JSON},
		{"one cell", shortHeader + `"`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", CSV},
		{"blank lines", `{"id":"a"}`, "                               \n", NDJSON},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		items := 0
		r := io.MultiReader(strings.NewReader(c.head), &endless{text: c.text, size: size})
		err := Decode(context.Background(), r, c.f, Options{Workers: 2}, func(b Batch) error {
			items += len(b.Items)
			return nil
		})
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; err != nil || items == 0 || items > 2 || used > most {
			t.Errorf("%s: %d items, %v, %d MiB allocated", c.name, items, err, used>>20)
		}
	}
}
