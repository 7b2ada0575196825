package main

import (
	"errors"
	"net"
	"syscall"
)

// deafen drops whatever comes for a connection before TCP sees it, as a cable does that was pulled: nothing
// is acknowledged any more, and probes aren't answered.
func deafen(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = syscall.AttachLsf(int(fd), []syscall.SockFilter{*syscall.LsfStmt(syscall.BPF_RET|syscall.BPF_K, 0)}) //nolint:staticcheck // in place of another module
	})
	return errors.Join(err, set)
}
