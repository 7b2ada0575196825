#!/bin/sh
# Sees to it that the jars of a pom are in the user's cache, and prints their folder. Maven fetches them, once: the folder's
# name holds a sum of the pom.
# usage: jars.sh POM
set -eu

pom=$1
case $(uname) in
Darwin) cache=${XDG_CACHE_HOME:-$HOME/Library/Caches} ;;
*) cache=${XDG_CACHE_HOME:-$HOME/.cache} ;;
esac
jars=$cache/deltaledger/jars-$(cksum <"$pom" | tr ' ' -)
mkdir -p "$cache/deltaledger"

fetch() {
  [ ! -e "$jars" ] || return 0
  made=$(mktemp -d "$jars.XXXXXX")
  trap 'rm -rf "$made"' EXIT
  for try in 1 2 3; do # a registry may be out of breath
    if mvn -B -q -f "$pom" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$made" >"$made.log" 2>&1; then
      rm -f "$made.log"
      mv "$made" "$jars" # complete or not there
      return 0
    fi
    sleep "$try"
  done
  cat "$made.log" >&2
  rm -f "$made.log"
  return 1
}

# One at a time where that can be had: Maven's own cache takes two writers badly.
if command -v flock >/dev/null 2>&1; then
  (flock 9 && fetch) 9>"$cache/deltaledger/jars.lock"
else
  fetch
fi
printf '%s\n' "$jars"
