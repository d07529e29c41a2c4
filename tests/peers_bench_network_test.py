#!/usr/bin/env python3
"""What measures servers beside each other (bench/peers/network.py): whose time it reads, what it
leaves behind, and what it says where it cannot measure. Environment: TREADLE_SOURCE_DIR."""

import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

FOLDER = pathlib.Path(os.environ["TREADLE_SOURCE_DIR"]) / "bench" / "peers"
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
sys.dont_write_bytecode = True

import network  # noqa: E402
import peer_table  # noqa: E402
import workload_table  # noqa: E402

NGINX = FOLDER / "nginx.py"


def start(script):
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)


class Processes(unittest.TestCase):
    def test_a_server_is_all_processes_that_it_starts_and_none_is_left(self):
        server = start("sleep 1000 & echo started; wait")
        server.stdout.readline()
        found = network.family(server.pid)
        self.assertIn(server.pid, found)
        self.assertEqual(len(found), 2)
        network.stop(server)
        while network.family(server.pid):  # or the test's limit says that one was left
            pass

    def test_the_time_is_that_of_all_of_them(self):
        server = start("(while :; do :; done) & while :; do :; done")
        while len(network.family(server.pid)) < 2:
            pass
        found = network.family(server.pid)
        for process in found:
            while network.cpu_seconds([process]) < 0.02:
                pass
        self.assertGreaterEqual(network.cpu_seconds(found), 0.04)
        network.stop(server)

    def test_sleeps_are_counted(self):
        server = start("for i in 1 2 3 4 5; do sleep 0.01; done; echo done; sleep 1000")
        server.stdout.readline()
        self.assertGreaterEqual(network.sleeps([server.pid]), 5)
        network.stop(server)

    def test_what_a_process_says_at_its_end_is_the_reason(self):
        server = start("echo why >&2")
        with self.assertRaisesRegex(network.Refused, "^the server: why$"):
            network.line_of(server, "the server")
        network.stop(server)


class Limits(unittest.TestCase):
    def test_too_few_descriptors_are_a_reason_with_both_numbers(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        network.check_descriptors(hard // 2 - 100)
        with self.assertRaises(network.Refused) as refused:
            network.check_descriptors(10**9)
        self.assertIn("1,000,000,000 connections", str(refused.exception))
        self.assertIn(f"{hard:,}", str(refused.exception))

    def test_every_workload_with_a_network_has_connections_and_a_rate(self):
        for workload in workload_table.WORKLOADS:
            if workload.has_network:
                self.assertEqual(workload.name.partition("_")[2], str(workload.more))
                self.assertGreater(workload.count, 0)
                self.assertIn(workload.name, peer_table.NETWORK)


class Nginx(unittest.TestCase):
    def test_it_has_http_only(self):
        done = subprocess.run([sys.executable, "-B", NGINX, "yield", "1", "1", "1"],
                              capture_output=True, text=True, check=False)
        if "no nginx" in done.stderr:
            self.skipTest(done.stderr.strip())
        self.assertEqual((done.returncode, done.stderr), (3, "has no workload yield\n"))

    def test_where_it_is_missing_one_line_says_so(self):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run([sys.executable, "-B", NGINX, "--version"], capture_output=True,
                                  text=True, check=False, env={"PATH": empty})
        if shutil.which("nginx", path="/usr/sbin"):
            self.assertRegex(done.stdout, r"^nginx [0-9.]+\n$")
        else:
            self.assertIn("Debian: nginx", done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
