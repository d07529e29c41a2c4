"""Prose that must stay true: names in the docs exist, and programs in them are examples.

Looked at: README.md, HACKING.md and docs/*.md. Not the changelog and not docs/decisions, which
speak of the past and of what was rejected.
"""

import re

EXAMPLE = "examples/hello.cpp"
EXAMPLE_REGION = re.compile(r"^// readme: begin\n(.*?)^// readme: end$", re.M | re.DOTALL)

# What stands in C++ blocks of docs/*.md: such regions of any example.
CPP_BLOCK = re.compile(r"^```cpp\n(.*?)^```$", re.M | re.DOTALL)

_SUFFIXES = r"(?:hpp|cpp|S|md|py|sh|cmake|txt|json)"
_PATH = re.compile(r"^[\w.*-]+(?:/[\w.*-]+)+/?$|^[\w.-]+\." + _SUFFIXES + r"$")
_IDENTIFIER = re.compile(r"^~?[A-Za-z_]\w*(?:(?:::|\.)~?\w+)*(?:\(\))?$")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")

# Names of the system that our code has no reason to use.
_FOREIGN = ("posix_spawn",)

# Made by the build or by the user, so not in the tree.
_GENERATED = ("build/", "/", "http")


def documents(root):
    names = [root / "README.md", root / "HACKING.md", *sorted((root / "docs").glob("*.md"))]
    return [path for path in names if path.is_file()]


def spans(text):
    """Yields (line number, text) of what stands in single backticks outside fenced blocks."""
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            for match in re.finditer(r"`([^`]+)`", line):
                yield number, match.group(1)


def _path_exists(root, path):
    if path.startswith(_GENERATED):
        return True
    if "*" in path:
        return any(root.glob(path))
    return (root / path).exists() or ("/" not in path and any(root.glob("*/**/" + path)))


def problem_with(root, words, everything, span):
    """What is wrong with one span, or None."""
    if span.startswith(("./do", "do ")):
        word = (span.split() + [""])[1]
        known = re.search(r"^word_" + re.escape(word) + r"\(\)", everything, re.M)
        if word not in ("", "help") and not known:
            return f"./do has no word '{word}'"
    for option in _OPTION.findall(span):
        if option not in everything:
            return f"no program here has the option {option}"
    if _PATH.match(span):
        return None if _path_exists(root, span) else f"{span} does not exist"
    # A lone lower-case word may be English or another program's name.
    if _IDENTIFIER.match(span) and re.search(r"_|[A-Z]{2}|::|\(\)", span):
        if span.startswith("std::") or span in _FOREIGN or (root / span).is_file():
            return None
        for name in re.findall(r"\w+", span):
            if name not in words:
                return f"the name {name} is nowhere in the tree"
    return None


def check_example(root, text):
    """The README's C++ block is the region of the example, to the letter."""
    blocks = CPP_BLOCK.findall(text)
    example = root / EXAMPLE
    source = example.read_text(encoding="utf-8") if example.is_file() else ""
    region = EXAMPLE_REGION.search(source)
    if not region:
        return f"{EXAMPLE} has no lines between '// readme: begin' and '// readme: end'"
    if region.group(1) not in blocks:
        return f"no C++ block here is the same as the region of {EXAMPLE}"
    return None


def check_blocks(root):
    """Every C++ block of docs/*.md is part of a program in examples, to the letter."""
    programs = [example.read_text(encoding="utf-8")
                for example in sorted((root / "examples").glob("*.cpp"))]
    for path in sorted((root / "docs").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        for match in CPP_BLOCK.finditer(text):
            if not any(match.group(1) in program for program in programs):
                line = text.count("\n", 0, match.start()) + 1
                yield (path.relative_to(root).as_posix(), line,
                       "this C++ block is no part of a program in examples")


def problems(root, sources):
    everything = "\n".join(source.text for source in sources)
    words = set(re.findall(r"\w+", everything))
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        for line, span in spans(text):
            if what := problem_with(root, words, everything, span):
                yield path.relative_to(root).as_posix(), line, what
    readme = root / "README.md"
    if readme.is_file():
        if what := check_example(root, readme.read_text(encoding="utf-8")):
            yield "README.md", 1, what
    yield from check_blocks(root)
