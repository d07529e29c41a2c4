"""What a file of results must be before it is used: each check says what is wrong, or None.

A file may be cut off, edited or somebody else's. After these checks no arithmetic on it can fail.
"""

import json

from figures import EXTRAS

CLOCKS = ("cpu", "wall", "memory")

# Guess: no figure is beyond these, and no quotient of two within them overflows or is 0.
LEAST, MOST = 1e-12, 1e18


def is_number(value):
    # Compared and not converted: an integer may be too large for a float. NaN is not <= anything.
    return (isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MOST
            and (value == 0 or abs(value) >= LEAST))


def is_size(value):
    return is_number(value) and value >= 0


def is_positive(value):
    return is_number(value) and value > 0


def is_count(value):
    return isinstance(value, int) and is_positive(value)


def is_text(value):
    return isinstance(value, str)


def is_truth(value):
    return isinstance(value, bool)


def is_clock(value):
    return is_text(value) and value in CLOCKS


def are_samples(value):
    return isinstance(value, list) and bool(value) and all(map(is_number, value))


ROW = {"workload": is_text, "peer": is_text, "unit": is_text, "workers": is_count}
MEASURED = {"value": is_number, "spread": is_size, "count": is_size, "more_is_better": is_truth,
            "clock": is_clock, "samples": are_samples}
# Those that need not be there. What is told in one sentence comes together.
MORE = {"f": is_size, "f_ns": is_size, "make_ns": is_number} | dict.fromkeys(EXTRAS, is_number)
TOGETHER = {"p50_s": ("p99_s", "p999_s"), "late_median_s": ("late_worst_s",),
            "beyond_median_s": ("beyond_p99_s",)}
MACHINE = {"cpu": is_text, "cpus": is_count, "kernel": is_text, "libc": is_text}
METHOD = {"rounds": is_count}
MORE_METHOD = {"rounds_most": is_count, "scale": is_positive, "load_before": is_size}
PEER = {"version": is_text, "settings": is_text, "origin": is_text}


def shown(value):
    text = json.dumps(value)
    return text if len(text) <= 30 else text[:30] + "..."


def fault_in(what, where, needed, optional=None):
    for name, fits in needed.items():
        if name not in where:
            return f"{what} has no {name}"
        if not fits(where[name]):
            return f"{what}'s {name} is {shown(where[name])}"
    for name, fits in (optional or {}).items():
        if where.get(name) is not None and not fits(where[name]):
            return f"{what}'s {name} is {shown(where[name])}"
    return None


def row_fault(number, row):
    what = f"row {number}"
    if not isinstance(row, dict):
        return f"{what} is {shown(row)}"
    if fault := fault_in(what, row, ROW):
        return fault
    if row.get("value") is None:
        return fault_in(what, row, {"why": is_text})
    if fault := fault_in(what, row, MEASURED, MORE):
        return fault
    # One that is null is there: who tells of it looks for the name.
    needed = dict.fromkeys((name for name in EXTRAS if name in row), is_number)
    for first, others in TOGETHER.items():
        needed |= dict.fromkeys(others if first in row else (), is_number)
    return fault_in(what, row, needed | ({"make_ns": is_number} if "make_ns" in row else {}))


def result_fault(found, schema):
    """Enough to be compared with another."""
    if not isinstance(found, dict):
        return "it is no object"
    parts = {"machine": dict, "peers": dict, "method": dict, "date": str, "rows": list}
    needed = {name: (lambda value, kind=kind: isinstance(value, kind))
              for name, kind in parts.items()}
    if fault := fault_in("it", found, {"schema": lambda value: value == schema} | needed):
        return fault.replace("it's", "its")
    faults = (row_fault(number, row) for number, row in enumerate(found["rows"], 1))
    return next(filter(None, faults), None)


def showing_fault(found):
    """Enough to be shown, too."""
    for name, about in found["peers"].items():
        what = f"peer {shown(name)}"
        if not isinstance(about, dict):
            return f"{what} is {shown(about)}"
        needed = {"kind": is_text} | ({"why": is_text} if "why" in about else PEER)
        if fault := fault_in(what, about, needed):
            return fault
    return (fault_in("its machine", found["machine"], MACHINE)
            or fault_in("its method", found["method"], METHOD, MORE_METHOD))
