package ledger

import "deltaledger/ledger/canonical"

// eachMember calls f with each member of an object that is canonical JSON: its key, its value as it is spelled, and
// both as they stand in the object. They are valid for as long as the object is.
func eachMember(object []byte, f func(key, value, member []byte)) error {
	var s canonical.Scanner
	s.Reset(object)
	if err := s.Open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.More('}', first)
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		start := s.Pos()
		key, _, err := s.Key()
		if err != nil {
			return err
		}
		value, err := s.Skip(canonical.Limits{})
		if err != nil {
			return err
		}
		f(key, value, object[start:s.Pos()])
	}
}

// appendMember appends a member to an object that is still open.
func appendMember(object, member []byte) []byte {
	if object == nil {
		object = append(make([]byte, 0, 256), '{')
	} else {
		object = append(object, ',')
	}
	return append(object, member...)
}

func closed(object []byte) []byte {
	if object == nil {
		return nil
	}
	return append(object, '}')
}

// unquoted is what a JSON scalar spells: a text without its quotes. If it is no JSON, it returns the rule that it breaks.
func unquoted(value []byte) (text, rule string) {
	if value[0] != '"' {
		return string(value), ""
	}
	var s canonical.Scanner
	s.Reset(value)
	plain, _, err := s.Text()
	if err != nil {
		return "", err.Rule
	}
	return string(plain), ""
}
