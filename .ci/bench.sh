#!/bin/sh
# bench.sh GO-TEST-ARGUMENTS...: runs the benchmarks one package after the other on a private PostgreSQL that is as
# durable as the one of the program, unlike that of the tests, and removes it afterwards.
set -eu
cd "$(dirname "$0")/.."
room=$(mktemp -d /var/tmp/deltaledger-bench.XXXXXX)
chmod 755 "$room" # as root the server runs as another user, who must get in
stop() {
  "$room/deltaledger" --quiet --data-dir "$room/data" db stop >/dev/null 2>&1 || true
  rm -rf "$room"
}
trap stop EXIT
trap 'exit 130' INT TERM
${GO:-go} build -o "$room/deltaledger" ./cmd/deltaledger
"$room/deltaledger" --quiet --data-dir "$room/data" db start >/dev/null
DELTALEDGER_TEST_DATABASE_URL=$("$room/deltaledger" --quiet --data-dir "$room/data" db url --role superuser)
export DELTALEDGER_TEST_DATABASE_URL
${GO:-go} test -p 1 -run '^$' "$@"
