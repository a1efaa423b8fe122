"""The page on the package: its examples say what comes out, and no module is left out."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.S | re.M)
SHOWN = re.findall(r"^```\{api\} ([\w.]+)$", PAGE, re.M)
#: What the examples take for granted, or has nothing to call.
NOT_SHOWN = {
    "recsys_book.arguments", "recsys_book.machine", "recsys_book.rooms",
    "recsys_book.try_your_own", "recsys_book.data.fetch", "recsys_book.data.frames",
    "recsys_book.data.frappe", "recsys_book.data.kuairand_pure",
    "recsys_book.data.ml_latest_small", "recsys_book.data.ncf_ml_1m",
}  # fmt: skip


def test_examples_give_what_they_say():
    space, held = {}, 0
    for example in EXAMPLES:
        lines = example.split("\n")
        for statement in ast.parse(example).body:
            code = ast.unparse(statement)
            # Beside the statement, or in the line after it.
            _, says, expected = lines[statement.end_lineno - 1].partition("  # → ")
            after = lines[statement.end_lineno]
            if not says and after.startswith("# → "):
                _, says, expected = after.partition("# → ")
            if says:
                assert repr(eval(code, space)) == expected, code
                held += 1
            else:
                exec(code, space)
    assert held >= len(SHOWN)


def test_every_module_of_the_library_is_shown_and_every_class_has_an_example():
    package = ROOT / "recsys_book"
    files = [p for part in (".", "models", "data") for p in (package / part).glob("[!_]*.py")]
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts) for p in files}
    assert set(SHOWN) == names - NOT_SHOWN and len(SHOWN) == len(set(SHOWN))
    code = "\n".join(EXAMPLES)
    given = {  # what functions and classes give, and types of arguments
        "Calibration", "RankingReport", "Scorer", "History", "UserAUC", "Ranked", "Negatives",
        "Explanation", "Split", "CoreReport", "WatchExamples", "PairsOfUsers", "Index", "Proposal",
        "ContentUnavailable", "Search",
    }  # fmt: skip
    for name in SHOWN:
        text = (ROOT / (name.replace(".", "/") + ".py")).read_text(encoding="utf-8")
        for class_name in re.findall(r"^class ([A-Z]\w*)", text, re.M):
            assert class_name in given or re.search(
                rf"\b{class_name}\(|\b{class_name}\b[,.)]", code
            )


def test_docstrings_are_made_fit_for_the_page():
    import api

    lines = ["Rates |w| of `[B, N]` items:", "", "    a = |b|", "", "Args:", "    x: |y|, ``z|``."]
    api.make_fit(None, "function", "f", None, None, lines)
    assert lines[0] == r"Rates \|w\| of ``[B, N]`` items::"
    assert lines[1:5] == ["", "    a = |b|", "", "Args:"]
    assert lines[5] == r"    x: \|y\|, ``z|``."


@pytest.mark.parametrize("name", SHOWN)
def test_a_module_has_one_line_of_purpose(name):
    import api

    line = api.purpose(name)
    assert line.endswith((".", "?")) and len(line) < 110
