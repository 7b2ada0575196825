// Command deltaledger is the ledger's one program: it records events, totals, bills and heals them,
// writes the files of a month, and serves all of that over HTTP.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // months and cycles need zones also where the system has none

	"deltaledger/ledger/pg/embedded"
)

func main() {
	embedded.Supervise()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, time.Now))
}
