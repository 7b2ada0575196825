//go:build linux || darwin

package main

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger/pg/embedded"
)

// networked is a storm whose service reaches PostgreSQL, and whose clients reach the service, through
// proxies.
func networked(t *testing.T) (s *storm, database, front *proxy) {
	t.Helper()
	p, seed := privateLedger(t), stormSeed(t)
	address, err := url.Parse(strings.TrimSpace(p.must("db", "url", "--role", string(embedded.App))))
	if err != nil {
		t.Fatal(err)
	}
	server := address.Host
	database = newProxy(t, func() string { return server }, rand.New(rand.NewPCG(seed, 400)))
	address.Host = database.address()
	s = newStorm(t, p, seed, address.String())
	front = newProxy(t, func() string { return strings.TrimPrefix(s.keeper.address(), "http://") }, s.random(401))
	s.base = func() string { return "http://" + front.address() }
	return s, database, front
}

// TestStormNetwork lets connections be cut, closed in one direction, slow and stalled, on both sides of the
// service, and loses answers to commits: what was recorded all the same is a duplicate when it is sent again.
func TestStormNetwork(t *testing.T) {
	t.Parallel()
	s, database, front := networked(t)
	s.begin()
	bad := func(p *proxy, fates ...fate) func(*rand.Rand) {
		return func(*rand.Rand) { p.weather(fates...) }
	}
	s.during(stormTime(t, 8*time.Second), time.Second,
		fault{"the database's network breaks", bad(database, passes, isCut, isCut, halfCloses, isSlow, stalls, losesACK)},
		fault{"the clients' network breaks", bad(front, passes, isCut, isCut, halfCloses, isSlow, stalls)},
		fault{"the database loses answers", bad(database, losesACK)},
		fault{"both are well again", func(*rand.Rand) { database.weather(); front.weather() }},
		fault{"the database's connections are reset", func(*rand.Rand) {
			for _, c := range database.now() {
				c.reset()
			}
		}})
	database.weather()
	front.weather()
	s.end()
	t.Logf("to the database: %v; from the clients: %v", database.happened(), front.happened())
	for _, f := range []fate{isCut, losesACK} {
		if database.happened()[string(f)] == 0 {
			t.Errorf("no connection %s", f)
		}
	}
}

// TestStormSilence pulls the cable between the service and PostgreSQL, while transactions are open, and puts
// another one in: both ends must notice that the other has vanished, though nobody says so.
func TestStormSilence(t *testing.T) {
	t.Parallel()
	s, database, _ := networked(t)
	s.begin()
	silence := fault{"all connections to the database fall silent", func(*rand.Rand) {
		before := s.watermark()
		pulled := time.Now()
		if n := database.swallow(); n == 0 {
			t.Error("there was no connection")
		}
		// Everything that was given out until now must be decided once both ends have noticed.
		for s.watermark() <= before {
			if time.Since(pulled) > time.Minute {
				t.Errorf("watermarks don't go on after connections fell silent")
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("watermarks went on %v after connections fell silent", time.Since(pulled).Round(100*time.Millisecond))
		s.keeper.await(200, time.Minute)
	}}
	s.during(stormTime(t, 2*time.Second), time.Second, silence)
	s.end()
}

// watermark is the newest one, as PostgreSQL has it.
func (s *storm) watermark() (position int64) {
	s.t.Helper()
	return one[int64](s.t, s.direct(), "SELECT COALESCE(max(position), 0) FROM ledger.watermarks")
}
