package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
	"deltaledger/migrations"
)

type demoCmd struct {
	Addr string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to serve on after the story (${default}); port 0 takes a free one."`
	Exit bool   `help:"Stop after the story; the exit code is 0 only if every step held."`
}

// Help is shown below the command's flags.
func (demoCmd) Help() string {
	return `Makes a ledger of its own, with a made-up marketplace in it, on the private PostgreSQL of the data directory, and tells in steps what a ledger does that a spreadsheet doesn't: orders that come twice and too late, months that stay closed, invoices that say what they hold. Then it serves that ledger until it is stopped.

  deltaledger demo
  deltaledger demo --exit`
}

// Run tells the story and then serves.
func (c *demoCmd) Run(ctx context.Context, s *session) error {
	if s.DatabaseURL != "" {
		return usagef("demo makes a ledger of its own on the private PostgreSQL of --data-dir: run it without --database-url and DATABASE_URL")
	}
	server, err := openServer(ctx, s, nil)
	if err != nil {
		return err
	}
	a := &app{server: server, closers: []func() error{server.Close}}
	name, err := makeDemoDatabase(ctx, server)
	if err == nil {
		err = a.join(ctx, s, server.RoleURL(embedded.App, name))
	}
	if err == nil {
		err = c.tell(ctx, s, a, name)
	}
	return errors.Join(err, a.close())
}

// makeDemoDatabase makes a ledger in a database that no demo used before: nothing that is recorded can
// be taken back, so every demo begins with a new one.
func makeDemoDatabase(ctx context.Context, server *embedded.Server) (string, error) {
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return "", fmt.Errorf("connect to the private PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, sqlLockMaker); err != nil {
		return "", fmt.Errorf("wait for another command that makes a ledger: %w", err)
	}
	var name string
	if err := conn.QueryRow(ctx, sqlNextDemo).Scan(&name); err != nil {
		return "", fmt.Errorf("name the demo's database: %w", err)
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"); err != nil {
		return "", fmt.Errorf("make the demo's database: %w", err)
	}
	return name, migrations.Up(ctx, server.URL(name), migrations.Options{Zone: demoZone})
}

const sqlNextDemo = `
SELECT 'demo_' || 1 + COALESCE(max(substr(d.datname, 6)::int), 0)
FROM pg_database d
WHERE d.datname ~ '^demo_[0-9]{1,6}$'`

// tell runs the steps, and serves if they held.
func (c *demoCmd) tell(ctx context.Context, s *session, a *app, name string) error {
	t := newStory(s, a, name)
	for _, step := range t.steps() {
		if err := t.run(ctx, step); err != nil {
			return fmt.Errorf("step %q: %w", step.title, err)
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	if c.Exit {
		return nil
	}
	url := a.server.RoleURL(embedded.App, name)
	s.warn("look around in another terminal with this ledger's URL:\n\n  export DATABASE_URL='%s'\n  deltaledger aggregate --measure amount --by month,type\n  deltaledger stream %s %s\n  deltaledger invoices list\n",
		url, demoSource, t.world.order)
	if err := s.flush(); err != nil {
		return err
	}
	return (&serveCmd{Addr: c.Addr, sealing: sealing{SealEvery: 10 * time.Second}}).serve(ctx, s, a)
}

// step is one chapter of the story.
type step struct {
	title string
	do    func(context.Context, *chapter) error
}

// chapter is what a step tells: lines for people, and what it checked.
type chapter struct {
	Title  string   `json:"title"`
	Lines  []string `json:"lines"`
	Checks []check  `json:"checks"`
}

type check struct {
	What string `json:"what"`
	Held bool   `json:"held"`
}

func (c *chapter) say(format string, args ...any) {
	c.Lines = append(c.Lines, fmt.Sprintf(format, args...))
}

// check notes something that the step claims, and whether it held.
func (c *chapter) check(held bool, format string, args ...any) {
	c.Checks = append(c.Checks, check{fmt.Sprintf(format, args...), held})
}

// run runs a step and, for people, prints it at once.
func (t *story) run(ctx context.Context, st step) error {
	c := &chapter{Title: st.title, Lines: []string{}, Checks: []check{}}
	err := st.do(ctx, c)
	t.chapters = append(t.chapters, c)
	if t.s.Output != outputTable {
		return err
	}
	_, _ = fmt.Fprintf(t.s.out, "\n%d. %s\n", len(t.chapters), c.Title)
	for _, line := range c.Lines {
		_, _ = fmt.Fprintf(t.s.out, "   %s\n", line)
	}
	for _, k := range c.Checks {
		mark := "held:  "
		if !k.Held {
			mark = "BROKEN:"
		}
		_, _ = fmt.Fprintf(t.s.out, "   %s %s\n", mark, k.What)
	}
	return errors.Join(err, t.s.flush())
}

// errBroken is the end of a story of which a step didn't hold.
var errBroken = errors.New("a step of the demo did not hold what it promises")

// end sums up.
func (t *story) end() error {
	held, broken := 0, 0
	rows := table{columns: []column{text("step"), text("check"), text("held")}}
	for _, c := range t.chapters {
		for _, k := range c.Checks {
			rows.add(c.Title, k.What, fmt.Sprint(k.Held))
			if k.Held {
				held++
			} else {
				broken++
			}
		}
	}
	if t.s.Output == outputTable {
		_, _ = fmt.Fprintf(t.s.out, "\n%d checks held, %d did not.\n", held, broken)
	} else if err := t.s.show(map[string]any{"steps": t.chapters, "held": held, "broken": broken}, rows); err != nil {
		return err
	}
	if broken > 0 {
		return errBroken
	}
	return nil
}

// money writes an amount for people: GBP 12,345.67.
func money(currency, amount string) string {
	sign := ""
	if strings.HasPrefix(amount, "-") {
		sign, amount = "-", amount[1:]
	}
	whole, fraction, _ := strings.Cut(amount, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	for len(fraction) < 2 {
		fraction += "0"
	}
	return currency + " " + sign + whole + "." + fraction
}
