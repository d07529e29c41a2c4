"""From repetitions to rows, and the arithmetic on them: medians, spread, ties, ratios.

A row is what one peer did in one workload with one number of workers. Its value is the median of
its samples, its spread the distance of their quartiles. Two rows tie when the ranges between their
quartiles overlap: then the difference is within what each differs from itself.
"""

import statistics


def quartiles(samples):
    if len(samples) < 2:
        return samples[0], samples[0]
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, high


def clock_of(workload, workers):
    if workload.unit == "B":
        return "memory"
    if workload.unit == "ms":
        return "wall"
    return "cpu" if workers == 1 or workload.always_cpu else "wall"


def value_of(workload, clock, repetition):
    if workload.unit == "B":
        return repetition["bytes"] / repetition["operations"]
    if workload.unit == "ms":
        return repetition["longest_wait_s"] * 1e3
    seconds = repetition["cpu_s" if clock == "cpu" else "wall_s"]
    if workload.unit == "x serial":
        return repetition["serial_s"] / seconds
    if workload.unit == "Mop/s":
        return repetition["operations"] / seconds / 1e6
    return seconds / repetition["operations"] * 1e9


# Extra fields of a repetition: in the row, and whether the worst counts (else the median).
EXTRAS = {"p50_s": False, "p99_s": False, "p999_s": False, "longest_wait_s": True,
          "late_median_s": False, "late_worst_s": True, "unanswered_part": False,
          "sleeps_each": False,
          "beyond_median_s": False, "beyond_p99_s": False}


def row_of(workload, workers, peer, count, found):
    """`found`: a list of (repetition, f in nanoseconds in its round)."""
    clock = clock_of(workload, workers)
    samples = [value_of(workload, clock, one) for one, _ in found]
    units = [unit for _, unit in found]
    low, high = quartiles(samples)
    row = {
        "workload": workload.name, "workers": workers, "peer": peer, "unit": workload.unit,
        "more_is_better": workload.more_is_better, "clock": clock, "count": count,
        "value": statistics.median(samples), "spread": high - low,
        "f_ns": statistics.median(units), "f": None, "samples": samples,
        "cpu_over_wall": statistics.median(one["cpu_s"] / one["wall_s"] for one, _ in found),
    }
    if workload.unit == "ns" and all(units):
        row["f"] = statistics.median(one / unit for one, unit in zip(samples, units))
    if workload.unit == "B":
        row["make_ns"] = statistics.median(
            one["cpu_s"] / one["operations"] * 1e9 for one, _ in found)
    for name, worst in EXTRAS.items():
        values = [one[name] for one, _ in found if name in one]
        if values and workload.unit != "ms":
            row[name] = max(values) if worst else statistics.median(values)
    return row


def cost(row):
    """What is smaller when it is better. Never 0: memory that was there already may be."""
    value = max(row["value"], 1e-12)
    return 1 / value if row["more_is_better"] else value


def ties(one, other):
    (low, high), (other_low, other_high) = quartiles(one["samples"]), quartiles(other["samples"])
    return low <= other_high and other_low <= high


def measured(rows):
    return [row for row in rows if row.get("value") is not None]


def best_of(rows, peers=None):
    chosen = [row for row in measured(rows) if peers is None or row["peer"] in peers]
    return min(chosen, key=cost, default=None)


def verdict(target, rows):
    """How our row of a group stands to the best of theirs; None where one of them is missing."""
    ours = best_of(rows, (target.ours,))
    theirs = best_of(rows, target.theirs)
    if ours is None or theirs is None:
        return None
    ratio = cost(ours) / cost(theirs)
    if ratio <= target.limit:
        state = "reached"
    else:
        state = "tie" if target.limit == 1.0 and ties(ours, theirs) else "short"
    if state == "reached" and target.limit == 1.0 and ties(ours, theirs):
        state = "tie"
    return {"ours": target.ours, "limit": target.limit, "best": theirs["peer"], "ratio": ratio,
            "state": state}


def groups(rows):
    """The rows by workload and workers, in their order."""
    found = {}
    for row in rows:
        found.setdefault((row["workload"], row["workers"]), []).append(row)
    return found


def number(value):
    """Three significant digits, without an exponent."""
    size = abs(value)
    if size >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.1g}"


def seconds(value):
    for at, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= at:
            return f"{number(value / at)} {unit}"
    return f"{number(value * 1e9)} ns"
