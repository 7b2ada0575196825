#!/bin/sh
# Makes sure that this machine has a browser, Chromium or Chrome: the tests of what people print look at it there.
#
# A browser that is found is left as it is. Otherwise the machine's package manager installs one, as root or through sudo.
# Everything is said on stderr. Exit code 0 also when none could be installed, because only those tests need one, and fail
# without; `browser.sh --require` exits 1 in that case.
set -eu

tool=browser
. "$(dirname "$0")/install.sh"

# usable prints the browser that the tests would find; fails if there is none.
usable() {
  for name in headless_shell headless-shell chromium chromium-browser google-chrome google-chrome-stable /snap/bin/chromium chrome \
    '/Applications/Chromium.app/Contents/MacOS/Chromium' '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'; do
    command -v "$name" 2>/dev/null && return 0
  done
  return 1
}

# Text needs a font; the browser's packages only recommend one.
install() {
  if have apt-get; then
    say "not found; installing the packages chromium and fonts-liberation with apt-get"
    as_root true || return 1
    apt update || say "the package lists could not be renewed, going on with those that are here"
    apt install --no-install-recommends chromium fonts-liberation
  elif have dnf; then
    say "not found; installing the packages chromium and liberation-sans-fonts with dnf"
    as_root dnf -q -y install chromium liberation-sans-fonts
  elif have apk; then
    say "not found; installing the packages chromium and font-liberation with apk"
    as_root apk add --quiet chromium font-liberation
  elif have pacman; then
    say "not found; installing the packages chromium and ttf-liberation with pacman"
    as_root pacman -S --noconfirm --needed chromium ttf-liberation || as_root pacman -Sy --noconfirm --needed chromium ttf-liberation
  elif have zypper; then
    say "not found; installing the packages chromium and liberation-fonts with zypper"
    as_root zypper --quiet --non-interactive install chromium liberation-fonts
  elif have brew; then
    say "not found; installing the cask google-chrome with brew"
    brew install --quiet --cask google-chrome
  else
    say "not found, and no package manager that this script knows"
    return 1
  fi
}

usable >/dev/null && exit 0
(install) 1>&2 || say "the installation failed"
if found=$(usable); then
  say "using $found"
  exit 0
fi
say "no browser could be installed: please install Chromium or Chrome, or the tests of what people print fail"
[ "${1-}" != --require ] || exit 1
