#!/usr/bin/env python3
"""Renders the JSON of treadle-bench as the Markdown table of docs/performance.md.

usage: bench/table.py FILE.json                  prints the table
       bench/table.py FILE.json --into DOC.md    replaces what is between the two marks in DOC.md

One line per workload and number of workers; one column per peer. A cell has the median and, for
times of one operation, the same in f. The marks in the document are <!-- table --> and
<!-- end of table -->; the line about the machine is written with the table.
"""

import argparse
import datetime
import json
import pathlib
import platform
import re
import sys

BEGIN = "<!-- table -->"
END = "<!-- end of table -->"
PEERS = ("treadle", "treadle-m:1", "nptl", "boost.fiber")


def number(value):
    """Four significant digits, without an exponent."""
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}" if value >= 0.001 else f"{value:.2g}"


def cell(row):
    if row is None:
        return "-"
    if row["value"] is None:
        return f"not run: {row['why']}"
    text = f"{number(row['value'])} {row['unit']}"
    if row["unit"] == "ns" and row["f"] is not None:
        text += f" ({row['f']:.2f} f)" if row["f"] < 10 else f" ({row['f']:.0f} f)"
    if "note" in row:
        text += f", {row['note']}"
    return text


def verdict(row):
    if row is None or "to_reach" not in row:
        return "", "", ""
    reached = {True: "reached", False: "**short**"}.get(row.get("reached"), "not run")
    return row["to_reach"], row.get("got", ""), reached


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def machine_line(rows):
    cpus = sum(1 for line in open("/proc/cpuinfo") if line.startswith("processor"))
    units = [row["f_nanoseconds"] for row in rows if row.get("f_nanoseconds")]
    today = datetime.date.today().isoformat()
    f_range = f"f = {min(units):.2f} to {max(units):.2f} ns" if units else "f was not measured"
    return (f"Machine: {processor()}, {cpus} CPUs, Linux {platform.release()}, "
            f"{platform.libc_ver()[0]} {platform.libc_ver()[1]}. {f_range}. Date: {today}.")


def render(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row["workload"], row["workers"]), {})[row["peer"]] = row
    lines = [machine_line(rows), "",
             "| workload | workers | to reach | got | | " + " | ".join(PEERS) + " | bare |",
             "|---|---|---|---|---|" + "---|" * (len(PEERS) + 1)]
    for (workload, workers), peers in groups.items():
        to_reach, got, reached = verdict(peers.get("treadle"))
        bare = ", ".join(f"{peer} {cell(row)}" for peer, row in peers.items() if peer not in PEERS)
        cells = [f"`{workload}`", str(workers), to_reach, got, reached]
        cells += [cell(peers.get(peer)) for peer in PEERS] + [bare]
        lines.append("| " + " | ".join(cells) + " |")
    spreads = [row["spread"] for row in rows
               if row["peer"] == "treadle" and row["spread"] is not None]
    if spreads:
        spreads.sort()
        lines += ["", f"Spread of the treadle rows, (max - min) / median: median "
                      f"{spreads[len(spreads) // 2]:.0%}, largest {spreads[-1]:.0%}. "
                      "An asterisk marks a figure brought to f = 5.5 ns."]
    return "\n".join(lines)


def put_between(path, begin, end, made):
    """Replaces what is between the two marks in a document; says so and fails if they are not."""
    document = path.read_text()
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not between.search(document):
        print(f"{path} has no {begin} ... {end}", file=sys.stderr)
        return False
    path.write_text(between.sub(lambda _: f"{begin}\n{made}\n{end}", document, count=1))
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json_file", type=pathlib.Path)
    parser.add_argument("--into", type=pathlib.Path, metavar="DOC.md")
    arguments = parser.parse_args()
    table = render(json.loads(arguments.json_file.read_text()))
    if arguments.into is None:
        print(table)
        return 0
    return 0 if put_between(arguments.into, BEGIN, END, table) else 2


if __name__ == "__main__":
    sys.exit(main())
