//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg/embedded"
)

// TestAnswersAsOfNeverChange asks as of watermarks and times while a writer that has drawn low positions
// is held back and others commit higher ones. Each answer is kept when it can first be had, and must be
// the same, byte for byte, whenever it is asked for again: after the late writer has committed, rolled
// back, been killed or gone silent, after PostgreSQL was killed, and after its clock was set back
// (invariants 5 and 9).
func TestAnswersAsOfNeverChange(t *testing.T) {
	t.Parallel()
	a := newAskers(t)
	a.must(`{"source":"shop","stream":"hot","id":"first","seqn":1,"type":"sold","account":"acme","occurred_at":"2025-12-03T10:00:00Z","currency":"EUR","amount":"1.10"}`)
	a.ticks()
	a.p.must("export", "month", "2025-12", "--out", "frozen", "--freeze")
	stop := a.keepWriting(3)
	for round, end := range []func(*lateWriter){
		(*lateWriter).commit, (*lateWriter).rollback, (*lateWriter).kill, (*lateWriter).commit, (*lateWriter).restart, (*lateWriter).clockSetBack, (*lateWriter).commit,
	} {
		a.round(round, end)
	}
	stop()
	if changed := a.again(); changed == 0 && len(a.answers) < 7*2*len(asOfQuestions("")) {
		t.Errorf("only %d answers were kept", len(a.answers))
	}
}

// ticks fails unless the service takes a watermark by itself for what is recorded, and none for nothing.
func (a *askers) ticks() {
	a.t.Helper()
	conn := a.p.connect(embedded.Superuser)
	const covered = `SELECT COALESCE(max(position), 0) >= (SELECT max(position) FROM ledger.events) FROM ledger.watermarks`
	for deadline := time.Now().Add(20 * time.Second); !one[bool](a.t, conn, covered); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatal("no watermark was taken")
		}
	}
	taken := one[int](a.t, conn, `SELECT count(*) FROM ledger.watermarks`)
	one[string](a.t, conn, `SELECT pg_sleep(2.5)::text`) // what doesn't happen can only be waited for
	if n := one[int](a.t, conn, `SELECT count(*) FROM ledger.watermarks`); n != taken {
		a.t.Errorf("%d watermarks were taken for nothing", n-taken)
	}
}

// askers is a service that answers, and what it has answered.
type askers struct {
	t       *testing.T
	p       *program
	service *service
	n       atomic.Int64
	tokens  chan struct{} // one for each event that may be written beside

	mu      sync.Mutex
	answers map[string]string // by path
}

func newAskers(t *testing.T) *askers {
	p := newProgram(t)
	return &askers{t: t, p: p, service: p.serve(), answers: map[string]string{}, tokens: make(chan struct{}, 1000)}
}

// let lets n events be written beside.
func (a *askers) let(n int) {
	for range n {
		select {
		case a.tokens <- struct{}{}:
		default:
		}
	}
}

// asOfQuestions are the paths of everything that is answered as of something.
func asOfQuestions(asOf string) []string {
	q := "as_of=" + url.QueryEscape(asOf)
	return []string{
		"/v1/events?limit=200&order=oldest&" + q, "/v1/events?limit=200&where=stream%3Dhot&" + q,
		"/v1/aggregates?measure=amount,quantity&by=account,month,booked_month&" + q, "/v1/streams/shop/hot?" + q,
		"/v1/exports/months/2026-01.csv?open=true&" + q,
	}
}

// post records an event and reports whether it was acknowledged.
func (a *askers) post(event string) bool {
	response, err := http.Post(a.service.url+"/v1/events", "application/json", strings.NewReader(event))
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusCreated
}

func (a *askers) must(event string) {
	a.t.Helper()
	if !a.post(event) {
		a.t.Fatalf("not recorded: %s", event)
	}
}

// keepWriting records events of the open and of the frozen month until it is stopped, as many as it is let.
func (a *askers) keepWriting(writers int) (stop func()) {
	ctx, cancel := context.WithCancel(a.t.Context())
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-a.tokens:
				}
				n := a.n.Add(1)
				a.post(fmt.Sprintf(`{"source":"shop","stream":"s%d","id":"e%d","seqn":1,"type":"sold","account":"a%d","occurred_at":"%s-10T10:00:00Z","currency":"EUR","amount":"%d.01"}`,
					n, n, n%5, []string{"2025-12", "2026-01"}[n%2], n))
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

// get asks until there is an answer: while PostgreSQL is being started again there is none. The pages of a
// list are one answer.
func (a *askers) get(path string) string {
	var whole strings.Builder
	for next := path; next != ""; {
		body, ok := a.try(next)
		for deadline := time.Now().Add(time.Minute); !ok; body, ok = a.try(next) {
			if time.Now().After(deadline) {
				a.t.Errorf("%s: no answer: %s", next, body)
				return body
			}
		}
		whole.WriteString(body)
		next = ""
		if _, after, found := strings.Cut(body, `"next_cursor":"`); found {
			cursor, _, _ := strings.Cut(after, `"`)
			next = "/v1/events?limit=200&cursor=" + url.QueryEscape(cursor)
		}
	}
	return whole.String()
}

func (a *askers) try(path string) (string, bool) {
	response, err := http.Get(a.service.url + path)
	if err != nil {
		return err.Error(), false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err == nil && response.StatusCode == http.StatusOK
}

// keep asks everything as of something and keeps the answers.
func (a *askers) keep(asOf string) {
	for _, path := range asOfQuestions(asOf) {
		body := a.get(path)
		a.mu.Lock()
		a.answers[path] = body
		a.mu.Unlock()
	}
}

// again asks everything again, and counts what has changed.
func (a *askers) again() (changed int) {
	a.t.Helper()
	for path, before := range a.answers {
		if now := a.get(path); now != before {
			changed++
			a.t.Errorf("%s: was\n%.2000s\nis\n%.2000s", path, before, now)
		}
	}
	return changed
}

// round holds a writer back, has everything asked as of now and of the newest watermark, ends the writer,
// and asks all that was ever asked again.
func (a *askers) round(n int, end func(*lateWriter)) {
	a.t.Helper()
	a.let(20)
	late := a.holdBack(n)
	a.let(20)
	const above = 20
	for range above { // above what the late writer has drawn
		a.must(fmt.Sprintf(`{"source":"shop","stream":"hot","id":"hot%d","type":"sold","account":"acme","seqn":%d,"occurred_at":"2026-01-%02dT10:00:00Z","currency":"EUR","amount":"-3"}`,
			a.n.Add(1), 1000+a.n.Load(), 1+n))
	}
	now := one[time.Time](a.t, late.super, `SELECT clock_timestamp()`).Format(time.RFC3339Nano)
	before := one[string](a.t, late.super, `SELECT position::text FROM ledger.watermarks ORDER BY n DESC LIMIT 1`)
	var group sync.WaitGroup
	group.Go(func() { a.keep(now) }) // can't be answered before the late writer has ended
	a.keep(before)
	a.let(20)
	end(late)
	group.Wait()
	a.let(20)
	a.keep(one[string](a.t, late.super, `SELECT position::text FROM ledger.watermarks ORDER BY n DESC LIMIT 1`))
	if before == "0" || a.again() > 0 {
		a.t.Fatalf("round %d: watermark %s", n, before)
	}
}

// lateWriter is a session that has drawn positions and hasn't committed.
type lateWriter struct {
	a         *askers
	n         int
	conn      *pgx.Conn
	super     *pgx.Conn
	positions []int64
	at        time.Time
}

func (a *askers) holdBack(n int) *lateWriter {
	a.t.Helper()
	w := &lateWriter{a: a, n: n, conn: a.p.connect(embedded.App), super: a.p.connect(embedded.Superuser)}
	w.exec(`BEGIN`)
	if err := w.conn.QueryRow(a.t.Context(), `SELECT positions, recorded_at FROM ledger.draw(2)`).Scan(&w.positions, &w.at); err != nil {
		a.t.Fatal(err)
	}
	return w
}

func (w *lateWriter) exec(sql string, args ...any) {
	w.a.t.Helper()
	if _, err := w.conn.Exec(w.a.t.Context(), sql, args...); err != nil {
		w.a.t.Fatalf("%s: %v", sql, err)
	}
}

// write inserts what the positions were drawn for: an event of each month, in the stream that is asked for.
func (w *lateWriter) write() {
	for i, month := range []string{"2025-12", "2026-01"} {
		seqn := int64(100 + 2*w.n + i)
		w.exec(`INSERT INTO ledger.event_keys (event_key, position_key, position, recorded_at, digest_version, digest) VALUES (gen_random_uuid(), $1, $2, $3, 1, '\x00')`,
			uuid.UUID(ledger.PositionKey("shop", "hot", seqn)), w.positions[i], w.at)
		w.exec(`INSERT INTO ledger.events (position, recorded_at, seqn, occurred_at, business_date, source, event_id, stream, type, account, currency, kind, amount)
			VALUES ($1, $2, $3, $4::timestamptz, $4::date, 'shop', $5, 'hot', 'sold', 'acme', 'EUR', 'upstream', 1000)`,
			w.positions[i], w.at, seqn, month+"-20 12:00:00Z", fmt.Sprint("late", w.n, "/", i))
	}
}

func (w *lateWriter) commit()   { w.write(); w.exec(`COMMIT`) }
func (w *lateWriter) rollback() { w.write(); w.exec(`ROLLBACK`) }

// kill ends the session from outside, as an operator would.
func (w *lateWriter) kill() {
	w.write()
	if !one[bool](w.a.t, w.super, `SELECT pg_terminate_backend($1, 10000)`, w.conn.PgConn().PID()) {
		w.a.t.Error("the session of the late writer can't be ended")
	}
}

// restart kills PostgreSQL, whose supervisor starts it again.
func (w *lateWriter) restart() {
	w.write()
	st, err := embedded.Status(w.a.p.args[1])
	if err != nil {
		w.a.t.Fatal(err)
	}
	if err := syscall.Kill(st.Postgres, syscall.SIGKILL); err != nil {
		w.a.t.Fatal(err)
	}
	again := strings.TrimSpace(w.a.p.must("db", "url", "--role", string(embedded.Superuser)))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // nobody tells when it is back
		if w.super, err = pgx.Connect(context.Background(), again); err == nil {
			break
		}
		if time.Now().After(deadline) {
			w.a.t.Fatal(err)
		}
	}
	w.a.t.Cleanup(func() { _ = w.super.Close(context.Background()) })
}

// clockSetBack leaves the ledger as a clock does that was an hour ahead and is set right.
func (w *lateWriter) clockSetBack() {
	w.commit()
	if _, err := w.super.Exec(w.a.t.Context(), `WITH ahead AS (SELECT position, clock_timestamp() + interval '1 hour' AS at FROM ledger.watermarks ORDER BY n DESC LIMIT 1),
		clock AS (SELECT setval('ledger.taken_seq', (extract(epoch FROM at) * 1000000)::bigint) FROM ahead)
		INSERT INTO ledger.watermarks (position, taken_at) SELECT position, at FROM ahead, clock`); err != nil {
		w.a.t.Fatal(err)
	}
}
