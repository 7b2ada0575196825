//go:build linux || darwin

package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestInstallHint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ system, release, want string }{
		{"darwin", "", "brew install postgresql@18"},
		{"linux", "NAME=\"Debian GNU/Linux\"\nID=debian\n", "apt-get install postgresql"},
		{"linux", "ID=ubuntu\nID_LIKE=debian\n", "apt-get install postgresql"},
		{"linux", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get install postgresql"},
		{"linux", "ID=fedora\n", "dnf install postgresql-server"},
		{"linux", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install postgresql-server"},
		{"linux", "ID=alpine\n", "apk add postgresql"},
		{"linux", "ID=arch\n", "pacman -S postgresql"},
		{"linux", "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "zypper install postgresql-server"},
		{"linux", "", "your system's package manager"},
	} {
		if got := installHint(c.system, c.release); !strings.Contains(got, c.want) {
			t.Errorf("%s %q: %q", c.system, c.release, got)
		}
	}
}

func TestMajor(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{"15.18": 15, "18.4": 18, "19beta1": 19, "18": 18, npmVersion: 18, "": 0} {
		if got := (programs{version: version}).major(); got != want {
			t.Errorf("%q: %d", version, got)
		}
	}
}

// archive is an npm archive of the given files, and its digest.
func archive(t *testing.T, files map[string]string) (name, digest string) {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for name, content := range files {
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(t.TempDir(), "a.tgz")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b.Bytes())
	return name, "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	name, digest := archive(t, map[string]string{
		"package/native/bin/initdb":       "program",
		"package/native/lib/libx.so.1":    "library",
		"package/native/lib/libx.a":       "not needed",
		"package/install.js":              "not needed",
		"package/native/pg-symlinks.json": `[{"source":"native/lib/libx.so.1","target":"native/lib/libx.so"}]`,
	})
	tree := filepath.Join(t.TempDir(), "tree")
	if err := unpack(name, digest, tree); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"bin/initdb": "program", "lib/libx.so": "library", "lib/libx.a": ""} {
		if b, err := os.ReadFile(filepath.Join(tree, "native", file)); string(b) != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", file, b, err)
		}
	}
	if st, err := os.Stat(filepath.Join(tree, "native/bin/initdb")); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("the program's mode: %v, %v", st, err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	good, goodDigest := archive(t, map[string]string{"package/native/bin/initdb": "program"})
	out, outDigest := archive(t, map[string]string{"package/native/../../out": "x"})
	for what, c := range map[string]struct{ name, digest string }{
		"another digest":              {good, outDigest},
		"no digest":                   {good, ""},
		"a name that leads elsewhere": {out, outDigest},
	} {
		dir := t.TempDir()
		if err := unpack(c.name, c.digest, filepath.Join(dir, "tree")); err == nil {
			t.Errorf("%s: unpacked", what)
		}
		if exists(filepath.Join(dir, "out")) || exists(filepath.Join(dir, "tree/native/bin/initdb")) {
			t.Errorf("%s: something was written", what)
		}
	}
	if err := unpack(good, goodDigest, filepath.Join(t.TempDir(), "tree")); err != nil {
		t.Error(err)
	}
}

// Where npm is installed, it fetches a PostgreSQL that runs, and its cluster isn't
// taken by another major version's programs. Where it isn't, the error says what to do.
func TestNpm(t *testing.T) {
	t.Parallel()
	cache, err := os.MkdirTemp("", "dl-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(cache) })
	if err := os.Chmod(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	var said []string
	say := func(line string) { said = append(said, line) }
	p, err := fetch(t.Context(), cache, say)
	if _, missing := exec.LookPath("npm"); missing != nil {
		if !errors.Is(err, errNoNpm) {
			t.Errorf("without npm: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(said) != 2 || !strings.Contains(said[0], npmVersion) {
		t.Errorf("it said %q", said)
	}
	if again, err := fetch(t.Context(), cache, say); err != nil || again != p || len(said) != 2 {
		t.Errorf("the second time: %v, %v, %q", again, err, said)
	}
	dir := filepath.Join(cache, "x")
	s, err := Acquire(t.Context(), Options{Dir: dir, BinDir: p.dir})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	var version string
	if err := conn.QueryRow(t.Context(), "SHOW server_version").Scan(&version); err != nil || !strings.HasPrefix(version, p.version) {
		t.Errorf("it is %s, %v", version, err)
	}
	if err := errors.Join(conn.Close(context.WithoutCancel(t.Context())), s.Close(), Release(t.Context(), dir)); err != nil {
		t.Fatal(err)
	}
	for _, other := range installedBinaries() {
		if other.major() == p.major() {
			continue
		}
		if s, err := Acquire(t.Context(), Options{Dir: dir, BinDir: other.dir}); err == nil {
			_ = s.Close()
			t.Errorf("version %s took a cluster of %s", other.version, p.version)
		}
	}
}

func TestWithoutNpmTheErrorSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := fetch(t.Context(), t.TempDir(), func(line string) { t.Errorf("it said %q", line) })
	if !errors.Is(err, errNoNpm) {
		t.Fatalf("fetch: %v", err)
	}
	for _, want := range []string{errNoNpm.Error(), "install it", BinEnv, "DATABASE_URL"} {
		if err := advise(err).Error(); !strings.Contains(err, want) {
			t.Errorf("the error doesn't say %q: %s", want, err)
		}
	}
}

func TestEnvironmentNamesThePrograms(t *testing.T) {
	t.Setenv(BinEnv, filepath.Join(t.TempDir(), "nothing"))
	if _, _, err := chooseBinaries(t.Context(), Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "no initdb in") {
		t.Errorf("a folder without programs: %v", err)
	}
	old := filepath.Join(t.TempDir(), "bin")
	if err := os.Mkdir(old, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{"initdb": "", "postgres": "#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n"} {
		if err := os.WriteFile(filepath.Join(old, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(BinEnv, old)
	if _, _, err := chooseBinaries(t.Context(), Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "needs 15 or newer") {
		t.Errorf("version 14: %v", err)
	}
}
