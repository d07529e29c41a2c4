#!/usr/bin/env bash
# ./do says in one line what failed and ends with a status that is not zero; setup asks for what is
# missing, and for nothing when all is there. apt-get and dpkg-query are played by two scripts.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  printf 'do_test: %s\n--- output:\n%s\n' "$1" "$output" >&2
  exit 1
}

# run STATUS ARGUMENTS...: runs ./do on the played machine; `output` is all that it said.
run() {
  local wanted=$1 status=0
  shift
  output=$(PATH=$work:$PATH "$root/do" "$@" 2>&1) || status=$?
  if [[ $wanted == 0 && $status != 0 ]] || [[ $wanted != 0 && $status == 0 ]]; then
    fail "./do $* ended with $status"
  fi
}

says() { [[ $output == *"$1"* ]] || fail "no '$1'"; }
says_not() { [[ $output != *"$1"* ]] || fail "'$1' was not expected"; }

# Play the machine: the packages in `installed` are there; apt-get does as told.
played() { printf '#!/bin/sh\n%s\n' "$2" >"$work/$1" && chmod +x "$work/$1"; }
played sudo 'exec "$@"'
played dpkg-query "while read -r name; do echo \"\$name installed\"; done <$work/installed"
played apt-get "echo \"apt-get \$*\""

printf '%s\n' g++ cmake ninja-build libcli11-dev nlohmann-json3-dev libfmt-dev libjs-chart.js \
  >"$work/installed"
run 0 setup build
says_not apt-get
run 0 setup bench
says 'libboost-fiber-dev     is missing (peer: Boost.Fiber)'
says 'apt-get update'
says 'libboost-context-dev libboost-fiber-dev'
says_not 'cmake'

played apt-get 'test "$1" = update'
run 1 setup bench
says 'do: FAILED: apt-get install libboost-context-dev'
run 1 bench
says 'do: FAILED: apt-get install libboost-context-dev'

run 1 setup everything
says "not 'everything'"
run 1 build --preset fast
says "no preset 'fast'"
run 1 weave
says "no word 'weave'"
run 0 help
for word in setup run build test bench servers soak fmt tidy ci; do says "  $word"; done
echo "do_test: ok"
