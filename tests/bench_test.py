#!/usr/bin/env python3
"""Every workload of treadle-bench runs, a hundredth of it, and the JSON has its documented shape.

No figure is looked at: only that each is there, or says why it is not. Environment:
TREADLE_BUILD_DIR, TREADLE_INSTRUMENTED. Exit status 77 where there is no treadle-bench.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77
ALWAYS = {"workload": str, "peer": str, "workers": int, "unit": str}
WITH_FIGURE = {"value": (int, float), "spread": (int, float), "f_nanoseconds": (int, float),
               "at_reference_f": (int, float), "clock": str, "wall_over_cpu": (int, float),
               "samples": list}
OPTIONAL = {"f": (int, float, type(None)), "to_reach": str, "got": str, "reached": bool,
            "note": str, "why": str}


def wrong_with(row):
    """What is wrong with one row; nothing when it is as documented."""
    name = f"{row.get('workload')}/{row.get('peer')}/{row.get('workers')}"
    wanted = dict(ALWAYS)
    if "why" in row:
        if row.get("value") is not None or not row["why"]:
            yield f"{name}: a row that was not run has no value, and a reason"
    else:
        wanted |= WITH_FIGURE
    for key, kind in wanted.items():
        if not isinstance(row.get(key), kind):
            yield f"{name}: {key} is {row.get(key)!r}"
    if "why" not in row and not all(isinstance(x, (int, float)) for x in row.get("samples", [0])):
        yield f"{name}: samples are {row['samples']!r}"
    for key in row.keys() - ALWAYS.keys() - WITH_FIGURE.keys() - OPTIONAL.keys():
        yield f"{name}: {key} is not documented"
    if row["peer"].startswith("treadle") and "why" in row and "CPU" not in row["why"]:
        yield f"{name}: not run: {row['why']}"


def streams_and_words(bench):
    """What cannot be written is a failure, and an option without its word is refused."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([bench, "--list"], stdout=full, stderr=subprocess.DEVNULL)
    if done.returncode != 1:
        yield f"--list into a full device: exit status {done.returncode}"
    for words in (["--json", "", "--list"], ["--json=", "--list"]):
        done = subprocess.run([bench, *words], capture_output=True, text=True)
        if done.returncode != 2 or "allowed: a file" not in done.stderr:
            yield f"{words}: exit status {done.returncode}: {done.stderr}"


def main():
    bench = pathlib.Path(os.environ["TREADLE_BUILD_DIR"], "bin", "treadle-bench")
    if not bench.is_file() or os.environ.get("TREADLE_INSTRUMENTED"):
        return SKIPPED
    listed = subprocess.run([bench, "--list"], check=True, capture_output=True, text=True).stdout
    names = {line.split()[0] for line in listed.splitlines()}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "rows.json")
        done = subprocess.run([bench, "--quick", "--json", path], capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stdout, done.stderr, f"exit status {done.returncode}", sep="\n")
            return 1
        rows = json.loads(path.read_text(encoding="utf-8"))
    problems = [what for row in rows for what in wrong_with(row)]
    run = {row["workload"] for row in rows if row["peer"] == "treadle" and "why" not in row}
    problems += list(streams_and_words(bench))
    problems += [f"{name}: no row of treadle" for name in sorted(names - run)]
    print("\n".join(problems) or f"{len(rows)} rows of {len(names)} workloads")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
