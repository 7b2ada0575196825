package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// doc is what the OpenAPI document says of a route besides its parameters and bodies, which the types
// of the handler say.
type doc struct {
	id      string // operationId, fixed for ever: clients are generated from it
	tag     string
	summary string
	text    string // CommonMark
	status  int    // of success; 0: 200
	answers map[string]*huma.Response
	fails   []kind            // besides those that every route may meet
	body    *huma.RequestBody // of a route that reads its body itself
	example json.RawMessage   // of a JSON request body
	maxBody int64             // bytes of a JSON request body; 0: 64 KiB
	work    work              // what it takes of the server
	packed  bool              // its body may be compressed
}

const maxJSONBody = 64 << 10

// route adds a handler for "METHOD /path". The handler returns errors of the services as they are; they
// become answers here and nowhere else.
func route[I, O any](s *server, pattern string, d doc, handler func(context.Context, *I) (*O, error)) {
	method, path, _ := strings.Cut(pattern, " ")
	where := "query"
	if method != http.MethodGet {
		where = "body"
	}
	op := huma.Operation{
		OperationID: d.id, Method: method, Path: path, Summary: d.summary, Description: d.text,
		Tags: []string{d.tag}, DefaultStatus: d.status, Responses: d.answers,
		MaxBodyBytes:    maxJSONBody + 1, // the framework refuses a body of exactly this length too
		BodyReadTimeout: -1,              // bodyReader has the timeout, and takes it back when the body was read
	}
	op.SkipValidateBody = d.body != nil // the service reads it, and says more of what is wrong
	if !d.packed {
		op.Middlewares = append(op.Middlewares, s.refusePacked)
	}
	if d.maxBody > 0 {
		op.MaxBodyBytes = d.maxBody + 1
	}
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	s.describeFailures(&op, d.fails)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, s, d.work, in, handler)
		if err != nil {
			p := problemOf(err, where)
			if d.body == nil { // what the service reads itself may have a field of the same name
				p.inPath(path)
			}
			s.report(ctx, p)
			return nil, p
		}
		return out, nil
	})
	s.order = append(s.order, d.id)
	described := operationAt(s.api.OpenAPI(), method, path)
	if d.body != nil {
		described.RequestBody = d.body
	}
	if d.example != nil {
		described.RequestBody.Content["application/json"].Example = d.example
	}
}

// inPath says of fields that are parameters of the path that they are.
func (p *Problem) inPath(path string) {
	for i, e := range p.Errors {
		_, field, ok := strings.Cut(e.Location, ".")
		if ok && strings.Contains(path, "{"+field+"}") {
			p.Errors[i].Location = "path." + field
		}
	}
}

// describeFailures adds the problems that a route may answer with.
func (s *server) describeFailures(op *huma.Operation, fails []kind) {
	all := append([]kind{malformed, misdirected, invalid, internal, busy}, fails...)
	if op.Method != http.MethodGet {
		all = append(all, forbidden)
	}
	schema := s.schemaOf(Problem{})
	for _, k := range all {
		status := strconv.Itoa(k.Status)
		if known := op.Responses[status]; known != nil {
			if !strings.Contains(known.Description, k.Title) {
				known.Description += ", or: " + k.Title
			}
			continue
		}
		op.Responses[status] = &huma.Response{
			Description: k.Title,
			Content:     map[string]*huma.MediaType{problemJSON: {Schema: schema}},
		}
	}
}

func operationAt(o *huma.OpenAPI, method, path string) *huma.Operation {
	item := o.Paths[path]
	switch method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	}
	panic("api: no route is described for " + method + " " + path)
}

// checkParameters refuses parameters that the framework would read past: given twice where one is meant,
// given without a value, or holding what no text in the ledger holds. An answer to another question than
// the one meant is worse than none.
func (s *server) checkParameters(ctx huma.Context, next func(huma.Context)) {
	address := ctx.URL()
	query := address.Query()
	var p *Problem
	for _, param := range ctx.Operation().Parameters {
		var values []string
		switch param.In {
		case "query":
			values = query[param.Name]
		case "path":
			values = []string{ctx.Param(param.Name)}
		}
		message := ""
		switch {
		case len(values) > 1 && (param.Explode == nil || !*param.Explode):
			message = "must be given once"
		case param.In == "query" && len(values) == 1 && values[0] == "":
			message = "has no value: give one, or leave the parameter out"
		case slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) || strings.ContainsRune(v, 0) }):
			message = "must be valid UTF-8 without the character NUL"
		default:
			continue
		}
		if p == nil {
			p = invalid.problem("%s: %s", param.Name, message)
		}
		p.Errors = append(p.Errors, FieldDetail{Location: param.In + "." + param.Name, Message: message})
	}
	if p != nil {
		s.answerProblem(ctx, p)
		return
	}
	next(ctx)
}

// refusePacked refuses a compressed body where none is read.
func (s *server) refusePacked(ctx huma.Context, next func(huma.Context)) {
	if encoding := ctx.Header("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		s.answerProblem(ctx, unsupported.problem("Content-Encoding %s is not supported here: send the body as it is", shorten(encoding)))
		return
	}
	next(ctx)
}

// answerProblem writes a problem from within the framework.
func (s *server) answerProblem(ctx huma.Context, p *Problem) {
	p.RequestID = requestID(ctx.Context())
	for name, values := range p.GetHeaders() {
		for _, value := range values {
			ctx.SetHeader(name, value)
		}
	}
	ctx.SetHeader("Content-Type", problemJSON)
	ctx.SetStatus(p.Status)
	if err := s.api.Marshal(ctx.BodyWriter(), problemJSON, p); err != nil && ctx.Context().Err() == nil {
		panic(fmt.Errorf("write a problem: %w", err))
	}
}
