#!/usr/bin/env bash
# A program outside the tree builds and runs in every documented way: straight from the build tree,
# with find_package, and with pkg-config, after the installed tree has been moved elsewhere.
#
# Environment: TREADLE_SOURCE_DIR, TREADLE_BUILD_DIR, TREADLE_CXX, TREADLE_INSTRUMENTED.
set -euo pipefail

# Instrumented libraries ask their users for the same flags; that is not how one installs.
[[ -z ${TREADLE_INSTRUMENTED-} ]] || exit 77

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program=$TREADLE_SOURCE_DIR/tests/install/program.cpp

expect_42() {
  local what=$1 answer
  shift
  answer=$("$@") || {
    echo "$what: exit status $?" >&2
    exit 1
  }
  [[ $answer == 42 ]] || {
    echo "$what: printed '$answer', not 42" >&2
    exit 1
  }
  echo "$what: ok"
}

lib=$TREADLE_BUILD_DIR/lib
"$TREADLE_CXX" -std=c++20 -I"$TREADLE_SOURCE_DIR" "$program" -L"$lib" -ltreadle -pthread \
  -o "$work/direct"
expect_42 "build tree, shared" env LD_LIBRARY_PATH="$lib" "$work/direct"
"$TREADLE_CXX" -std=c++20 -I"$TREADLE_SOURCE_DIR" "$program" "$lib/libtreadle.a" -pthread \
  -o "$work/archive"
expect_42 "build tree, static" "$work/archive"

# Unloading the shared library leaves it where it is.
python3 - "$lib/libtreadle.so" <<'PROGRAM'
import _ctypes, ctypes, os, sys
_ctypes.dlclose(ctypes.CDLL(sys.argv[1])._handle)
ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOLOAD | os.RTLD_NOW)
PROGRAM
echo "unloading: ok"

cmake --install "$TREADLE_BUILD_DIR" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
prefix=$work/moved
pc=$(find "$prefix" -name treadle.pc)
lib=$(dirname "$(dirname "$pc")")

cmake -S "$TREADLE_SOURCE_DIR/tests/install" -B "$work/outside" -G Ninja \
  -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$TREADLE_CXX" >/dev/null
cmake --build "$work/outside" >/dev/null
expect_42 "find_package, static" "$work/outside/with_static"
expect_42 "find_package, shared" "$work/outside/with_shared"

export PKG_CONFIG_PATH=${pc%/*}
# Unquoted on purpose: the answer is a list of flags.
# shellcheck disable=SC2046
"$TREADLE_CXX" -std=c++20 "$program" $(pkg-config --cflags --libs treadle) -o "$work/pkgconfig"
expect_42 "pkg-config" env LD_LIBRARY_PATH="$lib" "$work/pkgconfig"

if [[ -x $TREADLE_BUILD_DIR/bin/treadle ]]; then
  [[ -x $prefix/bin/treadle ]] || {
    echo "the command is not installed" >&2
    exit 1
  }
fi
