//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// keeper runs a service and starts it again whenever it ends, as an operating system would.
type keeper struct {
	t    *testing.T
	p    *program
	args []string
	log  *os.File

	mu      sync.Mutex
	url     string // where it listens; the port stays the same
	cmd     *exec.Cmd
	stopped bool
	starts  int
	ended   chan struct{} // closed when the keeper is done
}

// keep starts a service on the database, the private server's where it is empty, and keeps it up until
// stop or the end of the test.
func keep(t *testing.T, p *program, database string, args ...string) *keeper {
	t.Helper()
	k := &keeper{t: t, p: p, args: args, ended: make(chan struct{})}
	if database != "" {
		on := *p
		on.args, on.env = nil, append(on.env[:len(on.env):len(on.env)], "DATABASE_URL="+database)
		k.p = &on
	}
	var err error
	if k.log, err = os.Create(filepath.Join(p.dir, "serve.log")); err != nil {
		t.Fatal(err)
	}
	if err := k.start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go k.again()
	t.Cleanup(k.stop)
	k.await(http.StatusOK, time.Minute)
	return k
}

// start starts the service and returns when it listens.
func (k *keeper) start(address string) error {
	cmd := k.p.command(context.Background(), append([]string{"serve", "--addr", address, "--log-level", "warn"}, k.args...)...)
	said := &listening{to: k.log, heard: make(chan string, 1)}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return err
	}
	k.mu.Lock()
	k.cmd = cmd
	k.starts++
	k.mu.Unlock()
	if address != "127.0.0.1:0" {
		return nil
	}
	select {
	case url := <-said.heard:
		k.mu.Lock()
		k.url = url
		k.mu.Unlock()
	case <-time.After(time.Minute):
		k.show()
		k.t.Fatal("the service doesn't listen")
	}
	return nil
}

// again starts the service again when it ends.
func (k *keeper) again() {
	defer close(k.ended)
	for {
		_ = k.process().Wait() // how it ended doesn't matter
		k.mu.Lock()
		stopped, address := k.stopped, strings.TrimPrefix(k.url, "http://")
		k.mu.Unlock()
		if stopped {
			return
		}
		time.Sleep(100 * time.Millisecond) // as any operating system waits between two starts
		if err := k.start(address); err != nil {
			k.t.Errorf("start the service again: %v", err)
			return
		}
	}
}

func (k *keeper) process() *exec.Cmd {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cmd
}

func (k *keeper) address() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.url
}

// kill ends the service without a warning.
func (k *keeper) kill() { _ = k.process().Process.Kill() }

// stop ends the service politely and keeps it so.
func (k *keeper) stop() {
	k.mu.Lock()
	k.stopped = true
	k.mu.Unlock()
	for {
		_ = k.process().Process.Signal(syscall.SIGTERM) // it may be gone, or about to be started again
		select {
		case <-k.ended:
			return
		case <-time.After(time.Second):
		}
	}
}

// await waits until readiness answers with the status.
func (k *keeper) await(status int, most time.Duration) {
	k.t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	last := "nothing"
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := client.Get(k.address() + "/readyz")
		if err != nil {
			last = err.Error()
			continue
		}
		response.Body.Close()
		if last = response.Status; response.StatusCode == status {
			return
		}
	}
	k.t.Errorf("readiness isn't %d within %v, but %s", status, most, last)
}

// show shows the end of what the service said.
func (k *keeper) show() {
	b, err := os.ReadFile(k.log.Name())
	if err != nil {
		k.t.Error(err)
	}
	const most = 4 << 10
	k.t.Logf("the service said:\n%s", b[max(0, len(b)-most):])
}

// listening hears from what a service says where it listens.
type listening struct {
	to    *os.File
	heard chan string
	said  []byte
	done  bool
}

func (l *listening) Write(b []byte) (int, error) {
	if !l.done {
		l.said = append(l.said, b...)
		if _, after, found := bytes.Cut(l.said, []byte("listening on ")); found {
			url, _, _ := strings.Cut(string(after), " ")
			l.heard <- url
			l.done = true
		}
	}
	return l.to.Write(b)
}
