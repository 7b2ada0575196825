#!/bin/sh
# Makes sure that this machine can run Apache Kafka in tests: Java 17 or newer, Maven, and the broker's jars.
#
# What is found is left as it is. Otherwise the machine's package manager installs Java and Maven, as root or through sudo;
# Maven fetches the jars into the user's cache. No broker is started: tests run ones of their own.
# Everything is said on stderr. Exit code 0 also when something is missing, because only those tests need it, and fail
# without; `kafka.sh --require` exits 1 in that case.
set -eu

oldest=17
here=$(dirname "$0")
tool=kafka
. "$here/install.sh"

# java_is_new tells whether there is a Java that the broker runs on.
java_is_new() {
  have java || return 1
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ -n "$major" ] && [ "$major" -ge "$oldest" ]
}

usable() { java_is_new && have mvn; }

install() {
  if have apt-get; then
    say "installing Java and Maven with apt-get"
    apt update || say "the package lists could not be renewed, going on with those that are here"
    apt install --no-install-recommends default-jre-headless maven
  elif have dnf; then
    say "installing Java and Maven with dnf"
    as_root dnf -q -y install java-21-openjdk-headless maven
  elif have apk; then
    say "installing Java and Maven with apk"
    as_root apk add --quiet openjdk17-jre-headless maven
  elif have pacman; then
    say "installing Java and Maven with pacman"
    as_root pacman -S --noconfirm --needed jre-openjdk-headless maven
  elif have brew; then
    say "installing Java and Maven with brew"
    brew install --quiet openjdk maven
  else
    say "no package manager that this script knows"
    return 1
  fi
}

prepare() {
  usable || (install) 1>&2 || return 1
  usable || return 1
  jars=$(sh "$here/../api/kafka/kafkatest/testdata/jars.sh" "$here/../api/kafka/kafkatest/testdata/pom.xml") || return 1
  say "using $jars"
}

prepare && exit 0
say "Java $oldest or newer, Maven, or the broker's jars are missing; tests with Kafka will fail"
[ "${1-}" != --require ] || exit 1
