package api

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html.tmpl
var docsTemplate string

//go:embed docs.css
var docsCSS string

// docsPage is the page that people read, made from the OpenAPI document alone. It needs no script and
// loads nothing.
type docsPage struct {
	template *template.Template
	policy   string

	Title, Version string
	Overview       template.HTML
	CSS            template.CSS
	Groups         []docsGroup
	Problems       []kind
	Schemas        []docsSchema
}

// docsGroup is the operations of one tag.
type docsGroup struct {
	Name, Text string
	Operations []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary string
	Text                      template.HTML
	Parameters                []docsParameter
	Bodies                    []docsBody
	Answers                   []docsAnswer
	query, headers, data      string // of the example
}

type docsParameter struct {
	Name, In, Text, Type, Example string
	Required                      bool
}

type docsBody struct {
	MediaType, Text, Example string
	Fields                   []docsField
}

type docsAnswer struct {
	Status, Text, Example string
	Good                  bool
	MediaTypes            []string
	Schemas               []string // names to link to
	Problems              []kind
	Headers               []docsField
}

type docsSchema struct {
	Name, Text string
	Fields     []docsField
}

// docsField is a property. Link names the schema of its value, where that has a name.
type docsField struct {
	Name, Type, Link, Text string
	Required               bool
}

func newDocsPage(o *huma.OpenAPI, order []string) (*docsPage, error) {
	p := &docsPage{
		Title: o.Info.Title, Version: o.Info.Version, Overview: markdown(o.Info.Description),
		CSS: template.CSS(docsCSS), Problems: kinds(), policy: stylePolicy(docsCSS),
	}
	for _, tag := range o.Tags {
		p.Groups = append(p.Groups, docsGroup{Name: tag.Name, Text: tag.Description, Operations: operationsOf(o, tag.Name, order)})
	}
	schemas := o.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		p.Schemas = append(p.Schemas, docsSchema{Name: name, Text: schemas[name].Description, Fields: fieldsOf(schemas[name], "")})
	}
	var err error
	p.template, err = template.New("docs").Funcs(template.FuncMap{"curl": docsOperation.curl, "lower": strings.ToLower}).Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	_, err = p.render("http://localhost")
	return p, err
}

// render makes the page for a server at base, which the examples name.
func (p *docsPage) render(base string) ([]byte, error) {
	var b bytes.Buffer
	err := p.template.Execute(&b, struct {
		*docsPage
		Base string
	}{p, base})
	return b.Bytes(), err
}

// operationsOf are the operations of a tag, in the order of their ids.
func operationsOf(o *huma.OpenAPI, tag string, order []string) []docsOperation {
	var all []docsOperation
	for path, item := range o.Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post} {
			if op != nil && slices.Contains(op.Tags, tag) {
				all = append(all, describeOperation(o, method, path, op))
			}
		}
	}
	slices.SortFunc(all, func(a, b docsOperation) int {
		return cmp.Compare(slices.Index(order, a.ID), slices.Index(order, b.ID))
	})
	return all
}

func describeOperation(o *huma.OpenAPI, method, path string, op *huma.Operation) docsOperation {
	d := docsOperation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Text: markdown(op.Description)}
	for _, p := range op.Parameters {
		if p.In == "header" && p.Name == "Accept" {
			continue // the answers list the media types
		}
		example := ""
		if len(p.Schema.Examples) > 0 {
			example = exampleText(p.Schema.Examples[0])
		}
		d.Parameters = append(d.Parameters, docsParameter{
			Name: p.Name, In: p.In, Text: p.Description, Type: typeOf(p.Schema), Example: example, Required: p.Required,
		})
		if p.In == "query" && p.Required {
			d.query += "&" + p.Name + "=" + example
		}
	}
	if op.RequestBody != nil {
		d.Bodies = bodiesOf(o, op.RequestBody)
		for _, b := range d.Bodies {
			if b.MediaType == "application/json" {
				d.headers, d.data = "Content-Type: application/json", b.Example
			}
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		d.Answers = append(d.Answers, describeAnswer(status, op.Responses[status]))
	}
	return d
}

func bodiesOf(o *huma.OpenAPI, body *huma.RequestBody) []docsBody {
	var all []docsBody
	for _, mediaType := range slices.Sorted(maps.Keys(body.Content)) {
		m := body.Content[mediaType]
		b := docsBody{MediaType: mediaType, Example: exampleText(m.Example)}
		if m.Schema != nil {
			s := m.Schema
			if s.Ref != "" {
				s = o.Components.Schemas.SchemaFromRef(s.Ref)
			}
			b.Text, b.Fields = s.Description, fieldsOf(objectOf(s), "")
		}
		all = append(all, b)
	}
	return all
}

func describeAnswer(status string, r *huma.Response) docsAnswer {
	a := docsAnswer{Status: status, Text: r.Description, Good: status < "400", MediaTypes: slices.Sorted(maps.Keys(r.Content))}
	for _, k := range kinds() {
		if strconv.Itoa(k.Status) == status && strings.Contains(r.Description, k.Title) {
			a.Problems = append(a.Problems, k)
		}
	}
	for _, mediaType := range a.MediaTypes {
		m := r.Content[mediaType]
		if m.Example != nil && a.Example == "" {
			a.Example = exampleText(m.Example)
		}
		if m.Schema != nil {
			a.Schemas = append(a.Schemas, namesIn(m.Schema)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		h := r.Headers[name]
		text := h.Description
		if text == "" && h.Schema != nil {
			text = h.Schema.Description
		}
		a.Headers = append(a.Headers, docsField{Name: name, Text: text})
	}
	return a
}

// curl is the command that tries the operation out.
func (d docsOperation) curl(base string) string {
	path := d.Path
	for _, p := range d.Parameters {
		if p.In == "path" {
			path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example)
		}
	}
	if d.query != "" {
		path += "?" + d.query[1:]
	}
	command := "curl -s '" + base + path + "'"
	if d.headers != "" {
		command += " \\\n  -H '" + d.headers + "' \\\n  -d '" + strings.ReplaceAll(d.data, "'", `'\''`) + "'"
	} else if d.Method != http.MethodGet {
		command += " -X " + d.Method
	}
	return command
}

// exampleText shows an example: text as it is, anything else as indented JSON.
func exampleText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []string:
		return strings.Join(v, ",")
	case json.RawMessage:
		var b bytes.Buffer
		if err := json.Indent(&b, v, "", "  "); err != nil {
			return string(v)
		}
		return b.String()
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
