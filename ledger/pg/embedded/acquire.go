//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// silence is how long a server that should be there may give no answer: its
// supervisor takes a moment to see that it was killed, and to start it again.
const silence = 20 * time.Second

// longestSocket is what macOS allows for a socket's path; Linux has four bytes more.
const longestSocket = 103

// Server is a lease on a running PostgreSQL. It lasts until Close or the end of
// the process, whatever ends it. Its State is that of the moment of Acquire; a
// server that had to be started again keeps its password, and its port unless
// another program took it.
type Server struct {
	State
	options Options
	use     lockFile
	closing sync.Once
}

// Acquire joins the server of o.Dir, and starts it when none runs; the first time
// it makes the cluster. It returns when the server takes connections.
//
// As root PostgreSQL runs as the user postgres or nobody. Where that user may not
// enter o.Dir, the files lie in a folder under /var/lib/deltaledger, and o.Say is
// told so when the server is started.
//
// When ctx ends, so does the start that it waits for; the next Acquire begins anew.
func Acquire(ctx context.Context, o Options) (*Server, error) {
	if os.Getenv(chargeEnv) != "" {
		return nil, errors.New("embedded.Supervise must be the first call in main")
	}
	asked := o.Dir
	dir, err := locate(asked)
	if err != nil {
		return nil, fmt.Errorf("find the place of %s: %w", asked, err)
	}
	o.Dir = dir
	if sock := filepath.Join(dir, socketFolder, ".s.PGSQL.5432"); o.Ephemeral && len(sock) > longestSocket {
		return nil, fmt.Errorf("%s is too long a path for a socket: choose a directory with a shorter one", dir)
	}
	for {
		s, err := join(ctx, o, asked)
		if !errors.Is(err, errGone) {
			if err != nil {
				return nil, fmt.Errorf("acquire the PostgreSQL of %s: %w", asked, err)
			}
			return s, nil
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// join takes the gate, a share of "use", and then waits for a server or makes one.
func join(ctx context.Context, o Options, asked string) (*Server, error) {
	if err := makeDir(o.Dir); err != nil {
		return nil, err
	}
	// The gate keeps the server from being stopped, and from being started twice,
	// while we are on our way in.
	gate, err := openLock(o.Dir, gateFile)
	if err != nil {
		return nil, err
	}
	defer gate.free()
	if err := gate.exclude(ctx); err != nil {
		return nil, err
	}
	if gate.unlinked() {
		return nil, errGone
	}
	use, err := openLock(o.Dir, useFile)
	if err != nil {
		return nil, err
	}
	st, err := State{}, use.share()
	if err == nil {
		st, err = ready(ctx, o, asked)
	}
	if err == nil && st.Ephemeral != o.Ephemeral {
		err = errors.New("the server that runs there is of the other kind (ephemeral or durable)")
	}
	if err != nil {
		use.free()
		return nil, err
	}
	return &Server{State: st, options: o, use: use}, nil
}

// ready waits until the server answers, and starts it if there is none.
func ready(ctx context.Context, o Options, asked string) (State, error) {
	deadline, speechless := time.Now().Add(silence), 0
	for {
		st, err := current(o.Dir)
		if err == nil {
			if err = st.answers(ctx); err == nil {
				return st, nil
			}
			if time.Now().After(deadline) {
				return st, fmt.Errorf("process %d gives no answer: %w", st.Postgres, err)
			}
		}
		switch {
		case ctx.Err() != nil:
			return st, ctx.Err()
		case errors.Is(err, ErrNotRunning):
			if wish, err := realPath(asked); err == nil && wish != o.Dir {
				o.say(fmt.Sprintf("the user that PostgreSQL runs as may not enter %s: the files are in %s", asked, o.Dir))
			}
			err := spawn(ctx, o)
			if errors.Is(err, errSpeechless) && speechless < 5 { // somebody kills supervisors
				speechless++
				continue
			}
			if err != nil {
				return st, err
			}
		case !errors.Is(err, errChanging) && !errors.Is(err, errSilent):
			return st, err
		default:
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return st, err
			}
		}
	}
}

// Close gives the lease back; the supervisor stops a server that nobody uses.
func (s *Server) Close() (err error) {
	s.closing.Do(func() { err = s.use.close() })
	return err
}

// Watch starts the server again whenever it is gone with its supervisor, until ctx
// ends. Long-running commands need it: after the death of PostgreSQL alone the
// supervisor does that, but nobody watches over the supervisor. It returns ctx's
// error, or why the server couldn't be started.
func (s *Server) Watch(ctx context.Context) error {
	for {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		if _, err := current(s.Dir); !errors.Is(err, ErrNotRunning) {
			continue
		}
		again, err := Acquire(ctx, s.options)
		if err != nil {
			return err
		}
		if err := again.Close(); err != nil { // our own lease was there all the time
			return err
		}
	}
}
