"""The exercise notebooks: their form, and that nothing of a solution is handed out."""

import json
import re
import sys
from pathlib import Path

import pytest

from recsys_book import BOOK, REPOSITORY
from recsys_book.check import NotYet, check, exercises

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
    assert not re.search(r"check\(.*seed=", handed_out)  # by which hidden cases are drawn
    for word in ("SOLUTION", "HIDDEN"):
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


# ---------------------------------------------------------------- the list on the book's pages


@pytest.fixture
def small_house(tmp_path):
    """A book of one chapter and its exercises."""
    notebook = lambda *cells: json.dumps(
        {"cells": [{"cell_type": "markdown", "metadata": {}, "source": c} for c in cells]}
    )
    copies = tmp_path / "book/exercises/release/chapter_04"
    copies.mkdir(parents=True)
    (copies / "exercises_04.ipynb").write_text(
        notebook("# x\n\n| 4.1 | One (warm-up) | 10 | 2 |\n| 4.2 | Two | 70 | 5 |\n")
    )
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters/04_two_stages.ipynb").write_text(
        notebook(
            "# 4 · Two stages\n\n| **Time** | 45 minutes to read, a minute to run |",
            "<details open><summary><b>Check yourself</b></summary>\n\n</details>\n\n"
            "<details><summary><b>Exercises</b> (old)</summary>\n\n<details>\n\nhint\n\n</details>"
            "\n\nmore\n\n</details>\n\n<details><summary><b>Further reading</b></summary>\n\nx",
        )
    )
    return tmp_path


def test_the_list_is_read_from_the_notebooks(small_house):
    from classroom import as_list, as_table, read_assignments

    (one,) = read_assignments(small_house)
    assert (one.title, one.reading, one.minutes, one.points) == ("4 · Two stages", 45, 80, 7)
    text = as_list([one])
    assert "- 4.1 One (warm-up, 10 minutes)\n- 4.2 Two (70 minutes)" in text
    assert '<a href="exercises/release/chapter_04/exercises_04.ipynb" download>' in text
    table = as_table([one, one]).splitlines()
    assert table[2] == "| [4 · Two stages](../chapters/04_two_stages) | 45 | 2 | 80 | 7 |"
    assert table[-1] == "| **Together** | 90 | 4 | 160 | 14 |"


def test_a_chapters_fold_is_written_anew_and_nothing_else(small_house):
    from exercises import chapters_with_lists

    ((path, text),) = chapters_with_lists(small_house).items()
    old, new = (json.loads(t)["cells"] for t in (path.read_text(), text))
    assert new[0] == old[0]
    last = "".join(new[1]["source"])
    assert "hint" not in last and "more" not in last and last.count("<b>Exercises</b>") == 1
    assert "(two, about 80 minutes)" in last and "- 4.2 Two (70 minutes)" in last
    assert '<a href="../book/exercises/release/chapter_04/exercises_04.ipynb">' in last
    assert last.startswith("<details open><summary><b>Check yourself</b></summary>")
    assert last.endswith("<details><summary><b>Further reading</b></summary>\n\nx")


def test_a_list_that_cannot_be_made_says_why(small_house):
    from classroom import ExercisesError, read_assignments

    copy = small_house / "book/exercises/release/chapter_04/exercises_04.ipynb"
    copy.write_text(copy.read_text().replace("4.", "x."))
    with pytest.raises(ExercisesError, match="no table of exercises"):
        read_assignments(small_house)
    copy.unlink()
    with pytest.raises(ExercisesError, match=r"04_two_stages.ipynb has no exercises.*is missing"):
        read_assignments(small_house)


def test_the_chapters_lists_are_in_step_with_the_notebooks():
    from exercises import chapters_with_lists

    for path, text in chapters_with_lists().items():
        assert json.loads(text) == json.loads(path.read_text(encoding="utf-8")), "make exercises"


def test_every_chapter_has_its_exercises():
    assert assignments() == [f"chapter_{path.stem[:2]}" for path in CHAPTERS]


def test_the_teachers_page_names_every_exercise():
    page = (ROOT / "book/for-teachers.md").read_text(encoding="utf-8")
    for name in assignments():
        first, *_, last = exercises(int(name[-2:]))
        assert f"{first} to {last} |" in page, name


def test_the_example_on_the_pages_is_what_a_student_sees():
    wrong = lambda vectors, mask: (vectors * mask[..., None]).sum(1) / vectors.shape[1]
    with pytest.raises(NotYet) as stopped:
        check("2.3", wrong)
    for name in ("README.md", "book/exercises.md"):
        assert f"```text\n{stopped.value}\n```" in (ROOT / name).read_text(encoding="utf-8"), name
