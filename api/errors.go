package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/ledger/wire"
)

// Problem is the body of every answer that isn't a success (RFC 9457).
type Problem struct {
	Type      string        `json:"type" format:"uri-reference" example:"/docs#problem-invalid" doc:"Which kind of problem it is: a link to its description, stable across versions"`
	Title     string        `json:"title" example:"A rule is broken" doc:"The kind of problem in words"`
	Status    int           `json:"status" example:"422" doc:"The HTTP status"`
	Detail    string        `json:"detail" example:"occurred_at: is missing" doc:"What was wrong this time, and what would be right"`
	RequestID string        `json:"request_id" example:"6f1c2f4b8a5d4c0e9b7a3d2e1f0a9b8c" doc:"The value of the answer's X-Request-Id, to find the request in the log"`
	Errors    []FieldDetail `json:"errors,omitempty" doc:"Each thing that is wrong, where there is more to say"`

	Differs           []string       `json:"differs,omitempty" doc:"Of a conflict: names of the fields that differ from what is recorded"`
	Position          int64          `json:"position,omitempty" doc:"Of a conflict: position of the recorded event"`
	AvailableFrom     *time.Time     `json:"available_from,omitempty" doc:"Of a month that isn't frozen: the time from which it can be frozen (UTC)"`
	Summary           *wire.Summary  `json:"summary,omitempty" doc:"Of a refused atomic request, or one that broke off: what became of its events"`
	Problems          []wire.Problem `json:"problems,omitempty" doc:"Of a refused atomic request, or one that broke off: the events that can't be recorded, at most 1,000"`
	ProblemsTruncated bool           `json:"problems_truncated,omitempty" doc:"There were more than 1,000"`

	retryAfter         string
	acceptedEncodings  bool
	allowed            []string
	causeNotForCallers error
}

// FieldDetail is one thing that is wrong with a request.
type FieldDetail struct {
	Location string `json:"location,omitempty" example:"body.occurred_at" doc:"Where: body, query, path or header, then the field"`
	Message  string `json:"message" example:"is missing" doc:"What would be right"`
	Value    string `json:"value,omitempty" doc:"What was sent, shortened"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of the problem, whatever the client prefers.
func (p *Problem) ContentType(string) string { return problemJSON }

// GetHeaders are the headers that go with the problem.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter != "" {
		h.Set("Retry-After", p.retryAfter)
	}
	if p.acceptedEncodings {
		h.Set("Accept-Encoding", "gzip, zstd")
	}
	if len(p.allowed) > 0 {
		h.Set("Allow", strings.Join(p.allowed, ", "))
	}
	return h
}

const problemJSON = "application/problem+json"

// kind is a kind of problem: its name in the link, its status, its title, and what a caller does about it.
type kind struct {
	Name   string
	Status int
	Title  string
	Advice string
}

// The kinds of problems. The page of the API lists them.
var (
	malformed   = kind{"malformed", http.StatusBadRequest, "The request can't be read", "Its syntax is wrong: JSON that is none, a broken query string, a body in another encoding than its header says. Correct it; sending it again as it is will fail again."}
	forbidden   = kind{"forbidden", http.StatusForbidden, "Not allowed", "Nothing that you change in the request will help."}
	notFound    = kind{"not-found", http.StatusNotFound, "Not in the ledger", "The path is unknown, or what it names was never recorded."}
	notAllowed  = kind{"method", http.StatusMethodNotAllowed, "The path doesn't take this method", "The header Allow lists those that it takes."}
	tooSlow     = kind{"timeout", http.StatusRequestTimeout, "The body didn't arrive in time", "Send it again."}
	conflicting = kind{"conflict", http.StatusConflict, "The ledger holds something that excludes this", "For an event: differs names the fields in which it differs from what is recorded; the event sent was kept aside. Look at both before you do anything."}
	notFrozen   = kind{"not-frozen", http.StatusConflict, "The month is not frozen", "Wait until available_from, have the month frozen, or ask for an open file."}
	tooLarge    = kind{"too-large", http.StatusRequestEntityTooLarge, "The body is too large", "Send it in parts, or as a stream without atomic."}
	unsupported = kind{"media-type", http.StatusUnsupportedMediaType, "The body's media type or encoding is not supported", "The detail lists those that are."}
	misdirected = kind{"host", http.StatusMisdirectedRequest, "The host is not served here", "The request names a host for which this server was not set up."}
	invalid     = kind{"invalid", http.StatusUnprocessableEntity, "A rule is broken", "errors says which field, what was wrong and what would be right. Nothing was done."}
	refused     = kind{"atomic", http.StatusUnprocessableEntity, "Nothing was recorded", "The request was atomic, and some of its events can't be recorded: problems lists them. Correct them, or send the request without atomic."}
	internal    = kind{"internal", http.StatusInternalServerError, "Something went wrong here", "It is in the server's log under the request's id. What was sent may or may not be recorded: send it again, which is safe."}
	notReady    = kind{"not-ready", http.StatusServiceUnavailable, "Events can't be recorded, or soon couldn't be", "errors lists what is in the way; an operator must look."}
	busy        = kind{"busy", http.StatusServiceUnavailable, "Not now", "The database is away or has too much to do. Send the same again after the time in Retry-After, which is safe."}
)

// kinds lists them for the page of the API, in the order of their status.
func kinds() []kind {
	return []kind{malformed, forbidden, notFound, notAllowed, tooSlow, conflicting, notFrozen, tooLarge, unsupported, misdirected, invalid, refused, internal, busy, notReady}
}

// problem makes a problem of the kind.
func (k kind) problem(format string, args ...any) *Problem {
	return &Problem{Type: "/docs#problem-" + k.Name, Title: k.Title, Status: k.Status, Detail: fmt.Sprintf(format, args...)}
}

// kindOf finds the kind of a status that the framework chose.
func kindOf(status int) kind {
	for _, k := range kinds() {
		if k.Status == status {
			return k
		}
	}
	if status >= 500 {
		return internal
	}
	return kind{"malformed", status, http.StatusText(status), ""}
}

// noRoom is what callers are told while the disk of the database is full.
const noRoom = "the disk of the database is full: nothing can be recorded until an operator makes room"

// retrySoon is how many seconds later a busy server may be asked again.
const retrySoon = "1"

// problemOf is the map from errors to answers. What it doesn't know is opaque to the caller: the cause
// goes to the log. where is the part of the request that fields are in: body, query or path.
func problemOf(err error, where string) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*export.NotFrozenError](err); ok {
		p := notFrozen.problem("%s", e.Error())
		if at := e.Available.UTC(); at.Year() <= 9999 { // others have no spelling in RFC 3339
			p.AvailableFrom, p.retryAfter = &at, retryAt(at, e.Now)
		}
		return p
	}
	if e, ok := errors.AsType[*billing.TermsError](err); ok {
		p := invalid.problem("%s", e.Error())
		for _, one := range e.Problems {
			p.Errors = append(p.Errors, FieldDetail{Location: join(where, one.Field), Message: one.Rule, Value: one.Value})
		}
		return p
	}
	if fields := fieldErrors(err); len(fields) > 0 {
		p := invalid.problem("%s", fields[0].Error())
		for _, e := range fields {
			p.Errors = append(p.Errors, FieldDetail{Location: join(where, e.Field), Message: e.Rule, Value: e.Value})
		}
		return p
	}
	return problemOfKind(err)
}

// fieldErrors are all the errors of fields that err holds.
func fieldErrors(err error) []*ledger.FieldError {
	switch e := err.(type) { //nolint:errorlint // it takes the error apart itself, also those that are joined
	case *ledger.FieldError:
		return []*ledger.FieldError{e}
	case interface{ Unwrap() []error }:
		var all []*ledger.FieldError
		for _, one := range e.Unwrap() {
			all = append(all, fieldErrors(one)...)
		}
		return all
	case interface{ Unwrap() error }:
		return fieldErrors(e.Unwrap())
	}
	return nil
}

func problemOfKind(err error) *Problem {
	var p *Problem
	switch {
	case errors.Is(err, ledger.ErrInvalid):
		p = invalid.problem("%s", err.Error())
	case errors.Is(err, ledger.ErrNotFound):
		p = notFound.problem("%s", ledger.Message(err))
	case errors.Is(err, ledger.ErrForbidden):
		p = forbidden.problem("%s", ledger.Message(err))
	case errors.Is(err, ledger.ErrConflict):
		p = conflicting.problem("%s", ledger.Message(err))
	case errors.Is(err, io.ErrUnexpectedEOF):
		p = malformed.problem("the body ends too early")
	case errors.Is(err, os.ErrDeadlineExceeded):
		p = tooSlow.problem("the client was silent for too long")
	case errors.Is(err, context.Canceled):
		p = busy.problem("the request was given up, by the client or because the server stops")
		p.retryAfter = retrySoon
	case pg.IsFull(err):
		p = busy.problem("%s", noRoom)
		p.retryAfter, p.causeNotForCallers = retrySoon, err
	case pg.IsUnavailable(err):
		p = busy.problem("the database can't be reached")
		p.retryAfter, p.causeNotForCallers = retrySoon, err
	case pg.IsTimeout(err), errors.Is(err, context.DeadlineExceeded), pg.IsRetryable(err):
		p = busy.problem("the database took too long; ask for less, or ask again later")
		p.retryAfter, p.causeNotForCallers = retrySoon, err
	case errors.Is(err, ledger.ErrBusy):
		p = busy.problem("%s", ledger.Message(err))
		p.retryAfter = retrySoon
	case pg.IsUndefined(err):
		p = busy.problem("the database isn't migrated to this version")
		p.retryAfter, p.causeNotForCallers = retrySoon, err
	default:
		p = internal.problem("the server met an error that it doesn't explain here; the request's id finds it in the log")
		p.causeNotForCallers = err
	}
	return p
}

// retryAt is the header value for a time, or for a moment from now if that time has passed.
func retryAt(at, now time.Time) string {
	if !now.Before(at) {
		return strconv.Itoa(60)
	}
	return at.Format(http.TimeFormat)
}

func join(where, field string) string {
	switch {
	case field == "":
		return where
	case strings.HasPrefix(field, "["):
		return where + field
	}
	return where + "." + field
}

// ofFramework turns the problems that the framework writes by itself into ours.
func ofFramework(ctx huma.Context, _ string, v any) (any, error) {
	switch v := v.(type) {
	case *Problem:
		v.RequestID = requestID(ctx.Context())
	case *huma.ErrorModel:
		p := kindOf(v.Status).problem("%s", v.Detail)
		p.RequestID = requestID(ctx.Context())
		for _, e := range v.Errors {
			if e == nil {
				continue
			}
			if len(p.Errors) == maxErrors {
				break
			}
			p.Errors = append(p.Errors, FieldDetail{Location: shorten(e.Location), Message: shortened(e.Message, 512), Value: shorten(e.Value)})
		}
		if strings.HasPrefix(v.Detail, "request body is too large") { // it counts one byte more than there may be
			p.Detail = "the body is larger than it may be; nothing of it was done"
		}
		if v.Detail == "cannot read request body" { // an error of the connection, not of the server
			p = malformed.problem("the body broke off")
			p.RequestID = requestID(ctx.Context())
		} else if p.Status >= http.StatusInternalServerError {
			p.Errors = nil // it may tell about the inside
		} else if p.Detail == "validation failed" && len(p.Errors) > 0 {
			p.Detail = strings.TrimSpace(p.Errors[0].Location + ": " + p.Errors[0].Message)
		}
		return p, nil
	}
	return v, nil
}

// maxErrors is how many of the framework's errors an answer lists.
const maxErrors = 20

// shortened cuts a text that the framework made, of which what was sent may be a part.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// shorten shows a value that was sent, in at most 80 bytes.
func shorten(v any) string {
	if v == nil {
		return ""
	}
	if _, ok := v.(map[string]any); ok {
		return "" // a whole object says nothing that its fields don't
	}
	return ledger.Invalid("", fmt.Sprint(v), "").Value
}

// report logs the cause of a problem that the caller isn't told.
func (s *server) report(ctx context.Context, p *Problem) {
	if p.causeNotForCallers == nil || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if pg.IsFull(p.causeNotForCallers) {
		s.fullAt.Store(s.now().UnixNano())
	}
	s.log.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("request_id", requestID(ctx)), slog.String("error", p.causeNotForCallers.Error()))
}
