package proof

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is the state of a ledger's chain: how many seals there were, and the root of the tree over
// their hashes.
type Checkpoint struct {
	Origin string `json:"origin"` // deltaledger/<id of the ledger>
	Size   int64  `json:"size"`   // seals
	Root   Hash   `json:"root"`
}

// Origin names a ledger in its checkpoints, and is the name of the key that signs them.
func Origin(ledger uuid.UUID) string { return "deltaledger/" + ledger.String() }

// Text is what a signature is made over: the body of the C2SP tlog-checkpoint format.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// NewKey makes an Ed25519 key of that name: the secret one to sign with and the public one to check with,
// each one line of text in the format of golang.org/x/mod/sumdb/note.
func NewKey(name string, random io.Reader) (secret, public string, err error) {
	if name == "" || strings.ContainsAny(name, " \t\n+") {
		return "", "", fmt.Errorf("%q can't name a key: it must be text without spaces and plus signs", name)
	}
	if secret, public, err = note.GenerateKey(random, name); err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	return secret, public, nil
}

// Sign makes the signed note of a checkpoint.
func (c Checkpoint) Sign(secret string) ([]byte, error) {
	signer, err := note.NewSigner(strings.TrimSpace(secret))
	if err != nil {
		return nil, errors.New("the key isn't a secret key for checkpoints: it must be one line that begins with PRIVATE+KEY+")
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign the checkpoint: %w", err)
	}
	return signed, nil
}

// ErrUnsigned says that a checkpoint bears no signature of the key that was given.
var ErrUnsigned = errors.New("the checkpoint bears no valid signature of the key")

// OpenCheckpoint reads a signed note and checks that the key of public signed it. With an empty public
// the signatures aren't looked at: what the note says is then worth as much as the place it was kept at.
func OpenCheckpoint(signed []byte, public string) (Checkpoint, error) {
	text := string(signed)
	if public == "" {
		body, _, found := strings.Cut(text, "\n\n")
		if found {
			text = body + "\n"
		}
		return parseCheckpoint(text)
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil {
		return Checkpoint{}, errors.New("the key isn't a public key for checkpoints: it must be one line NAME+HASH+KEY")
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w %s: %w", ErrUnsigned, verifier.Name(), err)
	}
	for _, s := range n.Sigs { // several spellings of base64 would make several texts of one signature
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return Checkpoint{}, fmt.Errorf("%w %s: its base64 has bits left over", ErrUnsigned, verifier.Name())
		}
	}
	return parseCheckpoint(n.Text)
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, errors.New("no checkpoint: it must begin with three lines, the origin, the number of seals and the root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || lines[1] != strconv.FormatInt(size, 10) {
		return Checkpoint{}, fmt.Errorf("no checkpoint: its second line must be the number of seals, not %q", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(Hash{}) {
		return Checkpoint{}, fmt.Errorf("no checkpoint: its third line must be a SHA-256 in base64, not %q", lines[2])
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}, nil
}
