#!/usr/bin/env python3
"""The rules of the house that a compiler does not check. `tools/tidy.py [ROOT]`; also a ctest.

Every rule is a row of a table below or a small function in RULES. A broken rule is one line,
`file:line: what`, and exit status 1; a warning is the same line and no failure.
"""

import pathlib
import re
import sys

sys.dont_write_bytecode = True

import cpp_text
import tidy_docs

# Who may include whom. A room may also use all that those rooms use.
ROOMS = {
    "base": [],
    "trace": ["base"],
    "context": ["base"],
    "queue": ["base"],
    "thread": ["trace", "context"],
    "sched": ["thread", "queue"],
    "sync": ["sched"],
    "io": ["sched"],
    "task": ["sync", "io"],
    "public": ["sync", "io", "task"],
    "explore": ["sched", "io"],
    "shim": ["public"],
    "lab": ["public"],
    "cli": ["public", "lab"],
}

# The runtime itself: what users link.
RUNTIME = ("base trace context queue thread sched sync io task public shim explore").split()

# Pattern, the rooms it is banned from, the files that may have it, and why.
BANNED = [
    (r"std::(?:recursive_|timed_|recursive_timed_|shared_|shared_timed_)?mutex\b",
     [*RUNTIME, "lab", "cli"], (), "a kernel lock blocks the worker; use Treadle's own"),
    (r"std::condition_variable(?:_any)?\b",
     [*RUNTIME, "lab", "cli"], (), "a kernel wait blocks the worker; use Treadle's own"),
    (r"\bsystem_clock\b", [*RUNTIME, "lab", "cli"], (), "wall time jumps; use base/clock.hpp"),
    (r"std::atomic(?:_ref|_flag)?\b(?!_)", RUNTIME, ("treadle/base/atomic.hpp",),
     "atomics go through treadle/base/atomic.hpp"),
    (r"\b(?:thread_local|__thread)\b", RUNTIME,
     ("treadle/thread/current.hpp", "treadle/thread/current.cpp",
      "treadle/base/solo.hpp", "treadle/base/solo.cpp"),
     "thread-local state is reached through treadle/thread/current.hpp only"),
    (r"\b(?:std::)?(?:rand|srand)\s*\(", [*RUNTIME, "lab", "cli"], (), "libc's rand has a lock"),
]

# Only sched, its tests and runtime.cpp know that there are three models.
MODEL_NAMES = re.compile(r"many_to|one_to_one")
MODEL_BLIND_ROOMS = ("sync", "io", "shim")

# Headers without a guard, on purpose.
INCLUDED_TWICE = ("tests/conformance/porting_program.hpp",)

CODE_SUFFIXES = (".cpp", ".hpp", ".S", ".py", ".sh", ".cmake", ".txt")
CPP_SUFFIXES = (".cpp", ".hpp")
LINES_WARN, LINES_MAX = 400, 600
HEAD_LINES_WARN = 20
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
# Written in two halves, or this file would break its own rule.
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK|unimple" r"mented)\b")

ORDERS = re.compile(
    r"\b(?:relaxed|acquire|release|acq_rel|seq_cst|memory_order\w*|order|success|failure)\b")
ATOMIC_CALL = r"(?:\.|->)(?:load|store|exchange|fetch_\w+|compare_exchange_\w+|test_and_set)"


class Source:
    """One file of the tree, with the views that the rules look at."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.split("\n")
        self.is_cpp = path.suffix in CPP_SUFFIXES
        self.is_test = bool(re.search(r"_(?:test|bench)\.cpp$", self.path))
        self.code = cpp_text.strip(self.text) if self.is_cpp else ""
        parts = self.path.split("/")
        self.room = None
        if parts[0] == "treadle":
            self.room = parts[1] if len(parts) > 2 else "public"

    def line_of(self, position):
        return self.text.count("\n", 0, position) + 1


def allowed_rooms(room, seen=None):
    """The room and all below it."""
    seen = set() if seen is None else seen
    if room not in seen:
        seen.add(room)
        for below in ROOMS.get(room, []):
            allowed_rooms(below, seen)
    return seen


def room_of_include(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else "public"


def check_includes(source, root):
    if not source.is_cpp:
        return
    if source.room and source.room not in ROOMS:
        yield 1, f"'{source.room}' is no room; the table in tools/tidy.py has them all"
        return
    kept = cpp_text.strip(source.text, keep_strings=True)
    for match in re.finditer(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', kept, re.M):
        line, (mark, path) = source.line_of(match.start(2)), match.groups()
        own = path.split("/")[0] in ("treadle", "tests", "bench", "examples")
        beside = not source.room and ((root / source.path).parent / path).is_file()
        if mark == '"' and not own and not beside:
            yield line, f'"{path}": own headers are named from the root of the tree'
        if not own:
            continue
        if not (root / path).is_file():
            yield line, f"{path} does not exist"
        if not path.startswith("treadle/") or not source.room or source.is_test:
            continue
        target = room_of_include(path)
        if target not in allowed_rooms(source.room):
            yield line, f"{source.room} may not include {target} ({path})"
        if (MODEL_NAMES.search(path) and source.room != "sched"
                and source.path != "treadle/runtime.cpp"):
            yield line, "only runtime.cpp names concrete schedulers"


def check_model_names(source, _root):
    """No model's name in sync, io, shim or a public header, but for the option enum."""
    public_header = source.room == "public" and source.path.endswith(".hpp")
    if not source.is_cpp or source.is_test:
        return
    if source.room not in MODEL_BLIND_ROOMS and not public_header:
        return
    text = source.text
    if public_header:
        text = re.sub(r"enum class model\b[^{;]*\{[^}]*\}", lambda m: "\n" * m.group().count("\n"),
                      text)
    for number, line in enumerate(text.split("\n"), 1):
        if MODEL_NAMES.search(line):
            yield number, "a model's name; this file must not know that there are three"


def check_banned(source, _root):
    if not source.is_cpp or source.is_test:
        return
    for pattern, rooms, exempt, why in BANNED:
        if source.room not in rooms or source.path in exempt:
            continue
        for match in re.finditer(pattern, source.code):
            yield source.line_of(match.start()), f"{match.group()}: {why}"


def check_orders(source, _root):
    """Memory orders are always written."""
    if not source.is_cpp or source.is_test or source.room not in RUNTIME:
        return
    for position, name, arguments in cpp_text.calls(source.code, ATOMIC_CALL):
        if not ORDERS.search(arguments):
            yield source.line_of(position), f"{name.strip('.>-(')}() without a memory order"


def check_lengths(source, _root):
    count = len(source.lines) - 1
    if count > LINES_MAX:
        yield 1, f"{count} lines; {LINES_MAX} is the wall"
    elif count > LINES_WARN:
        yield 1, f"warning: {count} lines; past {LINES_WARN} ask why"
    if source.is_cpp:
        for name, line, lines in cpp_text.functions(source.text):
            if lines > FUNCTION_LINES_MAX:
                yield line, f"{name}() has {lines} lines; {FUNCTION_LINES_MAX} are allowed"


def check_text(source, _root):
    for number, line in enumerate(source.lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns; {COLUMNS_MAX} are allowed"
        if not line.isascii():
            yield number, "not ASCII"
        if line != line.rstrip():
            yield number, "space at the end of the line"
        if "\t" in line:
            yield number, "a tab"
        if match := UNFINISHED.search(line):
            yield number, f"{match.group()}: unfinished work is an issue, not a comment"
    if source.text and not source.text.endswith("\n"):
        yield len(source.lines), "no newline at the end"


def check_head(source, root):
    if not (source.is_cpp or source.path.endswith(".S")):
        return
    head = 0
    while head < len(source.lines) and source.lines[head].startswith("//"):
        head += 1
    # A header speaks for the source and the test that share its stem.
    header = re.sub(r"(?:_test|_bench)?\.cpp$", ".hpp", source.path)
    if head == 0 and (header == source.path or not (root / header).is_file()):
        yield 1, "no comment at the head that says what the file is"
    elif head > HEAD_LINES_WARN:
        yield 1, f"warning: a head of {head} lines; {HEAD_LINES_WARN} are enough"
    guarded = source.path.endswith(".hpp") and source.path not in INCLUDED_TWICE
    if guarded and not re.search(r"^#pragma once$", source.text, re.M):
        yield 1, "no #pragma once"


RULES = [check_includes, check_model_names, check_banned, check_orders, check_lengths, check_text,
         check_head]

FOLDERS = ("treadle", "tests", "bench", "examples", "tools", "cmake")
SINGLE_FILES = ("CMakeLists.txt", "do", ".ci/run")


def sources(root):
    paths = [p for folder in FOLDERS for p in sorted((root / folder).rglob("*"))
             if p.suffix in CODE_SUFFIXES and p.is_file() and "__pycache__" not in p.parts]
    paths += [root / name for name in SINGLE_FILES if (root / name).is_file()]
    return [Source(root, path) for path in paths]


def problems(root):
    """All that is wrong in the tree, as (file, line, what)."""
    found = sources(root)
    for source in found:
        for rule in RULES:
            for line, what in rule(source, root):
                yield source.path, line, what
    yield from tidy_docs.problems(root, found)


def main(arguments):
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent)
    failures = 0
    for path, line, what in problems(root.resolve()):
        print(f"{path}:{line}: {what}")
        failures += not what.startswith("warning:")
    if failures:
        print(f"tidy: {failures} broken rules")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
