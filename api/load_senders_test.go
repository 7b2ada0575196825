package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// sendersVariable is set in the environment of a process of this test binary that is to send instead of testing.
const sendersVariable = "DELTALEDGER_TEST_SENDERS"

func TestMain(m *testing.M) {
	if text := os.Getenv(sendersVariable); text != "" {
		if err := sendSteadily(text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "senders:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// took is how long things took while something else was done, sorted.
type took struct{ Events, Rows []time.Duration }

// senders is a process of its own that sends single events to a service, and inserts as many bare rows into its
// database: neither the service's scheduler nor its memory is theirs.
type senders struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

// sendersTo says where to send.
type sendersTo struct{ Host, Database string }

func startSenders(b *testing.B, to sendersTo) *senders {
	b.Helper()
	text, err := json.Marshal(to)
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	s := &senders{cmd: exec.Command(program)}
	s.cmd.Env = append(os.Environ(), sendersVariable+"="+string(text))
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	s.answers = json.NewDecoder(out)
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = s.in.Close()
		if err := s.cmd.Wait(); err != nil {
			b.Errorf("the senders: %v", err)
		}
	})
	return s
}

// during has them send while something else is done.
func (s *senders) during(work func()) (t took, err error) {
	_, begun := fmt.Fprintln(s.in, "begin")
	work()
	_, ended := fmt.Fprintln(s.in, "end")
	if err := errors.Join(begun, ended); err != nil {
		return t, err
	}
	return t, s.answers.Decode(&t)
}

// sendSteadily is what the process of the senders does: from one line of in to the next it sends, and then writes how
// long each thing took.
func sendSteadily(text string, in io.Reader, out io.Writer) error {
	var to sendersTo
	if err := json.Unmarshal([]byte(text), &to); err != nil {
		return err
	}
	rows, err := pgxpool.New(context.Background(), to.Database)
	if err != nil {
		return err
	}
	defer rows.Close()
	row := func() error {
		_, err := rows.Exec(context.Background(), "INSERT INTO public.bare VALUES (1)")
		return err
	}
	one := oneAfterTheOther(to.Host)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		ctx, cancel := context.WithCancel(context.Background())
		events, inserted := steadily(ctx, one), steadily(ctx, row)
		lines.Scan()
		cancel()
		e, r := <-events, <-inserted
		if err := errors.Join(e.err, r.err); err != nil {
			return err
		}
		if err := json.NewEncoder(out).Encode(took{e.took, r.took}); err != nil {
			return err
		}
	}
	return nil
}

// oneAfterTheOther is a function that sends one event, another one each time, and waits for its acknowledgement.
func oneAfterTheOther(host string) func() error {
	clients := make(chan *singleClient, 1024)
	var mu sync.Mutex
	sent := 0
	return func() error {
		mu.Lock()
		sent++
		n := sent
		mu.Unlock()
		var client *singleClient
		select {
		case client = <-clients:
		default:
			var err error
			if client, err = dialSingle(host); err != nil {
				return err
			}
		}
		if err := client.send(singleEvent(2_000_000, n)); err != nil {
			return err
		}
		clients <- client
		return nil
	}
}

// all is how long many things took, sorted, and what went wrong first.
type all struct {
	took []time.Duration
	err  error
}

// steadily does something again and again until ctx ends, whether what it did before is done or not, and then says how long
// each time took from when it was due.
func steadily(ctx context.Context, do func() error) <-chan all {
	done := make(chan all, 1)
	go func() {
		var mu sync.Mutex
		var a all
		var group sync.WaitGroup
		began := time.Now()
		for i := 0; ; i++ {
			due := began.Add(time.Duration(i) * time.Second / loadRate)
			if pause(ctx, time.Until(due)); ctx.Err() != nil {
				break
			}
			group.Go(func() {
				err := do()
				mu.Lock()
				defer mu.Unlock()
				a.took = append(a.took, time.Since(due))
				if a.err == nil {
					a.err = err
				}
			})
		}
		group.Wait()
		slices.Sort(a.took)
		done <- a
	}()
	return done
}
