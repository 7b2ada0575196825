package main

import (
	"errors"

	"github.com/alecthomas/kong"
)

// span is a flag with two values: --diff T1 T2.
type span struct{ from, to string }

// Decode takes both values off the command line.
func (v *span) Decode(ctx *kong.DecodeContext) error {
	for _, part := range []*string{&v.from, &v.to} {
		token, err := ctx.Scan.PopValue("T1 T2")
		if err != nil {
			return errors.New("needs two values, such as 100 200 or two times")
		}
		*part = token.String()
	}
	return nil
}
