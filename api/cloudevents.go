package api

import (
	"bufio"
	"context"
	"io"
	"mime"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// envelope says how a request wraps CloudEvents.
type envelope struct {
	batch   bool          // an array of them
	headers []wire.Header // of the one whose attributes are headers; nil: they stand in the body
}

// envelopeOf looks for CloudEvents in the headers of a request; nil: there are none. A body that is said to be in one of
// their formats isn't in binary mode, whatever other headers there are.
func envelopeOf(ctx huma.Context) (*envelope, *Problem) {
	contentType := ctx.Header("Content-Type")
	media, params, _ := mime.ParseMediaType(contentType) // what it is wrong with is said where no CloudEvents are meant
	if charset := strings.ToLower(params["charset"]); strings.HasPrefix(media, "application/cloudevents") && charset != "" && charset != "utf-8" {
		return nil, unsupported.problem("the charset %s is not supported: send UTF-8", shorten(charset))
	}
	switch {
	case media == "application/cloudevents+json":
		return &envelope{}, nil
	case media == "application/cloudevents-batch+json":
		return &envelope{batch: true}, nil
	case strings.HasPrefix(media, "application/cloudevents"):
		return nil, unsupported.problem("Content-Type %s is not supported: CloudEvents are read as application/cloudevents+json, application/cloudevents-batch+json or, with their attributes as headers, as JSON", shorten(contentType))
	case ctx.Header("Ce-Specversion") == "":
		return nil, nil //nolint:nilnil // no CloudEvents, and nothing is wrong with that
	}
	e := &envelope{headers: []wire.Header{}}
	ctx.EachHeader(func(name, value string) {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "ce-") || lower == "content-type" {
			e.headers = append(e.headers, wire.Header{Key: name, Value: []byte(value)})
		}
	})
	return e, nil
}

// isOne tells one CloudEvent from an array of them, and refuses a body that isn't what its Content-Type says.
func (e *envelope) isOne(body *bufio.Reader) (bool, error) {
	if e.headers != nil {
		return true, nil
	}
	first, err := firstByte(body)
	switch {
	case err != nil:
		return false, err
	case e.batch && first != '[':
		return false, malformed.problem("the body must be a JSON array of CloudEvents; one alone is application/cloudevents+json")
	case !e.batch && first != '{':
		return false, malformed.problem("the body must be a CloudEvent as a JSON object; an array of them is application/cloudevents-batch+json")
	}
	return !e.batch, nil
}

// recordCloudEvent records a body that is one CloudEvent, or the data of one.
func (s *server) recordCloudEvent(ctx context.Context, body io.Reader, e *envelope) (*recordEventsOut, error) {
	raw, err := readWhole(body, ledger.MaxEvent, "one event has at most 262,144 bytes")
	if err != nil {
		return nil, err
	}
	options, err := s.withMeasures(ctx, wire.Options{})
	if err != nil {
		return nil, err
	}
	decoder, err := wire.NewMessageDecoder(wire.MessageOptions{Format: wire.CloudEvents, Measures: options.Measures})
	if err != nil {
		return nil, err
	}
	if raw == nil {
		raw = []byte{}
	}
	items, err := decoder.Decode(ctx, wire.Message{Value: raw, Headers: e.headers})
	switch {
	case err != nil:
		return nil, err
	case items[0].Err != nil && len(raw) > 0:
		return nil, ofEvent(raw, items[0].Err)
	case items[0].Err != nil:
		return nil, items[0].Err
	}
	return s.appendOne(ctx, items[0].Event)
}
