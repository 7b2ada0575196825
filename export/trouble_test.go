package export_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"deltaledger/export"
	"deltaledger/ledger"
)

// tamper changes facts the way only a superuser can.
func (d *desk) tamper(t *testing.T, sql string) {
	t.Helper()
	const leaf = `SELECT tableoid::regclass::text FROM ledger.events LIMIT 1`
	var name string
	if err := d.db.Super.QueryRow(t.Context(), leaf).Scan(&name); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"ALTER TABLE " + name + " DISABLE TRIGGER USER", strings.ReplaceAll(sql, "EVENTS", name)} {
		if _, err := d.db.Super.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangedFactsAreLoud(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"an amount": "UPDATE EVENTS SET amount = 99 WHERE event_id = 'e1'",
		"a row":     "DELETE FROM EVENTS WHERE event_id = 'e1'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.sell(t, "2025-12-10T00:00:00Z", "2025-12-11T00:00:00Z")
			d.freeze(t, "2025-12")
			d.frozen(t, "2025-12")
			d.tamper(t, sql)
			f, err := d.File(t.Context(), export.FileRequest{Month: month(t, "2025-12")})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(t.Context(), io.Discard); !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), "NOT WHAT IT WAS") {
				t.Errorf("pulled again: %v", err)
			}
			dir := t.TempDir()
			if _, _, err := d.ToDir(t.Context(), export.FileRequest{Month: month(t, "2025-12")}, dir, export.DirOptions{}); !errors.Is(err, ledger.ErrCorrupt) {
				t.Errorf("to a directory: %v", err)
			}
			if left := list(t, dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("a row before the first pull", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t)
		d.sell(t, "2025-12-10T00:00:00Z", "2025-12-11T00:00:00Z")
		d.freeze(t, "2025-12")
		d.tamper(t, "DELETE FROM EVENTS WHERE event_id = 'e1'")
		f, err := d.File(t.Context(), export.FileRequest{Month: month(t, "2025-12")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(t.Context(), io.Discard); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("pulled: %v", err)
		}
	})
}

// broken is a client that goes away.
type broken struct{ after int }

var errGone = errors.New("gone")

func (b *broken) Write(p []byte) (int, error) {
	if b.after -= len(p); b.after < 0 {
		return 0, errGone
	}
	return len(p), nil
}

func TestClientsThatGoAway(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const add = `
		INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind)
		SELECT p, recorded_at, '2025-12-24 10:00:00Z', '2025-12-24', 's', p::text, 't', 'a', 'USD', 'upstream'
		FROM ledger.draw(50000), unnest(positions) p`
	if _, err := d.db.App.Exec(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	d.freeze(t, "2025-12")
	f, err := d.File(t.Context(), export.FileRequest{Month: month(t, "2025-12")})
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{0, 1000, 1 << 20} {
		if _, err := f.Write(t.Context(), &broken{after}); !errors.Is(err, errGone) {
			t.Errorf("gone after %d bytes: %v", after, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := f.Write(ctx, writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, m := d.frozen(t, "2025-12"); len(m.EarlierPulls) != 0 || m.Rows != 50_000 {
		t.Errorf("pulls that were broken off are logged, or rows are missing: %+v", m)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
