package proof_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"deltaledger/ledger/proof"
)

func leaves(n int) []proof.Hash {
	all := make([]proof.Hash, n)
	for i := range all {
		all[i] = proof.LeafHash(fmt.Appendf(nil, "leaf %d", i))
	}
	return all
}

// The roots and paths are those of an independent implementation, at every size.
func TestTreesAgreeWithRFC6962(t *testing.T) {
	t.Parallel()
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	var frontier proof.Frontier
	if got, want := frontier.Root(), rfc6962.DefaultHasher.EmptyRoot(); !bytes.Equal(got[:], want) || proof.Root(nil) != got {
		t.Errorf("root of nothing: %s", got)
	}
	all := leaves(130)
	frontiers := []proof.Frontier{frontier}
	for i, leaf := range all {
		if got := rfc6962.DefaultHasher.HashLeaf(fmt.Appendf(nil, "leaf %d", i)); !bytes.Equal(got, leaf[:]) {
			t.Fatalf("leaf %d: %x", i, got)
		}
		if err := tree.Append(leaf[:], nil); err != nil {
			t.Fatal(err)
		}
		want, err := tree.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		frontier = frontier.Add(leaf)
		frontiers = append(frontiers, frontier)
		if got := proof.Root(all[:i+1]); !bytes.Equal(got[:], want) || frontier.Root() != got {
			t.Fatalf("root of %d: %s, frontier %s, want %x", i+1, got, frontier.Root(), want)
		}
		read, err := proof.ReadFrontier(frontier.Size, frontier.Bytes())
		if err != nil || read.Root() != frontier.Root() {
			t.Fatalf("frontier of %d: %v", i+1, err)
		}
	}
	for size := 1; size <= len(all); size++ {
		for index := range size {
			path := proof.Path(all[:size], index)
			if err := proof.CheckPath(all[index], int64(index), int64(size), path, proof.Root(all[:size])); err != nil {
				t.Fatalf("%d in %d: %v", index, size, err)
			}
			grown, err := proof.GrowingPath(int64(index), int64(size),
				func(i int64) (proof.Hash, error) { return all[i], nil },
				func(n int64) (proof.Hash, error) { return frontiers[n].Hashes[len(frontiers[n].Hashes)-1], nil })
			if err != nil || fmt.Sprint(grown) != fmt.Sprint(path) {
				t.Fatalf("%d in %d: %v, %v, want %v", index, size, grown, err, path)
			}
		}
	}
	if _, err := proof.ReadFrontier(3, frontiers[2].Bytes()); err == nil {
		t.Error("a frontier of 2 is taken for one of 3")
	}
}

// example is a proof of event 3 of the second of 5 seals.
func example() proof.Proof {
	id := uuid.MustParse("55138da0-ba1d-4f8a-91a8-d4f7adc245f2")
	texts := []string{`{"a":1}`, `{"b":"é"}`, `{"c":null}`, `{"amount":"-12.5"}`, `{}`}
	var block []proof.Hash
	for _, text := range texts {
		block = append(block, proof.LeafHash([]byte(text)))
	}
	var seals []proof.Seal
	var hashes []proof.Hash
	for n := int64(1); n <= 5; n++ {
		s := proof.Seal{
			Ledger: id, Format: proof.SealFormat, Number: n, First: 10*n - 9, Last: 10 * n, Count: int64(len(block)), Root: proof.Root(block),
			Positions: proof.LeafHash([]byte("positions")), Tags: proof.LeafHash([]byte("tags")), Position: 100 + n,
			SealedAt: time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC),
		}
		if n > 1 {
			s.Previous = hashes[n-2]
		}
		seals, hashes = append(seals, s), append(hashes, s.Hash())
	}
	return proof.Proof{
		Version: proof.Version, Leaf: texts[3], Index: 3, Path: proof.Path(block, 3), Seal: seals[1], SealPath: proof.Path(hashes, 1),
		Tree: proof.Checkpoint{Origin: proof.Origin(id), Size: 5, Root: proof.Root(hashes)},
	}
}

// known is testdata/known.json: what was computed by another program; see testdata/README.md.
type known struct {
	Leaf, LeafHash, Seal, SealHash, SecondHash, TreeRoot, Text string
}

func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/known.json")
	if err != nil {
		t.Fatal(err)
	}
	var k known
	if err := json.Unmarshal(raw, &k); err != nil {
		t.Fatal(err)
	}
	p := example()
	first := p.Seal
	first.Number, first.First, first.Last, first.Position, first.Previous = 1, 1, 10, 101, proof.Hash{}
	for _, c := range []struct{ what, got, want string }{
		{"leaf", p.Leaf, k.Leaf},
		{"hash of the leaf", proof.LeafHash([]byte(p.Leaf)).String(), k.LeafHash},
		{"text of a seal", string(first.AppendCanonical(nil)), k.Seal},
		{"hash of a seal", first.Hash().String(), k.SealHash},
		{"hash of the next seal", p.Seal.Hash().String(), k.SecondHash},
		{"root of the tree", p.Tree.Root.String(), k.TreeRoot},
		{"text of a checkpoint", p.Tree.Text(), k.Text},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
}

func TestCheckpointsAreSigned(t *testing.T) {
	t.Parallel()
	p := example()
	secret, public, err := proof.NewKey(p.Tree.Origin, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := proof.NewKey(p.Tree.Origin, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := p.Tree.Sign(secret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{public, public + "\n", ""} {
		if c, err := proof.OpenCheckpoint(signed, key); err != nil || c != p.Tree {
			t.Errorf("%+v, %v", c, err)
		}
	}
	if _, err := proof.OpenCheckpoint(signed, other); !errors.Is(err, proof.ErrUnsigned) {
		t.Errorf("another key: %v", err)
	}
	for i := range signed {
		bad := bytes.Clone(signed)
		bad[i] ^= 1
		if c, err := proof.OpenCheckpoint(bad, public); err == nil {
			t.Errorf("byte %d of the note was changed: %+v", i, c)
		}
	}
	for _, text := range []string{"", "a\n", "a\n1\n", "\n1\nAAAA\n", "a\n01\n" + p.Tree.Text(), "a\n-1\nAAAA\n", "a\n1\nAAAA\n"} {
		if c, err := proof.OpenCheckpoint([]byte(text), ""); err == nil {
			t.Errorf("%q is read as %+v", text, c)
		}
	}
	if _, err := p.Tree.Sign(public); err == nil {
		t.Error("signed with a public key")
	}
	if _, _, err := proof.NewKey("with space", rand.Reader); err == nil {
		t.Error("a name with a space")
	}
}

// Whatever character of a proof is changed, it is refused, or it says the same.
// TestSignatureHasOneSpelling changes bits that base64 doesn't use: the last character of a signature stands for four of
// its six.
func TestSignatureHasOneSpelling(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	p := example()
	secret, public, err := proof.NewKey(p.Tree.Origin, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := p.Tree.Sign(secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.OpenCheckpoint(signed, public); err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(signed, '=') - 1
	for signed[last] == '=' {
		last--
	}
	signed[last] = alphabet[strings.IndexByte(alphabet, signed[last])^1]
	if _, err := proof.OpenCheckpoint(signed, public); !errors.Is(err, proof.ErrUnsigned) {
		t.Errorf("another spelling of the signature: %v", err)
	}
}

func TestTamperedProofs(t *testing.T) {
	t.Parallel()
	p := example()
	secret, public, err := proof.NewKey(p.Tree.Origin, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := p.Tree.Sign(secret)
	if err != nil {
		t.Fatal(err)
	}
	p.Checkpoint = string(signed)
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	read, err := proof.Read(raw)
	if err != nil || read.Check(public) != nil || fmt.Sprint(read) != fmt.Sprint(p) {
		t.Fatalf("%v, %v", err, read.Check(public))
	}
	for i := range raw {
		for _, c := range []byte{raw[i] ^ 1, '0', '"', '9', ' '} {
			bad := bytes.Clone(raw)
			bad[i] = c
			q, err := proof.Read(bad)
			if err == nil {
				err = q.Check(public)
			}
			if err == nil && fmt.Sprint(q) != fmt.Sprint(p) {
				t.Fatalf("byte %d changed to %q: the proof holds: %s", i, c, bad)
			}
			if err != nil && !errors.Is(err, proof.ErrRefused) {
				t.Fatalf("byte %d changed to %q: %v", i, c, err)
			}
		}
	}
	for _, change := range []func(*proof.Proof){
		func(q *proof.Proof) { q.Path = q.Path[1:] },
		func(q *proof.Proof) { q.SealPath = append(q.SealPath, proof.Hash{}) },
		func(q *proof.Proof) { q.Index = -1 },
		func(q *proof.Proof) { q.Seal.Number = 9 },
		func(q *proof.Proof) { q.Tree.Origin = "deltaledger/x" },
		func(q *proof.Proof) { q.Tree.Size = 4 },
	} {
		q := p
		change(&q)
		if err := q.Check(public); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, c := range []proof.Checkpoint{
		{Origin: "x", Size: 5, Root: p.Tree.Root}, {Origin: p.Tree.Origin, Size: 4, Root: p.Tree.Root}, {Origin: p.Tree.Origin, Size: 5},
	} {
		if err := p.Against(c); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("against %+v: %v", c, err)
		}
	}
}

func TestHashesAreHex(t *testing.T) {
	t.Parallel()
	h := proof.LeafHash(nil)
	if h.String() != hex.EncodeToString(h[:]) || strings.ToLower(h.String()) != h.String() {
		t.Errorf("%s", h)
	}
	for _, text := range []string{"", "00", strings.Repeat("g", 64), h.String() + "00"} {
		if err := new(proof.Hash).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for a hash", text)
		}
	}
}
