package main

import "net"

// deafen can't drop packets here: the connection's end goes on acknowledging what nobody reads.
func deafen(*net.TCPConn) error { return nil }
