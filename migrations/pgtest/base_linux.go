package pgtest

import (
	"os"
	"syscall"
)

// enough is the free memory, in bytes, from which on databases are kept in it.
const enough = 2 << 30

// base is where the server's files go: memory where there is enough (containers often
// have 64 MB), because a clone is hundreds of files, and a disk takes many times as long
// to make them; else the temporary folder.
func base() string {
	const memory = "/dev/shm"
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) >= enough {
		return memory
	}
	// Root's own temporary folder may be closed to the user that PostgreSQL runs as, and a
	// long path is none for a socket.
	if d := os.TempDir(); os.Geteuid() != 0 && len(d) < 40 {
		return d
	}
	return "/tmp"
}
