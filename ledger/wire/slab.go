package wire

// slab hands out memory for the bytes of many events in few allocations. The zero value allocates what
// each of them needs.
type slab struct {
	size int    // of an allocation, at least
	used []byte // the newest allocation, up to what is handed out
}

// room is an empty slice to append about n bytes to. Appending more is allowed.
func (s *slab) room(n int) []byte {
	if cap(s.used)-len(s.used) < n {
		s.used = make([]byte, 0, max(n, s.size))
	}
	return s.used[len(s.used):]
}

// take keeps b, which was appended to room, and protects what comes behind it.
func (s *slab) take(b []byte) []byte {
	if free := cap(s.used) - len(s.used); len(b) <= free {
		s.used = s.used[:len(s.used)+len(b)]
	}
	return b[:len(b):len(b)]
}

// copy is a copy of b.
func (s *slab) copy(b []byte) []byte { return s.take(append(s.room(len(b)), b...)) }
