// Package canonical gives every JSON text one spelling, and reads JSON strictly.
//
// Owns: the canonical form that digests and commitments are computed over, and the scanner that the
// decoders of events are built on.
//
// Does not own: which fields an event has, or what they may hold.
//
// The canonical form has the structure of RFC 8785: no white space, the keys of an object sorted by
// their UTF-16 code units, strings with the fewest escapes. Numbers differ from RFC 8785, which would
// send them through binary floating point: here they keep every digit that was sent. A number is
// written plainly, without an exponent, a leading plus or zeros that say nothing ("-0" is "0"), as long
// as that takes at most 64 characters; a longer one is d.ddde±x. Which of the two it is depends on its
// value alone, and a text grows at most sixteenfold.
//
// Guarantees: the canonical form of a canonical form is itself; texts that stand for the same value have
// the same form, and only those. No number is ever a float (invariant 4).
//
// Refuses, beyond what isn't JSON: invalid UTF-8, NUL (also escaped), surrogates without their partner,
// an object that names a key twice, arrays and objects nested too deep, and anything after the value.
package canonical
