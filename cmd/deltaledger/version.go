package main

import (
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

// version is what the program says of itself.
type version struct {
	Version  string `json:"version"`  // module version, or (devel)
	Revision string `json:"revision"` // of the source; empty where it isn't known
	Go       string `json:"go"`
	System   string `json:"system"`
}

func readVersion() version {
	v := version{Version: "(devel)", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Revision = s.Value + v.Revision
		case s.Key == "vcs.modified" && s.Value == "true":
			v.Revision += "+changes"
		}
	}
	return v
}

// Run prints the version.
func (versionCmd) Run(s *session) error {
	v := readVersion()
	t := table{columns: []column{text("version"), text("revision"), text("go"), text("system")}}
	t.add(v.Version, v.Revision, v.Go, v.System)
	return s.show(v, t)
}
