"""Prose that must stay true: names in the docs exist, and the programs there are examples.

Looked at: README.md, HACKING.md and docs/*.md. Not the changelog and not docs/decisions, which
speak of the past and of what was rejected.
"""

import re

EXAMPLE = "examples/hello.cpp"
EXAMPLE_REGION = re.compile(r"^// readme: begin\n(.*?)^// readme: end$", re.M | re.DOTALL)

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
    blocks = re.findall(r"^```cpp\n(.*?)^```$", text, re.M | re.DOTALL)
    example = root / EXAMPLE
    source = example.read_text(encoding="utf-8") if example.is_file() else ""
    region = EXAMPLE_REGION.search(source)
    if not region:
        return f"{EXAMPLE} has no lines between '// readme: begin' and '// readme: end'"
    if region.group(1) not in blocks:
        return f"no C++ block here is the same as the region of {EXAMPLE}"
    return None


def check_regions(root, name, text):
    """Every C++ block of a page in docs is a region of an example, marked with the page's name."""
    mark = re.escape(name)
    region = re.compile(rf"^// {mark}: begin\n(.*?)^// {mark}: end$", re.M | re.DOTALL)
    known = [match for path in sorted((root / "examples").glob("*.cpp"))
             for match in region.findall(path.read_text(encoding="utf-8"))]
    for match in re.finditer(r"^```cpp\n(.*?)^```$", text, re.M | re.DOTALL):
        if match.group(1) not in known:
            yield text.count("\n", 0, match.start()) + 1, "no region of an example is this block"


def problems(root, sources):
    everything = "\n".join(source.text for source in sources)
    words = set(re.findall(r"\w+", everything))
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        if path.parent.name == "docs":
            name = path.relative_to(root).as_posix()
            for line, what in check_regions(root, name, text):
                yield name, line, what
        for line, span in spans(text):
            if what := problem_with(root, words, everything, span):
                yield path.relative_to(root).as_posix(), line, what
    readme = root / "README.md"
    if readme.is_file():
        if what := check_example(root, readme.read_text(encoding="utf-8")):
            yield "README.md", 1, what
