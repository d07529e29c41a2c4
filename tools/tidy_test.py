"""Tests of the tidy tool: each rule finds its fault, and leaves the look-alike alone."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import cpp_text
import tidy
import tidy_docs

HEAD = "// What it is.\n"


def long_body(lines):
    return "{\n" + "  f();\n" * (lines - 2) + "}\n"


class Tree:
    """A tree in a temporary folder: {path: text}."""

    def __init__(self, **files):
        self.files = files

    def problems(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            for path, text in self.files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            return [what for _, _, what in tidy.problems(root)]


def problems_of(path, body, **more):
    head = HEAD + ("#pragma once\n" if path.endswith(".hpp") else "")
    return Tree(**{path: head + body}, **more).problems()


class CppText(unittest.TestCase):
    def lengths(self, text):
        return {name: lines for name, _, lines in cpp_text.functions(text)}

    def test_finds_functions_at_every_place_they_stand(self):
        text = (
            "namespace a::b {\nint free(int x) " + long_body(5)
            + "struct alignas(64) s : base<int(int)> {\n s() : a_{1}, b_(2) " + long_body(6)
            + "  bool operator==(const s&) const noexcept " + long_body(4)
            + "  int a_{0}; int table[2] = {1,\n2};\n};\n"
            + "template <class T>\nstruct t {\n void m() requires(sizeof(T) > 1) " + long_body(7)
            + "};\nenum class e { one, two };\n}\n"
        )
        self.assertEqual(self.lengths(text), {"free": 5, "s": 6, "operator==": 4, "m": 7})

    def test_concepts_tables_and_default_arguments_are_not_functions(self):
        text = (
            "template <class S> concept c = requires(S& s) {\n { s.f() };\n { s.g() };\n};\n"
            "constexpr row table[] = {\n{1, f(2)},\n};\n"
            "void declared(options o = {}, callback g = [] { return 1; });\n"
        )
        self.assertEqual(self.lengths(text), {})

    def test_braces_in_literals_comments_and_macros_do_not_count(self):
        text = (
            "#define OPEN(x) if (x) { \\\n  {\n"
            "int f() {\n  char c = '{'; // {\n  auto s = \"{\"; auto r = R\"x({{\")x\";\n"
            "  int n = 1'000'000; /* { */\n}\nint g() {\n}\n"
        )
        self.assertEqual(self.lengths(text), {"f": 5, "g": 2})


class Rules(unittest.TestCase):
    def assert_found(self, what, problems):
        self.assertTrue(any(what in p for p in problems), f"{what!r} not in {problems}")

    def test_include_directions(self):
        tree = Tree(**{
            "treadle/base/a.hpp": HEAD + "#pragma once\n",
            "treadle/queue/q.hpp": HEAD + '#pragma once\n#include "treadle/base/a.hpp"\n',
            "treadle/context/c.cpp": HEAD + '#include "treadle/queue/q.hpp"\n',
            "treadle/sched/s.cpp": HEAD + '#include "treadle/queue/q.hpp"\n',
        })
        self.assertEqual(tree.problems(),
                         ["context may not include queue (treadle/queue/q.hpp)"])

    def test_include_of_nothing(self):
        self.assert_found("does not exist",
                          problems_of("treadle/base/b.cpp", '#include "treadle/base/no.hpp"\n'))

    def test_models_are_unknown_to_public_headers_but_for_the_enum(self):
        self.assertEqual([], problems_of(
            "treadle/runtime.hpp", "enum class model { many_to_one, one_to_one, many_to_many };\n"))
        self.assert_found("a model's name",
                          problems_of("treadle/sync/w.cpp", "// as many_to_many does\n"))

    def test_banned_tokens_in_code_but_not_in_comments_or_tests(self):
        body = "std::mutex m;  // std::mutex\n"
        self.assertEqual(1, len(problems_of("treadle/sync/w.cpp", body)))
        self.assertEqual([], problems_of("treadle/sync/w_test.cpp", body))
        self.assert_found("atomic.hpp", problems_of("treadle/base/w.cpp", "std::atomic<int> a;\n"))
        self.assert_found("base/clock",
                          problems_of("treadle/lab/w.cpp", "auto t = system_clock::now();\n"))
        self.assert_found("current.hpp",
                          problems_of("treadle/thread/w.cpp", "thread_local int x;\n"))

    def test_orders_are_written(self):
        self.assert_found("without a memory order",
                          problems_of("treadle/base/w.cpp", "int f() { return a.load(); }\n"))
        self.assertEqual([], problems_of("treadle/base/w.cpp",
                                         "int f() { return a.load(base::acquire); }\n"))

    def test_lengths(self):
        self.assert_found("f() has 71 lines",
                          problems_of("treadle/base/w.cpp", "void f() " + long_body(71)))
        self.assertEqual([], problems_of("treadle/base/w.cpp", "void f() " + long_body(70)))
        self.assert_found("is the wall", problems_of("treadle/base/w.cpp", "int x;\n" * 600))
        self.assert_found("warning:", problems_of("treadle/base/w.cpp", "int x;\n" * 400))

    def test_text(self):
        self.assert_found("columns", problems_of("treadle/base/w.cpp", "// " + "x" * 98 + "\n"))
        self.assert_found("ASCII", problems_of("treadle/base/w.cpp", "// caf\u00e9\n"))
        self.assert_found("unfinished", problems_of("treadle/base/w.cpp", "// TO" "DO later\n"))
        self.assert_found("no newline", problems_of("treadle/base/w.cpp", "int x;"))

    def test_heads(self):
        self.assert_found("no comment", Tree(**{"treadle/base/w.cpp": "int x;\n"}).problems())
        self.assert_found("pragma once", Tree(**{"treadle/base/w.hpp": HEAD}).problems())


class Docs(unittest.TestCase):
    def problems(self, text):
        return Tree(**{
            "README.md": text + "```cpp\nint x;\n```\n",
            "examples/hello.cpp": HEAD + "// readme: begin\nint x;\n// readme: end\n",
            "do": "word_test() { ctest --preset; }\n",
        }).problems()

    def test_true_prose_is_left_alone(self):
        self.assertEqual([], self.problems(
            "`examples/hello.cpp`, `./do test --preset`, `word_test()`, `std::no_name`, `m:n`.\n"))

    def test_names_that_are_gone(self):
        for span in ("examples/gone.cpp", "./do fly", "treadle::gone_name", "--gone-option"):
            self.assertEqual(1, len(self.problems(f"`{span}`\n")), span)

    def test_the_snippet_is_the_example(self):
        found = Tree(**{
            "README.md": "```cpp\nint y;\n```\n",
            "examples/hello.cpp": HEAD + "// readme: begin\nint x;\n// readme: end\n",
        }).problems()
        self.assertEqual(["no C++ block here is the same as the region of " + tidy_docs.EXAMPLE],
                         found)

    def test_the_snippets_of_the_docs_are_examples(self):
        region = "// docs: begin\nint {};\n// docs: end\n"
        example = HEAD + region.format("a") + region.format("b")
        for block, problems in (("int a;", 0), ("int b;", 0), ("int c;", 1)):
            found = Tree(**{
                "docs/x.md": "```cpp\n" + block + "\n```\n",
                "examples/x.cpp": example,
            }).problems()
            self.assertEqual(problems, len(found), found)


if __name__ == "__main__":
    unittest.main()
