package wire

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// realData opens a file of the directory that DELTALEDGER_REAL_DATA names; nil where there is none and
// none is required.
func realData(t *testing.T, name string) []byte {
	t.Helper()
	directory := os.Getenv("DELTALEDGER_REAL_DATA")
	if directory == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("DELTALEDGER_REAL_DATA must name the directory of real files where CI=true")
		}
		t.Log("DELTALEDGER_REAL_DATA names no directory of real files: nothing was tried")
		return nil
	}
	packed, err := os.ReadFile(filepath.Join(directory, name))
	if err != nil {
		t.Fatalf("DELTALEDGER_REAL_DATA is set, but its file can't be read: %v", err)
	}
	r, err := Decompress(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("unpack %s: %v", name, err)
	}
	return text
}

// TestRealSales decodes two years of a shop's sales, and compares them with what encoding/csv reads.
func TestRealSales(t *testing.T) {
	t.Parallel()
	text := realData(t, "online-retail-2010-2011.events.csv.gz")
	if text == nil {
		return
	}
	want, sum := readSales(t, text)
	for _, o := range []Options{{}, {PayloadColumns: []string{"description"}}} {
		n, total := 0, decimal.Zero
		err := Decode(context.Background(), bytes.NewReader(text), CSV, o, func(b Batch) error {
			for _, i := range b.Items {
				if i.Err != nil {
					return i.Err
				}
				total = total.Add(i.Event.Amount.Decimal())
				if err := sameSale(i.Event, want[n], o.PayloadColumns != nil); err != nil {
					t.Errorf("line %d: %v", i.Line, err)
					return err
				}
				n++
			}
			return nil
		})
		if err != nil || n != len(want) || !total.Equal(sum) {
			t.Errorf("%d events of %d, %s of %s, %v", n, len(want), total, sum, err)
		}
		t.Logf("%d events, sum %s", n, total)
	}
}

// readSales gives the records behind the header, and the sum of the amounts.
func readSales(t *testing.T, text []byte) (rows [][]string, sum decimal.Decimal) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		amount, err := decimal.NewFromString(row[8])
		if err != nil {
			t.Fatal(err)
		}
		sum = sum.Add(amount)
	}
	return rows[1:], sum
}

// sameSale compares an event with its row: id, source, stream, seqn, type, account, occurred_at, currency,
// amount, quantity, country, stock_code, description.
func sameSale(e ledger.Event, row []string, private bool) error {
	again, bad := DecodeOne(encode(e), Options{})
	switch {
	case bad != nil:
		return bad
	case !bytes.Equal(encode(again), encode(e)):
		return errors.New("isn't itself when it is sent again")
	case e.ID != row[0] || e.Source != row[1] || e.Stream != row[2] || e.Type != row[4] || e.Account != row[5]:
		return errors.New("has other texts")
	case e.OccurredAt.Format("2006-01-02T15:04:05Z") != row[6] || e.Currency != row[7]:
		return errors.New("has another time or currency")
	case bytes.Contains(e.Dimensions, []byte(`"description"`)) != (!private && row[12] != ""):
		return errors.New("has its description in the wrong place")
	case (e.Payload != nil) != (private && row[12] != ""):
		return errors.New("has the wrong payload")
	}
	return nil
}
