package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The import rules of this module. In every table a pattern is either one import path, or a path followed by "/..."
// for that path and all below it. Where several rows match a package, the longest pattern counts.

// An importRule says which packages of this module a package may import. A package that no row matches may not exist:
// a new one needs a row, and so a reason to be where it is.
type importRule struct {
	pkg    string
	may    []string
	why    string
	inTest []string // what its tests may import besides, over and above everyTest
}

var moduleRules = []importRule{
	{
		pkg: "deltaledger/cmd/deltaledger",
		may: []string{
			"deltaledger/api/...", "deltaledger/export/...", "deltaledger/reconcile/...", "deltaledger/billing/...",
			"deltaledger/ledger/...", "deltaledger/migrations",
		},
		why: "it joins everything, so it may see everything; nothing may see it",
	},
	{
		pkg: "deltaledger/api/...",
		may: []string{
			"deltaledger/api/...", "deltaledger/export/...", "deltaledger/reconcile/...", "deltaledger/billing/...",
			"deltaledger/ledger", "deltaledger/ledger/canonical", "deltaledger/ledger/currency", "deltaledger/ledger/proof", "deltaledger/ledger/wire", "deltaledger/ledger/pg", "deltaledger/ledger/pace",
		},
		why: "the faces call the services; how the database is started or migrated is not their concern",
	},
	{
		pkg: "deltaledger/api/kafka/kafkatest",
		why: "it runs a broker for tests and knows nothing of what is sent through it",
	},
	{
		pkg: "deltaledger/export/...",
		may: slices.Concat([]string{"deltaledger/export/...", "deltaledger/billing"}, facts),
		why: "files show what was recorded and billed; they must not depend on what a reconciliation found",
	},
	{
		pkg: "deltaledger/export/archive",
		may: slices.Concat([]string{"deltaledger/export", "deltaledger/billing", "deltaledger/ledger/proof"}, facts),
		why: "a copy is held against the seals, and leaves the ledger only when its files are frozen and its events billed",
	},
	{
		pkg: "deltaledger/export/document",
		may: []string{"deltaledger/export", "deltaledger/billing", "deltaledger/ledger"},
		why: "documents are made of values that somebody else has read; like files, they show what was billed",
	},
	{
		pkg: "deltaledger/reconcile/...",
		may: slices.Concat([]string{"deltaledger/reconcile/...", "deltaledger/billing"}, facts),
		why: "checks compare what was recorded and billed; a check that reads through export would share its faults",
	},
	{
		pkg: "deltaledger/reconcile/statement",
		may: []string{"deltaledger/ledger", "deltaledger/ledger/currency"},
		why: "parsers of bank and processor files are pure: bytes in, entries out",
	},
	{
		pkg: "deltaledger/billing/...",
		may: slices.Concat([]string{"deltaledger/billing/..."}, facts),
		why: "billing reads facts; whoever reads bills stands above it",
	},
	{
		pkg:    "deltaledger/ledger",
		may:    []string{"deltaledger/ledger/currency", "deltaledger/ledger/canonical", "deltaledger/ledger/sensitive", "deltaledger/ledger/pg", "deltaledger/ledger/proof", "deltaledger/ledger/pace"},
		why:    "facts know nothing of who bills, checks, exports or decodes them",
		inTest: []string{"deltaledger/ledger/wire"},
	},
	{
		pkg: "deltaledger/ledger/wire",
		may: []string{"deltaledger/ledger", "deltaledger/ledger/currency", "deltaledger/ledger/canonical", "deltaledger/ledger/pace"},
		why: "a decoder makes events out of bytes and needs no database",
	},
	{
		pkg: "deltaledger/ledger/imports",
		may: []string{"deltaledger/ledger", "deltaledger/ledger/wire", "deltaledger/ledger/pg"},
		why: "files are one more way in: it decodes and records like the others, and knows nothing of who reads what it recorded",
	},
	{
		pkg: "deltaledger/ledger/currency",
		why: "a table of the currencies needs nothing",
	},
	{
		pkg: "deltaledger/ledger/sensitive",
		why: "it looks at texts and needs nothing",
	},
	{
		pkg: "deltaledger/ledger/canonical",
		why: "whoever verifies a digest must be able to read the encoder by itself",
	},
	{
		pkg: "deltaledger/ledger/proof",
		why: "whoever checks a proof has no ledger, and must be able to read the check by itself",
	},
	{
		pkg: "deltaledger/ledger/pg",
		may: []string{"deltaledger/ledger/pace"},
		why: "the lowest layer: it knows PostgreSQL and none of the words of the ledger",
	},
	{
		pkg: "deltaledger/ledger/pace",
		why: "it counts who works and needs nothing",
	},
	{
		pkg: "deltaledger/ledger/pg/embedded",
		may: []string{"deltaledger/ledger/pg"},
		why: "it runs a server and cares for nothing that is kept in it",
	},
	{
		pkg: "deltaledger/migrations",
		may: []string{"deltaledger/ledger/pg"},
		why: "migrations are SQL and stay true when the code above them changes",
	},
	{
		pkg: "deltaledger/migrations/pgtest",
		may: []string{"deltaledger/migrations", "deltaledger/ledger/pg", "deltaledger/ledger/pg/embedded"},
		why: "it gives every test a migrated database, so it stands above the schema and below every service",
	},
	{
		pkg: "deltaledger/migrations/sqltest",
		why: "it reads the statements of any package as text and knows none of them",
	},
}

// facts are the packages through which those above read what was recorded.
var facts = []string{
	"deltaledger/ledger", "deltaledger/ledger/currency", "deltaledger/ledger/canonical", "deltaledger/ledger/pg",
}

// everyTest is what the tests of any package may import: a database of their own.
var everyTest = []string{
	"deltaledger/migrations", "deltaledger/migrations/pgtest", "deltaledger/migrations/sqltest", "deltaledger/ledger/pg",
	"deltaledger/ledger/pg/embedded", // names the roles that pgtest gives sessions to
}

// A confinement keeps a dependency to a few packages, so that replacing it changes only those.
type confinement struct {
	dep    string
	to     []string
	why    string
	inTest []string // further packages whose tests may import it
}

var confinements = []confinement{
	{
		dep: "github.com/jackc/pgx/v5/...",
		to: []string{
			"deltaledger/ledger", "deltaledger/ledger/imports", "deltaledger/ledger/pg/...", "deltaledger/billing", "deltaledger/reconcile",
			"deltaledger/export", "deltaledger/export/archive", "deltaledger/migrations/...", "deltaledger/api/...", "deltaledger/cmd/deltaledger",
		},
		why: "decoders and parsers are pure and do not speak to a database",
	},
	{
		dep: "github.com/jackc/pgx/v5/pgconn",
		to:  []string{"deltaledger/ledger/pg/..."},
		why: "SQLSTATEs and constraint names are read in one place, which turns them into error kinds",
	},
	{
		dep: "github.com/pressly/goose/v3/...",
		to:  []string{"deltaledger/migrations"},
		why: "one package knows how the schema is brought forward",
	},
	{
		dep: "github.com/go-chi/chi/v5/...",
		to:  []string{"deltaledger/api/..."},
		why: "services take and return values; HTTP is one face of them",
	},
	{
		dep: "github.com/danielgtaylor/huma/v2/...",
		to:  []string{"deltaledger/api/..."},
		why: "services take and return values; HTTP is one face of them",
	},
	{
		dep: "github.com/segmentio/kafka-go/...",
		to:  []string{"deltaledger/api/kafka"},
		why: "reading only committed records needs care that is taken in one place",
	},
	{
		dep:    "github.com/twmb/franz-go/...",
		to:     []string{"deltaledger/api/kafka/kafkatest", "deltaledger/api/kafka/registry"},
		why:    "tests produce, in transactions too, with another client than the one that is tested; its client of schema registries is a module of its own",
		inTest: []string{"deltaledger/api/kafka", "deltaledger/cmd/deltaledger"},
	},
	{
		dep:    "github.com/twmb/franz-go/pkg/sr/...",
		to:     []string{"deltaledger/api/kafka/registry"},
		why:    "one package asks a schema registry, and knows what it said when it doesn't answer",
		inTest: []string{"deltaledger/api/kafka", "deltaledger/cmd/deltaledger"},
	},
	{
		dep:    "deltaledger/api/kafka/kafkatest",
		why:    "it starts brokers and belongs in tests alone",
		inTest: []string{"deltaledger/..."},
	},
	{
		dep: "github.com/prometheus/...",
		to:  []string{"deltaledger/api/...", "deltaledger/cmd/deltaledger"},
		why: "what is measured is decided where it happens, and shown by the faces; the ledger counts and knows no metrics",
	},
	{
		dep:    "github.com/twmb/avro/...",
		to:     []string{"deltaledger/ledger/wire/...", "deltaledger/api/kafka/..."},
		why:    "Avro is read where events are decoded, and written where they are published",
		inTest: []string{"deltaledger/api", "deltaledger/cmd/deltaledger"},
	},
	{
		dep: "go.yaml.in/yaml/v3",
		to:  []string{"deltaledger/ledger/wire", "deltaledger/ledger/imports"},
		why: "files of an operator are read in one way, whose errors name the line",
	},
	{
		dep: "github.com/riverqueue/river/...",
		to:  []string{"deltaledger/cmd/deltaledger"},
		why: "what runs when is decided where everything is joined; services are called, they schedule nothing",
	},
	{
		dep: "github.com/transparency-dev/merkle/...",
		to:  []string{"deltaledger/ledger/proof"},
		why: "how trees are hashed is decided in one place, which an auditor reads",
	},
	{
		dep: "golang.org/x/mod/...",
		to:  []string{"deltaledger/ledger/proof"},
		why: "checkpoints are signed and read in one place",
	},
	{
		dep: "gocloud.dev/...",
		to:  []string{"deltaledger/cmd/deltaledger", "deltaledger/export", "deltaledger/export/archive", "deltaledger/ledger/imports"},
		why: "which buckets there are is decided where everything is joined; their objects are read and written where files are",
	},
	{
		dep: "github.com/santhosh-tekuri/jsonschema/v6/...",
		to:  []string{"deltaledger/ledger"},
		why: "schemas of payloads are held against them where events are recorded, and nowhere else, so that every way in has the same rules",
	},
	{
		dep: "github.com/parquet-go/parquet-go/...",
		to:  []string{"deltaledger/export/...", "deltaledger/ledger/wire"},
		why: "columns and their types are made in one place, and read in one",
	},
	{
		dep:    "github.com/chromedp/...",
		why:    "a browser belongs in the tests of what people print",
		inTest: []string{"deltaledger/export/document"},
	},
	{
		dep:    "github.com/ledongthuc/pdf",
		why:    "a browser's PDF is read in the tests of what people print, and nowhere else",
		inTest: []string{"deltaledger/export/document"},
	},
	{
		dep: "github.com/alecthomas/kong",
		to:  []string{"deltaledger/cmd/deltaledger"},
		why: "flags and environment are read once and passed in",
	},
	{
		dep: "github.com/schollz/progressbar/v3",
		to:  []string{"deltaledger/cmd/deltaledger"},
		why: "only a command has a terminal",
	},
	{
		dep:    "deltaledger/migrations/pgtest",
		why:    "it makes and drops databases and belongs in tests alone",
		inTest: []string{"deltaledger/..."},
	},
	{
		dep:    "deltaledger/migrations/sqltest",
		why:    "it parses sources and belongs in tests alone",
		inTest: []string{"deltaledger/..."},
	},
}

// A goPackage is what `go list -json` says of a package, in its field names.
type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string // of test files in the package itself
	XTestImports []string // of test files in the package's _test companion
}

// TestImportRules holds every package of the module, its tests and all files for Linux and macOS to the tables above.
func TestImportRules(t *testing.T) {
	t.Parallel()
	dependOnSources(t)
	for _, system := range []string{"linux", "darwin"} {
		packages := listPackages(t, system)
		if len(packages) == 0 {
			t.Fatalf("go list found no package for %s", system)
		}
		for _, problem := range checkImports(packages) {
			t.Errorf("%s: %s", system, problem)
		}
	}
}

// TestImportRulesHaveReasons keeps the tables worth reading.
func TestImportRulesHaveReasons(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, rule := range moduleRules {
		if rule.why == "" || seen[rule.pkg] {
			t.Errorf("moduleRules: %s stands twice or without a reason", rule.pkg)
		}
		seen[rule.pkg] = true
	}
	confined := map[string]bool{}
	for _, c := range confinements {
		if c.why == "" || confined[c.dep] {
			t.Errorf("confinements: %s stands twice or without a reason", c.dep)
		}
		confined[c.dep] = true
	}
}

// listPackages asks the go command for the module's packages as they are built for system.
func listPackages(t *testing.T, system string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps=false",
		"-json=ImportPath,Imports,TestImports,XTestImports", "deltaledger/...")
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v\n%s", system, err, stderr.String())
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("read what go list says: %v", err)
		}
		packages = append(packages, p)
	}
}

// dependOnSources looks at every Go file of the module. The go command runs a cached test again only when a file that
// the test itself looked at has changed; what `go list` reads does not count.
func dependOnSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() != ".." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			_, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile, so go list will not see it either
		}
		return err
	})
	if err != nil {
		t.Fatalf("look at the sources: %v", err)
	}
}
