#!/usr/bin/env python3
"""Programs of everyday's with threads give the result that they give natively. Those that are not
installed are named and left out; --stats proves that the others made threads.

TREADLE_REPEAT=N runs each N times.
"""

import http.server
import os
import pathlib
import random
import shutil
import socket
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from shim_run import (Failures, PROGRAMS, clean_environment, describe, need_shim,  # noqa: E402
                      run, under)

MODELS = (("m:n", 2), ("m:n", 1), ("m:1", 1))
SQLITE = """
import sqlite3, threading
name = "threads.db"
base = sqlite3.connect(name, timeout=60)
base.executescript("create table numbers (who, what);")
def add(who):
    own = sqlite3.connect(name, timeout=60)
    for what in range(60):
        with own:
            own.execute("insert into numbers values (?, ?)", (who, what * who))
    own.close()
threads = [threading.Thread(target=add, args=(who,)) for who in range(4)]
for one in threads: one.start()
for one in threads: one.join()
print(base.execute("select count(*), sum(what), max(who) from numbers").fetchall())
print(base.execute("pragma integrity_check").fetchall())
"""


def nothing(_):
    return None


class Case:
    """One program. `prepare` fills the folder that each run gets a copy of; `look` says what is to
    be the same besides status and output; None: not even the output."""

    def __init__(self, name, words, models=MODELS, environment=None, prepare=None, look=nothing):
        self.name = name
        self.words = words
        self.models = models
        self.environment = environment or {}
        self.prepare = prepare or nothing
        self.look = look or nothing
        self.same_output = look is not None

    def ready(self):
        if shutil.which(str(self.words[0])):
            return True
        print(f"{self.name}: not here, left out")
        return False


def git(folder, *words):
    found = run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder)
    if found.returncode:
        print(f"git {words}: {describe(found)}")
        sys.exit(1)
    return found.stdout


def make_repository(folder):
    git(folder, "init", "-q")
    chosen = random.Random(5)
    lines = [f"line {chosen.random()}\n" for _ in range(400)]
    for change in range(25):
        for file in range(4):
            lines[chosen.randrange(400)] = f"changed {change} {file}\n"
            (folder / f"file{file}").write_text("".join(lines))
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "--no-gpg-sign", "-m", f"change {change}")


def make_pack(folder):
    make_repository(folder)
    git(folder, "repack", "-adfq")
    pack, = folder.glob(".git/objects/pack/*.pack")
    pack.rename(folder / "all.pack")


def check_repository(folder):
    git(folder, "fsck", "--full", "--strict")
    kept = len(list(folder.glob(".git/objects/pack/*.pack")))
    return f"{kept} pack, {len(git(folder, 'rev-list', '--objects', '--all').splitlines())} objects"


def make_lines(folder):
    chosen = random.Random(3)
    text = "".join(f"{chosen.randrange(1 << 40):x} {i}\n" for i in range(300_000))
    (folder / "lines").write_text(text)


def content(name):
    return lambda folder: (folder / name).read_bytes()


def fetched(folder):
    return [(each.name, each.read_bytes()) for each in sorted(folder.glob("got-*"))]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    class RequestHandlerClass(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = self.path.encode() * 20_000
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    def __init__(self):
        # A name that is looked up, not one that curl knows: that is what it makes threads for.
        self.name = socket.gethostname()
        try:
            own = socket.gethostbyname(self.name)
        except OSError:
            self.name = None
            own = "127.0.0.1"
        super().__init__((own, 0), Server.RequestHandlerClass)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def cases(server):
    teams = PROGRAMS / "teams"
    address = f"http://{server.name}:{server.server_address[1]}"
    video = ["-nostdin", "-v", "error", "-threads", "4", "-f", "lavfi", "-i",
             "testsrc=duration=2:size=320x240:rate=25", "-c:v", "mpeg4", "-threads", "4"]
    yield Case("OpenMP", [teams], environment={"OMP_WAIT_POLICY": "passive"})
    # Threads that spin until another has come: m:1 cannot run that.
    yield Case("OpenMP, spinning", [teams], MODELS[:2], {"OMP_WAIT_POLICY": "active"})
    yield Case("git repack", ["git", "-c", "pack.threads=4", "repack", "-adfq"],
               prepare=make_repository, look=check_repository)
    yield Case("git index-pack",
               ["git", "index-pack", "--threads=4", "-o", "all.idx", "all.pack"],
               prepare=make_pack, look=content("all.idx"))
    yield Case("git grep", ["git", "grep", "--threads", "4", "-n", "changed 2"],
               prepare=make_repository)
    yield Case("sort", ["sort", "--parallel=4", "-o", "sorted", "lines"], prepare=make_lines,
               look=content("sorted"), environment={"LC_ALL": "C"})
    yield Case("sqlite", [sys.executable, "-c", SQLITE])
    if server.name is None:
        print("curl: this machine does not know its own name, left out")
    else:
        yield Case("curl", ["curl", "-s", "--parallel", "-o", "got-#1",
                            f"{address}/{{a,bb,ccc,dddd,eeeee}}"], look=fetched)
    yield Case("ffmpeg", ["ffmpeg", *video, "-flags", "+bitexact", "-f", "framemd5", "-"])
    yield Case("stress-ng", ["stress-ng", "--quiet", "--verify", "--temp-path", ".", "--timeout",
                             "1s", *(word for name in ("pthread", "mutex", "futex", "sem")
                                     for word in ("--" + name, "1"))])
    python = "/usr/bin/python3"
    tests = ["test.test_thread", "test.test_threading_local"]
    if run([python, "-c", f"import {', '.join(tests)}"]).returncode:
        print(f"{python}'s own tests: not here, left out")
    else:
        yield Case("python's tests", [python, "-m", "unittest", "-q", *tests], look=None)


def made_threads(stats):
    lines = stats.read_text().splitlines() if stats.exists() else []
    return any(line.startswith("threads_created ") and int(line.split()[1]) > 0 for line in lines)


def main():
    need_shim()
    failures = Failures()
    server = Server()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TREADLE_BUILD_DIR")) as place:
        for number, case in enumerate(cases(server)):
            if not case.ready():
                continue
            model_folder = pathlib.Path(place) / str(number)
            model_folder.mkdir()
            case.prepare(model_folder)

            def fresh(where=pathlib.Path(place) / "run", model_folder=model_folder):
                shutil.rmtree(where, ignore_errors=True)
                shutil.copytree(model_folder, where)
                return where

            environment = dict(clean_environment(), **case.environment)
            folder = fresh()
            native = run(case.words, cwd=folder, env=environment)
            expected = case.look(folder)
            failures.check(native.returncode == 0, f"{case.name} natively: {describe(native)}")
            for model, workers in case.models:
                for _ in range(int(os.environ.get("TREADLE_REPEAT", "1"))):
                    what = f"{case.name} under {model}, {workers} workers"
                    folder = fresh()
                    stats = pathlib.Path(place) / "stats"
                    stats.unlink(missing_ok=True)
                    found = under(model, workers, *case.words, options=["--stats", stats],
                                  cwd=folder, env=environment)
                    if not case.same_output:
                        native.stdout = found.stdout
                    failures.same(what, native, found)
                    failures.check(case.look(folder) == expected, f"{what}: another result")
                    failures.check(made_threads(stats), f"{what}: made no threads")
            print(case.name, *(f"{model} {workers}" for model, workers in case.models), sep=", ")
    failures.end()


if __name__ == "__main__":
    main()
