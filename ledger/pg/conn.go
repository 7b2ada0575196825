package pg

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
)

// brokenError says that the connection to the server broke. It hides its cause: to a caller that also
// reads from a client, an io.ErrUnexpectedEOF of the database's would look like the client's.
type brokenError struct{ cause error }

func (e *brokenError) Error() string {
	return "the connection to the database broke: " + e.cause.Error()
}

// dialer makes connections whose failures can be told from those of other connections.
func dialer(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := notice(c); err != nil {
			_ = c.Close()
			return nil, err
		}
		return conn{c}, nil
	}
}

// notice makes c fail when its peer has vanished; see silence.
func notice(c net.Conn) error {
	t, ok := c.(*net.TCPConn)
	if !ok { // a socket of this machine ends with its server
		return nil
	}
	err := t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: silence, Interval: probing, Count: probes})
	if err != nil {
		return err
	}
	return boundUnacknowledged(t, vanish)
}

type conn struct{ net.Conn }

func (c conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, broken(err)
}

func (c conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, broken(err)
}

// broken leaves alone what is our own doing: a deadline, which is how pgx cancels, and a close. A peer that
// was given up is a time-out by name too, but none of ours.
func broken(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return &brokenError{err}
}
