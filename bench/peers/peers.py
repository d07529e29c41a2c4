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
import math
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
from results import (SCHEMA, Usage, check_document, check_writable, merged,  # noqa: E402
                     read, read_in_full, units, write)
from table import processor, put_between  # noqa: E402  bench/table.py

BEGIN = "<!-- peers -->"
END = "<!-- end of peers -->"


def chosen(option, given, allowed):
    """The names of a comma-separated list; all of them without one."""
    if given is None:
        return list(allowed)
    names = given.split(",")
    for name in names:
        if name not in allowed:
            raise Usage(f"{option} names '{name}'; allowed: {', '.join(allowed)}")
    return [name for name in allowed if name in names]


def machine(rows):
    return {"cpu": processor(), "cpus": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "libc": " ".join(platform.libc_ver()),
            "f_ns": units(rows)}


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
    load_before = rounds.load_before()
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
                      "method": {"rounds": options.rounds, "scale": options.scale,
                                 "load_before": load_before}}
            if options.json:  # also what there is so far: a run takes long, and may be broken off
                write(options.json, json.dumps(result, indent=1) + "\n")
    if result is None:
        raise Usage("none of these peers has any of these workloads")
    return result


def judge(options):
    old, new = (read(path) for path in options.compare)
    if not compare.in_common(old["rows"], new["rows"]):
        raise Usage(f"{options.compare[0]} and {options.compare[1]} have no row of Treadle's in "
                    "common")
    lines, regressions = compare.compare(old["rows"], new["rows"], options.noise)
    print("\n".join(lines))
    print(f"{len(regressions)} regressions beyond noise")
    return 1 if regressions else 0


def positive(kind, what):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"is '{text}'; allowed: {what} above 0")
        return value
    return parse


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        raise Usage(message.replace("argument ", "", 1).replace(": is '", " is '"))


def parse(arguments):
    options = Parser(prog="./do bench --peers", allow_abbrev=False,
                     description=__doc__.splitlines()[0])
    options.add_argument("--build", type=pathlib.Path, help=argparse.SUPPRESS,
                         default=HERE.parent.parent / "build" / "release")
    options.add_argument("--peers", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--list", action="store_true", help="name peers and workloads, and stop")
    options.add_argument("--only", metavar="WORKLOADS", help="with commas between")
    options.add_argument("--among", metavar="PEERS", help="with commas between")
    options.add_argument("--rounds", type=positive(int, "a whole number"), default=5)
    options.add_argument("--scale", type=positive(float, "a number"), default=1.0,
                         help="of all counts")
    options.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options.add_argument("--report", type=pathlib.Path, metavar="FILE.html")
    options.add_argument("--into", type=pathlib.Path, metavar="DOC.md")
    options.add_argument("--from", type=pathlib.Path, metavar="FILE", action="append",
                         dest="sources", help="measure nothing: show what is in FILE")
    options.add_argument("--compare", type=pathlib.Path, nargs=2, metavar=("OLD", "NEW"))
    options.add_argument("--noise", type=positive(float, "a number"), default=0.10,
                         help="what counts as the same, at least (0.1: a tenth)")
    return options.parse_args(arguments)


def show_list():
    for peer in peer_table.PEERS:
        print(f"{peer.name:20} {peer.kind}: {peer.settings}")
    print()
    for workload in workload_table.WORKLOADS:
        print(f"{workload.name:20} {workload.what}")


def run(options):
    if options.list:
        show_list()
        return 0
    if options.compare:
        return judge(options)
    sources = [read_in_full(path) for path in options.sources or ()]
    for path in (options.json, options.report):
        if path:
            check_writable(path)  # before the minutes that it takes, not after
    if options.into:
        check_document(options.into, BEGIN, END)
    if sources:
        result = merged(sources)
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
        status = run(parse(sys.argv[1:]))
        sys.stdout.flush()
        return status
    except (Usage, report_html.NoChartLibrary) as problem:
        print(f"peers: {problem}", file=sys.stderr)
    except OSError as error:  # files have words of their own: see results.py
        print(f"peers: cannot write: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own flush
    return 2


if __name__ == "__main__":
    sys.exit(main())
