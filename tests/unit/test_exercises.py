"""The exercise notebooks: their form, and that nothing of a solution is handed out."""

import json
import re
import sys
from pathlib import Path

import pytest

from recsys_book import BOOK, REPOSITORY
from recsys_book.check import exercises

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))

from exercises import EXERCISES, assignments  # noqa: E402

CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
ROW = re.compile(r"^\| (\d\.\d) \| (.+?)(?: \((.+)\))? \| (\d+) \| (\d+) \|$", re.M)


def read(kind, name):
    path = EXERCISES / kind / name / f"exercises_{name[-2:]}.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def text_of(cells, kind=None):
    return "\n\n".join("".join(c["source"]) for c in cells if kind in (None, c["cell_type"]))


def marked(cells):
    return [
        (c["metadata"]["nbgrader"], "".join(c["source"]))
        for c in cells
        if "nbgrader" in c["metadata"]
    ]


@pytest.mark.parametrize("name", assignments())
def test_form(name):
    cells, number = read("source", name), int(name[-2:])
    rows = ROW.findall(text_of(cells[:1]))
    assert [row[0] for row in rows] == list(exercises(number))
    assert 3 <= len(rows) <= 6 and 60 <= sum(int(row[3]) for row in rows) <= 120
    assert rows[0][2] == "warm-up" and rows[-1][2] == "open-ended"
    for one, title, kind, minutes, points in rows:
        assert exercises(number)[one].title == title
        told = f" ({kind}, {minutes} minutes)" if kind else f" ({minutes} minutes)"
        assert re.search(rf"^## {re.escape(one + ' ' + title + told)}$", text_of(cells), re.M), one
        of_it = [m for m, _ in marked(cells) if m["grade_id"].split("-")[1:3] == one.split(".")]
        assert sum(m.get("points", 0) for m in of_it if m["grade"]) == int(points), one
        assert any(m["solution"] and not m["grade"] for m in of_it), f"{one}: no answer cell"
    assert any(m["grade"] and m["solution"] for m, _ in marked(cells)), "no written answer"
    # Nobody can hand in an answer that is given in the text above it.
    assert "BEGIN" not in text_of(cells, "markdown")


@pytest.mark.parametrize("name", assignments())
def test_links_and_set_up_are_the_chapters(name):
    chapter = CHAPTERS[int(name[-2:])]
    cells = read("source", name)
    owner = REPOSITORY.removeprefix("https://github.com/")
    path = f"book/exercises/release/{name}/exercises_{name[-2:]}.ipynb"
    assert f"github/{owner}/blob/main/{path}" in text_of(cells[:1])
    assert f"{BOOK}chapters/{chapter.stem}.html" in text_of(cells[:1])
    install = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    (install,) = [c for c in install if "%pip" in "".join(c["source"])]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    assert code[0] == "".join(install["source"])
    assert "setup(seed=0)" in code[1]
    assert not re.search(r"```\{|:::|\{[a-z:]+\}`", text_of(cells, "markdown")), "MyST"


@pytest.mark.parametrize("name", assignments())
def test_a_students_copy_gives_nothing_away(name):
    source, copy = read("source", name), read("release", name)
    handed_out = text_of(copy)
    for word in ("SOLUTION", "HIDDEN", "seed=2"):
        assert word not in handed_out, word
    kept = {line.strip() for line in handed_out.splitlines()}
    secret = []
    for cell in source:
        text = "".join(cell["source"])
        for part in re.findall(r"### BEGIN \w+.*?\n(.*?)### END", text, re.S):
            secret += [line.strip() for line in part.splitlines()]
        meta = cell["metadata"].get("nbgrader", {})
        if meta.get("grade") and meta.get("solution"):
            secret += [line.strip() for line in text.splitlines()]
    secret = [
        line for line in secret if len(line) > 12 and not line.startswith(("import ", "from "))
    ]
    assert len(secret) > 10
    assert [line for line in secret if line in kept] == []
    answers = [m for m, _ in marked(copy) if m["solution"] and not m["grade"]]
    assert handed_out.count("raise NotImplementedError()") >= len(answers)
    assert all(not c.get("outputs") for c in copy)


@pytest.mark.parametrize("number", [int(name[-2:]) for name in assignments()])
def test_every_exercise_knows_at_least_two_misconceptions(number):
    for one, exercise in exercises(number).items():
        assert len(exercise.hints) >= 2, one
        for name, hint in exercise.hints.items():
            assert len(hint.split()) >= 6, (one, name)
            assert not name.endswith(".")
