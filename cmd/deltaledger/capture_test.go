//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/pg/embedded"
)

// captured are tables whose inserts a publication gives, as docs/integrating.md has it.
var captured = []string{
	"ledger.events", "ledger.seals", "ledger.watermarks", "billing.invoices", "billing.invoice_lines", "billing.pins", "billing.invoice_numbers",
	"billing.voids", "billing.statuses", "billing.payments", "billing.credit_notes", "billing.credit_note_lines", "reconcile.findings",
}

// insertion is a row as pgoutput gives it.
type insertion struct {
	table  string
	values map[string]string
}

// decodePgoutput reads messages of pgoutput, protocol version 1. Anything but inserts is refused.
func decodePgoutput(t testing.TB, messages [][]byte) (rows []insertion) {
	t.Helper()
	type relation struct {
		name    string
		columns []string
	}
	relations := map[uint32]relation{}
	for _, m := range messages {
		kind, r := m[0], bytes.NewReader(m[1:])
		number := func(size int) (n uint32) {
			for range size {
				b, err := r.ReadByte()
				if err != nil {
					t.Fatal(err)
				}
				n = n<<8 | uint32(b)
			}
			return n
		}
		text := func() string {
			var s []byte
			for b := byte(number(1)); b != 0; b = byte(number(1)) {
				s = append(s, b)
			}
			return string(s)
		}
		switch kind {
		case 'B', 'C', 'Y', 'O':
		case 'R':
			id := number(4)
			rel := relation{name: text() + "." + text()}
			number(1)
			for n := number(2); n > 0; n-- {
				number(1)
				rel.columns = append(rel.columns, text())
				number(8)
			}
			relations[id] = rel
		case 'I':
			rel := relations[binary.BigEndian.Uint32(m[1:])]
			number(5)
			row := insertion{rel.name, map[string]string{}}
			for i := range number(2) {
				if state := number(1); state == 't' {
					value := make([]byte, number(4))
					_, _ = r.Read(value)
					row.values[rel.columns[i]] = string(value)
				}
			}
			rows = append(rows, row)
		default:
			t.Errorf("message %q in a publication of inserts", kind)
		}
	}
	return rows
}

// logical restarts p's server so that it can decode, and connects to it.
func (p *program) logical() *pgx.Conn {
	p.t.Helper()
	first := p.connect(embedded.Superuser)
	if _, err := first.Exec(context.Background(), "ALTER SYSTEM SET wal_level = logical"); err != nil {
		p.t.Fatal(err)
	}
	_ = first.Close(context.Background())
	p.must("db", "stop")
	return p.connect(embedded.Superuser)
}

// TestLogicalDecodingGivesEveryFactOnce captures what several writers record, in a partition that is made meanwhile too, and
// what billing makes of it, with a role that may do nothing else.
func TestLogicalDecodingGivesEveryFactOnce(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	conn := p.logical()
	must := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	must("CREATE PUBLICATION deltaledger_facts FOR TABLE " + strings.Join(captured, ", ") + " WITH (publish = 'insert', publish_via_partition_root = true)")
	must("CREATE ROLE capture LOGIN REPLICATION PASSWORD 'secret'")
	address, err := url.Parse(strings.TrimSpace(p.must("db", "url", "--role", string(embedded.Superuser))))
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("capture", "secret")
	capture, err := pgx.Connect(t.Context(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = capture.Close(context.Background()) }()
	if _, err := capture.Exec(t.Context(), "SELECT pg_create_logical_replication_slot('capture', 'pgoutput')"); err != nil {
		t.Fatal(err)
	}
	if _, err := capture.Exec(t.Context(), "SELECT payload FROM ledger.private"); !pg.IsRefused(err) {
		t.Errorf("the role that captures reads private content: %v", err)
	}
	var writers sync.WaitGroup
	for w := range 3 {
		text := "id,source,stream,seqn,type,account,occurred_at,currency,amount\n"
		for i := range 2000 {
			text += fmt.Sprintf("%d-%d,shop,o%d-%d,1,sold,acme,2025-01-10T10:00:00Z,USD,1\n", w, i, w, i)
		}
		file := p.file(fmt.Sprintf("%d.csv", w), text)
		writers.Go(func() {
			if r := p.run("ingest", file); r.code != exitDone {
				t.Errorf("ingest: %s", r.stderr)
			}
		})
	}
	writers.Wait()
	p.must("close", "--through", "2025-01-31")
	p.must("invoices", "void", "INV-000001", "--outcome", "rebill", "--why", "wrong address")
	p.must("seal")
	// An event of a month that has no partition yet; made up, so that nothing can seal it.
	must("SELECT ledger.create_partitions(14)")
	must("CREATE TEMP TABLE later AS SELECT * FROM ledger.events ORDER BY position LIMIT 1")
	must("UPDATE later SET position = nextval('ledger.position_seq'), recorded_at = recorded_at + interval '13 months'")
	must("INSERT INTO ledger.events SELECT * FROM later")

	rows, err := capture.Query(t.Context(), "SELECT data FROM pg_logical_slot_get_binary_changes('capture', NULL, NULL, 'proto_version', '1', 'publication_names', 'deltaledger_facts')")
	if err != nil {
		t.Fatal(err)
	}
	messages, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	checkCaptured(t, conn, decodePgoutput(t, messages))
}

// checkCaptured holds what was captured against the tables.
func checkCaptured(t testing.TB, conn *pgx.Conn, rows []insertion) {
	t.Helper()
	counts, events := map[string]int{}, map[int64]bool{}
	var marks []int64
	for _, r := range rows {
		counts[r.table]++
		position, _ := strconv.ParseInt(r.values["position"], 10, 64)
		switch r.table {
		case "ledger.events":
			if events[position] {
				t.Errorf("position %d comes twice", position)
			}
			events[position] = true
			for _, w := range marks {
				if position <= w {
					t.Fatalf("position %d comes behind the watermark %d", position, w)
				}
			}
		case "ledger.watermarks":
			marks = append(marks, position)
		}
	}
	for _, table := range captured {
		if n := one[int](t, conn, "SELECT count(*)::integer FROM "+table); counts[table] != n {
			t.Errorf("%d rows of %s were captured, and there are %d", counts[table], table, n)
		}
		delete(counts, table)
	}
	if len(counts) > 0 {
		t.Errorf("captured besides: %v", counts)
	}
	if len(events) != 6001 || len(marks) == 0 || slices.Max(marks) == 0 {
		t.Errorf("%d events and %d watermarks", len(events), len(marks))
	}
}
