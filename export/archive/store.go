package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // directories
	"gocloud.dev/gcerrors"

	"deltaledger/ledger"
)

// store is a directory or a bucket that holds copies.
type store struct {
	bucket *blob.Bucket
	url    string // as it is recorded
	dir    string // of a directory: its path; else empty
}

// Location makes a URL of what a person gives: a URL, or the path of a directory.
func Location(to string) (string, error) {
	if to == "" {
		return "", ledger.Invalid("to", "", "must be a directory, or a URL such as s3://bucket?prefix=ledger/ or gs://bucket?prefix=ledger/")
	}
	if strings.Contains(to, "://") {
		u, err := url.Parse(to)
		if err != nil || u.User != nil {
			return "", ledger.Invalid("to", to, "must be a URL without credentials: they come from the environment")
		}
		return to, nil
	}
	path, err := filepath.Abs(to)
	if err != nil {
		return "", ledger.Invalid("to", to, "must be a directory")
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String(), nil
}

// open opens a location. create makes the directory if it isn't there.
func (a *Archiver) open(ctx context.Context, location string, create bool) (*store, error) {
	to, dir, err := BucketURL(location, create)
	if err != nil {
		return nil, err
	}
	s := &store{url: location, dir: dir}
	if s.bucket, err = a.o.Open(ctx, to); err != nil {
		return nil, fmt.Errorf("open %s: %w", location, err)
	}
	return s, nil
}

// BucketURL is what to open a location by with blob.OpenBucket: a directory holds the files alone, each written beside where
// it goes and then renamed. create makes the directory if it isn't there; dir is its path, empty for a bucket.
func BucketURL(location string, create bool) (to, dir string, err error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", "", ledger.Invalid("url", location, "must be a URL")
	}
	if u.Scheme != "file" {
		return location, "", nil
	}
	q := u.Query()
	q.Set("metadata", "skip")
	q.Set("no_tmp_dir", "true") // beside what is there, so that the rename stays on one disk
	if create {
		q.Set("create_dir", "true")
	}
	u.RawQuery = q.Encode()
	return u.String(), filepath.FromSlash(u.Path), nil
}

func (s *store) close() error { return s.bucket.Close() }

// create begins a file that must not be there yet.
func (s *store) create(ctx context.Context, name, kind string) (*upload, error) {
	ctx, cancel := context.WithCancel(ctx)
	w, err := s.bucket.NewWriter(ctx, name, &blob.WriterOptions{IfNotExist: true, ContentType: kind, DisableContentTypeDetection: true})
	if err != nil {
		cancel()
		return nil, s.failed("write", name, err)
	}
	return &upload{s: s, w: w, name: name, cancel: cancel, hash: sha256.New()}, nil
}

func (s *store) failed(action, name string, err error) error {
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return fmt.Errorf("%s %s at %s: it is there already: %w", action, name, s.url, ledger.ErrConflict)
	}
	return fmt.Errorf("%s %s at %s: %w", action, name, s.url, err)
}

// upload is a file while it is written.
type upload struct {
	s      *store
	w      *blob.Writer
	name   string
	cancel context.CancelFunc
	hash   hash.Hash
	bytes  int64
}

func (u *upload) Write(p []byte) (int, error) {
	n, err := u.w.Write(p)
	_, _ = u.hash.Write(p[:n]) // a hash never fails
	u.bytes += int64(n)
	return n, err
}

// finish makes the file be there, and durable.
func (u *upload) finish() error {
	defer u.cancel()
	if err := u.w.Close(); err != nil {
		return u.s.failed("write", u.name, err)
	}
	if u.s.dir == "" {
		return nil
	}
	path := filepath.Join(u.s.dir, filepath.FromSlash(u.name))
	for _, p := range []string{path, filepath.Dir(path), u.s.dir} {
		if err := syncFile(p); err != nil {
			return u.s.failed("write", u.name, err)
		}
	}
	return nil
}

// drop gives the file up: nothing of it stays.
func (u *upload) drop() {
	u.cancel()
	_ = u.w.Close() // it says that it was cancelled
}

// syncFile has what is written there survive a loss of power: the library only renames.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// read reads a small file whole; found is false if it isn't there.
func (s *store) read(ctx context.Context, name string) (text []byte, found bool, err error) {
	text, err = s.bucket.ReadAll(ctx, name)
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound:
		return nil, false, nil
	case err != nil:
		return nil, false, s.failed("read", name, err)
	}
	return text, true, nil
}

// fetch copies a file to a temporary one, hashing it on the way, so that what is looked at is what was hashed.
// The file is gone when it is closed.
func (s *store) fetch(ctx context.Context, name string) (f *os.File, size int64, sum []byte, err error) {
	r, err := s.bucket.NewReader(ctx, name, nil)
	if err != nil {
		return nil, 0, nil, s.failed("read", name, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if f, err = os.CreateTemp("", "deltaledger-archive-"); err != nil {
		return nil, 0, nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err = os.Remove(f.Name()); err != nil {
		return nil, 0, nil, fmt.Errorf("read %s: %w", name, err)
	}
	h := sha256.New()
	if size, err = io.Copy(io.MultiWriter(f, h), r); err != nil {
		return nil, 0, nil, s.failed("read", name, err)
	}
	return f, size, h.Sum(nil), nil
}

// list lists the names that begin with a prefix.
func (s *store) list(ctx context.Context, prefix string) (names []string, err error) {
	all := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := all.Next(ctx)
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, s.failed("list", prefix, err)
		}
		names = append(names, o.Key)
	}
}
