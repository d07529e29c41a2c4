#!/usr/bin/env bash
# Builds the switch for AArch64 and runs it under qemu's user emulation, and builds it natively in
# its out-of-line form. Exit 77, which ctest counts as skipped, where the tools are missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ $(uname -m) == x86_64 ]]; then
  g++ -std=c++20 -O2 -I"$root" -DTREADLE_SWITCH_OUT_OF_LINE "$root/tests/aarch64/switch.cpp" \
    "$root/treadle/context/switch_x86_64.S" -o "$work/native"
  "$work/native"
fi
if ! command -v aarch64-linux-gnu-g++ >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
  echo "aarch64-linux-gnu-g++ or qemu-aarch64 is missing"
  exit 77
fi
aarch64-linux-gnu-g++ -std=c++20 -O2 -static -I"$root" "$root/tests/aarch64/switch.cpp" \
  "$root/treadle/context/switch_aarch64.S" -o "$work/switch"
timeout 120 qemu-aarch64 "$work/switch"
