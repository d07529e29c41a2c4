#!/usr/bin/env python3
"""Every workload of bench/shim runs, a thousandth of it, and the JSON has its documented shape.

No figure is looked at: only that each is there, or says why it is not. Environment:
TREADLE_BUILD_DIR, TREADLE_INSTRUMENTED, TREADLE_SOURCE_DIR. Exit status 77 where there is no shim.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
NUMBER = (int, float)
FIELDS = {"workload": str, "workers": int, "clock": str, "unit": str, "native": NUMBER,
          "treadle": NUMBER, "figure": str, "to_reach": NUMBER, "got": NUMBER, "spread": NUMBER,
          "reached": bool, "rounds": list}
NAMES = {"condition", "semaphore", "yield", "create-join", "mutex", "libc-call", "raw-call",
         "producers-consumers", "live-threads", "nothing", "one-thread"}
COMPRESSORS = {"pigz", "xz", "zstd"}


def wrong_with(row):
    name = row.get("workload")
    if "why" in row:
        if name not in COMPRESSORS or shutil.which(name):
            yield f"{name}: not run: {row['why']}"
        return
    for key, kind in FIELDS.items():
        if not isinstance(row.get(key), kind):
            yield f"{name}: {key} is {row.get(key)!r}"
    for each in row.get("rounds", []):
        if not all(isinstance(each.get(key), NUMBER) for key in ("native", "treadle")):
            yield f"{name}: a round is {each!r}"
    if len(row.get("rounds", [])) != 2:
        yield f"{name}: {len(row.get('rounds', []))} rounds instead of 2"
    if name != "mutex" and row["clock"] != "user + system" and row["treadle"] <= 0:
        yield f"{name}: nothing was measured"


def main():
    build = pathlib.Path(os.environ["TREADLE_BUILD_DIR"])
    source = pathlib.Path(os.environ["TREADLE_SOURCE_DIR"])
    if os.environ.get("TREADLE_INSTRUMENTED") or not (build / "bin" / "bench-shim").is_file():
        return SKIPPED
    can = subprocess.run([build / "bin" / "treadle", "run", "--", "/bin/true"],
                         capture_output=True, text=True, check=False)
    if can.returncode == 2:
        print(can.stderr)
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "rows.json")
        document = pathlib.Path(folder, "document.md")
        document.write_text("before\n<!-- programs -->\nold\n<!-- end of programs -->\nafter\n")
        done = subprocess.run(
            [sys.executable, source / "bench" / "shim" / "shim.py", "--build", build, "--rounds",
             "2", "--scale", "0.002", "--json", path, "--into", document],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(done.stdout, done.stderr, f"exit status {done.returncode}", sep="\n")
            return 1
        rows = json.loads(path.read_text(encoding="utf-8"))
        made = document.read_text(encoding="utf-8")
    problems = [what for row in rows for what in wrong_with(row)]
    missing = NAMES | COMPRESSORS
    missing -= {row["workload"] for row in rows}
    problems += [f"{name}: no row" for name in sorted(missing)]
    if "old" in made or not (made.startswith("before\n") and made.endswith("after\n")):
        problems.append(f"the document is not as it should be:\n{made}")
    problems += [f"{row['workload']} is not in the table" for row in rows
                 if f"| `{row['workload']}` |" not in made]
    print("\n".join(problems) or f"{len(rows)} rows")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
