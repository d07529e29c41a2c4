"""The rows as text: a block for each workload on the screen, and the tables of a document."""

import rounds
from figures import best_of, cost, groups, measured, number, seconds, ties, verdict
from peer_table import OURS
from workload_table import BY_NAME

UNANSWERED_LEAST = 0.01  # guess: less is what a load that was held up leaves at its end
CLOCKS = {"cpu": "CPU time", "wall": "wall time", "memory": "memory"}


def value_text(row):
    text = f"{number(row['value'])} {row['unit']}"
    if row.get("f"):
        text += f" ({number(row['f'])} f)"
    return text


def note(row):
    words = []
    if "longest_wait_s" in row:
        words.append(f"longest wait {seconds(row['longest_wait_s'])}")
    if "p50_s" in row:
        words.append(f"answer after {seconds(row['p50_s'])}, p99 {seconds(row['p99_s'])}, p99.9 "
                     f"{seconds(row['p999_s'])}")
    if "sleeps_each" in row:
        words.append(f"{row['sleeps_each']:.2f} sleeps each")
    if row.get("unanswered_part", 0) >= UNANSWERED_LEAST:
        words.append(f"{row['unanswered_part']:.0%} not sent for lack of answers")
    if "late_median_s" in row:
        words.append(f"late {seconds(row['late_median_s'])}, at most "
                     f"{seconds(row['late_worst_s'])}")
    if "beyond_median_s" in row:
        words.append(f"{seconds(row['beyond_median_s'])} beyond the longest timer, p99 "
                     f"{seconds(row['beyond_p99_s'])}")
    if "make_ns" in row:
        words.append(f"made in {number(row['make_ns'])} ns")
    return "; ".join(words)


def heading(rows):
    workload = BY_NAME[rows[0]["workload"]]
    done = measured(rows)
    clock = f", {CLOCKS[done[0]['clock']]}" if done else ""
    workers = f"{rows[0]['workers']} worker{'s' if rows[0]['workers'] > 1 else ''}"
    return f"{workload.name}, {workers}{clock}: {workload.what}"


def block(rows):
    """A workload with one number of workers, the best peer first."""
    lines = [heading(rows)]
    best = best_of(rows)
    for row in sorted(measured(rows), key=cost):
        spread = row["spread"] / row["value"] if row["value"] else 0
        times = f"{cost(row) / cost(best):.2f} x"
        tie = " tie" if row is not best and ties(row, best) else ""
        lines.append(f"  {row['peer']:14} {value_text(row):>24} {spread:>5.0%} {times:>9}{tie:4}"
                     f"  {note(row)}".rstrip())
    for row in rows:
        if row.get("value") is None and row["why"] != "has nothing of the kind":
            lines.append(f"  {row['peer']:14} not run: {row['why']}")
    lines += [f"  -> {verdict_text(judged)}" for judged in verdicts(rows)]
    return "\n".join(lines)


def verdicts(rows):
    found = [verdict(target, rows) for target in BY_NAME[rows[0]["workload"]].targets]
    return [judged for judged in found if judged]


def verdict_text(judged):
    return (f"{judged['ours']}: {judged['ratio']:.2f} x the best of its targets, "
            f"{judged['best']}, to reach {judged['limit']:g} x: {judged['state']}")


def cell(row, best):
    if row is None or row.get("value") is None:
        return "-"
    text = value_text(row)
    extra = note(row)
    if extra:
        text += f"; {extra}"
    return f"**{text}**" if row is best or ties(row, best) else text


def rounds_text(method):
    least, most = method["rounds"], method.get("rounds_most", method["rounds"])
    return str(least) if least == most else f"{least} to {most}"


def run_text(method):
    """What makes figures mean less."""
    text = ""
    if method.get("scale", 1.0) != 1.0:
        text += f" Scale: {method['scale']:g} of all counts, which is for trying only."
    if method.get("load_before", 0) > rounds.QUIET:
        text += f" Load average before: {method['load_before']:.1f}; the machine was busy."
    return text


def machine_line(result):
    at = result["machine"]
    return (f"Machine: {at['cpu']}, {at['cpus']} CPUs, Linux {at['kernel']}, {at['libc']}.\n"
            f"f = {at['f_ns'][0]:.2f} to {at['f_ns'][1]:.2f} ns. Date: {result['date']}. "
            f"Rounds: {rounds_text(result['method'])}.{run_text(result['method'])}")


def peer_lines(result):
    for name, peer in result["peers"].items():
        if "why" in peer:
            yield f"- `{name}`: left out: {peer['why']}"
        else:
            yield f"- `{name}`: {peer['version']}. {peer['settings']}. From: {peer['origin']}"


def markdown(result):
    """What goes into a document, between its marks."""
    rows = result["rows"]
    peers = [name for name, peer in result["peers"].items() if "why" not in peer]
    peers = [name for name in peers if name != "boost.context"]
    lines = [machine_line(result), "", *peer_lines(result), "",
             "| workload | workers | " + " | ".join(peers) + " |",
             "|---|---|" + "---|" * len(peers)]
    judged = []
    for (workload, workers), group in groups(rows).items():
        if not measured(group):
            continue
        best = best_of(group)
        by_peer = {row["peer"]: row for row in group}
        cells = [cell(by_peer.get(peer), best) for peer in peers]
        lines.append(f"| `{workload}` | {workers} | " + " | ".join(cells) + " |")
        judged += [(workload, workers, each) for each in verdicts(group)]
    lines += ["", "| row | workers | ours | beside | to reach | got | |",
              "|---|---|---|---|---|---|---|"]
    for workload, workers, each in judged:
        state = "**short**" if each["state"] == "short" else each["state"]
        lines.append(f"| `{workload}` | {workers} | {each['ours']} | {each['best']} | "
                     f"<= {each['limit']:g} x | {each['ratio']:.2f} x | {state} |")
    return "\n".join(lines)


def summary(rows):
    """One line at the end: how many targets are reached, and which are not."""
    states, short = {"reached": 0, "tie": 0, "short": 0}, []
    for (workload, workers), group in groups(rows).items():
        for each in verdicts(group):
            states[each["state"]] += 1
            if each["state"] == "short":
                short.append(f"{workload} ({workers}) {each['ours']} {each['ratio']:.2f} x "
                             f"{each['best']}")
    if not sum(states.values()):
        return f"no target could be judged: that needs one of {', '.join(OURS)} and a peer"
    text = f"targets: {states['reached']} reached, {states['tie']} ties, {states['short']} short"
    return text + "".join(f"\n  short: {each}" for each in short)
