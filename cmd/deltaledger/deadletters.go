package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"deltaledger/ledger"
)

type deadlettersCmd struct {
	List    deadlettersListCmd    `cmd:"" help:"List messages that could not be recorded, newest first."`
	Show    deadlettersShowCmd    `cmd:"" help:"Show one of them."`
	Retry   deadlettersRetryCmd   `cmd:"" help:"Decode them again, as everything is configured now, and record their events."`
	Discard deadlettersDiscardCmd `cmd:"" help:"Decide that they aren't wanted."`
}

// whichLetters selects dead letters.
type whichLetters struct {
	Topic  string    `placeholder:"TOPIC" help:"Only of this topic."`
	Source string    `placeholder:"NAME" help:"Only of this source, as far as it could be decoded."`
	Since  time.Time `placeholder:"TIME" help:"Only what was first seen at this time or later, such as 2026-01-31T00:00:00Z."`
}

type deadlettersListCmd struct {
	whichLetters
	State string `placeholder:"STATE" help:"open, retried, discarded or erased (before anybody decided)."`
	Limit int    `placeholder:"N" help:"Dead letters on a page, at most 1000 (100)."`
	After int64  `placeholder:"N" help:"Go on after the dead letter of this number."`
}

// Run lists one page.
func (c *deadlettersListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.ledger.DeadLetters(ctx, ledger.LetterQuery{
			Topic: c.Topic, Source: c.Source, Since: c.Since, State: c.State, Limit: c.Limit, After: c.After,
		})
		if err != nil {
			return err
		}
		return s.show(orNone(list), lettersTable(list...))
	})
}

func lettersTable(list ...ledger.DeadLetter) table {
	t := table{columns: []column{
		number("n"), text("state"), text("topic"), number("partition"), number("offset"), text("first_seen"), text("source"), text("id"), text("reason"),
	}}
	for _, d := range list {
		t.add(fmt.Sprint(d.N), d.State, d.Topic, fmt.Sprint(d.Partition), fmt.Sprint(d.Offset), stamp(d.FirstSeen), d.Source, d.EventID, d.Reason)
	}
	return t
}

type deadlettersShowCmd struct {
	N       int64 `arg:"" help:"Number of the dead letter."`
	Private bool  `help:"Show the message too, which may hold private content."`
}

// Run shows one dead letter.
func (c *deadlettersShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		v, err := a.ledger.ShowLetter(ctx, c.N, c.Private)
		if err != nil {
			return err
		}
		return s.show(v, letterTable(v))
	})
}

func letterTable(v ledger.LetterView) table {
	t := table{columns: []column{text("field"), text("value")}}
	sent := ""
	if v.SentAt != nil {
		sent = stamp(*v.SentAt)
	}
	for _, f := range [][2]string{
		{"state", v.State},
		{"topic", v.Topic},
		{"topic_id", v.TopicID.String()},
		{"partition", fmt.Sprint(v.Partition)},
		{"offset", fmt.Sprint(v.Offset)},
		{"sent_at", sent},
		{"first_seen", stamp(v.FirstSeen)},
		{"source", v.Source},
		{"id", v.EventID},
		{"account", v.Account},
		{"reason", v.Reason},
	} {
		t.add(f[0], f[1])
	}
	if m := v.Message; m != nil {
		t.add("key", m.Key.String())
		for _, h := range m.Headers {
			t.add("header "+h.Key, h.Value.String())
		}
		t.add("body", m.Body.String())
	}
	t.note = letterNote(v)
	return t
}

// letterNote tells what became of a dead letter, and what can be done.
func letterNote(v ledger.LetterView) string {
	var lines []string
	switch {
	case v.Withheld:
		lines = append(lines, "the message wasn't kept: it holds what its source was declared not to send")
	case v.Erased != nil:
		e := v.Erased
		lines = append(lines, fmt.Sprintf("the message was erased %s (erasure %d) by %s: %s", stamp(e.At), e.Erasure, printable(e.By), printable(e.Why)))
	case v.Message == nil:
		lines = append(lines, "the message may hold private content: --private shows it")
	default:
		lines = append(lines, "the message may hold private content: mind who sees it")
	}
	if d := v.Decision; d != nil {
		lines = append(lines, fmt.Sprintf("%s by %s on %s%s", d.Outcome, printable(d.By), stamp(d.DecidedAt), because(d.Why)))
		for _, e := range d.Events {
			lines = append(lines, fmt.Sprintf("event %s of %s: %s, position %d", printable(e.ID), printable(e.Source), e.Status, e.Position))
		}
	} else if v.State == ledger.LetterOpen {
		lines = append(lines, fmt.Sprintf("nobody has decided yet: deltaledger deadletters retry %d, or discard %d --why TEXT", v.N, v.N))
	}
	return strings.Join(lines, "\n")
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + printable(why)
}

type deadlettersDiscardCmd struct {
	N     []int64 `arg:"" help:"Numbers of dead letters."`
	Erase bool    `help:"Erase their messages for ever, too."`
	Why   string  `required:"" placeholder:"TEXT" help:"The reason, which is kept: no personal data."`
	By    string  `placeholder:"NAME" help:"Who decides; without it the user of the system."`
}

// Help is shown below the command's flags.
func (deadlettersDiscardCmd) Help() string {
	return `The message stays, for whoever asks later, unless --erase is given. What is discarded can't be retried.`
}

// Run discards dead letters, one after the other.
func (c *deadlettersDiscardCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		var done []ledger.DeadLetter
		for _, n := range c.N {
			d, err := a.ledger.DiscardLetter(ctx, n, ledger.LetterDecide{Why: c.Why, By: s.user(c.By)})
			if err != nil {
				return err
			}
			if c.Erase && d.Erased == nil {
				if _, err := a.ledger.Erase(ctx, ledger.EraseRequest{Letter: n, Why: c.Why, By: s.user(c.By)}); err != nil {
					return err
				}
				if d, err = a.ledger.DeadLetter(ctx, n); err != nil {
					return err
				}
			}
			done = append(done, d)
		}
		return s.show(done, lettersTable(done...))
	})
}

// retriedTable shows what became of dead letters that were to be retried.
func retriedTable(list []ledger.RetriedLetter) table {
	t := table{columns: []column{number("n"), text("state"), text("events"), text("reason")}}
	for _, r := range list {
		var events []string
		if r.Decision != nil {
			for _, e := range r.Decision.Events {
				events = append(events, e.Source+" "+e.ID+": "+string(e.Status)+" "+strconv.FormatInt(e.Position, 10))
			}
		}
		t.add(fmt.Sprint(r.N), r.State, strings.Join(events, ", "), r.Reason)
	}
	return t
}
