package export_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deltaledger/export"
	"deltaledger/ledger"
)

func write(t testing.TB, dir, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestToDirAndCheck(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sell(t, "2025-12-01T10:00:00Z", "2025-12-31T23:59:59Z")
	d.freeze(t, "2025-12")
	text, _ := d.frozen(t, "2025-12")
	for _, c := range []struct{ compress, name string }{{"", "events-2025-12.csv"}, {"gzip", "events-2025-12.csv.gz"}, {"zstd", "events-2025-12.csv.zst"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			req, o := export.FileRequest{Month: month(t, "2025-12")}, export.DirOptions{Compress: c.compress}
			path, m, err := d.ToDir(t.Context(), req, dir, o)
			if err != nil || path != filepath.Join(dir, c.name) {
				t.Fatalf("ToDir: %s, %v", path, err)
			}
			if c.compress == "" && read(t, path) != text {
				t.Error("the file differs from the one that is streamed")
			}
			r, err := export.Check(t.Context(), path)
			if err != nil || r.Rows != 2 || r.SHA256 != m.SHA256 || r.Sums["EUR"]["amount"] != "4" {
				t.Fatalf("Check: %+v, %v", r, err)
			}
			manifest := read(t, filepath.Join(dir, "events-2025-12.manifest.json"))
			file := read(t, path)
			if _, _, err := d.ToDir(t.Context(), req, dir, o); err != nil {
				t.Errorf("ToDir again: %v", err)
			}
			if read(t, path) != file || read(t, filepath.Join(dir, "events-2025-12.manifest.json")) != manifest {
				t.Error("what was there wasn't left alone")
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
				t.Errorf("left in the directory: %v, %v", entries, err)
			}
			write(t, dir, c.name, []byte("mine"))
			if _, _, err := d.ToDir(t.Context(), req, dir, o); !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("ToDir over another file: %v", err)
			}
			if read(t, path) != "mine" {
				t.Error("another file was overwritten")
			}
			if _, err := export.Check(t.Context(), path); !errors.Is(err, ledger.ErrCorrupt) {
				t.Errorf("Check of another file: %v", err)
			}
		})
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.sell(t, "2025-12-01T10:00:00Z", "2025-12-31T23:59:59Z")
	d.freeze(t, "2025-12")
	dir := t.TempDir()
	path, _, err := d.ToDir(t.Context(), export.FileRequest{Month: month(t, "2025-12")}, dir, export.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good := read(t, path)
	for problem, bad := range map[string]string{
		"sums":                  strings.Replace(good, ",1.5,", ",9.5,", 1),
		"rows":                  good[:strings.LastIndex(good[:len(good)-1], "\n")+1],
		"SHA-256":               strings.Replace(good, "e1", "e9", 1),
		"list of columns":       strings.Replace(good, "position", "Position", 1),
		"booked_month":          strings.Replace(good, ",2025-12,,", ",2025-11,,", 1),
		"late rows":             strings.Replace(good, ",2025-12,,", ",2025-12,2025-11,", 1),
		"bytes":                 good + "\n",
		"can't be read after 1": strings.Replace(good, "e2", `e"2`, 1),
		"is no decimal":         strings.Replace(good, ",1.5,", ",1e5,", 1),
		"has no header":         "",
	} {
		write(t, dir, filepath.Base(path), []byte(bad))
		r, err := export.Check(t.Context(), path)
		if !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(strings.Join(r.Problems, "; "), problem) {
			t.Errorf("%s: %q, %v", problem, r.Problems, err)
		}
	}
	if _, err := export.Check(t.Context(), filepath.Join(dir, "none.csv")); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("no file: %v", err)
	}
}
