#!/usr/bin/env bash
# The one entry to the project: people and .ci/run call the same words. `./do help` lists them.
#
# It works from any directory; files that a word writes (reports, JSON) land where you stand.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
jobs=${TREADLE_JOBS:-$(nproc)}

help() {
  cat <<'TEXT'
./do WORD [ARGUMENTS]

  run   [...]                 build the command and run `treadle lab --quick` with an HTML report;
                              arguments go to treadle: ./do run --only switch-cost,
                              ./do run lab --list
  build [--preset P]          command and libraries: build/release/bin/treadle, build/release/lib/
  test  [--preset P] [...]    build, check the format and run every test; arguments go to ctest:
                              ./do test -R queue, ./do test --preset tsan -L core
  bench [--only NAMES] [--json FILE]
                              build and run the benchmarks (release) beside their peers
  bench --peers [--only NAMES] [--among PEERS] [--rounds N] [--json FILE] [--report FILE.html]
                              the same work by Treadle and by all peers that the machine has: NPTL,
                              Boost.Fiber, State Threads, oneTBB, Asio, nginx, Go, Java, Tokio;
                              see --list
  bench --compare OLD.json NEW.json [--noise X]
                              two such results; exit status 1 where Treadle became worse
  servers [--connections N,M] [--seconds N] [--rounds N] [--json FILE]
                              examples/http_server (release) beside Asio and Go, driven by wrk
  programs [--rounds N] [--only NAMES] [--json FILE] [--into DOC.md]
                              pthread programs natively and under `treadle run` (release), in turns:
                              hand-offs, threads, system calls, compressors, start-up
  soak  [--preset P] [--seconds N] [...]
                              everything at once, ten minutes, m:n (release); then what leaked.
                              Arguments go to the program: --model M, --only PARTS, --seed N
  fmt   [--check]             format the C++ files, or only say which differ
  tidy                        the project's own rules (tools/tidy.py), then clang-tidy
  ci                          what .ci/run runs: test, then the core and conformance suites under
                              the sanitizers
  setup [build|test|bench|servers|programs|peers|all]
                              install what is missing from Debian's packages; the words above
                              do it for themselves

Presets: dev release asan-ubsan tsan coverage clang-dev clang-release clang-asan-ubsan clang-tsan.
TREADLE_JOBS=N limits how many compilers and tests run at once (now: as many as there are CPUs).
TEXT
}

say() { printf '== %s\n' "$*"; }

die() {
  printf 'do: %s\n' "$*" >&2
  exit 1
}

# step WHAT COMMAND...: a failing command ends everything with one line that says what it was.
step() {
  local what=$1 status=0
  shift
  say "$what"
  "$@" || status=$?
  if ((status != 0)); then
    printf 'do: FAILED: %s (exit status %d)\n' "$what" "$status" >&2
    exit "$status"
  fi
}

# ---- setup ----------------------------------------------------------------------------------

# Package and reason. Everything is Debian 12's own; nothing is downloaded from elsewhere.
packages_build='
  g++                    the compiler
  cmake                  the build
  ninja-build            the build
  libcli11-dev           options of the command line
  nlohmann-json3-dev     JSON of the lab and of the benchmarks
  libfmt-dev             text of the command
  libjs-chart.js         plots of the HTML report'
packages_test='
  libgtest-dev           the tests
  libboost-dev           Boost.Beast, whose HTTP parser examples/http_server uses
  python3                tools/tidy.py
  gdb                    the backtrace test
  pkg-config             the install test
  g++-aarch64-linux-gnu  the AArch64 context switch
  qemu-user              the AArch64 context switch
  clang                  the second compiler
  libclang-rt-14-dev     sanitizers of the second compiler
  clang-format           fmt
  clang-tidy             tidy'
packages_bench='
  libboost-context-dev   peer: Boost.Context, the unit f
  libboost-fiber-dev     peer: Boost.Fiber'
packages_servers='
  libboost-dev           Boost.Beast of examples/http_server; peer: Boost.Asio
  python3                bench/servers/servers.py
  wrk                    the load'
packages_programs='
  python3                bench/shim/shim.py
  pigz                   a program to run
  xz-utils               a program to run
  zstd                   a program to run'
packages_peers='
  python3                bench/peers/peers.py
  libboost-dev           Boost.Beast, the parser of the HTTP servers; peer: Boost.Asio
  libtbb-dev             peer: oneTBB
  libst-dev              peer: State Threads
  nginx                  peer: nginx (Debian also starts it as a service of its own)'

setup() {
  local group wanted='' installed missing=() name reason
  if ! command -v dpkg-query >/dev/null; then
    say "this is not Debian: nothing is installed; ./do names the packages that it would look for"
    return
  fi
  for group in "$@"; do
    case $group in
      build) wanted+=$packages_build ;;
      test) wanted+=$packages_test ;;
      bench) wanted+=$packages_bench ;;
      servers) wanted+=$packages_servers ;;
      programs) wanted+=$packages_programs ;;
      peers) wanted+=$packages_peers ;;
      *) die "setup knows build, test, bench, servers, programs, peers and all; not '$group'" ;;
    esac
  done
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' | sed -n 's/ installed$//p')
  while read -r name reason; do
    if [[ -n $name ]] && ! grep -qFx -- "$name" <<<"$installed"; then
      printf 'setup: %-22s is missing (%s)\n' "$name" "$reason"
      missing+=("$name")
    fi
  done <<<"$wanted"
  ((${#missing[@]})) || return 0

  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "to install, run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  step "apt-get update" "${as_root[@]}" apt-get update -qq
  step "apt-get install ${missing[*]}" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"
}

word_setup() {
  if (($# == 0)) || [[ $1 == all ]]; then
    set -- build test bench servers programs peers
  fi
  setup "$@"
  say "setup: everything for $* is installed"
}

# ---- build ----------------------------------------------------------------------------------

# The names of the presets that are not hidden, without a JSON parser.
preset_names() {
  sed -n '/"buildPresets"/,$ s/.*"name": "\([^"]*\)".*/\1/p' "$root/CMakePresets.json"
}

check_preset() {
  preset_names | grep -qFx -- "$1" ||
    die "no preset '$1'; there are: $(preset_names | paste -sd ' ')"
}

# configure PRESET [-D...]: quiet when it works, everything when it does not.
configure() {
  local log
  log=$(cd "$root" && cmake --preset "$@" 2>&1) || {
    printf '%s\n' "$log" >&2
    return 1
  }
}

compile() {
  local preset=$1
  shift
  cmake --build "$root/build/$preset" --parallel "$jobs" "$@"
}

word_build() {
  local preset=release
  if [[ ${1-} == --preset ]]; then
    preset=${2-}
    check_preset "$preset"
    shift 2
  fi
  (($# == 0)) || die "build takes --preset P; not '$1'"
  setup build
  [[ $preset == release ]] || setup test
  step "configure $preset" configure "$preset"
  step "build $preset" compile "$preset" \
    --target treadle_static treadle_shared treadle_command
}

word_run() {
  setup build
  step "configure release" configure release
  # Only the command: a new user waits for nothing else.
  step "build the command" compile release --target treadle_command
  local treadle=$root/build/release/bin/treadle
  if [[ ${1-} == [a-z]* ]]; then
    exec "$treadle" "$@"
  fi
  local report=(--report treadle-lab.html)
  [[ " $*" != *" --report"* ]] || report=()
  exec "$treadle" lab --quick "${report[@]}" "$@"
}

word_bench() {
  case " $* " in
    *" --compare "*) exec "$root/bench/peers/peers.py" "$@" ;;
    *" --peers "*) bench_peers "$@" ;;
  esac
  setup build bench
  step "configure release" configure release -DTREADLE_BENCH=ON
  step "build the benchmarks" compile release --target treadle-bench
  exec "$root/build/release/bin/treadle-bench" "$@"
}

# Go, Java and Rust are peers where they are installed; they are too large to be asked for.
bench_peers() {
  setup build bench peers
  step "configure release" configure release -DTREADLE_BENCH=ON
  step "build the peers" compile release --target bench-peers
  exec "$root/bench/peers/peers.py" "$@"
}

# Go is a peer where it is installed; it is too large to be asked for.
word_servers() {
  setup build bench servers
  step "configure release" configure release -DTREADLE_BENCH=ON
  step "build the servers" compile release --target bench-http-server bench-asio-hello
  exec "$root/bench/servers/servers.py" "$@"
}

word_programs() {
  setup build bench programs
  step "configure release" configure release -DTREADLE_BENCH=ON
  step "build the programs" compile release --target treadle_command treadle_shim bench-shim
  exec "$root/bench/shim/shim.py" "$@"
}

# ---- tests ----------------------------------------------------------------------------------

# A sanitizer's shadow memory has fixed places, which a kernel with much address randomisation
# may already have taken: such programs start without it where that is allowed.
test_in() {
  local preset=$1 launcher=()
  shift
  if [[ $preset == *san ]] && setarch "$(uname -m)" -R true 2>/dev/null; then
    launcher=(setarch "$(uname -m)" -R)
  fi
  "${launcher[@]}" ctest --test-dir "$root/build/$preset" --output-on-failure \
    --no-tests=error --parallel "$jobs" "$@"
}

word_test() {
  local preset=dev
  if [[ ${1-} == --preset ]]; then
    preset=${2-}
    check_preset "$preset"
    shift 2
  fi
  setup build test
  step "configure $preset" configure "$preset" -DTREADLE_TESTS=ON
  step "build $preset" compile "$preset"
  step "test $preset" test_in "$preset" "$@"
}

# Not in CI: minutes, on a machine that has nothing else to do. Stops at the first thing wrong.
word_soak() {
  local preset=release
  if [[ ${1-} == --preset ]]; then
    preset=${2-}
    check_preset "$preset"
    shift 2
  fi
  setup build test
  step "configure $preset" configure "$preset" -DTREADLE_TESTS=ON
  step "build the soak" compile "$preset" --target treadle_soak
  local launcher=()
  if [[ $preset == *san ]] && setarch "$(uname -m)" -R true 2>/dev/null; then
    launcher=(setarch "$(uname -m)" -R)
  fi
  step "soak" "${launcher[@]}" "$root/build/$preset/tests/bin/soak" "$@"
}

# The core and the conformance suite, in one more way of building; nothing else is compiled.
test_core_in() {
  local preset=$1
  step "configure $preset" configure "$preset" -DTREADLE_TESTS=ON -DTREADLE_WERROR=ON
  step "build $preset" compile "$preset" --target tests_core tests_conformance
  step "test $preset" test_in "$preset" -L '^(core|conformance)$'
}

word_ci() {
  local started=$SECONDS log preset
  log=$(mktemp)
  trap "rm -f '$log'" EXIT
  word_test | tee "$log"
  for preset in asan-ubsan tsan; do
    test_core_in "$preset" | tee -a "$log"
  done
  say "ci: passed in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
  grep -E '^== test |tests passed' "$log"
}

# ---- style ----------------------------------------------------------------------------------

cpp_files() {
  find "$root"/{treadle,tests,bench,examples} -name '*.[ch]pp' -print0 2>/dev/null
}

word_fmt() {
  setup test
  case ${1-} in
    '') cpp_files | xargs -0 -r clang-format -i ;;
    --check) step "format" check_format ;;
    *) die "fmt takes --check; not '$1'" ;;
  esac
}

# One line a file, not the ten that clang-format gives each difference.
check_format() {
  local differ
  differ=$(cpp_files | xargs -0 -r clang-format --dry-run 2>&1 |
    sed -n 's/^\(.*\):[0-9]*:[0-9]*: .*code should be clang-formatted.*/\1: needs .\/do fmt/p' |
    sort -u)
  [[ -n $differ ]] || return 0
  printf '%s\n' "$differ"
  return 1
}

word_tidy() {
  setup build test
  step "tidy.py" python3 "$root/tools/tidy.py" "$root"
  step "configure for clang-tidy" configure_tidy
  step "clang-tidy" run_clang_tidy
}

# clang-tidy must see clang's own flags, and cannot read g++'s precompiled headers.
configure_tidy() {
  configure clang-dev -B "$root/build/tidy" -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON
}

# All that is compiled but the tests; what is in the headers is told with the sources.
run_clang_tidy() {
  find "$root"/{treadle,examples} -name '*.cpp' -not -name '*_test.cpp' -not -name '*_bench.cpp' \
    -print0 2>/dev/null |
    xargs -0 -r -n 1 -P "$jobs" clang-tidy -p "$root/build/tidy" --quiet 2>/dev/null
}

# ---------------------------------------------------------------------------------------------

word=${1:-help}
(($# == 0)) || shift
case $word in
  setup | build | run | test | bench | servers | programs | soak | fmt | tidy | ci)
    "word_$word" "$@"
    ;;
  help | -h | --help) help ;;
  *)
    help >&2
    die "no word '$word'"
    ;;
esac
