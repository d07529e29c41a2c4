#!/usr/bin/env python3
"""The comparison with peers: its arithmetic, its refusals, and a run in which all is very small.

No figure is looked at. Peers that need Go or Rust are not asked for, so that nothing is built or
fetched. Environment: TREADLE_BUILD_DIR, TREADLE_INSTRUMENTED, TREADLE_SOURCE_DIR. Exit status 77
where the programs are not built.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
SOURCE = pathlib.Path(os.environ["TREADLE_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["TREADLE_BUILD_DIR"])
FOLDER = SOURCE / "bench" / "peers"
sys.path[:0] = [str(FOLDER), str(FOLDER.parent), str(FOLDER.parent / "servers")]
sys.dont_write_bytecode = True

import compare  # noqa: E402
import figures  # noqa: E402
import peer_table  # noqa: E402
import report_text  # noqa: E402
import rounds  # noqa: E402
import workload_table  # noqa: E402

HERE_ALWAYS = ("treadle", "treadle-m1", "treadle-tasks", "nptl", "boost.fiber", "asio-callbacks",
               "asio-bare")
SLOW = ("echo_10000", "http_10000", "sleepers")  # one peer each is enough here
LEFT_OUT = ("has nothing of the kind", "has one worker only", "fewer than 2 CPUs are allowed",
            "the server and the load need a CPU each")


def row(peer="treadle", value=100.0, spread=1.0, f=10.0, **more):
    return {"workload": "yield", "workers": 1, "peer": peer, "unit": "ns", "more_is_better": False,
            "clock": "cpu", "count": 1000, "value": value, "spread": spread, "f": f,
            "samples": [value - spread, value, value + spread]} | more


def peers(*words):
    return subprocess.run([sys.executable, "-B", FOLDER / "peers.py", "--build", BUILD, *words],
                          capture_output=True, text=True, check=False)


class Arithmetic(unittest.TestCase):
    def test_value_is_the_median_of_all_rounds_and_f_that_of_the_ratios(self):
        workload = workload_table.BY_NAME["yield"]
        found = [({"operations": 1000, "cpu_s": cpu, "wall_s": 1.0}, unit)
                 for cpu, unit in ((10e-6, 5.0), (20e-6, 5.0), (90e-6, 10.0))]
        got = figures.row_of(workload, 1, "treadle", 500, found)
        self.assertAlmostEqual(got["value"], 20)
        self.assertAlmostEqual(got["f"], 4)  # of 2, 4 and 9
        self.assertAlmostEqual(got["spread"], 40)  # quartiles at 15 and 55
        self.assertEqual(got["clock"], "cpu")

    def test_two_workers_are_timed_on_the_wall_unless_the_workload_says_otherwise(self):
        one = {"operations": 10, "cpu_s": 4e-6, "wall_s": 2e-6}
        self.assertAlmostEqual(
            figures.row_of(workload_table.BY_NAME["fib"], 2, "go", 1, [(one, 5.0)])["value"], 200)
        self.assertAlmostEqual(
            figures.row_of(workload_table.BY_NAME["sleepers"], 2, "go", 1, [(one, 5.0)])["value"],
            400)

    def test_rows_whose_ranges_between_the_quartiles_overlap_tie(self):
        self.assertTrue(figures.ties(row(value=100, spread=11), row(value=105, spread=1)))
        self.assertFalse(figures.ties(row(value=100, spread=8), row(value=105, spread=1)))
        self.assertTrue(figures.ties(row(samples=[5.0]), row(samples=[5.0])))
        far = row(samples=[800.0, 900.0, 5000.0])  # its spread is larger than the difference
        self.assertFalse(figures.ties(row(), far))

    def test_targets(self):
        ahead = workload_table.AHEAD
        fast = [row(value=50), row("go", 100), row("nptl", 900)]
        self.assertEqual(figures.verdict(ahead, fast)["state"], "reached")
        self.assertEqual(figures.verdict(ahead, fast)["best"], "go")
        self.assertAlmostEqual(figures.verdict(ahead, fast)["ratio"], 0.5)
        self.assertEqual(figures.verdict(ahead, [row(value=120), row("go", 100)])["state"], "short")
        self.assertEqual(
            figures.verdict(ahead, [row(value=120, spread=50), row("go", 100)])["state"], "tie")
        self.assertIsNone(figures.verdict(ahead, [row()]))

    def test_of_a_rate_more_is_better(self):
        rates = [row(value=10, unit="Mop/s", more_is_better=True),
                 row("go", 20, unit="Mop/s", more_is_better=True)]
        self.assertEqual(figures.best_of(rates)["peer"], "go")
        self.assertAlmostEqual(figures.verdict(workload_table.AHEAD, rates)["ratio"], 2)

    def test_what_needs_more_memory_than_there_is_is_not_started(self):
        workload = dataclasses.replace(workload_table.BY_NAME["parked_1m"],
                                       gigabytes={"treadle": 1e9})
        peer = next(each for each in peer_table.PEERS if each.name == "treadle")
        # There is no command: to start one would fail.
        found = rounds.Rounds({}, None, 1, 1.0).group(workload, 1, [peer])
        self.assertIsNone(found[0]["value"])
        self.assertIn("needs 1e+09 GB of memory", found[0]["why"])

    def test_a_server_that_could_not_keep_up_is_told(self):
        times = {"p50_s": 1e-3, "p99_s": 2e-3, "p999_s": 3e-3}
        self.assertNotIn("lack", report_text.note(row(unanswered_part=0.001, **times)))
        self.assertIn("25% not sent for lack of answers",
                      report_text.note(row(unanswered_part=0.25, **times)))

    def test_every_workload_has_a_treadle_row_and_known_peers(self):
        for workload in workload_table.WORKLOADS:
            self.assertTrue(workload.targets, workload.name)
            for name in [*workload.less, *workload.own_count, *workload.warm_ups]:
                self.assertIn(name, peer_table.NAMES)


class Comparison(unittest.TestCase):
    def regressions(self, old, new, noise=0.1):
        return compare.compare(old, new, noise)[1]

    def test_the_same_and_the_better_are_no_regression(self):
        self.assertEqual(self.regressions([row()], [row()]), [])
        self.assertEqual(self.regressions([row()], [row(value=10, f=1)]), [])

    def test_worse_beyond_the_bound_is(self):
        self.assertEqual(self.regressions([row()], [row(value=109, f=10.9)]), [])
        self.assertEqual(len(self.regressions([row()], [row(value=120, f=12)])), 1)

    def test_the_bound_grows_with_the_spread(self):
        self.assertEqual(self.regressions([row()], [row(value=120, f=12, spread=30)]), [])

    def test_f_carries_over_to_a_slower_machine(self):
        self.assertEqual(self.regressions([row()], [row(value=200, f=10)]), [])
        self.assertEqual(len(self.regressions([row()], [row(value=100, f=20)])), 1)

    def test_without_f_in_one_of_them_the_values_count(self):
        self.assertEqual(len(self.regressions([row()], [row(value=200, f=None)])), 1)

    def test_of_a_rate_less_is_worse(self):
        rate = {"unit": "Mop/s", "more_is_better": True, "f": None}
        self.assertEqual(len(self.regressions([row(**rate)], [row(value=50, **rate)])), 1)
        self.assertEqual(self.regressions([row(**rate)], [row(value=500, **rate)]), [])

    def test_a_row_that_can_no_longer_be_measured_is_a_regression(self):
        gone = {"workload": "yield", "workers": 1, "peer": "treadle", "value": None, "why": "hangs",
                "unit": "ns"}
        lines, found = compare.compare([row()], [gone], 0.1)
        self.assertEqual(len(found), 1)
        self.assertIn("hangs", lines[0])

    def test_rows_that_say_nothing_about_each_other_are_not_compared(self):
        for changed in ({"count": 500}, {"unit": "B", "f": None}, {"clock": "wall"}, {"value": 0}):
            lines, found = compare.compare([row()], [row(**changed)], 0.1)
            self.assertEqual(found, [])
            self.assertIn("not compared", lines[0])

    def test_what_the_second_run_left_out_is_not(self):
        self.assertEqual(self.regressions([row()], [row(workload="fib")]), [])

    def test_peers_are_not_judged(self):
        self.assertEqual(self.regressions([row("go")], [row("go", 900, f=90)]), [])


class Refusals(unittest.TestCase):
    def refused(self, words, *expected):
        done = peers(*words)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        for text in expected:
            self.assertIn(text, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_unknown_names_are_refused_with_what_is_allowed(self):
        self.refused(["--only", "yield,knitting"], "'knitting'", "allowed: switch, yield")
        self.refused(["--among", "treadle,erlang"], "'erlang'", "tokio-current")

    def test_numbers_that_make_no_sense(self):
        for option, given, allowed in (("--rounds", "0", "a whole number"),
                                       ("--rounds", "1.5", "a whole number"),
                                       ("--scale", "-1", "a number"), ("--noise", "-1", "a number"),
                                       ("--noise", "nan", "a number")):
            self.refused([option, given], f"{option} is '{given}'; allowed: {allowed} above 0")
        self.refused(["--compare", "one.json"], "peers: --compare: expected 2 arguments")

    def test_results_that_are_not_whole_are_not_compared(self):
        whole = {"schema": 1, "date": "", "machine": {}, "peers": {}, "method": {}, "rows": [row()]}
        with tempfile.TemporaryDirectory() as folder:
            good, bad = pathlib.Path(folder, "good.json"), pathlib.Path(folder, "bad.json")
            good.write_text(json.dumps(whole), encoding="utf-8")
            self.assertEqual(peers("--compare", good, good).returncode, 0)
            for changed, expected in (
                    ({"schema": 2}, "was not written by"), ({"rows": "none"}, "was not written by"),
                    ({"rows": [{"workload": "yield"}]}, "was not written by"),
                    ({"rows": [row(samples=[])]}, "was not written by"),
                    ({"rows": [row() | {"value": "fast"}]}, "was not written by"),
                    ({"rows": [row() | {"value": 5e-324}]}, "was not written by"),
                    ({"rows": [row() | {"count": 10 ** 400}]}, "was not written by"),
                    ({"rows": [row() | {"f": -1.0}]}, "was not written by"),
                    ({"rows": [row() | {"spread": -1.0}]}, "was not written by"),
                    ({"rows": [row(clock="sun")]}, "row 1's clock is \"sun\""),
                    ({"rows": [row(p50_s="soon")]}, "row 1's p50_s is"),
                    ({"rows": [row(p50_s=1e-3)]}, "row 1 has no p99_s"),
                    ({"rows": [row(), row()]}, "has two rows of"),
                    ({"rows": []}, "has no rows"), ({"rows": [row("go")]}, "no row of Treadle's"),
                    ({"rows": [row(workload="fib")]}, "no row of Treadle's")):
                bad.write_text(json.dumps(whole | changed), encoding="utf-8")
                if "Treadle" not in expected:  # in either place
                    self.refused(["--compare", good, bad], str(bad), expected)
                self.refused(["--compare", bad, good], str(bad), expected)
            self.refused(["--compare", folder, good], f"{folder}: Is a directory")
            report = pathlib.Path(folder, "report.html")
            self.refused(["--from", good, "--from", good], "does not say on what and how")
            self.refused(["--from", good, "--report", report], "does not say on what and how")
            self.assertFalse(report.exists())

    def test_nothing_is_put_where_there_is_no_place_or_nothing_to_put(self):
        about = {"machine": {"cpu": "c", "cpus": 1, "kernel": "k", "libc": "l"},
                 "method": {"rounds": 1}, "peers": {}, "schema": 1, "date": ""}
        with tempfile.TemporaryDirectory() as folder:
            found, document = pathlib.Path(folder, "a.json"), pathlib.Path(folder, "a.md")
            found.write_text(json.dumps(about | {"rows": [row()]}), encoding="utf-8")
            self.refused(["--from", found, "--into", document], f"{document}: No such file")
            document.write_text("no marks", encoding="utf-8")
            self.refused(["--from", found, "--into", document], f"{document} has no <!-- peers -->")
            text = "<!-- peers -->\nold\n<!-- end of peers -->\n"
            document.write_text(text, encoding="utf-8")
            found.write_text(json.dumps(about | {"rows": [row(workload="knitting")]}),
                             encoding="utf-8")
            self.refused(["--from", found, "--into", document], "no row of a workload")
            self.assertEqual(document.read_text(encoding="utf-8"), text)

    def test_files_that_are_missing_or_something_else(self):
        with tempfile.TemporaryDirectory() as folder:
            absent = pathlib.Path(folder, "absent.json")
            self.refused(["--compare", absent, absent], f"{absent}: No such file")
            other = pathlib.Path(folder, "other.json")
            other.write_text("[]", encoding="utf-8")
            self.refused(["--compare", other, other], "was not written by")
            other.write_text("[" * 100_000, encoding="utf-8")
            self.refused(["--compare", other, other], "is not JSON")
            other.write_text("no JSON", encoding="utf-8")
            self.refused(["--from", other], "is not JSON")
            self.refused(["--json", pathlib.Path(folder, "no", "where.json")], "cannot write")


@unittest.skipUnless((BUILD / "bin" / "bench-peer-treadle").is_file(), "not built")
@unittest.skipIf(os.environ.get("TREADLE_INSTRUMENTED"), "instrumented")
class SmallRun(unittest.TestCase):
    def test_every_workload_runs_and_is_told_in_four_ways(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            found, page, document = (folder / each for each in ("a.json", "a.html", "a.md"))
            document.write_text("before\n<!-- peers -->\nold\n<!-- end of peers -->\nafter\n",
                                encoding="utf-8")
            quick = [each for each in workload_table.NAMES if each not in SLOW]
            self.run_small(quick, HERE_ALWAYS, folder / "quick.json")
            self.run_small(SLOW, ["treadle"], folder / "slow.json")
            done = peers("--from", folder / "quick.json", "--from", folder / "slow.json",
                         "--json", found, "--report", page, "--into", document)
            self.assertEqual(done.returncode, 0, done.stderr)
            result = json.loads(found.read_text(encoding="utf-8"))
            self.check_rows(result["rows"])
            for each in workload_table.NAMES:
                self.assertIn(f"\n{each}, 1 worker", "\n" + done.stdout)
            self.check_page(page.read_text(encoding="utf-8"))
            self.check_document(document.read_text(encoding="utf-8"))
            self.check_reuse(folder, found, result)

    def run_small(self, workloads, among, path):
        done = peers("--only", ",".join(workloads), "--among", ",".join(among), "--rounds", "1",
                     "--scale", "0.002", "--json", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"\n{workloads[-1]}, 1 worker", "\n" + done.stdout)

    def check_rows(self, rows):
        seen = {(each["workload"], each["workers"], each["peer"]) for each in rows}
        for workload in workload_table.WORKLOADS:
            for workers in workload.workers:
                for peer in ("treadle",) if workload.name in SLOW else HERE_ALWAYS:
                    self.assertIn((workload.name, workers, peer), seen)
        for each in rows:
            if each["value"] is None:
                if "ulimit" not in each["why"]:
                    self.assertIn(each["why"], LEFT_OUT)
                continue
            self.assertGreater(len(each["samples"]), 0)
            self.assertGreater(each["count"], 0)
            if each["unit"] != "B":  # a few parked threads may fit into memory that was there
                self.assertGreater(each["value"], 0)
            if each["unit"] == "ns":
                self.assertGreater(each["f"], 0)
            if each["workload"].startswith(("echo_", "http_")):
                self.assertLessEqual(each["p50_s"], each["p999_s"])
            if each["workload"] == "mixed":
                self.assertLessEqual(each["beyond_median_s"], each["beyond_p99_s"])
            if each["workload"].startswith("mutex_64_"):
                self.assertIn("longest_wait_s", each)

    def check_page(self, text):
        self.assertIn("</html>", text)
        self.assertIn("plot0", text)
        self.assertNotIn(' src="', text)
        self.assertNotIn("<link", text)
        self.assertNotIn("@sections@", text)

    def check_document(self, text):
        self.assertTrue(text.startswith("before\n<!-- peers -->\nMachine: "), text[:80])
        self.assertTrue(text.endswith("<!-- end of peers -->\nafter\n"), text[-80:])
        self.assertNotIn("\nold\n", text)
        self.assertIn("| `yield` | 1 |", text)
        self.assertIn("- `nptl`: glibc", text)

    def check_reuse(self, folder, found, result):
        again = folder / "b.json"
        done = peers("--from", found, "--from", found, "--json", again)
        self.assertEqual(done.returncode, 0, done.stderr)
        merged = json.loads(again.read_text(encoding="utf-8"))
        self.assertEqual(sorted(map(str, merged["rows"])), sorted(map(str, result["rows"])))
        self.assertEqual(peers("--compare", found, found).returncode, 0)
        changed = [each for each in result["rows"]
                   if each["peer"] == "treadle" and each["workload"] == "handoff_semaphore"]
        for path, factor in ((found, 1), (again, 2)):
            for each in changed:
                each["value"], each["f"], each["spread"] = 10 * factor, 2 * factor, 0
            path.write_text(json.dumps(result), encoding="utf-8")
        done = peers("--compare", found, again)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("handoff_semaphore", done.stdout)


if __name__ == "__main__":
    if not (BUILD / "bin" / "bench-peer-treadle").is_file():
        print("bench-peer-treadle is not built")
    unittest.main()
