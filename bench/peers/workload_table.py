"""The workloads: what each measures, how much of it, and what Treadle is to reach."""

import dataclasses

# How a value is made of a repetition: unit, and whether more is better. `each` is time by
# operations; `speedup` the serial loop's time by this one's.
EACH = ("ns", False)
RATE = ("Mop/s", True)
BYTES = ("B", False)
SPEEDUP = ("x serial", True)
GAP = ("ms", False)

# For a million threads (measured: 3.9, 9.8 and 2.6 GB), and some to spare.
MILLION_GB = {"treadle": 5, "treadle-m1": 5, "state-threads": 5, "boost.fiber": 12, "go": 4}

# A peer that needs much longer does less; figures are per operation, so they stay comparable, and
# each row has its own count.
NPTL_20 = {"nptl": 20}


@dataclasses.dataclass(frozen=True)
class Target:
    ours: str
    limit: float  # of the best of theirs: in time, memory or 1 / rate
    theirs: tuple


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    what: str
    value: tuple
    count: int  # of one repetition
    workers: tuple = (1, 2)
    more: int = 0
    repetitions: int = 2  # of one process, after a warm-up
    rounds_most: int = 100  # what takes long, or gives the same each time, has fewer
    always_cpu: bool = False  # CPU time with two workers, too
    less: dict = dataclasses.field(default_factory=dict)  # peer: divides the count
    own_count: dict = dataclasses.field(default_factory=dict)  # peer: its count
    gigabytes: dict = dataclasses.field(default_factory=dict)  # peer: what it needs, if it is much
    warm_ups: dict = dataclasses.field(default_factory=dict)  # peer: of a server, if not one
    targets: tuple = ()

    @property
    def unit(self):
        return self.value[0]

    @property
    def has_network(self):
        return self.name.startswith(("echo_", "http_"))

    @property
    def more_is_better(self):
        return self.value[1]

    def count_of(self, peer, scale):
        """How much that peer does. Trees and squares are not scaled but by their own small size."""
        if self.name in SMALL and scale < 1:
            return SMALL[self.name]
        count = self.own_count.get(peer, self.count // self.less.get(peer, 1))
        return count if self.name in SMALL else max(10, int(count * scale))


# What is not proportional to its count has a small size for runs that only try everything.
SMALL = {"fib": 10, "skynet": 100, "queens": 8, "matrix": 64,
         "gap_block": 1, "gap_fault": 1, "gap_fsync": 1, "gap_hog": 1}

STACKFUL = ("nptl", "boost.fiber", "state-threads", "go", "java")
TOKIO = ("tokio", "tokio-current")
AHEAD = Target("treadle", 1.0, STACKFUL)
CALLBACKS = Target("treadle", 1.0, ("asio-callbacks",))
HALF_OF_TOKIO = Target("treadle-tasks", 0.5, TOKIO)
# Where most of the time is the kernel's and the table's, the same for both: half is out of reach.
NOT_ABOVE_TOKIO = Target("treadle-tasks", 1.0, TOKIO)
BELOW_ONETBB = Target("treadle-tasks", 0.75, ("onetbb",))


def network_row(protocol, what, message, connections, rate, **more):
    return Workload(f"{protocol}_{connections}", f"{what}, {connections:,} connection"
                    f"{'s' if connections > 1 else ''}, {rate:,} {message}s a second; CPU of the "
                    f"server a {message}", EACH, rate, workers=(1,), more=connections,
                    repetitions=1, rounds_most=3 if connections == 10_000 else 100,
                    targets=(AHEAD, CALLBACKS), **more)


def echo_row(connections, rate):
    return network_row("echo", "64-byte echo", "message", connections, rate, warm_ups={"java": 3})


def http_row(connections, rate):
    # Measured: after 3, 10 and 20 s Java's own server takes 366, 79 and 59 us a request of http_1.
    return network_row("http", "HTTP keep-alive", "request", connections, rate,
                       warm_ups={"java": 20})


def lock_row(name, inside, each):
    length = f"{inside / 1000:g} us" if inside >= 1000 else f"{inside} ns" if inside else "nothing"
    return Workload(name, f"64 threads, one mutex, {length} inside", RATE, each,
                    more=inside, targets=(AHEAD,))


WORKLOADS = [
    Workload("switch", "raw switch between two contexts", EACH, 3_000_000, workers=(1,),
             targets=(Target("treadle", 1.0, ("boost.context",)),)),
    Workload("yield", "two threads yield to each other", EACH, 500_000, workers=(1,), less=NPTL_20,
             targets=(AHEAD,)),
    Workload("spawn_join", "spawn and join, one after another", EACH, 300_000, less={"nptl": 50},
             targets=(AHEAD, HALF_OF_TOKIO)),
    Workload("bulk_spawn", "spawn 100,000, then join all", EACH, 100_000, less={"nptl": 10},
             targets=(AHEAD,)),
    Workload("handoff_semaphore", "two threads hand over by two semaphores", EACH, 300_000,
             less=NPTL_20, targets=(AHEAD, HALF_OF_TOKIO)),
    Workload("handoff_condition", "two threads hand over by a mutex and a condition variable",
             EACH, 300_000, less=NPTL_20, targets=(AHEAD,)),
    Workload("channel_unbuffered", "values through a channel without a buffer", EACH, 500_000,
             less=NPTL_20, targets=(AHEAD, HALF_OF_TOKIO)),
    Workload("channel_buffered", "values through a buffer of 1024", EACH, 2_000_000,
             targets=(AHEAD,)),
    lock_row("mutex_64_L0", 0, 10_000),
    lock_row("mutex_64_L100", 100, 10_000),
    lock_row("mutex_64_L1000", 1_000, 2_000),
    lock_row("mutex_64_L10000", 10_000, 200),
    Workload("fib", "recursive fib(27), a fork a call", EACH, 27,
             own_count={"nptl": 15, "boost.fiber": 23, "java": 23}, targets=(AHEAD, BELOW_ONETBB)),
    Workload("skynet", "a tree of 1,000,000 leaves, fan-out 10, a spawn a node", EACH, 1_000_000,
             own_count={"nptl": 1_000, "boost.fiber": 100_000, "state-threads": 100_000,
                        "java": 100_000},
             targets=(AHEAD, BELOW_ONETBB)),
    echo_row(1, 5_000),
    echo_row(64, 20_000),
    echo_row(1000, 20_000),
    echo_row(10_000, 20_000),
    http_row(1, 5_000),
    http_row(64, 20_000),
    http_row(1000, 20_000),
    http_row(10_000, 20_000),
    Workload("gap_block", "longest lateness of a tick beside calls that block for 50 ms", GAP, 4,
             more=50, targets=(AHEAD,)),
    Workload("gap_fault", "longest lateness of a tick beside 256 cold pages of a file", GAP, 4,
             more=2**20, targets=(AHEAD,)),
    Workload("gap_fsync", "longest lateness of a tick beside 10 fsync", GAP, 10, targets=(AHEAD,)),
    Workload("gap_hog", "longest lateness of a tick beside loops of 100 ms", GAP, 3, more=100,
             targets=(AHEAD,)),
    Workload("mixed", "requests of 32 children: a lock that all share, a timer of 0.1 to 2 ms, "
             "4 KiB of a cached file; 128 at once", EACH, 3_200, less={"nptl": 5},
             targets=(AHEAD, NOT_ABOVE_TOKIO)),
    Workload("queens", "12 queens, forks in the first four rows", SPEEDUP, 12, targets=(AHEAD,)),
    Workload("matrix", "512 x 512 by halves, 4,096 products of 32 x 32", SPEEDUP, 512,
             targets=(AHEAD,)),
    Workload("parked_100k", "100,000 parked, page tables included", BYTES, 100_000, workers=(1,),
             repetitions=1, rounds_most=2, less={"nptl": 10}, targets=(AHEAD,)),
    Workload("parked_1m", "1,000,000 parked, page tables included", BYTES, 1_000_000, workers=(1,),
             repetitions=1, rounds_most=1, gigabytes=MILLION_GB, targets=(AHEAD,)),
    Workload("sleepers", "100,000 sleep for 0 to 1000 ms each, CPU", EACH, 100_000, repetitions=1,
             rounds_most=3, always_cpu=True, less={"nptl": 10}, targets=(AHEAD,)),
]
NAMES = [workload.name for workload in WORKLOADS]
BY_NAME = {workload.name: workload for workload in WORKLOADS}
