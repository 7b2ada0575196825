//go:build !linux

package pgtest

// base is where the server's files go. The temporary folder of macOS is too long a
// path for a socket.
func base() string { return "/tmp" }
