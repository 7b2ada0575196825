package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"time"

	"golang.org/x/term"
)

// session is one run of the program: its configuration, its streams and its clock.
type session struct {
	config
	std   streams
	out   *bufio.Writer // to std.out; flushed once, when the command is done
	log   *slog.Logger
	now   func() time.Time
	given map[string]bool // names of the flags on the command line
}

func newSession(c config, given map[string]bool, std streams, now func() time.Time) (*session, error) {
	c, err := c.settle(given)
	if err != nil {
		return nil, usage(err)
	}
	level, err := c.level()
	if err != nil {
		return nil, usage(err)
	}
	return &session{
		config: c, std: std, out: bufio.NewWriterSize(std.out, 64<<10), now: now, given: given,
		log: slog.New(slog.NewJSONHandler(std.err, &slog.HandlerOptions{Level: level})),
	}, nil
}

// flush writes what is left of the result. A result that can't be written is a failure: whoever reads
// it must not take a part for the whole.
func (s *session) flush() error {
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// say writes a note for people to standard error.
func (s *session) say(format string, args ...any) {
	if !s.Quiet {
		tell(s.std.err, "deltaledger: "+format, args...)
	}
}

// warn writes a line that quiet doesn't silence.
func (s *session) warn(format string, args ...any) {
	tell(s.std.err, "deltaledger: "+format, args...)
}

// tell writes a line to standard error. If that fails there is nobody left to tell.
// Names of accounts and files are in it: none may move the cursor.
func tell(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintln(w, printableLines(fmt.Sprintf(format, args...)))
}

// user is who acts, unless a flag says otherwise: the name that is written beside what people decide.
func (s *session) user(flag string) string {
	if flag != "" {
		return flag
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}

// isTerminal reports whether a stream is a screen.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
