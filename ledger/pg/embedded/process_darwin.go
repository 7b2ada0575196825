package embedded

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// childAttr: another user and a session of its own. There is no signal at our death
// here; the next start settles what remains.
func childAttr(cred *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Setsid: true}
}

// clusterProcesses finds the PostgreSQL processes of a cluster: by our mark, and the
// one that the lock file names if somebody else started it there.
func clusterProcesses(data string, owner int) ([]process, error) {
	list, err := exec.Command("ps", "-axww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []process
	for line := range strings.Lines(string(list)) {
		number, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(number)
		if err != nil || !strings.Contains(command, "postgres") || strings.HasPrefix(command, supervisor) {
			continue
		}
		switch {
		case strings.Contains(command, mark(data)):
			out = append(out, process{pid: pid, ours: true})
		case pid == owner && strings.Contains(command, data):
			out = append(out, process{pid: pid})
		}
	}
	return out, nil
}
