//go:build linux || darwin

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// stormEnd is the date through which everything is closed in the end.
const stormEnd = "2024-12-31"

// answers are what readers were told, which must never change (invariants 5 and 9).
type answers struct {
	mu       sync.Mutex
	all      []told
	files    map[string][32]byte // of frozen months
	seals    map[int64]string    // hashes of seals
	compared int
	pulls    int
}

// told is an answer as of a watermark.
type told struct {
	path, watermark string
	sum             [32]byte
	body            string
}

// questions are asked as of a watermark.
var questions = []string{
	"/v1/aggregates?measure=amount,quantity&by=currency,account,type&format=csv",
	"/v1/aggregates?measure=amount&by=month,currency&where=type=sold&format=csv",
	"/v1/aggregates?measure=amount&by=day&where=account=account-07&format=csv",
}

// read asks, and asks again what it asked before, until ctx ends.
func (s *storm) read(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		if old, ok := s.seen.any(random); ok && random.IntN(3) > 0 {
			s.again(ctx, old)
		} else {
			s.ask(ctx, questions[random.IntN(len(questions))])
		}
		time.Sleep(time.Duration(20+random.IntN(100)) * time.Millisecond)
	}
}

// ask asks a question as of now and keeps the answer.
func (s *storm) ask(ctx context.Context, path string) {
	header, body, ok := s.get(ctx, path)
	if !ok {
		return
	}
	const most = 500
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if len(s.seen.all) < most {
		s.seen.all = append(s.seen.all, told{path, header.Get("Ledger-Watermark"), sha256.Sum256(body), string(body)})
	}
}

// again asks a question again as of the watermark of its first answer.
func (s *storm) again(ctx context.Context, old told) {
	_, body, ok := s.get(ctx, old.path+"&as_of="+old.watermark)
	if !ok {
		return
	}
	if sha256.Sum256(body) != old.sum {
		s.complain("an answer as of a watermark changed", "%s as of %s: %s, before: %s", old.path, old.watermark, body, old.body)
	}
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	s.seen.compared++
}

func (a *answers) any(random *rand.Rand) (told, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == 0 {
		return told{}, false
	}
	return a.all[random.IntN(len(a.all))], true
}

// check asks everything once more.
func (a *answers) check(s *storm) {
	for _, old := range a.all {
		s.again(context.Background(), old)
	}
}

// get reads a whole answer; it reports false where there was none, which the faults explain.
func (s *storm) get(ctx context.Context, path string) (http.Header, []byte, bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base()+path, nil)
	if err != nil {
		s.complain("a request that is none", "%s: %v", path, err)
		return nil, nil, false
	}
	r, err := s.do(req)
	if err != nil || r.status == http.StatusServiceUnavailable {
		if s.calm.Load() && ctx.Err() == nil {
			s.complain("no answer although nothing fails any more", "%s: %v", path, err)
		}
		return nil, nil, false
	}
	if r.status != http.StatusOK {
		s.complain("an answer of another kind", "%s: %d: %s", path, r.status, r.body)
		return nil, nil, false
	}
	return r.header, r.body, true
}

// bill closes month after month, reconciles and pulls files, until ctx ends.
func (s *storm) bill(ctx context.Context, random *rand.Rand) {
	for month := 1; ctx.Err() == nil; month = month%10 + 1 {
		last := time.Date(2024, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC)
		s.closeThrough(ctx, last.Format(time.DateOnly))
		s.reconcile(ctx)
		s.pull(ctx)
		s.lookAtSeals(ctx)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
	}
}

// command posts a command; it is tried again only when nothing fails any more.
func (s *storm) command(ctx context.Context, path, body string) []byte {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base()+path, strings.NewReader(body))
		if err != nil {
			s.complain("a request that is none", "%s: %v", path, err)
			return nil
		}
		req.Header.Set("Content-Type", "application/json")
		r, err := s.do(req)
		switch {
		case err == nil && r.status == http.StatusOK:
			return r.body
		case ctx.Err() != nil:
			return nil
		case err == nil && r.status != http.StatusServiceUnavailable && r.status != http.StatusConflict:
			s.complain("an answer of another kind", "%s: %d: %s", path, r.status, r.body)
			return nil
		case !s.calm.Load():
			return nil
		case time.Since(s.began) > 30*time.Minute:
			s.complain("a command doesn't get through although nothing fails any more", "%s: %v: %s", path, err, r.body)
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *storm) closeThrough(ctx context.Context, date string) {
	body := s.command(ctx, "/v1/cycles/close", fmt.Sprintf(`{"through":%q,"by":"storm"}`, date))
	var r struct{ Failed []json.RawMessage }
	if body != nil && json.Unmarshal(body, &r) == nil && len(r.Failed) > 0 && s.calm.Load() {
		s.complain("accounts can't be closed", "%s", body)
	}
}

func (s *storm) reconcile(ctx context.Context) {
	s.command(ctx, "/v1/reconciliations", `{"by":"storm"}`)
}

// pull gets every frozen file, and holds it against what was pulled before.
func (s *storm) pull(ctx context.Context) {
	_, body, ok := s.get(ctx, "/v1/exports/months")
	if !ok {
		return
	}
	var list struct{ Months []struct{ Month string } }
	if err := json.Unmarshal(body, &list); err != nil {
		s.complain("an answer isn't JSON", "%s", body)
		return
	}
	for _, m := range list.Months {
		_, file, ok := s.get(ctx, "/v1/exports/months/"+m.Month+".csv")
		if !ok {
			continue
		}
		s.seen.mu.Lock()
		if s.seen.files == nil {
			s.seen.files = map[string][32]byte{}
		}
		sum := sha256.Sum256(file)
		before, known := s.seen.files[m.Month]
		s.seen.files[m.Month] = sum
		s.seen.pulls++
		s.seen.mu.Unlock()
		if known && before != sum {
			s.complain("a frozen file changed", "%s", m.Month)
		}
	}
}

// lookAtSeals holds the newest seals against those that were seen before: the chain never forks.
func (s *storm) lookAtSeals(ctx context.Context) {
	_, body, ok := s.get(ctx, "/v1/seals?limit=100")
	if !ok {
		return
	}
	var list struct {
		Seals []struct {
			Number int64
			Hash   string
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		s.complain("an answer isn't JSON", "%s", body)
		return
	}
	s.seen.mu.Lock()
	var changed []int64
	if s.seen.seals == nil {
		s.seen.seals = map[int64]string{}
	}
	for _, seal := range list.Seals {
		if before, known := s.seen.seals[seal.Number]; known && before != seal.Hash {
			changed = append(changed, seal.Number)
		}
		s.seen.seals[seal.Number] = seal.Hash
	}
	s.seen.mu.Unlock()
	if len(changed) > 0 {
		s.complain("the chain of seals forked", "at seals %v", changed)
	}
}
