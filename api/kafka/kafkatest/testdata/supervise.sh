#!/bin/sh
# Runs a program as its child, sends it the signals whose names come on stdin, and kills it and removes DIR when stdin
# ends: however the process ends that holds the other side, nothing stays. After the word KEEP it ends by itself, and DIR
# stays.
# usage: supervise.sh DIR PROGRAM ARGUMENT...
dir=$1
shift
"$@" </dev/null &
pid=$!
while read -r signal; do
  [ "$signal" != KEEP ] || exit 0
  kill -s "$signal" "$pid" 2>/dev/null
  wait "$pid"
done
kill -s KILL "$pid" 2>/dev/null
wait "$pid"
rm -rf "$dir"
