"""Results as files: what ./do bench --peers --json writes, read again and put together.

What is read is looked at before it is used: a file that is cut off, or somebody else's, is refused
with one line.
"""

import json

import peer_table
import workload_table

SCHEMA = 1
# Nothing that is measured here is larger, or, unless it is 0, smaller than one part of it: ratios
# of such numbers, and their logarithms, exist.
LARGEST = 1e30


class Usage(Exception):
    """One line: what, its value, what is allowed."""


def is_number(value):
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and (value == 0 or 1 / LARGEST <= abs(value) <= LARGEST))


def is_row(row):
    if not isinstance(row, dict) or not isinstance(row.get("workers"), int):
        return False
    if not all(isinstance(row.get(name), str) for name in ("workload", "peer", "unit")):
        return False
    if row.get("value") is None:
        return isinstance(row.get("why"), str)
    samples = row.get("samples")
    return (all(is_number(row.get(name)) for name in ("value", "spread", "count"))
            and isinstance(row.get("more_is_better"), bool) and isinstance(row.get("clock"), str)
            and row["spread"] >= 0
            and (row.get("f") is None or (is_number(row["f"]) and row["f"] > 0))
            and isinstance(samples, list) and bool(samples) and all(map(is_number, samples)))


def is_result(found):
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        return False
    parts = {"machine": dict, "peers": dict, "method": dict, "date": str, "rows": list}
    return all(isinstance(found.get(name), kind) for name, kind in parts.items()) and all(
        is_row(row) for row in found["rows"])


def is_told_in_full(found):
    """Whether a report can be made of it: of a comparison's sides less is needed."""
    at, method = found["machine"], found["method"]
    texts = {"kind", "settings"}
    return (all(isinstance(at.get(name), str) for name in ("cpu", "kernel", "libc"))
            and isinstance(at.get("cpus"), int) and isinstance(method.get("rounds"), int)
            and isinstance(at.get("f_ns"), list) and len(at["f_ns"]) == 2
            and all(map(is_number, at["f_ns"]))
            and all(is_number(method.get(name, 0)) for name in ("scale", "load_before"))
            and all(isinstance(peer, dict) and all(
                isinstance(peer.get(name), str)
                for name in texts | ({"why"} if "why" in peer else {"version", "origin"}))
                    for peer in found["peers"].values()))


def read_in_full(path):
    result = read(path)
    if not is_told_in_full(result):
        raise Usage(f"{path} does not say on what and how it was measured")
    return result


def read(path):
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Usage(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Usage(f"{path} is not JSON") from None
    if not is_result(result):
        raise Usage(f"{path} was not written by ./do bench --peers --json")
    if not result["rows"]:
        raise Usage(f"{path} has no rows")
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
    order = workload_table.NAMES.index
    whole["rows"].sort(key=lambda row: (order(row["workload"]), row["workers"]))
    whole["peers"] = {name: whole["peers"][name] for name in peer_table.NAMES
                      if name in whole["peers"]}
    return whole
