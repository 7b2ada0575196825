// Package registry reads schemas from a schema registry.
//
// It owns: which schema an id stands for, kept for as long as the process lives, because ids are given once.
//
// It guarantees that what was read before is known while the registry doesn't answer, and that an id is unknown only if the
// registry itself says so: anything else that goes wrong is ledger.ErrBusy, to be tried again.
//
// It doesn't own what is done with a schema: package wire decodes under it.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/singleflight"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// Config says where the registry is. Of user and token one may be given.
type Config struct {
	URLs     []string // of its instances, tried in turn
	User     string
	Password string
	Token    string        // bearer token
	TLS      *tls.Config   // nil: the system's certificates
	Timeout  time.Duration // of one request; 0: 10 seconds
}

// Check reports what can't be meant. It wraps ledger.ErrInvalid.
func (c Config) Check() error {
	if len(c.URLs) == 0 {
		return ledger.Invalid("schema registry", "", "must have a URL")
	}
	for _, text := range c.URLs {
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return ledger.Invalid("schema registry", text, "must be a URL such as https://registry.example.com:8081")
		}
	}
	switch {
	case c.Password != "" && c.User == "":
		return ledger.Invalid("schema registry", "", "must have a user beside the password")
	case c.User != "" && c.Token != "":
		return ledger.Invalid("schema registry", "", "must have a user or a token, not both")
	}
	return nil
}

// Registry has the schemas of a registry. Several goroutines may use one. It is a wire.Schemas.
type Registry struct {
	client *sr.Client
	known  sync.Map // of id to result
	flight singleflight.Group
}

// result is what an id stands for, for ever.
type result struct {
	schema *wire.AvroSchema
	err    error // it is no schema of Avro
}

// Open makes a Registry; nothing is read yet. The error wraps ledger.ErrInvalid.
func Open(c Config) (*Registry, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.TLS, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}
	o := []sr.ClientOpt{
		sr.URLs(c.URLs...), sr.UserAgent("deltaledger"), sr.HTTPClient(&http.Client{Transport: bounded{transport}, Timeout: c.Timeout}),
	}
	switch {
	case c.User != "":
		o = append(o, sr.BasicAuth(c.User, c.Password))
	case c.Token != "":
		o = append(o, sr.BearerToken(c.Token))
	}
	client, err := sr.NewClient(o...)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w: %w", ledger.ErrInvalid, err)
	}
	return &Registry{client: client}, nil
}

// maxAnswer is the most bytes of an answer that are read.
const maxAnswer = 4 * wire.MaxAvroSchema

// bounded keeps answers from filling the memory.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

// Schema is the schema of that id, with all that it refers to. The error wraps ledger.ErrNotFound if the registry has none of
// that id, ledger.ErrInvalid if what it has isn't Avro, and else ledger.ErrBusy.
func (r *Registry) Schema(ctx context.Context, id int) (*wire.AvroSchema, error) {
	if known, ok := r.known.Load(id); ok {
		found, _ := known.(result)
		return found.schema, found.err
	}
	// Who asks first must not decide for the others how long they wait: the request ends by its own timeout.
	answer := r.flight.DoChan(fmt.Sprint(id), func() (any, error) {
		schema, err := r.fetch(context.WithoutCancel(ctx), id)
		if err == nil || errors.Is(err, ledger.ErrInvalid) {
			r.known.Store(id, result{schema, err})
		}
		return schema, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answer:
		schema, _ := a.Val.(*wire.AvroSchema)
		return schema, a.Err
	}
}

func (r *Registry) fetch(ctx context.Context, id int) (*wire.AvroSchema, error) {
	found, err := r.client.SchemaByID(ctx, id)
	if err != nil {
		const unknownSchema = 40403
		if said, ok := errors.AsType[*sr.ResponseError](err); ok && said.StatusCode == http.StatusNotFound && said.ErrorCode == unknownSchema {
			return nil, fmt.Errorf("schema registry: %w: %w", err, ledger.ErrNotFound)
		}
		return nil, fmt.Errorf("schema registry: %w: %w", err, ledger.ErrBusy)
	}
	if found.Type != sr.TypeAvro {
		return nil, ledger.Invalid("schema", found.Type.String(), "must be of the type AVRO")
	}
	var texts []string
	if err := r.references(ctx, found.References, map[string]bool{}, &texts); err != nil {
		return nil, err
	}
	return wire.ParseAvroSchema(found.Schema, texts...)
}

const maxReferences = 200

// references reads what a schema refers to, and what that refers to first.
func (r *Registry) references(ctx context.Context, all []sr.SchemaReference, seen map[string]bool, texts *[]string) error {
	for _, ref := range all {
		key := fmt.Sprintf("%s/%d", ref.Subject, ref.Version)
		if seen[key] {
			continue
		}
		if seen[key] = true; len(seen) > maxReferences {
			return ledger.Invalid("schema", "", "must not refer to more than 200 others")
		}
		found, err := r.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
		if err != nil {
			return fmt.Errorf("schema registry: %w: %w", err, ledger.ErrBusy)
		}
		if err := r.references(ctx, found.References, seen, texts); err != nil {
			return err
		}
		*texts = append(*texts, found.Schema.Schema)
	}
	return nil
}
