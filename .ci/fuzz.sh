#!/bin/sh
# Runs every fuzzer of the given packages whose name matches FUZZ (all), one after the other, each for TIME.
# usage: fuzz.sh TIME PACKAGE...
set -eu
go=${GO:-go}
time=$1
shift

# `go test -list` prints the names of a package's fuzzers, then a line "ok <package> <seconds>".
list=$("$go" test -list "${FUZZ:-^Fuzz}" "$@")
printf '%s\n' "$list" |
  awk '/^Fuzz/ { names[++n] = $1 } $1 == "ok" { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }' |
  while read -r package name; do
    printf '== %s %s\n' "$package" "$name"
    "$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package" </dev/null
  done
