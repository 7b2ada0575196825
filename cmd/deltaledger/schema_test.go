//go:build linux || darwin

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDeclaringOnTheCommandLine(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	about := []string{"--description", "d", "--owner", "o"}
	schema := filepath.Join(p.dir, "payload.json")
	if err := os.WriteFile(schema, []byte(`{"required":["cart"]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	const event = `{"id":"1","source":"shop","stream":"o1","seqn":1,"type":"sold","account":"acme","occurred_at":"2026-01-05T10:00:00Z","currency":"EUR","amount":"4","measures":{"tip":"1"},"dimensions":{"level":"7"}}`
	for _, c := range []struct {
		command string
		more    []string
		code    int
		holds   string
	}{
		{"schema add dimension level --type int --index", about, exitDone, "level  dimension  bigint  event      false  true"},
		{"schema add dimension level --type int", about, exitDone, "jane"},
		{"schema add dimension level --type bool", about, exitFailed, "dimension of type bool"},
		{"schema add dimension level2 --type float", about, exitUsage, "must be text, int, bool, date or uuid"},
		{"schema add measure tip", about, exitDone, "money"},
		{"schema add measure tip --kind other", about, exitUsage, "must be money or quantity"},
		{"schema index", nil, exitDone, "0"},
		{"types declare sold --require-dimension level,partner --sign amount=positive,tip=nonnegative --schema " + schema + " --not-billable", about, exitDone, "dimensions.level, dimensions.partner"},
		{"types declare sold", about, exitFailed, "may add and tighten"},
		{"types show sold --output json", nil, exitDone, `"billable": false`},
		{"types show lent", nil, exitFailed, "never declared"},
		{"types list --output csv", nil, exitDone, "sold,1"},
		{"sources declare shop --strict", nil, exitDone, "true"},
		{"sources declare shop --open", nil, exitDone, "false"},
		{"schema list --declared --output csv", nil, exitDone, "level,dimension,bigint,event,false,true,o,d,"},
	} {
		r := p.run(append(strings.Fields(c.command), c.more...)...)
		if r.code != c.code || !strings.Contains(r.stdout+r.stderr, c.holds) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s%s", c.command, r.code, c.code, c.holds, r.stdout, r.stderr)
		}
	}
	if r := p.feed(strings.NewReader(event), "ingest", "--format", "ndjson", "-"); r.code != exitFailed || !strings.Contains(r.stderr, "dimensions.partner: is missing, and required (type sold, version 1)") {
		t.Errorf("%d %s", r.code, r.stderr)
	}
	good := strings.NewReplacer(`"sold"`, `"lent"`).Replace(event)
	if r := p.feed(strings.NewReader(good), "ingest", "--format", "ndjson", "-"); r.code != exitDone {
		t.Errorf("%d %s", r.code, r.stderr)
	}
	for _, command := range []string{"events list", "stream shop o1", "aggregate --measure tip --by level"} {
		if r := p.run(strings.Fields(command)...); !strings.Contains(strings.ToLower(r.stdout), "tip") {
			t.Errorf("%s: %s", command, r.stdout)
		}
	}
}
