package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"
)

// root is the command tree. Each command is in the file of its name.
type root struct {
	config

	Demo demoCmd `cmd:"" help:"Tell the story of a ledger on made-up data, and serve it."`

	Ingest       ingestCmd       `cmd:"" help:"Record the events of files, each exactly once."`
	Consume      consumeCmd      `cmd:"" help:"Record the messages of Kafka topics, each exactly once."`
	Import       importCmd       `cmd:"" help:"Record the files that upstreams drop in a directory or bucket."`
	Adjust       adjustCmd       `cmd:"" help:"Record corrections made by people: as events, or as amounts of a bill."`
	Events       eventsCmd       `cmd:"" help:"List events, or show one of them."`
	Stream       streamCmd       `cmd:"" help:"Show the history of one stream, such as an order, as it was known at any time."`
	Aggregate    aggregateCmd    `cmd:"" help:"Sum measures by dimensions and dates."`
	Sources      sourcesCmd      `cmd:"" help:"Declare upstream sources: how they number events, whether they send states, what they may hold."`
	Schema       schemaCmd       `cmd:"" help:"Declare measures and dimensions, and show what there is."`
	Types        typesCmd        `cmd:"" help:"Declare what events of a type must hold."`
	Completeness completenessCmd `cmd:"" help:"Say how far the sources have arrived without gaps, and whether a month is complete."`
	Conflicts    conflictsCmd    `cmd:"" help:"List, show and decide what arrived under an identity that other content has."`
	Deadletters  deadlettersCmd  `cmd:"" help:"List, show, retry and discard messages that could not be recorded."`
	Erase        eraseCmd        `cmd:"" help:"Erase private content for ever, with a record of who and why."`
	Erasures     erasuresCmd     `cmd:"" help:"List what was erased, newest first."`

	Terms       termsCmd       `cmd:"" help:"Record or show the terms by which accounts are billed."`
	Orders      ordersCmd      `cmd:"" help:"List the orders that aren't final, where accounts are billed by order."`
	Close       closeCmd       `cmd:"" help:"Close billing cycles: pin their events and write the invoices."`
	Invoices    invoicesCmd    `cmd:"" help:"List, show, issue, send, credit and void invoices, and record what is paid."`
	CreditNotes creditNotesCmd `cmd:"" help:"List, show and cancel credit notes."`
	Numbers     numbersCmd     `cmd:"" help:"Show or set how invoices and credit notes are numbered."`
	Accounts    accountsCmd    `cmd:"" help:"List and release the accounts that closes leave out."`
	Reconcile   reconcileCmd   `cmd:"" help:"Find late events and whatever does not tie out, and heal it."`
	Findings    findingsCmd    `cmd:"" help:"List what reconciliations found wrong, and resolve it."`
	Export      exportCmd      `cmd:"" help:"Write, compare and check the files of a month."`
	Archive     archiveCmd     `cmd:"" help:"Copy sealed months to a directory or bucket, and take them out of what lists read."`

	Seal        sealCmd        `cmd:"" help:"Seal everything that is recorded now."`
	Seals       sealsCmd       `cmd:"" help:"List the seals, newest first."`
	Verify      verifyCmd      `cmd:"" help:"Prove that no recorded fact was changed."`
	Checkpoint  checkpointCmd  `cmd:"" help:"Sign the state of the chain of seals, to be kept elsewhere."`
	Proof       proofCmd       `cmd:"" help:"Write a proof that an event is in the ledger."`
	VerifyProof verifyProofCmd `cmd:"" help:"Check a proof without a ledger."`

	Publish publishCmd `cmd:"" help:"Write recorded facts to a topic of Kafka."`
	Serve   serveCmd   `cmd:"" help:"Serve the HTTP API."`
	Migrate migrateCmd `cmd:"" help:"Make the ledger in its database, or bring it up to date."`
	DB      dbCmd      `cmd:"" name:"db" help:"Look after the private PostgreSQL of the data directory."`
	Version versionCmd `cmd:"" help:"Print the version of the program."`
}

const description = `An immutable ledger of deltas, with billing that reconciles.

Without --database-url and DATABASE_URL every command works on a private PostgreSQL in the data directory, which it starts and stops itself.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 bad usage, 3 findings remain.`

// streams are the program's standard input and outputs.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, std streams, now func() time.Time) int {
	var r root
	parser, err := kong.New(&r,
		kong.Name("deltaledger"), kong.Description(description), kong.Writers(std.out, std.err), kong.Exit(os.Exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}), kong.ShortUsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		tell(std.err, "deltaledger: the command tree is wrong: %v", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if err != nil {
		tell(std.err, "deltaledger: %v", err)
		tell(std.err, "%s", usageHint(err))
		return exitUsage
	}
	s, err := newSession(r.config, given(command), std, now)
	if err == nil {
		err = command.Run(s)
	}
	if s != nil {
		if broken := s.flush(); broken != nil { // counts more than what the result would have said
			err = broken
		}
	}
	return report(ctx, std.err, err)
}

// given are the names of the flags that stand on the command line.
func given(command *kong.Context) map[string]bool {
	names := map[string]bool{}
	for _, p := range command.Path {
		if p.Flag != nil && !p.Resolved {
			names[p.Flag.Name] = true
		}
	}
	return names
}

// usageHint says where the rules of the command stand that was called wrongly.
func usageHint(err error) string {
	name := "deltaledger"
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Command() != "" {
		if node := wrong.Context.Selected(); node != nil {
			name = node.FullPath()
		}
	}
	return "See: " + name + " --help"
}
