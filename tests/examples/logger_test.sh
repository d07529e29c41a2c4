#!/usr/bin/env bash
# The logger's ways to end: a full disk, a file that cannot be made, wrong arguments. Each is one
# line on standard error and its own exit status, in every model.
set -euo pipefail

logger=$TREADLE_BUILD_DIR/examples/logger
if [[ ! -x $logger ]]; then
  echo "the examples are not built"
  exit 77
fi

# expect STATUS TEXT ARGUMENTS...
expect() {
  local status=$1 text=$2 said got=0
  shift 2
  said=$("$logger" "$@" 2>&1 >/dev/null) || got=$?
  if ((got != status)) || [[ $said != *"$text"* ]] || (($(wc -l <<<"$said") != 1)); then
    echo "logger $*: exit status $got, wanted $status; said: $said"
    exit 1
  fi
}

for model in m:1 1:1 m:n; do
  expect 1 "No space left on device" --model "$model" --lines 3 --file /dev/full
  expect 1 "No such file" --model "$model" --file /no/such/folder/log
  expect 2 "--lines" --model "$model" --lines many
  expect 2 "--lines" --model "$model" --lines
  expect 2 "--banana" --model "$model" --banana 1
  expect 0 "" --model "$model" --lines 3 --workers 1
done
expect 2 "banana" --model banana
