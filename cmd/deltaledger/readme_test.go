//go:build linux || darwin

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	shellBlock   = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	documentLink = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
)

// documents are what the project says of itself. The shell blocks of each work as they stand there, in order,
// in one directory that is empty at first.
var documents = []struct {
	path string
	want []string // in what the blocks print
}{
	{"README.md", []string{"the same file", "2025-01  FR", "INV-000001", "2025-02"}},
	{"docs/integrating.md", []string{"conflict: id:", "is missing", "total 1 quantity, 95.1 EUR", "nothing was recorded", "month,country", "dimensions.paid_on", "-2", "dimensions.partner"}},
	{"docs/operating.md", []string{
		"Europe/London", "commission: 2.5% of amount of line.sold", "INV-000001", "the cron line would call", "no charge of the terms selects them",
		"1 late events found, 1 healed", "INV-000003", "not what the manifest says", "the backup holds the same",
		"verified through seal", "in the chain", "the proof holds, for a checkpoint that the key signed",
	}},
	{"docs/design.md", nil},
}

// The documents tell no command that fails, and name no file that isn't there.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, d := range documents {
		t.Run(d.path, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("..", "..", filepath.FromSlash(d.path))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checkLinks(t, path, string(text))
			if blocks := shellBlock.FindAllStringSubmatch(string(text), -1); len(blocks) > 0 {
				runBlocks(t, blocks, d.want)
			}
		})
	}
}

// checkLinks finds the links of a document to files of this module that aren't there.
func checkLinks(t *testing.T, path, text string) {
	t.Helper()
	for _, link := range documentLink.FindAllStringSubmatch(text, -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(link[1]))); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
}

// runBlocks runs the blocks as one script whose deltaledger is this program.
func runBlocks(t *testing.T, blocks [][]string, want []string) {
	t.Helper()
	var script strings.Builder
	for _, block := range blocks {
		script.WriteString(block[1])
	}
	p := &program{t: t, dir: room(t)}
	t.Cleanup(func() { stopServers(p) })
	bin := filepath.Join(p.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\"\n", os.Args[0])
	if err := os.WriteFile(filepath.Join(bin, "deltaledger"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := p.command(t.Context())
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-eu", "-c", script.String()}
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("the output lacks %q:\n%s", w, out)
		}
	}
	t.Logf("%s", out)
}

// stopServers stops the private servers of every data directory that a script made.
func stopServers(p *program) {
	err := filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == "data":
			return fs.SkipDir // PostgreSQL's own
		case entry.Name() != "gate":
			return nil
		}
		if r := p.run("db", "stop", "--data-dir", filepath.Dir(path)); r.code != exitDone {
			p.t.Errorf("db stop: %s", r.stderr)
		}
		return nil
	})
	if err != nil {
		p.t.Error(err)
	}
}
