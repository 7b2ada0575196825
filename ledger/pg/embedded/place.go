//go:build linux || darwin

package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// rootPlace holds the directories of root's servers whose own place PostgreSQL's
// user may not enter. It isn't a temporary folder: it holds ledgers.
const rootPlace = "/var/lib/deltaledger"

// locate says where the files of dir are. That is dir itself, but as root, who may
// not run PostgreSQL, another folder if the user that runs it can't get to dir.
// Where a cluster lies already decides, so that a later chmod doesn't hide it.
func locate(dir string) (string, error) {
	dir, err := realPath(dir)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(dir))
	other := filepath.Join(rootPlace, hex.EncodeToString(sum[:8]))
	here, there := hasCluster(dir), hasCluster(other)
	if os.Geteuid() != 0 {
		if there && !here {
			return "", fmt.Errorf("root keeps the ledger of %s in %s: run this as root, or choose another directory", dir, other)
		}
		return dir, nil
	}
	cred, err := serverUser(dir)
	if err != nil {
		return "", err
	}
	closed := barrier(dir, cred)
	switch {
	case closed == "" && there && !here:
		return other, nil
	case closed == "":
		return dir, nil
	case here:
		return "", fmt.Errorf("the cluster in %s can't be used: as root PostgreSQL runs as user id %d, which may not enter %s (chmod o+x would let it)", dir, cred.Uid, closed)
	}
	return other, nil
}

// realPath is absolute and free of symbolic links, whether or not its end exists:
// the same directory must have one name, because names find processes.
func realPath(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	rest := ""
	for d := dir; ; d = filepath.Dir(d) {
		real, err := filepath.EvalSymlinks(d)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			return "", err
		}
		rest = filepath.Join(filepath.Base(d), rest)
	}
}

// hasCluster reports whether a durable cluster lies in dir.
func hasCluster(dir string) bool { return exists(filepath.Join(dir, durableFolder)) }

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// serverUser is the user that initdb and postgres run as, nil for our own. They
// refuse root, so as root it is the owner of dir's cluster, else "postgres" or
// "nobody": initdb needs a user that the system knows by name.
func serverUser(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	var st syscall.Stat_t
	if syscall.Stat(filepath.Join(dir, durableFolder), &st) == nil && st.Uid != 0 {
		return &syscall.Credential{Uid: st.Uid, Gid: st.Gid}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("read the ids of user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL doesn't run as root, and this system has no user postgres and no user nobody that it could run as")
}

// barrier is the first folder on the way to dir that the user may not pass, "" if
// there is none. Folders that don't exist yet will be made passable.
func barrier(dir string, cred *syscall.Credential) string {
	if cred == nil {
		return ""
	}
	var found string
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		var st syscall.Stat_t
		if syscall.Stat(d, &st) != nil {
			continue
		}
		need := uint32(0o001)
		switch {
		case st.Uid == cred.Uid:
			need = 0o100
		case st.Gid == cred.Gid:
			need = 0o010
		}
		if uint32(st.Mode)&need == 0 { //nolint:unconvert // 16 bits on macOS
			found = d
		}
	}
	return found
}

// makeDir makes dir for this user alone. As root others may pass through it, and
// through the parents made for it, because the server's user must.
func makeDir(dir string) error {
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755
	}
	if err := makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	err := os.Mkdir(dir, mode)
	if err == nil {
		return os.Chmod(dir, mode) // the umask may have taken bits away
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st syscall.Stat_t
	switch err := syscall.Lstat(dir, &st); {
	case errors.Is(err, syscall.ENOENT):
		return errGone
	case err != nil:
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR, int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user, or isn't a directory: choose another", dir)
	}
	return nil
}

func makeParents(dir string) error {
	if exists(dir) {
		return nil
	}
	if err := makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // another process was quicker
		}
		return err
	}
	if os.Geteuid() == 0 {
		return os.Chmod(dir, 0o755)
	}
	return nil
}

// give makes the server's user the owner of path.
func give(path string, cred *syscall.Credential) error {
	if cred == nil {
		return nil
	}
	return os.Lchown(path, int(cred.Uid), int(cred.Gid))
}
