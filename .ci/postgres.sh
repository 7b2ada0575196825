#!/bin/sh
# Makes sure that this machine has PostgreSQL's programs (initdb, postgres), version 15 or newer.
#
# Found ones are left as they are. Otherwise the machine's package manager installs them, as root or through sudo.
# No server is started: the program and its tests run private ones of their own.
# Everything is said on stderr. Exit code 0 also when nothing could be installed, because the program then tries the
# npm package by itself; `postgres.sh --require` exits 1 in that case.
set -eu

oldest=15 # UNIQUE NULLS NOT DISTINCT came with this major version
drop_in=/etc/postgresql-common/createcluster.d/deltaledger.conf

tool=postgres
. "$(dirname "$0")/install.sh"

# major DIR prints the major version of the programs in DIR; fails if it has not both.
major() {
  [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 1
  "$1/postgres" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p'
}

# usable prints the first folder that holds new enough programs; fails if there is none.
usable() {
  on_path=
  if have postgres; then on_path=$(dirname "$(command -v postgres)"); fi
  for dir in "$on_path" \
    /usr/lib/postgresql/*/bin /usr/lib/postgresql[0-9]*/bin /usr/libexec/postgresql[0-9]* /usr/pgsql-*/bin \
    /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin /home/linuxbrew/.linuxbrew/opt/postgresql@*/bin; do
    version=$(major "$dir") || continue
    [ -n "$version" ] && [ "$version" -ge "$oldest" ] && printf '%s\n' "$dir" && return 0
  done
  return 1
}

# Debian's package makes and starts a cluster of its own when it is first installed. The drop-in forbids that; it has
# to stand after postgresql-common and before the server, and goes again so that later installations are as usual.
install_apt() {
  as_root true || return 1
  apt update || say "the package lists could not be renewed, going on with those that are here"
  candidate=$(apt-cache policy postgresql | sed -n 's/^ *Candidate: *\([0-9][0-9]*\).*/\1/p')
  if [ -n "$candidate" ] && [ "$candidate" -lt "$oldest" ]; then
    say "this system's own PostgreSQL is version $candidate, and $oldest or newer is needed"
    return 1
  fi
  apt install --no-install-recommends postgresql-common || return 1
  folder=${drop_in%/*}
  made_folder=
  if ! [ -d "$folder" ]; then
    as_root mkdir "$folder" || return 1
    made_folder=yes
  fi
  trap 'exit 1' HUP INT TERM
  trap remove_drop_in EXIT
  printf 'create_main_cluster = false\n' | as_root tee "$drop_in" >/dev/null || return 1
  apt install --no-install-recommends postgresql || return 1
}

remove_drop_in() {
  as_root rm -f "$drop_in"
  [ -z "$made_folder" ] || as_root rmdir "$folder"
}

install() {
  if have apt-get; then
    say "not found; installing the package postgresql with apt-get"
    install_apt
  elif have dnf; then
    say "not found; installing the package postgresql-server with dnf"
    as_root dnf -q -y install postgresql-server
  elif have apk; then
    say "not found; installing the package postgresql with apk"
    as_root apk add --quiet postgresql
  elif have pacman; then
    say "not found; installing the package postgresql with pacman"
    as_root pacman -S --noconfirm --needed postgresql || as_root pacman -Sy --noconfirm --needed postgresql
  elif have zypper; then
    say "not found; installing the package postgresql-server with zypper"
    as_root zypper --quiet --non-interactive install postgresql-server
  elif have brew; then
    say "not found; installing the formula postgresql@17 with brew"
    brew install --quiet postgresql@17
  else
    say "not found, and no package manager that this script knows"
    return 1
  fi
}

usable >/dev/null && exit 0
# In a subshell, so that its traps run here and not at the end of the script; 1>&2 keeps stdout for the command after us.
(install) 1>&2 || say "the installation failed"
if dir=$(usable); then
  say "using $dir"
  exit 0
fi
say "PostgreSQL $oldest or newer could not be installed; the program will try the npm package by itself (needs npm)"
[ "${1-}" != --require ] || exit 1
