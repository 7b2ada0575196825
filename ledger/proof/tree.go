package proof

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Prefixes of what is hashed, so that no leaf can pass for a node.
const (
	leafPrefix = 0
	nodePrefix = 1
)

// LeafPrefix begins what the hash of a leaf is made over. Whoever hashes many leaves puts it in front of
// each text and hashes the two at once.
const LeafPrefix = leafPrefix

// LeafHash is SHA-256(0x00 ‖ text).
func LeafHash(text []byte) Hash {
	h := sha256.New()
	h.Write([]byte{leafPrefix})
	h.Write(text)
	var out Hash
	h.Sum(out[:0])
	return out
}

// NodeHash is SHA-256(0x01 ‖ left ‖ right).
func NodeHash(left, right Hash) Hash {
	var both [1 + 2*sha256.Size]byte
	both[0] = nodePrefix
	copy(both[1:], left[:])
	copy(both[1+sha256.Size:], right[:])
	return sha256.Sum256(both[:])
}

// Root is the root of the RFC 6962 tree over leaves. A tree of no leaves has the hash of nothing.
func Root(leaves []Hash) Hash {
	if len(leaves) == 0 {
		return sha256.Sum256(nil)
	}
	level := append([]Hash(nil), leaves...)
	for len(level) > 1 {
		level = parents(level)
	}
	return level[0]
}

// parents joins each two nodes of a level, in place; the last one of an odd number goes up as it is.
func parents(level []Hash) []Hash {
	n := len(level)
	for i := 0; i+1 < n; i += 2 {
		level[i/2] = NodeHash(level[i], level[i+1])
	}
	if n%2 == 1 {
		level[n/2] = level[n-1]
	}
	return level[:(n+1)/2]
}

// Path is the inclusion path of leaf index: the siblings from the leaf up to the root.
func Path(leaves []Hash, index int) []Hash {
	path := []Hash{}
	level := append([]Hash(nil), leaves...)
	for len(level) > 1 {
		if sibling := index ^ 1; sibling < len(level) {
			path = append(path, level[sibling])
		}
		level, index = parents(level), index/2
	}
	return path
}

// CheckPath fails if leaf isn't leaf index of the tree of size leaves with that root.
func CheckPath(leaf Hash, index, size int64, path []Hash, root Hash) error {
	if index < 0 || size <= index {
		return fmt.Errorf("index %d isn't in a tree of %d", index, size)
	}
	steps := make([][]byte, len(path))
	for i := range path {
		steps[i] = path[i][:]
	}
	got, err := merkle.RootFromInclusionProof(rfc6962.DefaultHasher, uint64(index), uint64(size), leaf[:], steps)
	if err != nil {
		return err
	}
	if Hash(got) != root {
		return fmt.Errorf("the path leads to root %x, not %s", got, root)
	}
	return nil
}

// Frontier is what of a growing tree is needed to add to it: the roots of its complete subtrees, from
// the largest to the smallest. The zero value is the tree of no leaves.
type Frontier struct {
	Size   int64
	Hashes []Hash
}

// ReadFrontier reads the concatenated hashes of a frontier of size leaves.
func ReadFrontier(size int64, raw []byte) (Frontier, error) {
	f := Frontier{Size: size}
	if len(raw)%sha256.Size != 0 {
		return f, fmt.Errorf("a frontier of %d bytes is no list of hashes", len(raw))
	}
	for ; len(raw) > 0; raw = raw[sha256.Size:] {
		f.Hashes = append(f.Hashes, Hash(raw[:sha256.Size]))
	}
	if size < 0 || bits.OnesCount64(uint64(size)) != len(f.Hashes) {
		return f, fmt.Errorf("a frontier of %d hashes isn't that of %d leaves", len(f.Hashes), size)
	}
	return f, nil
}

// Add is the frontier with one more leaf.
func (f Frontier) Add(leaf Hash) Frontier {
	next := Frontier{Size: f.Size + 1, Hashes: append([]Hash(nil), f.Hashes...)}
	for size := f.Size; size&1 == 1; size >>= 1 {
		last := len(next.Hashes) - 1
		leaf = NodeHash(next.Hashes[last], leaf)
		next.Hashes = next.Hashes[:last]
	}
	next.Hashes = append(next.Hashes, leaf)
	return next
}

// Root is the root of the tree.
func (f Frontier) Root() Hash {
	if len(f.Hashes) == 0 {
		return sha256.Sum256(nil)
	}
	root := f.Hashes[len(f.Hashes)-1]
	for i := len(f.Hashes) - 2; i >= 0; i-- {
		root = NodeHash(f.Hashes[i], root)
	}
	return root
}

// Bytes are the hashes one behind the other, as ReadFrontier reads them.
func (f Frontier) Bytes() []byte {
	out := make([]byte, 0, sha256.Size*len(f.Hashes))
	for i := range f.Hashes {
		out = append(out, f.Hashes[i][:]...)
	}
	return out
}

// errSize says that a tree is asked for what it doesn't hold.
var errSize = errors.New("the tree isn't that large")

// GrowingPath is the inclusion path of leaf index in a tree of size leaves that grew one by one. last gives for
// a size the last hash of the frontier that the tree had at that size, and leaf the hash of a leaf;
// both are asked for few.
func GrowingPath(index, size int64, leaf func(int64) (Hash, error), last func(int64) (Hash, error)) ([]Hash, error) {
	if index < 0 || size <= index {
		return nil, errSize
	}
	nodes, err := merkle.Inclusion(uint64(index), uint64(size))
	if err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		h, err := node(id.Level, int64(id.Index), leaf, last)
		if err != nil {
			return nil, err
		}
		hashes[i] = h[:]
	}
	if hashes, err = nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren); err != nil {
		return nil, err
	}
	path := make([]Hash, len(hashes))
	for i := range hashes {
		path[i] = Hash(hashes[i])
	}
	return path, nil
}

// node is the root of the complete subtree of 2^level leaves that begins at leaf index·2^level. That of an
// even index was the last of the frontier when its last leaf had come; that of an odd index had been
// joined with its sibling by then, and is made of its children.
func node(level uint, index int64, leaf, last func(int64) (Hash, error)) (Hash, error) {
	if level == 0 {
		return leaf(index)
	}
	if index%2 == 0 {
		return last((index + 1) << level)
	}
	left, err := node(level-1, 2*index, leaf, last)
	if err != nil {
		return Hash{}, err
	}
	right, err := node(level-1, 2*index+1, leaf, last)
	if err != nil {
		return Hash{}, err
	}
	return NodeHash(left, right), nil
}
