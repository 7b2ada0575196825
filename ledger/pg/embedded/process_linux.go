package embedded

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// childAttr: another user, a session of its own, and a signal when we die.
func childAttr(cred *syscall.Credential, atOurDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Setsid: true, Pdeathsig: atOurDeath}
}

// clusterProcesses finds the PostgreSQL processes of a cluster: by our mark, and
// those that others started by their working directory, which PostgreSQL sets. A
// shell that stands in the folder is none of them. The lock file isn't needed here.
func clusterProcesses(data string, _ int) ([]process, error) {
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var out []process
	for _, proc := range found {
		// The name that the kernel keeps: a title that the process sets doesn't change it.
		comm, err := os.ReadFile(filepath.Join(proc, "comm"))
		if err != nil || string(bytes.TrimSpace(comm)) != "postgres" {
			continue // it ended, or is none
		}
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		if err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if bytes.Contains(line, []byte(mark(data))) {
			out = append(out, process{pid: pid, ours: true})
			continue
		}
		if cwd, err := os.Readlink(filepath.Join(proc, "cwd")); err == nil && cwd == data {
			// One that is ending has lost its command line already, but may still have files
			// to close: to be waited for, whosever it was. A zombie has neither.
			out = append(out, process{pid: pid, ours: len(line) == 0})
		}
	}
	return out, nil
}
