//go:build !linux

package pg

import (
	"net"
	"time"
)

// boundUnacknowledged does nothing where the system has no such bound for a connection.
func boundUnacknowledged(*net.TCPConn, time.Duration) error { return nil }
