package main

import (
	"context"
	"errors"
	"time"

	"deltaledger/ledger/pg/embedded"
	"deltaledger/migrations"
)

type migrateCmd struct {
	Zone        string         `placeholder:"ZONE" help:"Reporting time zone of a new ledger, such as Europe/London; business dates and months are dates in it, for ever."`
	FreezeGrace *time.Duration `placeholder:"DURATION" help:"How long after its end a month of a new ledger may be frozen (48h)."`
}

// Help is shown below the command's flags.
func (migrateCmd) Help() string {
	return `Any number of processes may migrate at once, and a ledger that is up to date stays as it is. The user of --database-url must be a superuser or may create roles. On a private PostgreSQL every command migrates by itself; call this one first where the ledger needs another time zone than UTC:

  deltaledger migrate --zone Europe/London`
}

// migrated is the result of migrate.
type migrated struct {
	Zone        string `json:"reporting_zone"`
	FreezeGrace string `json:"freeze_grace"`
	LedgerID    string `json:"ledger_id"`
	Schema      string `json:"schema"`
}

// Run migrates.
func (c *migrateCmd) Run(ctx context.Context, s *session) (err error) {
	o := migrations.Options{Zone: c.Zone, FreezeGrace: c.FreezeGrace}
	if c.Zone != "" {
		if _, err := time.LoadLocation(c.Zone); err != nil || c.Zone == "Local" {
			return usagef("--zone %q isn't an IANA time zone such as Europe/London", c.Zone)
		}
	}
	if g := c.FreezeGrace; g != nil && (*g < 0 || *g > 31*24*time.Hour || *g%time.Second != 0) {
		return usagef("--freeze-grace is %v, but must be whole seconds between 0s and 744h", *g)
	}
	a := &app{}
	defer func() { err = errors.Join(err, a.close()) }()
	address := s.DatabaseURL
	if address == "" {
		if a.server, err = openServer(ctx, s, &o); err != nil {
			return err
		}
		a.closers = append(a.closers, a.server.Close)
		address = a.server.RoleURL(embedded.App, database)
	} else if err = migrations.Up(ctx, address, o); err != nil {
		return err
	}
	if err = a.join(ctx, s, address); err != nil {
		return err
	}
	set := a.ledger.Settings()
	m := migrated{set.ReportingZone, shortDuration(set.FreezeGrace), set.ID.String(), migrations.Fingerprint()}
	t := table{columns: []column{text("reporting_zone"), text("freeze_grace"), text("ledger_id"), text("schema")}}
	t.add(m.Zone, m.FreezeGrace, m.LedgerID, m.Schema)
	return s.show(m, t)
}
