package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/export"
	"deltaledger/ledger"
)

type listMonthsOut struct {
	Body struct {
		Months []export.Frozen `json:"months" doc:"Oldest first"`
	}
}

func (s *server) listMonths(ctx context.Context, _ *struct{}) (*listMonthsOut, error) {
	frozen, err := s.exporter.Freezes(ctx)
	if err != nil {
		return nil, err
	}
	out := &listMonthsOut{}
	if out.Body.Months = frozen; frozen == nil {
		out.Body.Months = []export.Frozen{}
	}
	return out, nil
}

func listMonthsDoc() doc {
	return doc{id: "list-frozen-months", tag: tagExport, summary: "List frozen months", text: "Each event is in exactly one frozen file, and the files add up to the ledger through the last watermark."}
}

type monthIn struct {
	Month       string `path:"month" example:"2026-01" doc:"The business month, as YYYY-MM in the reporting zone"`
	Open        bool   `query:"open" doc:"Take an open file where the month isn't frozen: what there is now, under a name that carries its watermark"`
	AsOf        string `query:"as_of" example:"123456" doc:"With open: the file of that watermark or RFC 3339 time, byte for byte as it was had then"`
	By          string `query:"by" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who pulls the file; pulls are logged"`
	IfNoneMatch string `header:"If-None-Match" doc:"ETag of a file that the client has"`
}

// file finds the file that was asked for.
func (s *server) file(ctx context.Context, in *monthIn) (export.File, error) {
	month, err := export.ParseMonth(in.Month)
	if err != nil {
		return export.File{}, err
	}
	request := export.FileRequest{Month: month, By: in.By}
	switch {
	case in.Open:
		request.Mode, request.AsOf = export.ModeOpen, in.AsOf
	case in.AsOf != "":
		return export.File{}, inQuery("as_of", in.AsOf, "needs open=true beside it: a frozen file has its own watermark")
	}
	return s.exporter.File(ctx, request)
}

// fileHeaders are the headers of a file. The name of a file and the ledger's id say which bytes it has,
// for ever.
func (s *server) fileHeaders(f export.File) http.Header {
	h := http.Header{
		"Etag":             {fmt.Sprintf("%q", s.ledger.Settings().ID.String()+"/"+f.Name+"/W"+strconv.FormatInt(f.Watermark, 10))},
		"Cache-Control":    {"private, no-cache"},
		"Ledger-Watermark": {strconv.FormatInt(f.Watermark, 10)},
		"Ledger-Frozen":    {strconv.FormatBool(f.Frozen)},
	}
	if f.Frozen {
		h.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	return h
}

func (s *server) monthCSV(ctx context.Context, in *monthIn) (*huma.StreamResponse, error) {
	f, err := s.file(ctx, in)
	if err != nil {
		return nil, err
	}
	header := s.fileHeaders(f)
	if matches(in.IfNoneMatch, header.Get("Etag")) {
		return notModified(header), nil
	}
	header.Set("Content-Disposition", `attachment; filename="`+f.Name+`"`)
	header.Set("Ledger-Rows", strconv.FormatInt(f.Rows, 10))
	header.Set("Ledger-Late-Rows", strconv.FormatInt(f.LateRows, 10))
	return s.download(ctx, download{
		contentType: "text/csv; charset=utf-8; header=present",
		header:      header,
		trailers:    []string{"Content-Digest"},
		write: func(w io.Writer) (http.Header, error) {
			m, err := f.Write(ctx, w)
			if err != nil {
				return nil, err
			}
			return digest(m)
		},
	}), nil
}

// digest is the Content-Digest (RFC 9530) of a file.
func digest(m export.Manifest) (http.Header, error) {
	sum, err := hex.DecodeString(m.SHA256)
	if err != nil {
		return nil, fmt.Errorf("digest of %s: %w: %w", m.File, err, ledger.ErrCorrupt)
	}
	return http.Header{"Content-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"}}, nil
}

// matches reports whether the client has the file already.
func matches(ifNoneMatch, etag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

func notModified(header http.Header) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		for name, values := range header {
			hc.SetHeader(name, values[0])
		}
		hc.SetStatus(http.StatusNotModified)
	}}
}

func monthAnswers(description, contentType string, schema *huma.Schema) map[string]*huma.Response {
	number := &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
	return map[string]*huma.Response{
		"200": {
			Description: description,
			Headers: map[string]*huma.Param{
				"Ledger-Watermark": {Description: "Position that the file reaches to", Schema: number},
				"Ledger-Frozen":    {Description: "Whether it is the frozen file", Schema: &huma.Schema{Type: huma.TypeBoolean}},
				"Etag":             {Description: "Names these bytes for ever", Schema: &huma.Schema{Type: huma.TypeString}},
			},
			Content: map[string]*huma.MediaType{contentType: {Schema: schema}},
		},
		"304": {Description: "The client has the file already"},
	}
}

func monthCSVDoc() doc {
	return doc{
		id: "get-month-file", tag: tagExport, work: downloads, summary: "Get the file of a month",
		text:    "The frozen file of a business month as CSV (RFC 4180, UTF-8, LF, a header, by position): the same bytes whenever it is asked for. Events that came too late for it are in the next frozen file, marked with their month. Until the month is frozen, the answer is 409 with the time from which it can be; asking never freezes it. An open file (open=true) shows what there is. The trailer Content-Digest has the SHA-256 of the bytes; an answer that breaks off has none, and its connection is cut. A text that a spreadsheet would take for a formula has an apostrophe in front.",
		fails:   []kind{notFrozen, conflicting},
		answers: monthAnswers("The file. Ledger-Rows and Ledger-Late-Rows say how many rows it has", "text/csv", &huma.Schema{Type: huma.TypeString}),
	}
}

func (s *server) monthManifest(ctx context.Context, in *monthIn) (*huma.StreamResponse, error) {
	f, err := s.file(ctx, in)
	if err != nil {
		return nil, err
	}
	header := s.fileHeaders(f)
	header.Set("Cache-Control", "private, no-cache") // the list of pulls grows
	header.Del("Etag")
	return s.download(ctx, download{contentType: "application/json", header: header, write: func(w io.Writer) (http.Header, error) {
		m, err := f.Write(ctx, io.Discard)
		if err != nil {
			return nil, err
		}
		encoded, err := m.Encode()
		if err == nil {
			_, err = w.Write(encoded)
		}
		return nil, err
	}}), nil
}

func (s *server) monthManifestDoc() doc {
	answers := monthAnswers("The manifest", "application/json", s.schemaOf(export.Manifest{}))
	delete(answers, "304")
	delete(answers["200"].Headers, "Etag")
	return doc{
		id: "get-month-manifest", tag: tagExport, work: downloads, summary: "Get the manifest of a month's file",
		text:    "What is in the file that the same question with .csv gives, and proof of it: columns, rows, sums by currency, SHA-256, watermark, and earlier pulls. It is made by reading the whole file, and counts as a pull.",
		fails:   []kind{notFrozen, conflicting},
		answers: answers,
	}
}
