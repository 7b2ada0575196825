package ledger

import (
	"context"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// LetterView is a dead letter, with its message where that was asked for.
type LetterView struct {
	DeadLetter
	Message *LetterContent `json:"message,omitempty"` // only where private content was asked for, and as far as it is there
}

// LetterContent is the message of a dead letter as a person reads it. It may hold private content: nobody could decode it.
type LetterContent struct {
	Key     *LetterBytes      `json:"key,omitempty"`
	Headers []LetterFieldView `json:"headers,omitempty"`
	Body    *LetterBytes      `json:"body,omitempty"` // nil: the message has none
}

// LetterFieldView is one header of a message.
type LetterFieldView struct {
	Key   string       `json:"key"`
	Value *LetterBytes `json:"value,omitempty"`
}

// LetterBytes are bytes as text where they are text that can be printed, else in hexadecimal digits.
type LetterBytes struct {
	Text *string `json:"text,omitempty"`
	Hex  *string `json:"hex,omitempty"`
}

// String is the text, or the digits behind \x.
func (b *LetterBytes) String() string {
	switch {
	case b == nil:
		return ""
	case b.Text != nil:
		return *b.Text
	}
	return `\x` + *b.Hex
}

func bytesView(raw []byte) *LetterBytes {
	if raw == nil {
		return nil
	}
	s := string(raw)
	strange := func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune("\t\r\n", r) }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, strange) {
		return &LetterBytes{Text: &s}
	}
	digits := hex.EncodeToString(raw)
	return &LetterBytes{Hex: &digits}
}

// ShowLetter is a dead letter; with private, what came too. ErrNotFound if there is none of that number.
func (l *Ledger) ShowLetter(ctx context.Context, n int64, private bool) (LetterView, error) {
	d, err := l.DeadLetter(ctx, n)
	if err != nil || !private {
		return LetterView{DeadLetter: d}, err
	}
	list, err := l.letterMessages(ctx, []int64{n})
	if err != nil || len(list) == 0 {
		return LetterView{DeadLetter: d}, err
	}
	m := list[0]
	v := LetterView{DeadLetter: d, Message: &LetterContent{Key: bytesView(m.Key), Body: bytesView(m.Body)}}
	for _, h := range m.Headers {
		v.Message.Headers = append(v.Message.Headers, LetterFieldView{Key: strings.ToValidUTF8(h.Key, "\uFFFD"), Value: bytesView(h.Value)})
	}
	return v, nil
}
