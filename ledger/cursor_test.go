package ledger

import (
	"encoding/base64"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestCursorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("6f1c6f0e-0000-4000-8000-000000000001")
	c := cursor{
		Version: cursorVersion, Where: []Filter{{Key: "country", Values: []string{"US", "", "<é>"}}}, From: "2026-01-01", To: "2026-02-01T00:00:00Z",
		AsOf: 1 << 50, AsOfN: 12, AsOfTaken: time.Date(2026, 1, 1, 1, 2, 3, 4000, time.UTC), OldestFirst: true, Limit: 7, Last: 99,
	}
	got, err := decodeCursor(c.encode(id), id)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Whatever the content, even with the right checksum, a cursor is refused or in its bounds.
func FuzzCursor(f *testing.F) {
	id := uuid.MustParse("6f1c6f0e-0000-4000-8000-000000000001")
	f.Add(`{"v":1,"a":5,"n":1,"k":"2026-01-01T00:00:00Z","l":10,"p":3}`, "")
	f.Add(`{"v":1,"w":[{"key":"a\u0000","values":["b"]}],"a":5,"l":1,"p":3}`, "AAAA")
	f.Add(`{"v":1}{}`, cursor{Version: 1, AsOf: 5, Limit: 1, Last: 2}.encode(id))
	f.Fuzz(func(t *testing.T, content, whole string) {
		sealed := base64.RawURLEncoding.EncodeToString(append([]byte(content), checksum(id, []byte(content))...))
		for _, s := range []string{sealed, whole} {
			c, err := decodeCursor(s, id)
			if err != nil {
				if _, ok := err.(*FieldError); !ok { //nolint:errorlint // exactly this type, not wrapped
					t.Fatalf("%T: %v", err, err)
				}
				continue
			}
			if c.Last < 1 || c.Last > c.AsOf || c.Limit < 1 || c.Limit > MaxLimit || checkWhere(c.Where) != nil {
				t.Fatalf("accepted %+v", c)
			}
			if _, err := decodeCursor(s, uuid.MustParse("6f1c6f0e-0000-4000-8000-000000000002")); err == nil {
				t.Fatalf("another ledger takes it too: %+v", c)
			}
			for _, torn := range []string{s[:len(s)-1], s[1:], s + "A", swapped(s)} {
				if other, err := decodeCursor(torn, id); err == nil {
					t.Fatalf("%q, torn from %q, is taken for %+v", torn, s, other)
				}
			}
			if again, err := decodeCursor(c.encode(id), id); err != nil || !reflect.DeepEqual(again.encode(id), c.encode(id)) {
				t.Fatalf("%+v comes back as %+v, %v", c, again, err)
			}
		}
	})
}

// swapped is a cursor with another first character.
func swapped(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}
