package pg

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is Linux's TCP_USER_TIMEOUT, which package syscall doesn't name.
const tcpUserTimeout = 18

// boundUnacknowledged makes c fail when what was sent stays unacknowledged for as long as d. Keepalive
// doesn't help there: nothing is probed while something is under way, and Linux sends it again for a quarter
// of an hour.
func boundUnacknowledged(c *net.TCPConn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
	})
	return errors.Join(err, set)
}
