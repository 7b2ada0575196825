package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"deltaledger/ledger"
)

// DirOptions of ToDir.
type DirOptions struct {
	Compress string // "", "gzip" (NAME.csv.gz) or "zstd" (NAME.csv.zst)
}

// suffixes of the compressions.
func suffix(compress string) (string, error) {
	switch compress {
	case "":
		return "", nil
	case "gzip":
		return ".gz", nil
	case "zstd":
		return ".zst", nil
	}
	return "", ledger.Invalid("compress", compress, "must be gzip or zstd, or empty")
}

// ToDir writes a file and its manifest into a directory, which must exist, and returns the file's path. Both
// appear whole or not at all, the manifest last. What is there already is never overwritten: the same
// content is left alone, with its manifest; other content is an error that wraps ledger.ErrConflict.
func (e *Exporter) ToDir(ctx context.Context, r FileRequest, dir string, o DirOptions) (string, Manifest, error) {
	ext, err := suffix(o.Compress)
	if err != nil {
		return "", Manifest{}, fmt.Errorf("export: %w", err)
	}
	f, err := e.File(ctx, r)
	if err != nil {
		return "", Manifest{}, err
	}
	path := filepath.Join(dir, f.Name+ext)
	var m Manifest
	err = create(path, func(w io.Writer) error {
		c, err := compressor(w, ext)
		if err != nil {
			return err
		}
		if m, err = f.Write(ctx, c); err != nil {
			return err
		}
		return c.Close()
	}, func() (bool, error) { return holds(path, m.SHA256) })
	if err != nil {
		return path, m, err
	}
	return path, m, placeManifest(manifestPath(path), m)
}

func placeManifest(path string, m Manifest) error {
	text, err := m.Encode()
	if err != nil {
		return err
	}
	return create(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}, func() (bool, error) {
		there, err := readManifest(path)
		return err == nil && there.sameFile(m), err
	})
}

// create writes a file under a temporary name and gives it its own once it is on disk. If the name is taken
// by then, same decides whether by the same content, which is left alone.
func create(path string, write func(io.Writer) error, same func() (bool, error)) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // after the link it is a second name; after a rename it is gone
	defer func() {
		if e := tmp.Close(); e != nil && err == nil && !errors.Is(e, fs.ErrClosed) {
			err = fmt.Errorf("write %s: %w", path, e)
		}
	}()
	if err := write(tmp); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = place(tmp.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		switch equal, err := same(); {
		case err != nil:
			return fmt.Errorf("compare with %s, which is there already: %w", path, err)
		case !equal:
			return fmt.Errorf("%s is there already and holds something else; it was left as it is: %w", path, ledger.ErrConflict)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

// place gives a file its name unless that is taken. A link can't overwrite anything, as a rename would; where
// the file system has no links, the look before the rename must do.
func place(tmp, path string) error {
	err := os.Link(tmp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, e := os.Lstat(path); e == nil {
		return fs.ErrExist
	}
	return os.Rename(tmp, path)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer func() { _ = d.Close() }() // nothing was written through it
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// holds reports whether a file, uncompressed, has a SHA-256.
func holds(path, sum string) (bool, error) {
	in, err := open(path)
	if errors.Is(err, ledger.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return false, nil //nolint:nilerr // what can't be uncompressed isn't the same
	}
	want, err := hex.DecodeString(sum)
	return err == nil && bytes.Equal(h.Sum(nil), want), err
}

// compressor compresses what is written to it, as the file's last suffix says; Close writes the end.
func compressor(w io.Writer, ext string) (io.WriteCloser, error) {
	switch ext {
	case ".gz":
		return gzip.NewWriter(w), nil
	case ".zst":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return uncompressed{w}, nil
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }

// maxWindow bounds the memory that a compressed file may make its reader take.
const maxWindow = 64 << 20

// open opens a file for reading, uncompressed.
func open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", path, ledger.ErrNotFound)
	case err != nil:
		return nil, err
	}
	var r io.Reader = f
	switch filepath.Ext(path) {
	case ".gz":
		r, err = gzip.NewReader(f)
	case ".zst":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow)); err == nil {
			return opened{d, func() error { d.Close(); return f.Close() }}, nil
		}
	}
	if err != nil {
		_ = f.Close() // only read
		return nil, fmt.Errorf("%s: %w: %w", path, err, ledger.ErrCorrupt)
	}
	return opened{r, f.Close}, nil
}

type opened struct {
	io.Reader
	close func() error
}

func (o opened) Close() error { return o.close() }
