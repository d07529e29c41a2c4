#!/usr/bin/env python3
"""pigz, xz, zstd, pbzip2 and lbzip2 with four threads: what they make is to the byte what they
make natively, and comes back whole. Those that are not installed are named and left out."""

import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from shim_run import COMMAND, Failures, SECONDS, clean_environment, need_shim, skip  # noqa: E402

PROGRAMS = {
    "pigz": (["pigz", "-p4", "-n", "-b", "64"], ["pigz", "-d", "-p4"]),
    "xz": (["xz", "-T4", "-1", "--block-size=262144"], ["xz", "-d", "-T4"]),
    "zstd": (["zstd", "-T4", "-3", "-B262144"], ["zstd", "-d"]),
    "pbzip2": (["pbzip2", "-p4", "-b1"], ["pbzip2", "-d", "-p4"]),
    "lbzip2": (["lbzip2", "-n4"], ["lbzip2", "-d", "-n4"]),
}
MODELS = (("m:n", 2), ("m:n", 1), ("m:1", 1))


def text(size):
    words = [hashlib.md5(str(i).encode()).hexdigest()[:random.Random(i).randint(2, 9)]
             for i in range(500)]
    chosen = random.Random(7)
    out = bytearray()
    while len(out) < size:
        out += chosen.choice(words).encode() + b" "
    return bytes(out[:size])


def filtered(words, data):
    return subprocess.run(words, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, timeout=SECONDS, env=clean_environment())


def main():
    need_shim()
    found = [name for name in PROGRAMS if shutil.which(name)]
    if not found:
        skip("none of " + ", ".join(PROGRAMS) + " is installed")
    for name in PROGRAMS:
        print(name if name in found else f"{name}: not installed, left out")
    data = text(3 << 20)
    failures = Failures()
    for name in found:
        pack, unpack = PROGRAMS[name]
        native = filtered([*pack, "-c"], data)
        failures.check(native.returncode == 0, f"{name} natively: {native.stderr}")
        for model, workers in MODELS:
            for _ in range(int(os.environ.get("TREADLE_REPEAT", "1"))):
                line = [COMMAND, "run", "--model", model, "--workers", str(workers), "--"]
                packed = filtered([*line, *pack, "-c"], data)
                what = f"{name} under {model}, {workers} workers"
                failures.check(packed.returncode == 0 and packed.stdout == native.stdout,
                               f"{what}: another result, status {packed.returncode}: "
                               f"{packed.stderr}")
                back = filtered([*line, *unpack, "-c"], native.stdout)
                failures.check(back.returncode == 0 and back.stdout == data,
                               f"{what}: does not come back, status {back.returncode}: "
                               f"{back.stderr}")
    failures.end()


if __name__ == "__main__":
    main()
