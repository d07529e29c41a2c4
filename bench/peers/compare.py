"""Two results of `./do bench --peers`, the later one beside the earlier: has Treadle become worse?

A time of one operation is compared in f, which carries from one machine, or one hour, to another;
all else as it is. Worse means by more than the noise: the given bound, or both rows' spreads
together where they are larger. Only Treadle's own rows are judged. Peers' rows are looked at to say
how much the machine itself has moved.
"""

import math
import statistics

from figures import measured
from peer_table import OURS
from results import key


def comparable(row):
    """(value, spread, unit): in f where the row has it."""
    if row.get("f"):
        return row["f"], row["spread"] * row["f"] / row["value"], "f"
    return row["value"], row["spread"], row["unit"]


def not_comparable(old, new):
    """None, or why the two say nothing about each other."""
    if old["unit"] != new["unit"] or old["more_is_better"] != new["more_is_better"]:
        return f"in {old['unit']}, then in {new['unit']}"
    if old["count"] != new["count"]:
        return f"{old['count']} operations, then {new['count']}"
    if old["clock"] != new["clock"]:
        return f"{old['clock']} time, then {new['clock']} time"
    # Of memory that was there already, in runs of a small scale.
    return "nothing that could be measured" if min(old["value"], new["value"]) <= 0 else None


def change_of(old, new, noise):
    """How much worse the new row is (0.1: a tenth), the bound, and what that makes of it."""
    was, was_spread, unit = comparable(old)
    now, now_spread, new_unit = comparable(new)
    if unit != new_unit:  # one of the two runs had no f
        was, was_spread, now, now_spread = (old["value"], old["spread"], new["value"],
                                            new["spread"])
    worse = (was / now if old["more_is_better"] else now / was) - 1
    bound = max(noise, (was_spread / was) + (now_spread / now))
    if worse > bound:
        state = "worse"
    else:
        state = "better" if 1 / (1 + worse) - 1 > bound else "same"
    return worse, bound, state


def in_common(old, new):
    """Whether there is anything of ours to judge: also a row that has been lost is."""
    touched = {(row["workload"], row["workers"]) for row in new}
    return any(row["peer"] in OURS and (row["workload"], row["workers"]) in touched
               for row in measured(old))


def compare(old, new, noise):
    """(lines, regressions) for two lists of rows."""
    lines, regressions, drift = [], [], []
    now = {key(row): row for row in new}
    touched = {(row["workload"], row["workers"]) for row in new}
    for row in measured(old):
        name = f"{row['workload']} ({row['workers']}), {row['peer']}"
        later = now.get(key(row))
        ours = row["peer"] in OURS
        if later is None or later.get("value") is None:
            if ours and (row["workload"], row["workers"]) in touched:
                why = "no row" if later is None else later["why"]
                lines.append(f"{name:44} was measured and is not any more: {why}")
                regressions.append(name)
            continue
        if why := not_comparable(row, later):
            lines += [f"{name:44} not compared: {why}"] * ours
            continue
        worse, bound, state = change_of(row, later, noise)
        if not ours:
            drift.append(worse)
            continue
        if state == "worse":
            regressions.append(name)
        was, _, unit = comparable(row)
        lines.append(f"{name:44} {was:>10.4g} -> {comparable(later)[0]:>10.4g} {unit:8} "
                     f"{-worse if row['more_is_better'] else worse:+7.1%}  "
                     f"noise {bound:4.0%}  {state}")
    if drift:
        middle = math.exp(statistics.mean(math.log1p(each) for each in drift)) - 1
        lines.append(f"the {len(drift)} rows of peers, which did not change: {middle:+.1%} on "
                     "average")
    return lines, regressions
