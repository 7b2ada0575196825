//go:build linux || darwin

package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	durableFolder = "data"
	scratchFolder = "scratch"
	socketFolder  = "sock"
	passwordFile  = "password"
)

// dataDir is where the cluster lies. Ephemeral ones lie elsewhere than durable
// ones, so that removing the one can't touch the other.
func (o Options) dataDir() string {
	if o.Ephemeral {
		return filepath.Join(o.Dir, scratchFolder)
	}
	return filepath.Join(o.Dir, durableFolder)
}

// clusterMajor is the major version that made the cluster, "" if there is none.
// A folder that holds other things than a cluster is refused.
func clusterMajor(data string) (string, error) {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	entries, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s holds files, but no PostgreSQL cluster (PG_VERSION is missing): it was left as it is; move it away or choose another directory", data)
	}
	return "", nil
}

// prepare makes a cluster where there is none. The caller holds "alive".
func (s *steward) prepare(ctx context.Context) error {
	data := s.dataDir()
	if s.Ephemeral { // what a killed run left
		if err := settle(ctx, data); err != nil {
			return err
		}
		if err := removeScratch(ctx, s.Dir); err != nil {
			return err
		}
	}
	major, err := clusterMajor(data)
	if err != nil || major != "" {
		return err
	}
	cred, err := serverUser(s.Dir)
	if err != nil {
		return err
	}
	return initdb(ctx, s.charge, cred)
}

// tuned is what a cluster that is made to last begins with: PostgreSQL's own defaults are for the smallest machines. It
// stands in the cluster's file, so that ALTER SYSTEM counts more. Memory is taken only as it is used.
const tuned = `
shared_buffers = 512MB
max_wal_size = 2GB
min_wal_size = 1GB
`

func tune(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(tuned)
	return errors.Join(err, f.Sync(), f.Close())
}

// initdb makes the cluster beside its place and moves it there whole: it writes
// PG_VERSION early, so that a half-made cluster would look like one. Each try has
// a folder of its own, because a child of a killed initdb may still write into its.
func initdb(ctx context.Context, c charge, cred *syscall.Credential) error {
	data := c.dataDir()
	if err := removeUnfinished(ctx, data); err != nil {
		return err
	}
	tmp := data + ".new." + rand.Text()[:8]
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // nothing, once it was moved
	if err := give(tmp, cred); err != nil {
		return err
	}
	args := []string{"-D", tmp, "-U", Superuser.User(), "-E", "UTF8", "--locale=C", "--no-instructions"}
	if c.Ephemeral { // only the directory's owner gets to the socket
		args = append(args, "--auth=trust", "--no-sync")
	} else {
		secret := rand.Text()
		// The secret must be there, and on disk, before any cluster that needs it.
		if err := writeSynced(filepath.Join(c.Dir, passwordFile), secret); err != nil {
			return err
		}
		copied := tmp + ".password" // where the server's user can read it
		defer func() { _ = os.Remove(copied) }()
		if err := os.WriteFile(copied, []byte(secret), 0o600); err != nil {
			return err
		}
		if err := give(copied, cred); err != nil {
			return err
		}
		args = append(args, "--auth=scram-sha-256", "--pwfile="+copied, "--data-checksums")
	}
	runtime.LockOSThread() // the signal at our death is one at the death of this thread
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, filepath.Join(c.BinDir, "initdb"), args...)
	cmd.Dir, cmd.Env = "/", serverEnv()
	cmd.SysProcAttr = childAttr(cred, syscall.SIGKILL)
	cmd.WaitDelay = 2 * time.Second // its children may have its output open when it was killed
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make a cluster with initdb: %w\n%s", err, out)
	}
	if !c.Ephemeral {
		if err := tune(filepath.Join(tmp, "postgresql.conf")); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, data); err != nil {
		return err
	}
	if c.Ephemeral {
		return nil
	}
	return syncPath(c.Dir)
}

// serverEnv is our environment without what would speak to PostgreSQL (PGDATA,
// PGOPTIONS, the locale of its messages) in our caller's name.
func serverEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "PG") || strings.HasPrefix(s, "LC_") || strings.HasPrefix(s, "LANG")
	})
	return append(env, "LC_ALL=C") // macOS starts threads, which PostgreSQL refuses, to find a locale that isn't named
}

// removeUnfinished removes clusters that initdb didn't finish. A killed initdb's child
// ends by itself when it has read its input; without its files it would end in a panic,
// and leave its shared memory behind.
func removeUnfinished(ctx context.Context, data string) error {
	found, err := filepath.Glob(quoteGlob(data) + ".new.*")
	if err != nil {
		return err
	}
	for _, dir := range found {
		for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); {
			left, err := clusterProcesses(dir, 0)
			if err != nil || len(left) == 0 {
				break // not knowing is no reason to keep the folder
			}
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(dir); err != nil { // still being written: the next start removes it
			log.Print("supervisor: ", err)
		}
	}
	return nil
}

// quoteGlob makes filepath.Glob take s literally.
func quoteGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// removeScratch removes an ephemeral cluster and its socket.
func removeScratch(ctx context.Context, dir string) error {
	return errors.Join(os.RemoveAll(filepath.Join(dir, scratchFolder)),
		os.RemoveAll(filepath.Join(dir, socketFolder)), removeUnfinished(ctx, filepath.Join(dir, scratchFolder)))
}

// writeSynced replaces a file, mode 0600, and returns when it is on disk.
func writeSynced(name, content string) error {
	if err := os.WriteFile(name+".new", []byte(content), 0o600); err != nil {
		return err
	}
	if err := syncPath(name + ".new"); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncPath(filepath.Dir(name))
}

// syncPath writes a file or the names in a folder through to the disk.
func syncPath(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
