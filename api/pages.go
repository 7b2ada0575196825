package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
)

// OpenAPI is the OpenAPI 3.1 document of the API, as /openapi.json serves it, indented.
func OpenAPI(version string) ([]byte, error) {
	return encodeOpenAPI(newServer(Config{Version: version}))
}

func encodeOpenAPI(s *server) ([]byte, error) {
	raw, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return append(b.Bytes(), '\n'), nil
}

// pages adds what people look at. It is made once: the routes don't change while the program runs.
func (s *server) pages() error {
	openAPI, err := encodeOpenAPI(s)
	if err != nil {
		return err
	}
	page, err := newDocsPage(s.api.OpenAPI(), s.order)
	if err != nil {
		return fmt.Errorf("make the page of the API: %w", err)
	}
	s.router.Get("/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/docs", http.StatusFound)
	})
	s.router.Get("/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(openAPI) // a client that went away needs no answer
	})
	s.router.Get("/docs", func(w http.ResponseWriter, r *http.Request) {
		html, err := page.render("http://" + r.Host)
		if err != nil {
			panic(err) // the template was tried when the page was made
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", page.policy)
		_, _ = w.Write(html) // a client that went away needs no answer
	})
	if s.metrics != nil {
		s.router.Method(http.MethodGet, "/metrics", s.metrics)
	}
	return nil
}

// stylePolicy is a Content-Security-Policy that allows one style sheet and nothing else.
func stylePolicy(css string) string {
	sum := sha256.Sum256([]byte(css))
	return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
