package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

const schema = `{"type":"record","name":"E","fields":[{"name":"id","type":"string"}]}`

// registry is a registry that can be made to fail, and one that reads it. asked counts its requests.
func registry(t *testing.T) (fake *srfake.Registry, r *Registry, down *atomic.Int32, asked *atomic.Int32) {
	t.Helper()
	fake = srfake.NewRegistry()
	down, asked = &atomic.Int32{}, &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		if status := down.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		fake.Handler().ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r, err := Open(Config{URLs: []string{server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	return fake, r, down, asked
}

// TestOutage: what is known goes on, what isn't is to be tried again, and only the registry itself says that there is none.
func TestOutage(t *testing.T) {
	t.Parallel()
	fake, r, down, asked := registry(t)
	fake.SeedSchema("orders-value", 1, 7, sr.Schema{Schema: schema})
	fake.SeedSchema("orders-value", 2, 8, sr.Schema{Schema: schema})
	d, err := wire.NewMessageDecoder(wire.MessageOptions{Format: wire.Avro, Schemas: r})
	if err != nil {
		t.Fatal(err)
	}
	decode := func(id uint32) (items []wire.Item, err error) {
		return d.Decode(t.Context(), wire.Message{Value: append(binary.BigEndian.AppendUint32([]byte{0}, id), "\x02x"...)})
	}
	for range 3 {
		if items, err := decode(7); err != nil || items[0].Event.ID != "x" {
			t.Fatalf("%+v %v", items, err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the registry was asked %d times", n)
	}
	for _, status := range []int32{500, 503, 401, 404} {
		down.Store(status)
		if items, err := decode(7); err != nil || items[0].Err != nil {
			t.Errorf("a known schema during %d: %+v %v", status, items, err)
		}
		if items, err := decode(8); !errors.Is(err, ledger.ErrBusy) || items != nil {
			t.Errorf("an unknown schema during %d: %+v %v", status, items, err)
		}
	}
	down.Store(0)
	if items, err := decode(8); err != nil || items[0].Err != nil {
		t.Errorf("after the outage: %+v %v", items, err)
	}
	if items, err := decode(9); err != nil || items[0].Err == nil || items[0].Err.Field != "schema" {
		t.Errorf("an id that doesn't exist: %+v %v", items, err)
	}
	fake.SeedSchema("orders-value", 3, 9, sr.Schema{Schema: schema})
	if items, err := decode(9); err != nil || items[0].Err != nil {
		t.Errorf("an id that exists now: %+v %v", items, err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if r, err = Open(Config{URLs: []string{gone.URL}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Schema(t.Context(), 7); !errors.Is(err, ledger.ErrBusy) {
		t.Errorf("nobody listens: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Schema(ended, 7); err == nil {
		t.Error("an answer in a context that has ended")
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	fake, r, _, asked := registry(t)
	const money = `{"type":"record","name":"Money","namespace":"a","fields":[{"name":"amount","type":"string"}]}`
	const line = `{"type":"record","name":"Line","namespace":"a","fields":[{"name":"of","type":"a.Money"}]}`
	const order = `{"type":"record","name":"Order","namespace":"a","fields":[{"name":"line","type":"Line"},{"name":"sum","type":"Money"}]}`
	toMoney := sr.SchemaReference{Name: "a.Money", Subject: "money", Version: 1}
	toLine := sr.SchemaReference{Name: "a.Line", Subject: "line", Version: 1}
	fake.SeedSchema("money", 1, 1, sr.Schema{Schema: money})
	fake.SeedSchema("line", 1, 2, sr.Schema{Schema: line, References: []sr.SchemaReference{toMoney}})
	fake.SeedSchema("order", 1, 3, sr.Schema{Schema: order, References: []sr.SchemaReference{toLine, toMoney}})
	fake.SeedSchema("text", 1, 4, sr.Schema{Schema: `{}`, Type: sr.TypeJSON})
	s, err := r.Schema(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	v, bad := s.Value([]byte("\x021\x022"))
	if bad != nil || string(v.AppendJSON(nil)) != `{"line":{"of":{"amount":"1"}},"sum":{"amount":"2"}}` {
		t.Errorf("%s %v", v.AppendJSON(nil), bad)
	}
	before := asked.Load()
	for range 2 {
		if _, err := r.Schema(t.Context(), 4); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("JSON Schema: %v", err)
		}
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("asked %d times for what can't change", n)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{}, {URLs: []string{"registry:8081"}}, {URLs: []string{"ftp://a"}}, {URLs: []string{"http://a"}, Password: "p"}, {URLs: []string{"http://a"}, User: "u", Token: "t"},
	} {
		if _, err := Open(c); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	seen := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		seen <- q.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"schema":"` + strings.Repeat("x", maxAnswer) + `"}`))
	}))
	t.Cleanup(server.Close)
	r, err := Open(Config{URLs: []string{server.URL}, Token: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Schema(t.Context(), 1); !errors.Is(err, ledger.ErrBusy) {
		t.Errorf("an answer without end: %v", err)
	}
	if got := <-seen; got != "Bearer abc" {
		t.Errorf("Authorization: %q", got)
	}
}
