package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/ledger/pace"
	"deltaledger/reconcile"
)

// Config is what New needs.
type Config struct {
	Ledger   *ledger.Ledger
	Billing  *billing.Billing
	Exporter *export.Exporter
	// Batcher records small requests together. Nil: each has a transaction of its own. Whoever stops
	// serving closes it after the last request has ended.
	Batcher *ledger.Batcher
	// Short is entered by each request of few events, so that long work of the program can give way to it. Nil: only that of
	// other requests does.
	Short *pace.Gate
	// Reconciler finds what is wrong and heals what is late.
	Reconciler *reconcile.Reconciler
	// Seals lists the chain of seals and proves that events are in it.
	Seals *ledger.Seals
	// Letters decodes dead letters that are retried. Nil: by the headers of each message, as JSON or CloudEvents.
	Letters ledger.DecodeLetter

	// Metrics answers GET /metrics. Nil: there is no such page.
	Metrics http.Handler
	// Unready says why the program isn't ready besides what the ledger knows of; nothing: it is. May be nil.
	Unready func() []string

	// Logger gets one line for each request, and the causes of errors that callers aren't told. Nil:
	// nothing is logged.
	Logger *slog.Logger
	// Version of the program, for the OpenAPI document. Empty: dev.
	Version string
	// Hosts are names and addresses, without port, that requests may name as their host besides loopback
	// ones; "*" accepts any. Whoever listens on an address that others reach names it here.
	Hosts []string
	// Now is the clock of durations and of what is due. Nil: the system's.
	Now func() time.Time
	// Random makes the names of requests. Nil: crypto/rand.
	Random io.Reader
	// Silence is how long a client may send or take nothing before it is given up. 0: a minute.
	Silence time.Duration
	// Streams is how many requests of many events are served at once; more are told to come again. One
	// in eight of them, at least one, may be atomic or ask for each outcome, for which it is held in
	// memory. One in four of them, and one in thirty-two of those that are held, at least one, may be
	// larger than a mebibyte; others are read on when it is their turn. Half as many requests may be
	// compressed. 0: 64.
	Streams int
	// Patience is how long a request waits where as many of its kind as there may be are under way. 0: 5
	// seconds.
	Patience time.Duration
	// Reading is how long the database may take to answer a list, a stream or an aggregate. 0: a minute.
	Reading time.Duration
}

// server holds what the handlers use.
type server struct {
	ledger      *ledger.Ledger
	together    func(context.Context, []ledger.Event) ([]ledger.Outcome, error) // records few events, in company if there is any
	billing     *billing.Billing
	exporter    *export.Exporter
	reconciler  *reconcile.Reconciler
	seals       *ledger.Seals
	letters     ledger.DecodeLetter // nil: by the headers of each message
	metrics     http.Handler        // nil: none
	unready     func() []string     // nil: nothing to ask
	log         *slog.Logger
	version     string
	hosts       []string
	now         func() time.Time
	random      io.Reader
	silence     time.Duration
	router      *chi.Mux
	api         huma.API
	undescribed []string      // fields that meanings speaks of and no schema has; a test finds none
	streams     chan struct{} // a place for each request of many events
	held        chan struct{} // a place for each of those that is held in memory
	large       places        // a place for each of those that isn't small
	packed      places        // a place for each body that is compressed
	largeHeld   places        // a place for each of the held ones that isn't small
	places      [works]places // for everything else that takes long
	short       *pace.Gate    // the requests of few events: long work gives way to them
	patience    time.Duration
	reading     time.Duration
	fullAt      atomic.Int64 // when the disk of the database was last found full, in nanoseconds since 1970; 0: never
	order       []string     // ids of the operations as they stand in the table, for the page
}

// New makes the handler of the whole API. Listen with NewServer, whose timeouts suit it.
func New(c Config) (http.Handler, error) {
	if c.Ledger == nil || c.Billing == nil || c.Exporter == nil || c.Reconciler == nil || c.Seals == nil {
		return nil, fmt.Errorf("new api: Ledger, Billing, Exporter, Reconciler and Seals must be given: %w", ledger.ErrInvalid)
	}
	s := newServer(c)
	if err := s.pages(); err != nil {
		return nil, fmt.Errorf("new api: %w", err)
	}
	return s.attend(s.guard(s.single(s.router))), nil
}

func newServer(c Config) *server {
	s := &server{
		ledger: c.Ledger, billing: c.Billing, exporter: c.Exporter, reconciler: c.Reconciler, seals: c.Seals, letters: c.Letters,
		metrics: c.Metrics, unready: c.Unready, log: c.Logger, version: c.Version,
		now: c.Now, random: c.Random, short: c.Short, silence: c.Silence, patience: c.Patience, reading: c.Reading, router: chi.NewRouter(),
	}
	if s.short == nil {
		s.short = new(pace.Gate)
	}
	s.together = func(ctx context.Context, events []ledger.Event) ([]ledger.Outcome, error) {
		defer s.short.Enter()()
		if c.Batcher != nil {
			return c.Batcher.Append(ctx, events)
		}
		return c.Ledger.Append(ctx, events)
	}
	for _, host := range c.Hosts {
		s.hosts = append(s.hosts, strings.ToLower(strings.Trim(host, "[].")))
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.version == "" {
		s.version = "dev"
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.silence == 0 {
		s.silence = time.Minute
	}
	if s.patience == 0 {
		s.patience = 5 * time.Second
	}
	if s.reading == 0 {
		s.reading = time.Minute
	}
	if c.Streams <= 0 {
		c.Streams = 64
	}
	connections := 0
	if c.Ledger != nil { // without one there is only the document to make
		connections = int(c.Ledger.Pool().Config().MaxConns)
	}
	s.places = newPlaces(connections)
	s.packed = make(places, max(1, c.Streams/2))
	s.large, s.largeHeld = make(places, max(1, c.Streams/4)), make(places, max(1, c.Streams/32))
	s.streams, s.held = make(chan struct{}, c.Streams), make(chan struct{}, max(1, c.Streams/8))
	s.router.Use(middleware.GetHead)
	s.router.NotFound(s.pathUnknown)
	s.router.MethodNotAllowed(s.methodUnknown)
	s.api = humachi.New(s.router, description(s.version))
	s.api.UseMiddleware(s.checkParameters)
	s.routes()
	s.describeSchemas()
	return s
}

// routes is the table of the API.
func (s *server) routes() {
	route(s, "POST /v1/events", s.recordEventsDoc(), s.recordEvents)
	route(s, "POST /v1/adjustments", s.recordAdjustmentsDoc(), s.recordAdjustments)
	route(s, "GET /v1/sources", listSourcesDoc(), s.listSources)
	route(s, "POST /v1/sources", declareSourceDoc(), s.declareSource)

	route(s, "GET /v1/events", listEventsDoc(), s.listEvents)
	route(s, "GET /v1/events/{source}/{id}", getEventDoc(), s.getEvent)
	route(s, "GET /v1/events/{source}/{id}/billing", s.traceEventDoc(), s.traceEvent)
	route(s, "GET /v1/streams/{source}/{stream}", getStreamDoc(), s.getStream)
	route(s, "GET /v1/aggregates", s.aggregateDoc(), s.aggregate)
	route(s, "GET /v1/completeness", listCompletenessDoc(), s.listCompleteness)
	route(s, "GET /v1/completeness/{source}", getCompletenessDoc(), s.getCompleteness)
	route(s, "GET /v1/conflicts", listConflictsDoc(), s.listConflicts)
	route(s, "GET /v1/conflicts/{n}", getConflictDoc(), s.getConflict)
	route(s, "POST /v1/conflicts/{n}/decision", decideConflictDoc(), s.decideConflict)
	route(s, "GET /v1/dead-letters", listDeadLettersDoc(), s.listDeadLetters)
	route(s, "GET /v1/dead-letters/{n}", getDeadLetterDoc(), s.getDeadLetter)
	route(s, "POST /v1/dead-letters/{n}/retry", retryDeadLetterDoc(), s.retryDeadLetter)
	route(s, "POST /v1/dead-letters/{n}/discard", discardDeadLetterDoc(), s.discardDeadLetter)
	route(s, "GET /v1/erasures", listErasuresDoc(), s.listErasures)
	route(s, "POST /v1/erasures", eraseDoc(), s.erase)

	route(s, "GET /v1/schema", listColumnsDoc(), s.listColumns)
	route(s, "POST /v1/schema/columns", addColumnDoc(), s.addColumn)
	route(s, "GET /v1/types", listTypesDoc(), s.listTypes)
	route(s, "POST /v1/types", declareTypeDoc(), s.declareType)

	route(s, "GET /v1/terms", getTermsDoc(), s.getTerms)
	route(s, "POST /v1/terms", setTermsDoc(), s.setTerms)
	route(s, "POST /v1/terms/preview/closed", previewClosedAllDoc(), s.previewClosedAll)
	route(s, "GET /v1/accounts/{account}/terms", getAccountTermsDoc(), s.getAccountTerms)
	route(s, "GET /v1/accounts/{account}/preview", previewAccountDoc(), s.previewAccount)
	route(s, "POST /v1/accounts/{account}/preview", previewTermsDoc(), s.previewTerms)
	route(s, "GET /v1/accounts/{account}/preview/document", getPreviewDocumentDoc(), s.getPreviewDocument)
	route(s, "POST /v1/accounts/{account}/preview/closed", previewClosedDoc(), s.previewClosed)
	route(s, "POST /v1/cycles/close", closeDoc(), s.closeCycles)
	route(s, "GET /v1/orders/open", listOpenOrdersDoc(), s.listOpenOrders)
	route(s, "GET /v1/invoices", listInvoicesDoc(), s.listInvoices)
	route(s, "GET /v1/invoices/{id}", getInvoiceDoc(), s.getInvoice)
	route(s, "GET /v1/invoices/{id}/lines", getInvoiceLinesDoc(), s.getInvoiceLines)
	route(s, "GET /v1/invoices/{id}/document", getInvoiceDocumentDoc(), s.getDocument(s.invoiceDocument))
	route(s, "POST /v1/invoices/{id}/document", printInvoiceDoc(), s.printDocument(s.invoiceDocument))
	route(s, "GET /v1/invoices/{id}/explanation", explainInvoiceDoc(), s.explainInvoice)
	route(s, "GET /v1/invoices/{id}/events", getInvoiceEventsDoc(), s.getInvoiceEvents)
	route(s, "POST /v1/invoices/{id}/void", voidDoc(), s.voidInvoice)
	route(s, "POST /v1/invoices/issue", issueDoc(), s.issueInvoices)
	route(s, "POST /v1/invoices/{id}/sent", sentDoc(), s.markSent)
	route(s, "GET /v1/invoices/{id}/payments", listPaymentsDoc(), s.listPayments)
	route(s, "POST /v1/invoices/{id}/payments", payDoc(), s.pay)
	route(s, "POST /v1/invoices/{id}/credit-notes", creditDoc(), s.credit)
	route(s, "GET /v1/credit-notes", listCreditNotesDoc(), s.listCreditNotes)
	route(s, "GET /v1/credit-notes/{id}", getCreditNoteDoc(), s.getCreditNote)
	route(s, "POST /v1/credit-notes/{id}/cancel", cancelCreditNoteDoc(), s.cancelCreditNote)
	route(s, "GET /v1/credit-notes/{id}/document", getCreditNoteDocumentDoc(), s.getDocument(s.creditNoteDocument))
	route(s, "POST /v1/credit-notes/{id}/document", printCreditNoteDoc(), s.printDocument(s.creditNoteDocument))
	route(s, "GET /v1/bill-adjustments", listBillAdjustmentsDoc(), s.listBillAdjustments)
	route(s, "POST /v1/bill-adjustments", adjustBillDoc(), s.adjustBill)
	route(s, "GET /v1/bill-adjustments/{id}", getBillAdjustmentDoc(), s.getBillAdjustment)
	route(s, "POST /v1/bill-adjustments/{id}/decision", decideBillAdjustmentDoc(), s.decideBillAdjustment)
	route(s, "GET /v1/numbers", listNumbersDoc(), s.listNumbers)
	route(s, "POST /v1/numbers", setNumbersDoc(), s.setNumbers)
	route(s, "GET /v1/parkings", listParkingsDoc(), s.listParkings)
	route(s, "POST /v1/accounts/{account}/release", releaseDoc(), s.release)

	route(s, "POST /v1/reconciliations", reconcileDoc(), s.reconcile)
	route(s, "GET /v1/findings", listFindingsDoc(), s.listFindings)

	route(s, "GET /v1/exports/months", listMonthsDoc(), s.listMonths)
	route(s, "GET /v1/exports/months/{month}.csv", monthCSVDoc(), s.monthCSV)
	route(s, "GET /v1/exports/months/{month}.json", s.monthManifestDoc(), s.monthManifest)

	route(s, "GET /v1/seals", listSealsDoc(), s.listSeals)
	route(s, "GET /v1/archives", listArchivesDoc(), s.listArchives)
	route(s, "GET /v1/events/{source}/{id}/proof", proveEventDoc(), s.proveEvent)

	route(s, "GET /healthz", aliveDoc(), s.alive)
	route(s, "GET /readyz", readyDoc(), s.ready)
}

// NewServer is an http.Server for the handler that New made. It bounds what a client may send before
// its request is known. There is no limit to a whole request: streams may take hours, and the handler
// itself gives up clients that are silent.
func NewServer(addr string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}
