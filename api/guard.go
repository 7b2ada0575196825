package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// guard refuses what a browser was tricked into: requests that name another host (a site whose name
// was made to point here), writing requests that another site's page sends, and reading ones that it
// sends without a person following a link: the page can't see their answers, but they cost, and pulls of
// files are noted.
func (s *server) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.writeProblem(w, r, forbidden.problem("a page of another site sent this request through a browser"))
	}))
	guarded := crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		probe := isProbe(r.URL.Path) // asked by address, whatever the address
		if !probe && !s.serves(r.Host) {
			s.writeProblem(w, r, misdirected.problem("this server was not set up for the host %q; serve can be told to accept it", shorten(r.Host)))
			return
		}
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			s.writeProblem(w, r, malformed.problem("the query string can't be read: %v", err))
			return
		}
		if !probe && embedded(r) {
			s.writeProblem(w, r, forbidden.problem("a page of another site sent this request through a browser"))
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// isProbe reports whether a path is asked again and again by what watches the service. What it answers is nobody's data.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// embedded reports that a browser reads on behalf of another site's page, and not because a person goes
// to an address. Programs that aren't browsers send no such headers.
func embedded(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
	}
	return false
}

// serves reports whether a request may name the host: a loopback name or address, or one of Config.Hosts.
func (s *server) serves(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(strings.TrimSuffix(host, "."), "[]"))
	if slices.Contains(s.hosts, "*") || slices.Contains(s.hosts, host) {
		return true
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// methods are those that a path may take.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func (s *server) pathUnknown(w http.ResponseWriter, r *http.Request) {
	s.writeProblem(w, r, notFound.problem("there is nothing at %s; the paths are listed at /docs", shorten(r.URL.Path)))
}

func (s *server) methodUnknown(w http.ResponseWriter, r *http.Request) {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	p := notAllowed.problem("%s doesn't take %s", shorten(r.URL.Path), shorten(r.Method))
	for _, method := range methods {
		match := method
		if method == http.MethodHead {
			match = http.MethodGet // answered by the same handler
		}
		if s.router.Match(chi.NewRouteContext(), match, path) {
			p.allowed = append(p.allowed, method)
		}
	}
	if len(p.allowed) == 0 { // a method that the router doesn't know, on a path that it doesn't either
		s.pathUnknown(w, r)
		return
	}
	s.writeProblem(w, r, p)
}
