//go:build linux || darwin

package embedded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// programs are a folder with initdb and postgres.
type programs struct {
	dir     string
	version string // "15.18", "19beta1"
}

// major is the number that a cluster's PG_VERSION holds.
func (p programs) major() int {
	end := strings.IndexFunc(p.version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(p.version)
	}
	n, err := strconv.Atoi(p.version[:end])
	if err != nil {
		return 0
	}
	return n
}

// installedAt are the places, besides PATH, where systems put PostgreSQL's programs.
var installedAt = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // PostgreSQL's own RPMs
	"/usr/lib/postgresql[0-9]*/bin",      // openSUSE
	"/usr/libexec/postgresql*",           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// chooseBinaries says which programs run the cluster of o, and their version. What
// the user names is taken or refused; else the cluster's major version decides, else
// PATH, then the highest version installed, then what npm can fetch.
func chooseBinaries(ctx context.Context, o Options) (dir, version string, err error) {
	major, err := o.wantedMajor()
	if err != nil {
		return "", "", err
	}
	p, err := namedBinaries(ctx, o)
	if err != nil {
		return "", "", err
	}
	if p.dir == "" {
		p, err = findBinaries(ctx, o, major)
	}
	switch {
	case err != nil:
		return "", "", err
	case major != "" && major != strconv.Itoa(p.major()):
		return "", "", otherMajor(o.dataDir(), major, p)
	case p.major() < MinMajor:
		return "", "", fmt.Errorf("%s is PostgreSQL %s, and the ledger needs %d or newer: %s", p.dir, p.version, MinMajor, remedy())
	}
	return p.dir, p.version, nil
}

// wantedMajor is the cluster's major version; "" if one is to be made.
func (o Options) wantedMajor() (string, error) {
	if o.Ephemeral {
		return "", nil
	}
	return clusterMajor(o.dataDir())
}

// namedBinaries are those of the environment, else of the options; none if neither
// names any.
func namedBinaries(ctx context.Context, o Options) (programs, error) {
	dir := o.BinDir
	if env := os.Getenv(BinEnv); env != "" {
		dir = env
	}
	switch dir {
	case "":
		return programs{}, nil
	case "npm":
		return fetchAnyhow(ctx, o.say)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return programs{}, err
	}
	return inspect(dir)
}

// findBinaries looks on this machine, and then asks npm.
func findBinaries(ctx context.Context, o Options, major string) (programs, error) {
	installed := installedBinaries()
	for _, p := range installed {
		if strconv.Itoa(p.major()) == major || major == "" && p.major() >= MinMajor {
			return p, nil
		}
	}
	if npm := (programs{version: npmVersion}); major == "" || strconv.Itoa(npm.major()) == major {
		p, err := fetchAnyhow(ctx, o.say)
		if err != nil {
			return p, fmt.Errorf("no PostgreSQL %s is installed: %w", orNewer(major), err)
		}
		return p, nil
	}
	if len(installed) > 0 {
		return installed[0], nil // to be refused, by name
	}
	return programs{}, fmt.Errorf("%s was made by PostgreSQL %s, which isn't installed; nothing was changed: %s", o.dataDir(), major, remedy())
}

func orNewer(major string) string {
	if major == "" {
		return strconv.Itoa(MinMajor) + " or newer"
	}
	return major
}

// installedBinaries are the programs on this machine that run: PATH's, then the rest
// from the highest version down.
func installedBinaries() []programs {
	var first, rest []programs
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil {
			if p, err := inspect(filepath.Dir(real)); err == nil {
				first = append(first, p)
			}
		}
	}
	for _, pattern := range installedAt {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, dir := range found {
			if p, err := inspect(dir); err == nil {
				rest = append(rest, p)
			}
		}
	}
	slices.SortStableFunc(rest, func(a, b programs) int { return b.major() - a.major() })
	return append(first, rest...)
}

// inspect asks the programs of a folder for their version.
func inspect(dir string) (programs, error) {
	if !exists(filepath.Join(dir, "initdb")) {
		return programs{}, fmt.Errorf("there is no initdb in %s", dir)
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").CombinedOutput()
	if err != nil {
		return programs{}, fmt.Errorf("%s/postgres doesn't run here: %w\n%s", dir, err, out)
	}
	words := strings.Fields(string(out)) // postgres (PostgreSQL) 15.18 (Debian …)
	if len(words) < 3 {
		return programs{}, fmt.Errorf("%s/postgres --version says %q", dir, out)
	}
	return programs{dir: dir, version: words[2]}, nil
}

func otherMajor(data, major string, p programs) error {
	return fmt.Errorf("%s was made by PostgreSQL %s, but %s is PostgreSQL %s; nothing was changed. "+
		"Install PostgreSQL %s, or set %s to the folder of its programs. To move to %d, dump the ledger with pg_dumpall of version %s and restore it into a new directory",
		data, major, p.dir, p.version, major, BinEnv, p.major(), major)
}

// remedy says how to get a PostgreSQL on this system.
func remedy() string {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		release = nil // macOS has none
	}
	return "install it (" + installHint(runtime.GOOS, string(release)) + "), or set " + BinEnv +
		" to the folder of its initdb and postgres, or DATABASE_URL to a server that runs already"
}

// installHint is what installs PostgreSQL's server on the system that an
// os-release file describes.
func installHint(system, release string) string {
	if system == "darwin" {
		return "brew install postgresql@18"
	}
	values := map[string]string{}
	for line := range strings.Lines(release) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	for _, id := range append([]string{values["ID"]}, strings.Fields(values["ID_LIKE"])...) {
		switch id {
		case "debian", "ubuntu":
			return "apt-get install postgresql; the server that the package starts by itself isn't used"
		case "fedora", "rhel", "centos":
			return "dnf install postgresql-server"
		case "alpine":
			return "apk add postgresql"
		case "arch":
			return "pacman -S postgresql"
		case "suse", "opensuse":
			return "zypper install postgresql-server"
		}
	}
	return "with your system's package manager, PostgreSQL " + strconv.Itoa(MinMajor) + " or newer"
}
