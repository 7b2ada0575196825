package imports

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gocloud.dev/blob/memblob"

	"deltaledger/ledger"
)

// TestPlaces is what every place has to do.
func TestPlaces(t *testing.T) {
	t.Parallel()
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		place, err := OpenDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = place.Close() }()
		testPlace(t, place, func(name, text string) { write(t, dir, name, text) })
		if place.Atomic() {
			t.Error("a file is there from its first byte on")
		}
		// What grows under the reader's hands isn't what was opened; what is replaced is.
		o, err := place.Open(t.Context(), "a.csv")
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if err := os.Rename(filepath.Join(dir, "b/b.csv"), filepath.Join(dir, "a.csv")); err != nil {
			t.Fatal(err)
		}
		if same, err := o.Unchanged(t.Context()); err != nil || !same {
			t.Errorf("after its name went to another file: %v, %v", same, err)
		}
		outside := filepath.Join(t.TempDir(), "x.csv")
		write(t, filepath.Dir(outside), "x.csv", "secret")
		if err := os.Symlink(outside, filepath.Join(dir, "link.csv")); err != nil {
			t.Fatal(err)
		}
		if _, err := place.Open(t.Context(), "link.csv"); err == nil {
			t.Error("a link leads outside")
		}
	})
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		bucket := memblob.OpenBucket(nil)
		defer func() { _ = bucket.Close() }()
		place := Bucket{bucket}
		put := func(name, text string) {
			if err := bucket.WriteAll(t.Context(), name, []byte(text), nil); err != nil {
				t.Fatal(err)
			}
		}
		testPlace(t, place, put)
		if !place.Atomic() {
			t.Error("objects appear whole")
		}
	})
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func testPlace(t *testing.T, place Place, put func(name, text string)) {
	t.Helper()
	put("a.csv", "1")
	put("b/b.csv", "22")
	put("b/ü <odd>.csv", "333")
	listed := map[string]Object{}
	if err := place.List(t.Context(), func(o Object) error { listed[o.Name] = o; return nil }); err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(listed)); !slices.Equal(names, []string{"a.csv", "b/b.csv", "b/ü <odd>.csv"}) {
		t.Errorf("listed: %q", names)
	}
	for name, o := range listed {
		opened, err := place.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(opened)
		if err != nil || int64(len(text)) != o.Size || !opened.same(o) {
			t.Errorf("%s: %q, %v; listed as %+v, opened as %+v", name, text, err, o, opened.Object)
		}
		if same, err := opened.Unchanged(t.Context()); err != nil || !same {
			t.Errorf("%s: %v, %v", name, same, err)
		}
		opened.Close()
	}
	o, err := place.Open(t.Context(), "b/b.csv")
	if err != nil {
		t.Fatal(err)
	}
	put("b/b.csv", "22222")
	if same, err := o.Unchanged(t.Context()); err != nil || same {
		t.Errorf("written over: %v, %v", same, err)
	}
	o.Close()
	if _, err := place.Open(t.Context(), "none.csv"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("one that isn't there: %v", err)
	}
	ended := errors.New("enough")
	if err := place.List(t.Context(), func(Object) error { return ended }); !errors.Is(err, ended) {
		t.Errorf("each failed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := place.List(ctx, func(Object) error { return nil }); err == nil {
		t.Error("a list goes on when its context has ended")
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a.csv": false, "in/a.csv": false, ".a.csv": true, "in/.x/a.csv": true, "_SUCCESS": true, "a.csv.tmp": true, "a.csv.part": true,
		"a.csv~": true, "a.csv.done": true, "a.partial": true, "tmp/a.csv": false,
	} {
		if ignored(name) != want {
			t.Errorf("%s: ignored is %v", name, !want)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"file:///in": "file:///in", "s3://b?region=eu-west-1&prefix=in/": "s3://b?prefix=in%2F",
		"s3://b?endpoint=https://minio.example&region=x": "s3://b?endpoint=https%3A%2F%2Fminio.example",
	} {
		if got, err := Identity(location); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", location, got, err, want)
		}
	}
	for _, location := range []string{"in", "s3://key:secret@b"} {
		if _, err := Identity(location); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", location, err)
		}
	}
}
