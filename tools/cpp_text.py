"""C++ as text: blanks out comments and literals, and finds the bodies of functions.

A real parser would need the compile commands of a build; these rules must run in half a second on
a tree that does not yet build. What is removed is replaced by spaces, so that lines and columns
stay true.
"""

import bisect
import re

_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<raw>\b(?:u8|u|U|L)?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)")
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<char>(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+')
    """,
    re.VERBOSE | re.DOTALL,
)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def strip(text, keep_strings=False):
    """The text without comments and, unless asked to keep them, without literals."""

    def replace(match):
        if match.lastgroup != "comment" and match.group("comment") is None:
            if keep_strings:
                return match.group()
            # The quotes stay, so that `f("")` still has an argument.
            if match.group("string") is not None:
                return '"' + _blank(match.group()[1:-1]) + '"'
        return _blank(match.group())

    return _TOKEN.sub(replace, text)


def _without_preprocessor(code):
    """Blanks the directives with their continued lines: a macro's braces need not balance."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: _blank(m.group()), code, flags=re.M)


_TYPE_HEAD = re.compile(
    r"^\s*(?:export\s+)?(?:template\s*<.*>\s*)?(?:typedef\s+)?"
    r"(?:inline\s+)?(?:class|struct|union|namespace|extern)\b",
    re.DOTALL,
)
_ENUM_HEAD = re.compile(r"^\s*enum\b")
_INITIALISER_LIST = re.compile(r"\)\s*(?:noexcept\s*(?:\([^()]*\))?\s*)?:(?!:)")
_REQUIRES_EXPRESSION = re.compile(r"\brequires\s*(?:\([^()]*\)\s*)?$")


def _opens_scope(head):
    """Is `head {` a namespace or a type, in which functions stand?"""
    if not _TYPE_HEAD.match(head):
        return False
    # `struct point make() {` is a function; `struct alignas(64) point {` is not.
    plain = re.sub(r"\b(?:alignas|__attribute__|decltype)\s*\((?:[^()]|\([^()]*\))*\)", " ", head)
    plain = re.sub(r"<[^<>]*>", " ", plain)
    return "(" not in plain


def _is_body(head):
    """Is `head {` the body of a function (or of a lambda at namespace level)?"""
    stripped = head.rstrip()
    if _ENUM_HEAD.match(head) or not stripped or "(" not in stripped:
        return False
    if stripped.endswith(("=", ",", "(", "return")):
        return False
    constraint = re.search(r"\bconcept\b|\brequires\s+requires\b", head)
    if constraint and _REQUIRES_EXPRESSION.search(head):
        return False
    in_list = _INITIALISER_LIST.search(stripped)
    return not (in_list and re.search(r"[\w>]$", stripped[in_list.end():]))


def _matching_brace(code, start):
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, start):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return match.start()
    return len(code)


def functions(text):
    """Yields (name, first line, lines) of every function body; lines count from 1."""
    code = _without_preprocessor(strip(text))
    starts = [0] + [m.end() for m in re.finditer("\n", code)]

    def line_of(position):
        return bisect.bisect_right(starts, position)

    position, head_start, parens = 0, 0, 0
    for_scan = re.compile(r"[{}();]")
    while match := for_scan.search(code, position):
        mark, at = match.group(), match.start()
        position = match.end()
        if mark in "()":
            parens = max(0, parens + (1 if mark == "(" else -1))
        elif mark == "}" or (mark == ";" and parens == 0):
            head_start = position
        elif mark == "{":
            head = re.sub(r"^\s*(?:public|private|protected)\s*:", "", code[head_start:at])
            if parens == 0 and _opens_scope(head):
                head_start = position
                continue
            end = _matching_brace(code, at)
            position = end + 1
            if parens == 0 and _is_body(head):
                names = re.findall(r"([\w:~]+|operator[^\w\s]+)\s*\(", head)
                yield (names[0] if names else "?", line_of(at), line_of(end) - line_of(at) + 1)
                head_start = position


def calls(code, pattern):
    """Yields (position, name, arguments) of every call in stripped code whose name matches."""
    for match in re.finditer(r"(?:" + pattern + r")\s*\(", code):
        depth = 0
        for paren in re.compile(r"[()]").finditer(code, match.end() - 1):
            depth += 1 if paren.group() == "(" else -1
            if depth == 0:
                yield match.start(), match.group(), code[match.end():paren.start()]
                break
