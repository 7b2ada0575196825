package export

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	_ "time/tzdata" // the reporting zone must be known on every machine
)

// zoneData says which time zone data the program works with for a zone, in the order in which Go looks for
// it: ZONEINFO, the system's, the program's own, whose version is that of Go.
func zoneData(zone string) string {
	dirs := []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"}
	if own := os.Getenv("ZONEINFO"); own != "" {
		if strings.HasSuffix(own, ".zip") {
			return own
		}
		dirs = append([]string{own}, dirs...)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, zone)); err == nil {
			return zoneVersion(dir)
		}
	}
	return runtime.Version() + " (embedded)"
}

// zoneVersion reads the version that the data in a directory names, such as 2025b.
func zoneVersion(dir string) string {
	if b, err := os.ReadFile(filepath.Join(dir, "+VERSION")); err == nil {
		return strings.TrimSpace(string(b)) + " (" + dir + ")"
	}
	if f, err := os.Open(filepath.Join(dir, "tzdata.zi")); err == nil {
		defer func() { _ = f.Close() }() // only read
		line := make([]byte, 64)
		n, _ := f.Read(line) // what isn't there names no version
		first, _, _ := strings.Cut(string(line[:n]), "\n")
		if version, ok := strings.CutPrefix(first, "# version "); ok {
			return version + " (" + dir + ")"
		}
	}
	return "version unknown (" + dir + ")"
}
