package imports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"deltaledger/ledger"
)

// Object is what lies in a place under a name.
type Object struct {
	Name       string    // with slashes
	Size       int64     // bytes
	ModifiedAt time.Time // as the place says, in UTC and whole microseconds
}

// same reports whether two objects of one name look like the same content.
func (o Object) same(p Object) bool { return o.Size == p.Size && o.ModifiedAt.Equal(p.ModifiedAt) }

// Opened is an object that is being read.
type Opened struct {
	io.ReadCloser
	Object
	ETag string // empty in a directory
	// Unchanged reports, once all was read, whether that is the object that was opened.
	Unchanged func(ctx context.Context) (bool, error)
}

// Place is a directory or a bucket. Both functions' errors wrap ledger.ErrNotFound where the object isn't there.
type Place interface {
	// List calls each for every object, in any order. An error of each ends it.
	List(ctx context.Context, each func(Object) error) error
	Open(ctx context.Context, name string) (*Opened, error)
	// Atomic reports whether objects appear whole.
	Atomic() bool
}

// Directory is a place on a file system. Links are followed where they lead to files; nothing outside is read.
type Directory struct{ root *os.Root }

// OpenDirectory opens a directory, which must exist.
func OpenDirectory(path string) (*Directory, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Directory{root}, nil
}

// Close gives the directory back.
func (d *Directory) Close() error { return d.root.Close() }

// Atomic is false: a file is there from its first byte on.
func (*Directory) Atomic() bool { return false }

// List walks the directory. What vanishes meanwhile is left out; what may not be read is an error, so that no file stays
// unread in silence.
func (d *Directory) List(ctx context.Context, each func(Object) error) error {
	return fs.WalkDir(d.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != ".":
			return nil
		case err != nil:
			return fmt.Errorf("list the directory: %w", err)
		case entry.IsDir() && name != "." && hidden(entry.Name()):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		st, err := d.root.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("list the directory: %w", err)
		case !st.Mode().IsRegular():
			return nil
		}
		return each(objectOf(name, st))
	})
}

// Open opens a file.
func (d *Directory) Open(_ context.Context, name string) (*Opened, error) {
	f, err := d.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, missing(err, errors.Is(err, fs.ErrNotExist))
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file: %w", name, ledger.ErrNotFound)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o := objectOf(name, st)
	return &Opened{ReadCloser: f, Object: o, Unchanged: func(context.Context) (bool, error) {
		st, err := f.Stat() // of what was opened: that another file has its name now doesn't matter
		return err == nil && o.same(objectOf(name, st)), err
	}}, nil
}

func objectOf(name string, st fs.FileInfo) Object {
	return Object{Name: name, Size: st.Size(), ModifiedAt: micros(st.ModTime())}
}

// Bucket is a place in an object store, whose objects appear whole.
type Bucket struct{ *blob.Bucket }

// Atomic is true.
func (Bucket) Atomic() bool { return true }

// List lists the objects.
func (b Bucket) List(ctx context.Context, each func(Object) error) error {
	all := b.Bucket.List(nil)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		o, err := all.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		if o.IsDir || strings.HasSuffix(o.Key, "/") { // what consoles of stores leave for a folder
			continue
		}
		if err := each(Object{Name: o.Key, Size: o.Size, ModifiedAt: seconds(o.ModTime)}); err != nil {
			return err
		}
	}
}

// Open opens an object.
func (b Bucket) Open(ctx context.Context, name string) (*Opened, error) {
	at, err := b.Attributes(ctx, name)
	if err != nil {
		return nil, missing(err, gcerrors.Code(err) == gcerrors.NotFound)
	}
	r, err := b.NewReader(ctx, name, nil)
	if err != nil {
		return nil, missing(err, gcerrors.Code(err) == gcerrors.NotFound)
	}
	return &Opened{
		ReadCloser: r, Object: Object{Name: name, Size: at.Size, ModifiedAt: seconds(at.ModTime)}, ETag: at.ETag,
		Unchanged: func(ctx context.Context) (bool, error) {
			now, err := b.Attributes(ctx, name)
			if gcerrors.Code(err) == gcerrors.NotFound {
				return true, nil // what was read was read whole; that it was taken away since changes nothing
			}
			return err == nil && now.ETag == at.ETag && now.Size == at.Size, err
		},
	}, nil
}

func missing(err error, gone bool) error {
	if gone {
		return fmt.Errorf("%w: %w", err, ledger.ErrNotFound)
	}
	return err
}

func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// seconds is what the stores' own answers agree in: a list may say more than a head of the object.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// ignored reports whether a name says that nobody is to read it: not yet, or not as events.
func ignored(name string) bool { return slices.ContainsFunc(strings.Split(name, "/"), hidden) }

// hidden is ignored for one part of a name.
func hidden(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	for _, end := range []string{".tmp", ".part", ".partial", "~", markerSuffix} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// markerSuffix is what a marker's name has behind that of the file that it declares whole.
const markerSuffix = ".done"

// Identity is the text by which importers know that they share a place: its URL without what only says how to get
// there.
func Identity(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme == "" || u.User != nil {
		return "", ledger.Invalid("place", location, "must be a URL without credentials: they come from the environment")
	}
	keep := url.Values{}
	for _, name := range []string{"prefix", "endpoint", "hostname"} {
		if v := u.Query().Get(name); v != "" {
			keep.Set(name, v)
		}
	}
	u.RawQuery, u.Fragment = keep.Encode(), ""
	return u.String(), nil
}
