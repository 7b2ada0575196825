//go:build !linux && !darwin

package embedded

import "context"

// Server is a lease on a running PostgreSQL; there is none on this system.
type Server struct{ State }

// Acquire fails with ErrUnsupported.
func Acquire(context.Context, Options) (*Server, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Server) Close() error { return nil }

// Keep fails with ErrUnsupported.
func (*Server) Keep() error { return ErrUnsupported }

// Watch fails with ErrUnsupported.
func (*Server) Watch(context.Context) error { return ErrUnsupported }

// Status fails with ErrUnsupported.
func Status(string) (State, error) { return State{}, ErrUnsupported }

// Release fails with ErrUnsupported.
func Release(context.Context, string) error { return ErrUnsupported }

// Supervise does nothing: no supervisor is ever started.
func Supervise() {}
