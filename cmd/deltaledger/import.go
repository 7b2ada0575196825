package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"

	"deltaledger/export/archive"
	"deltaledger/ledger/imports"
	"deltaledger/ledger/wire"
)

type importCmd struct {
	Files   importRunCmd     `cmd:"" name:"run" default:"withargs" help:"Record the files of a directory or bucket (what import does without a further word)."`
	List    importListCmd    `cmd:"" help:"List the files that were found, newest first."`
	Show    importShowCmd    `cmd:"" help:"Show a file, its bad rows and what was decided about it."`
	Retry   importRetryCmd   `cmd:"" help:"Read a file again from its beginning, as it is now."`
	Discard importDiscardCmd `cmd:"" help:"Leave a file that failed, changed or is gone."`
}

type importRunCmd struct {
	Place          string        `arg:"" name:"place" help:"A directory, or a bucket: s3://bucket?prefix=in/ or gs://bucket?prefix=in/."`
	Watch          bool          `help:"Go on looking for files until a signal comes."`
	Rules          string        `env:"DELTALEDGER_IMPORT_RULES" placeholder:"FILE" help:"Rules, in YAML or JSON: per prefix of the names the format, the mapping, and how one knows that a file is whole."`
	Format         string        `env:"DELTALEDGER_IMPORT_FORMAT" placeholder:"FORMAT" help:"Format of files that no rule is for; without it the end of the name tells."`
	Mapping        string        `env:"DELTALEDGER_IMPORT_MAPPING" placeholder:"FILE" help:"Mapping file for files that no rule is for."`
	PayloadColumns []string      `env:"DELTALEDGER_IMPORT_PAYLOAD_COLUMNS" placeholder:"COLUMN,…" help:"CSV columns that are kept as private payload, of files that no rule is for."`
	Workers        int           `env:"DELTALEDGER_IMPORT_WORKERS" default:"2" placeholder:"N" help:"Files read at a time (${default})."`
	Settle         time.Duration `env:"DELTALEDGER_IMPORT_SETTLE" default:"5s" placeholder:"SPAN" help:"For how long the size and time of a file in a directory must stay the same before it is read (${default})."`
	Every          time.Duration `env:"DELTALEDGER_IMPORT_EVERY" default:"5s" placeholder:"SPAN" help:"Time between two looks at the place (${default})."`
	Lease          time.Duration `env:"DELTALEDGER_IMPORT_LEASE" default:"30s" placeholder:"SPAN" help:"After how long without a sign of life another importer takes a file over (${default})."`
	Listen         string        `env:"DELTALEDGER_IMPORT_LISTEN" placeholder:"HOST:PORT" help:"Answer /metrics, /healthz and /readyz on this address; without it nothing listens."`
}

// Help is shown below the command's flags.
func (importRunCmd) Help() string {
	return `Every file is registered and its rows are recorded with its resume point, so that nothing is recorded twice and each file is counted once, however many importers share the place and whatever is killed. Rows that are bad are kept and stop no other. A file that was read and then changed isn't read again: it waits for import retry or import discard.

Names that begin with . or _, or end in .tmp, .part, .partial or ~, are left alone: write under such a name and rename.

Without --watch it ends when everything that lies there has ended. The exit code is 1 if a file or a row could not be recorded, and 3 if one changed.

  deltaledger import /srv/drop
  deltaledger import --watch --rules imports.yaml "s3://acme-drop?prefix=orders/"
  deltaledger import list --state changed`
}

// Run imports.
func (c *importRunCmd) Run(ctx context.Context, s *session) error {
	rules, err := c.rules()
	if err != nil {
		return err
	}
	place, location, err := openPlace(ctx, c.Place)
	if err != nil {
		return usagef("%s: %v", c.Place, err)
	}
	return errors.Join(withApp(ctx, s, func(a *app) error {
		ended := &endedFiles{s: s}
		importer, err := imports.New(imports.Config{
			Ledger: a.ledger, Place: place, Location: location, Rules: rules, Name: importerName(),
			Workers: c.Workers, Settle: c.Settle, Every: c.Every, Lease: c.Lease, Now: s.now, Logger: s.log, Ended: ended.add,
		})
		if err != nil {
			return err
		}
		if c.Watch {
			return c.watch(ctx, s, a, importer, location)
		}
		left, err := importer.Run(ctx)
		if err != nil {
			return err
		}
		return ended.show(left)
	}), place.Close())
}

// watch imports until ctx ends, beside the jobs that recording needs.
func (c *importRunCmd) watch(ctx context.Context, s *session, a *app, importer *imports.Importer, location string) error {
	jobs, err := startJobs(ctx, serviceJobs(a, s.log), s.log)
	if err != nil {
		return err
	}
	defer jobs.stop()
	s.warn("watching %s", location)
	if c.Listen == "" {
		return importer.Watch(ctx)
	}
	return serveBeside(ctx, s, c.Listen, importPages(importer, location), importer.Watch)
}

// rules are those of the file, and that of the flags for what no rule is for.
func (c *importRunCmd) rules() (imports.Rules, error) {
	var rules imports.Rules
	if c.Rules != "" {
		text, err := os.ReadFile(c.Rules)
		if err != nil {
			return nil, err
		}
		rules, err = imports.ParseRules(c.Rules, text, func(mapping string) ([]byte, error) {
			if !filepath.IsAbs(mapping) {
				mapping = filepath.Join(filepath.Dir(c.Rules), mapping)
			}
			return os.ReadFile(mapping)
		})
		if err != nil {
			return nil, usage(err)
		}
	}
	if c.Format == "" && c.Mapping == "" && len(c.PayloadColumns) == 0 {
		return rules, nil
	}
	for _, r := range rules {
		if r.Prefix == "" {
			return nil, usagef("--format, --mapping and --payload-columns are for files that no rule is for, but %s has one for all", c.Rules)
		}
	}
	rest := imports.Rule{PayloadColumns: c.PayloadColumns}
	if c.Format != "" {
		var err error
		if rest.Format, err = wire.ParseFormat(c.Format); err != nil {
			return nil, usage(err)
		}
	}
	if c.Mapping == "" {
		return append(rules, rest), nil
	}
	if len(c.PayloadColumns) > 0 {
		return nil, usagef("--payload-columns can't stand beside --mapping, which says what goes into the payload")
	}
	text, err := os.ReadFile(c.Mapping)
	if err != nil {
		return nil, err
	}
	if err := rest.SetMapping(c.Mapping, text); err != nil {
		return nil, usage(err)
	}
	return append(rules, rest), nil
}

// closingPlace is a place that is closed at the end.
type closingPlace interface {
	imports.Place
	io.Closer
}

// openPlace opens a directory, or the bucket of a URL, and tells the name by which importers share it.
func openPlace(ctx context.Context, name string) (closingPlace, string, error) {
	location, err := archive.Location(name)
	if err != nil {
		return nil, "", err
	}
	to, dir, err := archive.BucketURL(location, false)
	if err != nil {
		return nil, "", err
	}
	if dir != "" {
		if dir, err = filepath.EvalSymlinks(dir); err != nil { // one directory, however it is named
			return nil, "", err
		}
		if location, err = archive.Location(dir); err != nil {
			return nil, "", err
		}
	}
	id, err := imports.Identity(location)
	if err != nil {
		return nil, "", err
	}
	if dir != "" {
		d, err := imports.OpenDirectory(dir)
		return d, id, err
	}
	b, err := blob.OpenBucket(ctx, to)
	return imports.Bucket{Bucket: b}, id, err
}

// importerName tells people which process reads a file.
func importerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

// endedFiles are the files that a run ended.
type endedFiles struct {
	s     *session
	mu    sync.Mutex
	files []imports.File
}

func (e *endedFiles) add(f imports.File) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := fmt.Sprintf("%s: %s, %d recorded, %d duplicate, %d conflict, %d invalid", f.Name, f.State, f.Recorded, f.Duplicate, f.Conflict, f.Invalid)
	if f.Reason != "" {
		text += ": " + strings.ReplaceAll(f.Reason, "\n", " ")
	}
	if f.State == imports.Done && f.Bad() == 0 || f.State == imports.Same {
		e.s.say("%s", text)
	} else {
		e.s.warn("%s (deltaledger import show %d)", text, f.N)
	}
	e.files = append(e.files, f)
}

// importSummary is what a run did.
type importSummary struct {
	Files     int   `json:"files"` // that this run ended
	Recorded  int64 `json:"recorded"`
	Duplicate int64 `json:"duplicate"`
	Conflict  int64 `json:"conflict"`
	Invalid   int64 `json:"invalid"`
	Failed    int   `json:"failed"`  // files that can't be read, or are gone
	Changed   int   `json:"changed"` // files that hold something else than what was read under their name
	Growing   int   `json:"growing"` // files that may be half written, left for the next run
	Later     int64 `json:"later"`   // files that couldn't be read now
}

// show shows what a run did, and says by its error how the run ended.
func (e *endedFiles) show(left imports.Left) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	sum := importSummary{Files: len(e.files), Growing: left.Growing, Later: left.Later}
	for _, f := range e.files {
		sum.Recorded, sum.Duplicate = sum.Recorded+f.Recorded, sum.Duplicate+f.Duplicate
		sum.Conflict, sum.Invalid = sum.Conflict+f.Conflict, sum.Invalid+f.Invalid
		switch f.State {
		case imports.Failed, imports.Gone:
			sum.Failed++
		case imports.Changed:
			sum.Changed++
		}
	}
	t := table{columns: []column{
		number("files"), number("recorded"), number("duplicate"), number("conflict"), number("invalid"), number("failed"), number("changed"), number("growing"), number("later"),
	}}
	t.add(fmt.Sprint(sum.Files), fmt.Sprint(sum.Recorded), fmt.Sprint(sum.Duplicate), fmt.Sprint(sum.Conflict), fmt.Sprint(sum.Invalid),
		fmt.Sprint(sum.Failed), fmt.Sprint(sum.Changed), fmt.Sprint(sum.Growing), fmt.Sprint(sum.Later))
	if sum.Growing > 0 {
		t.note = fmt.Sprintf("%d files may be half written and were left for the next run", sum.Growing)
	}
	if err := e.s.show(sum, t); err != nil {
		return err
	}
	switch {
	case sum.Failed > 0 || sum.Conflict+sum.Invalid > 0 || sum.Later > 0:
		return errShown
	case sum.Changed > 0:
		return errFindings
	}
	return nil
}
