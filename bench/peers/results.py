"""Results as files: what ./do bench --peers --json writes, read again and put together.

What is read is looked at before it is used: a file that is cut off, or somebody else's, is refused
with one line.
"""

import collections
import json

import checks
import peer_table
import workload_table

SCHEMA = 1


class Usage(Exception):
    """One line: what, its value, what is allowed."""


def read_in_full(path):
    result = read(path)
    if fault := checks.showing_fault(result):
        raise Usage(f"{path} does not say on what and how it was measured: {fault}")
    return result


def read(path):
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Usage(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Usage(f"{path} is not JSON") from None
    if fault := checks.result_fault(result, SCHEMA):
        raise Usage(f"{path} was not written by ./do bench --peers --json: {fault}")
    if not result["rows"]:
        raise Usage(f"{path} has no rows")
    twice = [each for each, count in collections.Counter(map(key, result["rows"])).items()
             if count > 1]
    if twice:
        workload, workers, peer = twice[0]
        raise Usage(f"{path} has two rows of {workload}, {workers} workers, {peer}")
    return result


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


def check_document(path, *marks):
    """That a table can be put between the marks."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Usage(f"{path}: {error.strerror}") from None
    except ValueError:
        raise Usage(f"{path} is not UTF-8") from None
    if any(mark not in text for mark in marks):
        raise Usage(f"{path} has no {' ... '.join(marks)}")
    check_writable(path)


def units(rows):
    """The least and the most of f."""
    found = [row["f_ns"] for row in rows if row.get("f_ns")] or [0.0]
    return [min(found), max(found)]


def key(row):
    return row["workload"], row["workers"], row["peer"]


def merged(results):
    """Several runs on one machine as one; a later row replaces an earlier one."""
    whole = results[0]
    for more in results[1:]:
        if more["machine"].get("cpu") != whole["machine"].get("cpu"):
            raise Usage("--from takes results of one machine only")
        if more["method"].get("scale") != whole["method"].get("scale"):
            raise Usage("--from takes results of one --scale only")
        whole["peers"] |= more["peers"]
        rows = {key(row): row for row in whole["rows"]} | {key(row): row for row in more["rows"]}
        whole["rows"] = list(rows.values())
        whole["date"] = max(whole["date"], more["date"])
        most = whole["method"].get("rounds_most", whole["method"]["rounds"])
        rounds_there = more["method"].get("rounds_most", more["method"]["rounds"])
        loads = [each["method"].get("load_before", 0) for each in (whole, more)]
        whole["method"]["load_before"] = max(loads)
        whole["method"]["rounds_most"] = max(most, rounds_there)
        whole["method"]["rounds"] = min(whole["method"]["rounds"], more["method"]["rounds"])
    whole["machine"] |= {"f_ns": units(whole["rows"])}
    # Of a workload or a peer that is not measured any more nothing is told.
    whole["rows"] = [row for row in whole["rows"] if row["workload"] in workload_table.BY_NAME]
    if not whole["rows"]:
        raise Usage("--from has no row of a workload that there is")
    order = workload_table.NAMES.index
    whole["rows"].sort(key=lambda row: (order(row["workload"]), row["workers"]))
    whole["peers"] = {name: whole["peers"][name] for name in peer_table.NAMES
                      if name in whole["peers"]}
    return whole
