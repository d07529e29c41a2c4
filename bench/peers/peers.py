#!/usr/bin/env python3
"""Treadle beside what people would pick instead, the same work in one run (./do bench --peers).

    ./do bench --peers [--only WORKLOADS] [--among PEERS] [--rounds N] [--scale X]
                       [--json FILE] [--report FILE.html] [--into DOC.md]
    ./do bench --peers --from FILE [--from FILE] [--report FILE.html] [--into DOC.md]
    ./do bench --compare OLD.json NEW.json [--noise 0.1]

The tables of peers and workloads are peer_table.py and workload_table.py, the method rounds.py,
the arithmetic figures.py. Exit status: 0, 1 for a regression, 2 for what makes no sense.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import compare  # noqa: E402
import peer_table  # noqa: E402
import report_html  # noqa: E402
import report_text  # noqa: E402
import rounds  # noqa: E402
import workload_table  # noqa: E402
from table import processor, put_between  # noqa: E402  bench/table.py

BEGIN = "<!-- peers -->"
END = "<!-- end of peers -->"
SCHEMA = 1


class Usage(Exception):
    """One line: what, its value, what is allowed."""


def chosen(option, given, allowed):
    """The names of a comma-separated list; all of them without one."""
    if given is None:
        return list(allowed)
    names = given.split(",")
    for name in names:
        if name not in allowed:
            raise Usage(f"{option} names '{name}'; allowed: {', '.join(allowed)}")
    return [name for name in allowed if name in names]


def read(path):
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Usage(f"{path}: {error.strerror}") from None
    except ValueError:
        raise Usage(f"{path} is not JSON") from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise Usage(f"{path} was not written by ./do bench --peers --json")
    return result


def machine(rows):
    units = [row["f_ns"] for row in rows if row.get("f_ns")] or [0.0]
    return {"cpu": processor(), "cpus": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "libc": " ".join(platform.libc_ver()),
            "f_ns": [min(units), max(units)]}


def measure(options):
    workloads = chosen("--only", options.only, workload_table.NAMES)
    names = chosen("--among", options.among, peer_table.NAMES)
    described, commands = {}, {}
    for peer in peer_table.PEERS:
        if peer.name not in names and peer.name != "boost.context":
            continue
        about = {"kind": peer.kind, "settings": peer.settings, "origin": peer.origin}
        try:
            commands[peer.name], about["version"] = peer_table.ready(peer, options.build)
        except peer_table.Missing as why:
            about["why"] = str(why)
            print(f"{peer.name} is left out: {why}", file=sys.stderr)
        if peer.name in names:
            described[peer.name] = about
    present = [peer for peer in peer_table.PEERS if peer.name in described
               and peer.name in commands]
    if not present:
        raise Usage("none of the peers is there")
    rounds.warn_if_busy()
    load = options.build / "bin" / "bench-peer-load"
    runner = rounds.Rounds(commands, load, options.rounds, options.scale)
    rows, result = [], None
    for name in workloads:
        workload = workload_table.BY_NAME[name]
        for workers in workload.workers:
            if all(peer.why_not(name, workers) for peer in present):
                continue
            group = runner.group(workload, workers, present)
            print(report_text.block(group) + "\n", flush=True)
            rows += group
            result = {"schema": SCHEMA, "date": datetime.date.today().isoformat(),
                      "machine": machine(rows), "peers": described, "rows": rows,
                      "method": {"rounds": options.rounds, "scale": options.scale}}
            if options.json:  # also what there is so far: a run takes long, and may be broken off
                write(options.json, json.dumps(result, indent=1) + "\n")
    if result is None:
        raise Usage("none of these peers has any of these workloads")
    return result


def merged(results):
    """Several runs on one machine as one; a later row replaces an earlier one."""
    whole = results[0]
    for more in results[1:]:
        if more["machine"]["cpu"] != whole["machine"]["cpu"]:
            raise Usage("--from takes results of one machine only")
        whole["peers"] |= more["peers"]
        rows = {compare.key(row): row for row in whole["rows"]}
        rows |= {compare.key(row): row for row in more["rows"]}
        whole["rows"] = list(rows.values())
        whole["date"] = max(whole["date"], more["date"])
        most = whole["method"].get("rounds_most", whole["method"]["rounds"])
        rounds_there = more["method"].get("rounds_most", more["method"]["rounds"])
        whole["method"]["rounds_most"] = max(most, rounds_there)
        whole["method"]["rounds"] = min(whole["method"]["rounds"], more["method"]["rounds"])
    whole["machine"] |= {"f_ns": machine(whole["rows"])["f_ns"]}
    order = workload_table.NAMES.index
    whole["rows"].sort(key=lambda row: (order(row["workload"]), row["workers"]))
    whole["peers"] = {name: whole["peers"][name] for name in peer_table.NAMES
                      if name in whole["peers"]}
    return whole


def judge(options):
    old, new = (read(path) for path in options.compare)
    lines, regressions = compare.compare(old["rows"], new["rows"], options.noise)
    print("\n".join(lines))
    print(f"{len(regressions)} regressions beyond noise")
    return 1 if regressions else 0


def positive(kind):
    def parse(text):
        value = kind(text)
        if value <= 0:
            raise ValueError
        return value
    parse.__name__ = f"positive {kind.__name__}"
    return parse


def parse(arguments):
    options = argparse.ArgumentParser(prog="./do bench --peers", allow_abbrev=False,
                                      description=__doc__.splitlines()[0])
    options.add_argument("--build", type=pathlib.Path, help=argparse.SUPPRESS,
                         default=HERE.parent.parent / "build" / "release")
    options.add_argument("--peers", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--list", action="store_true", help="name peers and workloads, and stop")
    options.add_argument("--only", metavar="WORKLOADS", help="with commas between")
    options.add_argument("--among", metavar="PEERS", help="with commas between")
    options.add_argument("--rounds", type=positive(int), default=5)
    options.add_argument("--scale", type=positive(float), default=1.0, help="of all counts")
    options.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options.add_argument("--report", type=pathlib.Path, metavar="FILE.html")
    options.add_argument("--into", type=pathlib.Path, metavar="DOC.md")
    options.add_argument("--from", type=pathlib.Path, metavar="FILE", action="append",
                         dest="sources", help="measure nothing: show what is in FILE")
    options.add_argument("--compare", type=pathlib.Path, nargs=2, metavar=("OLD", "NEW"))
    options.add_argument("--noise", type=positive(float), default=0.10,
                         help="what counts as the same, at least (0.1: a tenth)")
    return options.parse_args(arguments)


def show_list():
    for peer in peer_table.PEERS:
        print(f"{peer.name:20} {peer.kind}: {peer.settings}")
    print()
    for workload in workload_table.WORKLOADS:
        print(f"{workload.name:20} {workload.what}")


def write(path, text):
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Usage(f"cannot write {path}: {error.strerror}") from None


def check_writable(path):
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise Usage(f"cannot write {path}: {error.strerror}") from None


def run(options):
    if options.list:
        show_list()
        return 0
    if options.compare:
        return judge(options)
    for path in (options.json, options.report):
        if path:
            check_writable(path)  # before the minutes that it takes, not after
    if options.sources:
        result = merged([read(path) for path in options.sources])
        print("\n\n".join(report_text.block(group)
                          for group in report_text.groups(result["rows"]).values()))
        if options.json:
            write(options.json, json.dumps(result, indent=1) + "\n")
    else:
        result = measure(options)
    print(report_text.summary(result["rows"]))
    if options.report:
        write(options.report, report_html.page(result))
    if options.into and not put_between(options.into, BEGIN, END, report_text.markdown(result)):
        return 2
    return 0


def main():
    try:
        return run(parse(sys.argv[1:]))
    except (Usage, report_html.NoChartLibrary) as problem:
        print(f"peers: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
