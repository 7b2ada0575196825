# What the scripts that install programs have in common; sourced by them. They set tool, the name that they speak under.

say() { printf '%s: %s\n' "$tool" "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# as_root runs a command with root's rights; without a terminal sudo may not wait for a password.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif ! have sudo; then
    say "installing needs root, and there is no sudo"
    return 1
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@"; }
