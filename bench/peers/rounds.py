"""The measuring: one process a peer and round, in turns, pinned; f in the same round.

With one worker a process has the last CPU that is allowed, with two the last two. A round goes over
all peers of a workload, and starts with another one each time; f is measured at its start.
"""

import json
import os
import signal
import subprocess
import sys

import network
from figures import row_of
from peer_table import with_workers

TAKES_AT_MOST_S = 120  # a process
F_TURNS = 1_000_000
QUIET = 0.5  # guess: half a CPU busy for a minute is not quiet
# Settings of the caller's that would change what is measured.
FOREIGN = ("TREADLE_", "LD_", "GO", "JAVA_", "JDK_", "TOKIO_", "TBB_", "MALLOC_", "GLIBC_")


class Failed(Exception):
    pass


def clean_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def ask(command, workload, workers, repetitions, count, more):
    """Runs one process; its repetitions."""
    cpus = sorted(os.sched_getaffinity(0))[-workers:]
    words = [*with_workers(command, workers), workload,
             *map(str, (workers, repetitions, count, more))]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False,
                              timeout=TAKES_AT_MOST_S, env=clean_environment(),
                              preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    except subprocess.TimeoutExpired:
        raise Failed(f"takes longer than {TAKES_AT_MOST_S} s") from None
    if done.returncode == -signal.SIGKILL:
        raise Failed("was killed, as the kernel does when there is no memory left")
    if done.returncode < 0:
        raise Failed(f"ends by {signal.Signals(-done.returncode).name}")
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Failed(said[-1] if said else f"exit status {done.returncode}")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if len(found) != repetitions:
        raise Failed(f"gives {len(found)} repetitions instead of {repetitions}")
    return found


def available_gigabytes():
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 / 1e9
    return 0


class Rounds:
    def __init__(self, commands, load, rounds, scale):
        self.commands = commands  # by peer
        self.load = load  # of the servers
        self.rounds = rounds
        self.scale = scale

    def unit(self):
        """One f in nanoseconds, now; 0 where Boost.Context is missing."""
        command = self.commands.get("boost.context")
        if command is None:
            return 0.0
        turns = max(1000, int(F_TURNS * min(1.0, self.scale)))
        one = ask(command, "switch", 1, 1, turns, 0)[0]
        return one["cpu_s"] / one["operations"] * 1e9

    def ask(self, workload, workers, peer):
        """The repetitions of one peer, now."""
        command = self.commands[peer.name]
        if not workload.has_network:
            return ask(command, workload.name, workers, workload.repetitions,
                       workload.count_of(peer.name, self.scale), workload.more)
        if len(os.sched_getaffinity(0)) < 2:
            raise Failed("the server and the load need a CPU each")
        try:
            return [network.measure(with_workers(command, workers), [self.load], workload,
                                    self.scale, clean_environment(),
                                    workload.warm_ups.get(peer.name, 1))]
        except network.Refused as reason:
            raise Failed(str(reason)) from None

    def group(self, workload, workers, peers):
        """The rows of one workload with that many workers."""
        found = {peer.name: [] for peer in peers}
        why = {peer.name: peer.why_not(workload.name, workers) for peer in peers}
        for peer, needed in workload.gigabytes.items():
            there = available_gigabytes()
            if peer in why and not why[peer] and needed * min(1.0, self.scale) > there:
                why[peer] = f"needs {needed:g} GB of memory; {there:.0f} GB are available"
        counts = {peer.name: workload.count_of(peer.name, self.scale) for peer in peers}
        if len(os.sched_getaffinity(0)) < workers:
            why = dict.fromkeys(why, f"fewer than {workers} CPUs are allowed")
        for turn in range(min(self.rounds, workload.rounds_most)):
            unit = self.unit() if not all(why.values()) else 0.0
            start = turn % len(peers)
            for peer in [*peers[start:], *peers[:start]]:
                if why[peer.name]:
                    continue
                try:
                    each = self.ask(workload, workers, peer)
                    found[peer.name] += [(one, unit) for one in each]
                except Failed as reason:
                    why[peer.name] = str(reason)
        return [self.row(workload, workers, peer, counts, why, found) for peer in peers]

    @staticmethod
    def row(workload, workers, peer, counts, why, found):
        if why[peer.name]:
            return {"workload": workload.name, "workers": workers, "peer": peer.name,
                    "unit": workload.unit, "value": None, "why": why[peer.name]}
        return row_of(workload, workers, peer.name, counts[peer.name], found[peer.name])


def load_before():
    """The load average, with a warning where it is high."""
    load = os.getloadavg()[0]
    if load > QUIET:
        print(f"warning: the load average is {load:.1f}; figures of a busy machine mislead",
              file=sys.stderr)
    return load
