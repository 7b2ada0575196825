//go:build linux || darwin

package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestServeDrains: told to stop in the middle of many small requests, the service answers those that it
// took, ends without an error, and what it acknowledged is recorded.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("db", "start")
	s := p.serve()
	const clients = 24
	var acknowledged atomic.Int64
	var senders sync.WaitGroup
	var stop sync.Once
	for c := range clients {
		senders.Go(func() {
			for n := 0; ; n++ {
				body := fmt.Sprintf(`{"id":"%d/%d","source":"shop","stream":"s%d","seqn":%d,"type":"sold","account":"acme","occurred_at":"2025-01-01T00:00:00Z","currency":"EUR","amount":"1"}`, c, n, c, n)
				response, err := http.Post(s.url+"/v1/events", "application/json", strings.NewReader(body))
				if err != nil {
					return // the service takes no more requests
				}
				response.Body.Close()
				if response.StatusCode != http.StatusCreated {
					t.Errorf("status %d", response.StatusCode)
					return
				}
				if acknowledged.Add(1) >= 10*clients {
					stop.Do(func() {
						if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
							t.Error(err)
						}
					})
				}
			}
		})
	}
	senders.Wait()
	rest := <-s.rest
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the service ended with %v\n%s", err, rest)
	}
	var groups []group
	p.into(&groups, "aggregate", "--measure", "amount")
	if len(groups) != 1 || groups[0].Count < acknowledged.Load() || groups[0].Count > acknowledged.Load()+clients {
		t.Errorf("%d events were acknowledged; recorded: %+v", acknowledged.Load(), groups)
	}
}
