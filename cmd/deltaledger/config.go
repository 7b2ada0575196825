package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
)

// config is what every command takes, from flags and environment.
type config struct {
	DatabaseURL string        `name:"database-url" env:"DATABASE_URL" placeholder:"URL" help:"Connection URL of the ledger's PostgreSQL database; none: the private server of the data directory."`
	DataDir     string        `name:"data-dir" env:"DELTALEDGER_DATA_DIR" default:"./.deltaledger" placeholder:"DIR" help:"Where the private PostgreSQL keeps the ledger (${default}); given as a flag it counts more than DATABASE_URL."`
	Output      string        `name:"output" short:"o" env:"DELTALEDGER_OUTPUT" default:"table" help:"Form of the result: table, json or csv."`
	ClockSkew   time.Duration `name:"clock-skew" env:"DELTALEDGER_CLOCK_SKEW" default:"24h" placeholder:"SPAN" help:"How far in the future the times of events and the value dates of payments may be (${default})."`
	LogLevel    string        `name:"log-level" env:"DELTALEDGER_LOG_LEVEL" default:"info" help:"Least severe log lines to write: debug, info, warn or error."`
	Quiet       bool          `name:"quiet" short:"q" help:"Show no progress and no notes on standard error."`
}

// The forms of a result.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputCSV   = "csv"
)

// settle resolves what depends on where a value was given, and validates. given holds the names of
// the flags on the command line.
func (c config) settle(given map[string]bool) (config, error) {
	if given["data-dir"] && !given["database-url"] {
		c.DatabaseURL = "" // the command line counts more than the environment
	}
	err := c.validate()
	if given["data-dir"] && given["database-url"] {
		err = errors.Join(err, errors.New("--database-url and --data-dir name two places for the ledger: give one of them"))
	}
	return c, err
}

// validate reports every problem at once.
func (c config) validate() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.DatabaseURL != "" && strings.Contains(c.DatabaseURL, "://") {
		u, err := url.Parse(c.DatabaseURL)
		switch {
		case err != nil: // its text would show the password
			wrong("--database-url can't be read: it must look like postgres://user:password@host:5432/database, with %%-escapes where a password has signs of its own")
		case u.Scheme != "postgres" && u.Scheme != "postgresql":
			wrong("--database-url begins with %q, but must begin with postgres://", u.Scheme+"://")
		}
	}
	if c.DataDir == "" {
		wrong("--data-dir is empty: name a directory")
	}
	if forms := []string{outputTable, outputJSON, outputCSV}; !slices.Contains(forms, c.Output) {
		wrong("--output is %q, but must be one of %s", c.Output, strings.Join(forms, ", "))
	}
	if c.ClockSkew <= 0 {
		wrong("--clock-skew is %s, but must be more than nothing, such as 24h", c.ClockSkew)
	}
	if _, err := c.level(); err != nil {
		wrong("--log-level is %q, but must be one of debug, info, warn, error", c.LogLevel)
	}
	return errors.Join(problems...)
}

func (c config) level() (slog.Level, error) {
	var l slog.Level
	err := l.UnmarshalText([]byte(c.LogLevel))
	return l, err
}
