"""The page: a chart and a table for each workload. One file, which loads nothing from elsewhere."""

import html
import json
import pathlib

from figures import best_of, cost, groups, measured, number, quartiles, seconds, ties
from peer_table import OURS
from report_text import heading, machine_line, note, value_text, verdict_text, verdicts
from workload_table import BY_NAME

HERE = pathlib.Path(__file__).resolve().parent
# The place of Debian's libjs-chart.js, as in cmake/command.cmake.
CHART_JS = pathlib.Path("/usr/share/javascript/chart.js/chart.min.js")


class NoChartLibrary(Exception):
    pass


def escaped(text):
    return html.escape(str(text))


def table(rows):
    best = best_of(rows)
    lines = ["<table><thead><tr><th>peer<th>median<th>spread<th>of the best<th>count<th>"
             "</tr></thead><tbody>"]
    for row in sorted(measured(rows), key=cost):
        times = f"{cost(row) / cost(best):.2f} x"
        if row is not best and ties(row, best):
            times += " (tie)"
        ours = ' class="ours"' if row["peer"] in OURS else ""
        lines.append(f"<tr{ours}><td>{escaped(row['peer'])}<td>{escaped(value_text(row))}"
                     f"<td>{number(row['spread'])} {escaped(row['unit'])}<td>{times}"
                     f"<td>{row['count']:,}<td>{escaped(note(row))}</tr>")
    absent = {}  # by reason
    for row in rows:
        if row.get("value") is None:
            absent.setdefault(row["why"], []).append(row["peer"])
    lines += [f"<tr class=\"none\"><td colspan=6>not run: {escaped(', '.join(peers))}: "
              f"{escaped(why)}</tr>" for why, peers in absent.items()]
    return "".join(lines) + "</tbody></table>"


def section(index, rows):
    judged = "".join(f"<p class=\"{each['state']}\">{escaped(verdict_text(each))}</p>"
                     for each in verdicts(rows))
    bars = len(measured(rows))
    chart = (f"<div class=\"plot\" style=\"height: {3.5 + 1.9 * bars}rem\">"
             f"<canvas id=\"plot{index}\"></canvas></div>") if bars else ""
    return f"<section><h2>{escaped(heading(rows))}</h2>{chart}{judged}{table(rows)}</section>"


def label(row, best):
    """What stands beside a bar."""
    text = (seconds(row["value"] * 1e-9) if row["unit"] == "ns"
            else f"{number(row['value'])} {row['unit']}")
    return text + (", tie" if row is not best and ties(row, best) else "")


def plots(grouped):
    """What the script draws."""
    found = []
    for index, rows in enumerate(grouped):
        done = sorted(measured(rows), key=cost)
        if not done:
            continue
        values = [row["value"] for row in done]
        better = "more" if done[0]["more_is_better"] else "less"
        found.append({
            "id": f"plot{index}", "title": f"{done[0]['unit']}, {better} is better",
            "logarithmic": max(values) > 20 * min(values) > 0,
            "rows": [{"peer": row["peer"], "value": row["value"], "text": value_text(row),
                      "label": label(row, done[0]), "quartiles": quartiles(row["samples"]),
                      "ours": row["peer"] in OURS} for row in done]})
    return found


def page(result):
    if not CHART_JS.is_file():
        raise NoChartLibrary(f"{CHART_JS} is missing: install libjs-chart.js (./do setup)")
    grouped = [rows for rows in groups(result["rows"]).values()
               if rows[0]["workload"] in BY_NAME]
    peers = "".join(
        f"<tr><td>{escaped(name)}<td>{escaped(about['kind'])}<td>"
        + (f"-<td>left out: {escaped(about['why'])}" if "why" in about else
           f"{escaped(about['version'])}<td>{escaped(about['settings'])}") + "</tr>"
        for name, about in result["peers"].items())
    # "</" would end the script element that the data stands in.
    data = json.dumps(plots(grouped)).replace("</", "<\\/")
    parts = {
        "machine": escaped(machine_line(result)), "peers": peers, "data": data,
        "sections": "\n".join(section(index, rows) for index, rows in enumerate(grouped)),
        "chart_js": CHART_JS.read_text(encoding="utf-8").replace("</script", "<\\/script"),
    }
    text = (HERE / "page.html").read_text(encoding="utf-8")
    for name, value in parts.items():
        before, mark, after = text.partition(f"@{name}@")
        assert mark, name
        text = before + value + after
    return text
