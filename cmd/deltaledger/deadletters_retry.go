package main

import (
	"context"
	"fmt"
	"os"

	"deltaledger/api/kafka/registry"
	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// messageFormat says how the messages of topics are decoded.
type messageFormat struct {
	Format   string   `env:"DELTALEDGER_KAFKA_FORMAT" placeholder:"FORMAT" help:"json, cloudevents or avro; without it each message's headers tell, and one that tells nothing is json."`
	Mapping  string   `env:"DELTALEDGER_KAFKA_MAPPING" placeholder:"FILE" help:"Mapping file, in YAML or JSON, from the upstream's own field names to those of an event."`
	Registry []string `env:"DELTALEDGER_SCHEMA_REGISTRY" placeholder:"URL,…" help:"Schema registry, for Avro."`
}

// decoder makes the decoder of messages.
func (c messageFormat) decoder(measures func(name string) bool) (wire.MessageDecoder, error) {
	o := wire.MessageOptions{Format: wire.Format(c.Format), Measures: measures}
	if c.Mapping != "" {
		text, err := os.ReadFile(c.Mapping)
		if err != nil {
			return nil, fmt.Errorf("read the mapping: %w", err)
		}
		if o.Mapping, err = wire.ParseMapping(c.Mapping, text); err != nil {
			return nil, usage(err)
		}
	}
	if len(c.Registry) > 0 {
		schemas, err := registry.Open(registry.Config{URLs: c.Registry})
		if err != nil {
			return nil, usage(err)
		}
		o.Schemas = schemas
	}
	d, err := wire.NewMessageDecoder(o)
	if err != nil {
		return nil, usage(err)
	}
	return d, nil
}

// letters decodes dead letters of any topic.
func (c messageFormat) letters(ctx context.Context, l *ledger.Ledger) (ledger.DecodeLetter, error) {
	measures, err := l.DeclaredMeasures(ctx)
	if err != nil {
		return nil, err
	}
	d, err := c.decoder(measures)
	if err != nil {
		return nil, err
	}
	return wire.Letters(func(string) (wire.MessageDecoder, error) { return d, nil }), nil
}

type deadlettersRetryCmd struct {
	N   []int64 `arg:"" optional:"" help:"Numbers of dead letters."`
	All bool    `help:"Every open one that --topic, --source and --since select."`
	whichLetters
	messageFormat
	Why string `placeholder:"TEXT" help:"What was mended, which is kept."`
	By  string `placeholder:"NAME" help:"Who decides; without it the user of the system."`
}

// Help is shown below the command's flags.
func (deadlettersRetryCmd) Help() string {
	return `Messages are decoded as the flags say and as everything is declared now. Their events are recorded under the identities that they have, together with the decision: a dead letter is retried once, whoever tries it again, and an event that was recorded meanwhile counts as duplicate. What still can't be recorded stays open, and the exit code is 1.

  deltaledger deadletters retry 17 --why "declared the measure commission"
  deltaledger deadletters retry --all --topic orders --mapping orders.yaml --why "the mapping is mended"`
}

// Run retries dead letters.
func (c *deadlettersRetryCmd) Run(ctx context.Context, s *session) error {
	if c.All == (len(c.N) > 0) {
		return usagef("say which dead letters to retry: numbers, or --all with --topic, --source or --since to choose among them")
	}
	if !c.All && c.whichLetters != (whichLetters{}) {
		return usagef("--topic, --source and --since belong to --all: numbers choose by themselves")
	}
	var list []ledger.RetriedLetter
	err := withApp(ctx, s, func(a *app) error {
		decode, err := c.letters(ctx, a.ledger)
		if err != nil {
			return err
		}
		by := ledger.LetterDecide{Why: c.Why, By: s.user(c.By)}
		if !c.All {
			list, err = a.ledger.RetryLetters(ctx, c.N, decode, by)
			return err
		}
		return a.ledger.RetryAll(ctx, ledger.LetterQuery{Topic: c.Topic, Source: c.Source, Since: c.Since}, decode, by, func(done []ledger.RetriedLetter) error {
			list = append(list, done...)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := s.show(orNone(list), retriedTable(list)); err != nil {
		return err
	}
	for _, r := range list {
		if r.State != ledger.LetterRetried {
			return errShown
		}
	}
	return nil
}
