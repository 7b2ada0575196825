package api

import (
	"cmp"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const schemaPrefix = "#/components/schemas/"

// refOf is the name of the schema that s refers to, empty if it doesn't.
func refOf(s *huma.Schema) string {
	if len(s.AllOf) == 1 {
		return refOf(s.AllOf[0])
	}
	name, _ := strings.CutPrefix(s.Ref, schemaPrefix)
	return name
}

// namesIn are the named schemas that s refers to, not through others.
func namesIn(s *huma.Schema) []string {
	if name := refOf(s); name != "" {
		return []string{name}
	}
	var names []string
	for _, one := range slices.Concat(s.OneOf, s.AnyOf) {
		names = append(names, namesIn(one)...)
	}
	if s.Items != nil {
		names = append(names, namesIn(s.Items)...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		names = append(names, namesIn(s.Properties[name])...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// objectOf is the object that a body is, or that it may be besides an array of it.
func objectOf(s *huma.Schema) *huma.Schema {
	for _, one := range s.OneOf {
		if one.Type == huma.TypeObject {
			return one
		}
	}
	return s
}

// typeOf says in words what a value is.
func typeOf(s *huma.Schema) string {
	if s == nil {
		return "any JSON"
	}
	if name := refOf(s); name != "" {
		return name
	}
	switch {
	case len(s.AllOf) == 1:
		return typeOf(s.AllOf[0])
	case len(s.OneOf) > 0:
		var each []string
		for _, one := range s.OneOf {
			each = append(each, typeOf(one))
		}
		return strings.Join(each, " or ")
	case s.Type == huma.TypeArray:
		return "list of " + typeOf(s.Items)
	case len(s.Enum) > 0:
		var each []string
		for _, one := range s.Enum {
			each = append(each, exampleText(one))
		}
		return strings.Join(each, " | ")
	case s.Format == "decimal":
		return "decimal string"
	case s.Format == "date-time":
		return "time (RFC 3339)"
	case s.Format == "date":
		return "date"
	case s.Type == huma.TypeObject:
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok {
			return "object of " + typeOf(of)
		}
		return "object"
	case s.Type == "":
		return "any JSON"
	}
	return s.Type
}

// fieldsOf lists the properties of an object and, below them, those of objects without a name.
func fieldsOf(s *huma.Schema, prefix string) []docsField {
	var fields []docsField
	for _, name := range inReadingOrder(s) {
		if name == "$schema" {
			continue
		}
		value := s.Properties[name]
		f := docsField{Name: prefix + name, Type: typeOf(value), Text: value.Description, Required: slices.Contains(s.Required, name)}
		of := value
		if value.Type == huma.TypeArray && value.Items != nil {
			of = value.Items
		}
		f.Link = refOf(of)
		fields = append(fields, f)
		if f.Link == "" && len(of.Properties) > 0 {
			below := prefix + name + "."
			if of != value {
				below = prefix + name + "[]."
			}
			fields = append(fields, fieldsOf(of, below)...)
		}
	}
	return fields
}

// leading are the properties that say what a thing is, which readers look for first.
func leading() []string {
	return []string{
		"id", "number", "source", "stream", "seqn", "type", "title", "status", "detail", "position", "account", "occurred_at", "recorded_at", "currency",
		"amount", "quantity", "measures", "dimensions", "recorded", "duplicate", "conflict", "invalid", "refused", "watermark", "name", "month",
	}
}

// inReadingOrder sorts the names of properties: those that must be given, then those that say what it is,
// then by name.
func inReadingOrder(s *huma.Schema) []string {
	first := leading()
	rank := func(name string) (optional, place int) {
		if !slices.Contains(s.Required, name) {
			optional = 1
		}
		if place = slices.Index(first, name); place < 0 {
			place = len(first)
		}
		return optional, place
	}
	return slices.SortedFunc(maps.Keys(s.Properties), func(a, b string) int {
		aOptional, aPlace := rank(a)
		bOptional, bPlace := rank(b)
		return cmp.Or(cmp.Compare(aOptional, bOptional), cmp.Compare(aPlace, bPlace), cmp.Compare(a, b))
	})
}

// markdown makes HTML of the little of CommonMark that the descriptions use: paragraphs, lists, bold and
// code.
func markdown(text string) template.HTML {
	var b strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if block == "" {
			continue
		}
		if !strings.HasPrefix(block, "* ") {
			b.WriteString("<p>" + inline(block) + "</p>\n")
			continue
		}
		b.WriteString("<ul>\n")
		for line := range strings.SplitSeq(block, "\n") {
			b.WriteString("<li>" + inline(strings.TrimPrefix(line, "* ")) + "</li>\n")
		}
		b.WriteString("</ul>\n")
	}
	return template.HTML(b.String())
}

// inline escapes text and then marks what is bold and what is code.
func inline(text string) string {
	text = template.HTMLEscapeString(text)
	for _, mark := range []struct{ sign, tag string }{{"**", "strong"}, {"`", "code"}} {
		parts := strings.Split(text, mark.sign)
		if len(parts)%2 == 0 {
			continue // a sign without its partner
		}
		var b strings.Builder
		for i, part := range parts {
			if i%2 == 1 {
				part = "<" + mark.tag + ">" + part + "</" + mark.tag + ">"
			}
			b.WriteString(part)
		}
		text = b.String()
	}
	return text
}
