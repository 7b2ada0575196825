//go:build linux || darwin

package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between a client and a server and treats connections as bad networks do.
type proxy struct {
	t        *testing.T
	listener *net.TCPListener
	target   func() string

	mu      sync.Mutex
	random  *rand.Rand
	fates   []fate // one is drawn for each connection; none: they just pass
	passing map[*passage]bool
	counts  map[string]int
	closed  bool
}

// fate is what happens to a connection.
type fate string

const (
	passes     fate = "passes"
	isCut      fate = "is cut in the middle" // by a reset, in both directions
	halfCloses fate = "closes in one direction"
	isSlow     fate = "is slow"
	stalls     fate = "stalls for a while"
	losesACK   fate = "loses the answer to a COMMIT"
	swallows   fate = "swallows everything"
)

// passage is one connection through the proxy.
type passage struct {
	p              *proxy
	client, server *net.TCPConn

	mu     sync.Mutex
	fate   fate
	left   int           // bytes until its fate
	pause  time.Duration // of a slow or stalling one
	muted  bool          // a COMMIT went to the server: its answer is lost
	hushed bool          // nothing passes any more
}

// newProxy makes a proxy to target, which is asked for each connection.
func newProxy(t *testing.T, target func() string, random *rand.Rand) *proxy {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: l, target: target, random: random, passing: map[*passage]bool{}, counts: map[string]int{}}
	go p.accept()
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.closed = true
		all := maps.Clone(p.passing)
		p.mu.Unlock()
		for c := range all {
			c.reset()
		}
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// weather sets what happens to the connections that there are and to those that come; without fates they
// just pass.
func (p *proxy) weather(fates ...fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fates = fates
	for c := range p.passing {
		c.draw()
	}
}

// draw gives the connection its fate. The proxy is locked.
func (c *passage) draw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fate = passes
	if len(c.p.fates) == 0 {
		return
	}
	c.fate = c.p.fates[c.p.random.IntN(len(c.p.fates))]
	c.left = 1 << c.p.random.IntN(18) // from one byte to many kilobytes
	c.left += c.p.random.IntN(c.left)
	c.pause = time.Duration(1+c.p.random.IntN(30)) * time.Millisecond
}

// now are the connections that there are.
func (p *proxy) now() (all []*passage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.passing {
		all = append(all, c)
	}
	return all
}

// swallow makes all connections that there are silent: neither end hears from the other any more, not even
// that it got something.
func (p *proxy) swallow() (n int) {
	for _, c := range p.now() {
		if c.hush() {
			n++
		}
	}
	return n
}

// happened is how often each fate was met.
func (p *proxy) happened() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

func (p *proxy) count(f fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[string(f)]++
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.AcceptTCP()
		if err != nil {
			return
		}
		go p.pass(client)
	}
}

// pass draws a connection's fate and passes it on.
func (p *proxy) pass(client *net.TCPConn) {
	var server *net.TCPConn
	address, err := net.ResolveTCPAddr("tcp", p.target())
	if err == nil {
		server, err = net.DialTCP("tcp", nil, address)
	}
	if err != nil {
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	c := &passage{p: p, client: client, server: server}
	p.mu.Lock()
	c.draw()
	ended := p.closed
	p.passing[c] = true
	p.mu.Unlock()
	if ended {
		c.reset()
	}
	var both sync.WaitGroup
	both.Go(func() { c.relay(c.server, c.client, true) })
	both.Go(func() { c.relay(c.client, c.server, false) })
	both.Wait()
	if !c.silent() {
		_ = c.client.Close()
		_ = c.server.Close()
	}
	p.mu.Lock()
	delete(p.passing, c)
	p.mu.Unlock()
}

// relay copies one direction until its end. toServer says which.
func (c *passage) relay(to, from *net.TCPConn, toServer bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !c.hand(to, buffer[:n], toServer) {
			return
		}
		if err != nil {
			if c.silent() {
				return
			}
			if errors.Is(err, io.EOF) {
				_ = to.CloseWrite()
			} else {
				c.reset()
			}
			return
		}
	}
}

// hand passes bytes on, or lets happen what must happen to them. It reports whether the direction goes on.
func (c *passage) hand(to *net.TCPConn, b []byte, toServer bool) bool {
	c.mu.Lock()
	its, met, part := c.fate, c.left < len(b), max(0, c.left)
	c.left -= len(b)
	if its == losesACK && toServer && met && bytes.Contains(bytes.ToLower(b), []byte("commit")) {
		c.muted = true
	}
	if its == stalls && met {
		c.left = 1 << 20
	}
	hushed, muted, pause := c.hushed, c.muted, c.pause
	c.mu.Unlock()
	switch {
	case hushed:
		return false
	case muted && !toServer: // the server has committed, or says why not
		c.p.count(losesACK)
		c.reset()
		return false
	case its == isSlow:
		time.Sleep(pause)
	case !met || its == passes || its == losesACK:
	case its == isCut:
		c.p.count(isCut)
		_, _ = to.Write(b[:part])
		c.reset()
		return false
	case its == halfCloses:
		c.p.count(halfCloses)
		_ = to.CloseWrite()
		return false
	case its == stalls:
		c.p.count(stalls)
		time.Sleep(100 * pause)
	case its == swallows:
		c.hush()
		return false
	}
	_, err := to.Write(b)
	if err != nil && !c.silent() {
		c.reset()
	}
	return err == nil
}

// hush makes the connection silent, and reports whether it wasn't before.
func (c *passage) hush() bool {
	c.mu.Lock()
	before := c.hushed
	c.hushed = true
	c.mu.Unlock()
	if before {
		return false
	}
	c.p.count(swallows)
	for _, end := range []*net.TCPConn{c.client, c.server} {
		if err := deafen(end); err != nil && !errors.Is(err, net.ErrClosed) {
			c.p.t.Errorf("make a connection deaf: %v", err)
		}
	}
	return true
}

func (c *passage) silent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hushed
}

// reset ends the connection at both ends without a word.
func (c *passage) reset() {
	for _, end := range []*net.TCPConn{c.client, c.server} {
		_ = end.SetLinger(0) // it may be closed already
		_ = end.Close()
	}
}
