# Everything that is done with this repository is one of these targets; `make` lists them.
# A machine needs Go and make. PostgreSQL and, for the tests, Chromium are installed where they are missing.

GO        ?= go
LINT      := $(GO) tool -modfile=tools/go.mod golangci-lint
PACKAGES  ?= ./...
TESTFLAGS ?=
FUZZTIME  ?= 10s
FUZZ      ?= ^Fuzz
BENCH     ?= .
CHAOS     ?= 10m

# The tests that keep the derived files true; with -update they write them.
DERIVED := ./migrations ./api -run 'Test(Schema|OpenAPI)IsCurrent'

.DEFAULT_GOAL := help
.PHONY: help demo test race fuzz chaos bench fmt fmt-check vet lint generate derived picture verify postgres browser kafka

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the demonstration: a small ledger, from events to invoices
	@[ -n "$$DATABASE_URL" ] || sh .ci/postgres.sh
	$(GO) run ./cmd/deltaledger demo

test: postgres browser kafka ## run all tests
	$(GO) test -timeout 30m $(TESTFLAGS) $(PACKAGES)

race: postgres browser kafka ## run all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 60m $(TESTFLAGS) $(PACKAGES)

fuzz: postgres ## run every fuzzer, or those that FUZZ matches, for FUZZTIME (10s)
	@GO='$(GO)' FUZZ='$(FUZZ)' sh .ci/fuzz.sh $(FUZZTIME) $(PACKAGES)

chaos: postgres ## run each of the crash and fault tests for CHAOS (10m), as root on Linux; SEED=N repeats one
	DELTALEDGER_CHAOS=$(CHAOS) DELTALEDGER_CHAOS_SEED=$(SEED) $(GO) test -count=1 -v -timeout 0 -parallel 2 \
	  -run '^Test(Storm|AuditFindsFaults|Crashes)' $(TESTFLAGS) ./cmd/deltaledger
	$(GO) test -count=1 -v -timeout 30m -run '^TestNoAcknowledgedRowIsLost$$' $(TESTFLAGS) ./ledger/pg/embedded

bench: postgres ## run the benchmarks that match BENCH (all), on a durable private server
	@GO='$(GO)' sh .ci/bench.sh -bench '$(BENCH)' -timeout 120m $(TESTFLAGS) $(PACKAGES)

fmt: ## format the Go code
	$(LINT) fmt

fmt-check: ## fail if the Go code is not formatted
	$(LINT) fmt --diff

vet: ## vet for Linux and for macOS
	GOOS=linux $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...

lint: ## run the linters of .golangci.yml
	$(LINT) run

generate: postgres ## write the derived files: migrations/schema.sql and api/openapi.json
	$(GO) test -count=1 $(DERIVED) -update

picture: browser ## take the picture of an invoice for the documentation anew: docs/invoice.png
	$(GO) test -count=1 ./export/document -run '^TestPictureForTheDocumentation$$' -update

derived: postgres ## fail if a derived file is not what the code makes
	$(GO) test -count=1 $(TESTFLAGS) $(DERIVED)

verify: fmt-check vet lint derived test ## everything that has to hold before a commit

postgres: ## make sure of PostgreSQL's programs, without starting a server
	@sh .ci/postgres.sh

browser: ## make sure of a browser, which the tests of printed invoices need
	@sh .ci/browser.sh

kafka: ## make sure of Java, Maven and the jars of Kafka, which the tests of reading from it need
	@sh .ci/kafka.sh
