//go:build linux || darwin

package embedded

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// unpackLimit bounds what an archive may grow to, in bytes.
const unpackLimit = 1 << 30

// packageLink is an entry of the package's list of symbolic links, which an npm
// archive can't hold: Target is the link, Source what it stands for.
type packageLink struct{ Source, Target string }

// unpack checks an npm archive against its digest, and then writes the programs,
// libraries and shared files in it to a new folder.
func unpack(archive, digest, tree string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != digest {
		return fmt.Errorf("its digest is %s, and must be %s: it isn't used", got, digest)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	zr, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(tree) // refuses names that lead out of it
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	links, err := writeEntries(root, tar.NewReader(io.LimitReader(zr, unpackLimit)))
	if err != nil {
		return err
	}
	for _, l := range links {
		to, err := filepath.Rel(path.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := root.Symlink(to, l.Target); err != nil {
			return err
		}
	}
	return openUp(tree)
}

// writeEntries writes the files that a server needs, and returns the links to make.
func writeEntries(root *os.Root, tr *tar.Reader) (links []packageLink, err error) {
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return links, nil
		}
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(h.Name, "package/")
		switch {
		case name == "native/pg-symlinks.json":
			if err := json.NewDecoder(tr).Decode(&links); err != nil {
				return nil, fmt.Errorf("read the list of links: %w", err)
			}
			continue
		case h.Typeflag != tar.TypeReg, !strings.HasPrefix(name, "native/"), strings.HasSuffix(name, ".a"), strings.Contains(name, "/pgxs/"):
			continue // what only building extensions needs
		}
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return nil, err
		}
		out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(out, tr)
		if err := errors.Join(err, out.Close()); err != nil {
			return nil, err
		}
	}
}

// openUp lets others read and run what was unpacked, whatever the umask: as root the
// server runs as another user.
func openUp(tree string) error {
	return filepath.WalkDir(tree, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir(), d.Type().IsRegular() && filepath.Base(filepath.Dir(p)) == "bin":
			return os.Chmod(p, 0o755)
		case d.Type().IsRegular():
			return os.Chmod(p, 0o644)
		}
		return nil
	})
}
