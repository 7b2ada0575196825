package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"deltaledger/export"
	"deltaledger/export/archive"
	"deltaledger/ledger"
)

type archiveCmd struct {
	Months archiveMonthsCmd `cmd:"" default:"withargs" help:"Copy months, and detach them."`
	List   archiveListCmd   `cmd:"" help:"List the copies that were made and verified, and the months that are detached."`
	Verify archiveVerifyCmd `cmd:"" help:"Hold the copies of a month, or all at a place, against the seals."`
	Attach archiveAttachCmd `cmd:"" help:"Take a detached month back into what lists and aggregates read."`
}

// moving is what every command says that moves a month.
type moving struct {
	By   string        `placeholder:"NAME" help:"Who does it; without it the user of the system."`
	Wait time.Duration `default:"1m" help:"How long to try to get between others who use the events (${default})."`
}

type archiveMonthsCmd struct {
	Before      string `required:"" placeholder:"MONTH" help:"Archive the months, in UTC, in which events were recorded before this one. The current month and the one before it are never archived."`
	To          string `placeholder:"URL" help:"Where the copies go: a directory, s3://bucket?prefix=ledger/ or gs://bucket?prefix=ledger/."`
	Detach      bool   `help:"Take each month, once its copy is verified, out of what lists and aggregates read. It stays in the database."`
	DryRun      bool   `help:"Only say what would be done, and what stands in the way."`
	QuietMonths int    `placeholder:"N" default:"12" help:"With --detach: for how many months a stream that stands on a state of the month must have had no events (${default})."`
	moving
}

// Help is shown below the command's flags.
func (archiveMonthsCmd) Help() string {
	return `A copy is Parquet files and a manifest. It is read back and held against the seals before it counts. Private content is not in it: it stays in the database, where it can be erased. A copy is never written over; one that was left half written is begun anew.

  deltaledger archive --before 2026-01 --to /mnt/archive
  deltaledger archive --before 2026-01 --to "s3://finance-archive?prefix=ledger/" --detach
  deltaledger archive --before 2026-01 --detach --dry-run
  deltaledger archive verify 2025-11`
}

// archived is what became of one month.
type archived struct {
	Month    export.Month `json:"month"`
	URL      string       `json:"url,omitempty"`
	Rows     int64        `json:"rows"`
	Bytes    int64        `json:"bytes"`
	Written  bool         `json:"written"`
	Detached bool         `json:"detached"`
	Refused  []string     `json:"refused"` // why it wasn't archived or detached, each with what to do
}

// Run archives.
func (c *archiveMonthsCmd) Run(ctx context.Context, s *session) error {
	before, err := export.ParseMonth(c.Before)
	if err != nil {
		return usagef("--before must be a month written as YYYY-MM, such as 2025-12")
	}
	if c.To == "" && !c.Detach && !c.DryRun {
		return usagef("--to says where the copies go; without it only months that are copied already can be detached, with --detach")
	}
	location := ""
	if c.To != "" {
		if location, err = archive.Location(c.To); err != nil {
			return usage(err)
		}
	}
	return withApp(ctx, s, func(a *app) error {
		months, err := a.archiver.Before(ctx, before)
		if err != nil {
			return err
		}
		done := []archived{}
		for _, m := range months {
			one, err := c.one(ctx, s, a, m, location)
			if err != nil {
				return err
			}
			done = append(done, one)
		}
		if len(months) == 0 {
			s.say("nothing to archive before %s: a month must be over in UTC, hold events, and not be detached already", before)
		}
		if err := s.show(done, archivedTable(done)); err != nil {
			return err
		}
		for _, one := range done {
			if len(one.Refused) > 0 && !c.DryRun {
				return errShown
			}
		}
		return nil
	})
}

func (c *archiveMonthsCmd) one(ctx context.Context, s *session, a *app, m export.Month, location string) (one archived, err error) {
	one = archived{Month: m, URL: location, Refused: []string{}}
	o := archive.DetachOptions{QuietMonths: c.QuietMonths, Patience: c.Wait}
	if c.DryRun {
		if one.Refused, err = a.archiver.Obstacles(ctx, m, o); err != nil {
			return one, err
		}
		one.Refused = orNone(one.Refused)
		c.warn(s, one)
		return one, nil
	}
	var r archive.Result
	if location != "" {
		r, err = a.archiver.Archive(ctx, m, location, s.user(c.By))
		one.Rows, one.Bytes, one.Written = r.Rows, r.Bytes, r.Written
	}
	if err == nil && c.Detach {
		one.Detached, err = a.archiver.Detach(ctx, m, location != "", o, s.user(c.By))
	}
	if not, ok := errors.AsType[*archive.NotReadyError](err); ok {
		one.Refused, err = not.Reasons, nil
		c.warn(s, one)
	}
	return one, err
}

func (c *archiveMonthsCmd) warn(s *session, one archived) {
	for _, reason := range one.Refused {
		s.warn("%s: %s", one.Month, reason)
	}
}

func archivedTable(done []archived) table {
	t := table{columns: []column{text("month"), number("rows"), number("bytes"), text("written"), text("detached"), number("obstacles"), text("url")}}
	for _, d := range done {
		t.add(d.Month.String(), fmt.Sprint(d.Rows), fmt.Sprint(d.Bytes), strconv.FormatBool(d.Written), strconv.FormatBool(d.Detached), fmt.Sprint(len(d.Refused)), d.URL)
	}
	return t
}

type archiveListCmd struct{}

// Run lists the copies.
func (archiveListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.archiver.Copies(ctx, export.Month{})
		if err != nil {
			return err
		}
		t := table{columns: []column{
			text("month"), number("rows"), number("first_position"), number("last_position"), text("seals"), text("detached"), text("verified_at"), text("recorded_by"), text("url"),
		}}
		for _, c := range list {
			t.add(c.Month.String(), fmt.Sprint(c.Rows), fmt.Sprint(c.FirstPosition), fmt.Sprint(c.LastPosition), fmt.Sprintf("%d-%d", c.FirstSeal, c.LastSeal),
				strconv.FormatBool(c.Detached), stamp(c.VerifiedAt), c.By, c.URL)
		}
		return s.show(orNone(list), t)
	})
}

type archiveVerifyCmd struct {
	What string `arg:"" name:"url|month" help:"A month, as YYYY-MM, of which every recorded copy is verified; or a directory or URL, at which every copy is."`
}

// Run verifies.
func (c *archiveVerifyCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		done, err := a.archiver.Verify(ctx, c.What)
		if err != nil {
			return err
		}
		t := table{columns: []column{text("month"), number("rows"), number("bytes"), text("url")}, note: "each is what was sealed"}
		for _, r := range done {
			t.add(r.Month.String(), fmt.Sprint(r.Rows), fmt.Sprint(r.Bytes), r.URL)
		}
		return s.show(done, t)
	})
}

type archiveAttachCmd struct {
	Month string `arg:"" help:"The month, as YYYY-MM."`
	moving
}

// Run attaches.
func (c *archiveAttachCmd) Run(ctx context.Context, s *session) error {
	m, err := export.ParseMonth(c.Month)
	if err != nil {
		return usage(err)
	}
	return withApp(ctx, s, func(a *app) error {
		moved, err := a.archiver.Attach(ctx, m, archive.DetachOptions{Patience: c.Wait}, s.user(c.By))
		if err != nil {
			return err
		}
		if !moved {
			s.say("%s isn't detached: nothing was done", m)
		}
		t := table{columns: []column{text("month"), text("attached")}}
		t.add(m.String(), strconv.FormatBool(moved))
		return s.show(map[string]any{"month": m, "attached": moved}, t)
	})
}

// warnOfDetached says that the answer leaves out what is in detached months.
func warnOfDetached(s *session, months []ledger.DetachedMonth) {
	if len(months) == 0 {
		return
	}
	names := make([]string, len(months))
	for i, m := range months {
		names[i] = fmt.Sprintf("%s (%d events, which occurred from %s to %s)", m.Month, m.Events, stamp(m.FirstOccurredAt), stamp(m.LastOccurredAt))
	}
	s.warn("not covered: months that were detached: %s; deltaledger archive attach MONTH takes one back", strings.Join(names, ", "))
}
