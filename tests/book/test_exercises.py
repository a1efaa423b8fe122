"""The exercise notebooks: their form, and that nothing of a solution is handed out."""

import copy
import json
import re
from pathlib import Path

import pytest
from exercises import EXERCISES, assignments, mend, mend_submitted

from recsys_book import BOOK, REPOSITORY
from recsys_book.check import NotYet, check, exercises

ROOT = Path(__file__).parents[2]
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


def handed_out():
    path = EXERCISES / "release/chapter_02/exercises_02.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))


def at(notebook, mark):
    """Places of the cells with a mark."""
    marks = [c["metadata"].get("nbgrader", {}).get("grade_id") for c in notebook["cells"]]
    return [i for i, m in enumerate(marks) if m == mark]


def split(notebook, mark, first, second):
    """As Jupyter splits a cell: the metadata stand in both."""
    (place,) = at(notebook, mark)
    cells = notebook["cells"]
    cells.insert(place, copy.deepcopy(cells[place]))
    cells[place] |= {"source": first, "id": "first-half"}
    cells[place + 1]["source"] = second


def text(cell):
    return "".join(cell["source"])


def whole(notebook):
    """Every mark that was handed out stands there once, as it was, with ids all different."""
    original = handed_out()
    wanted = {m["grade_id"]: m for m, _ in marked(original["cells"])}
    found = [m for m, _ in marked(notebook["cells"])]
    ids = [cell.get("id") for cell in notebook["cells"] if "id" in cell]
    assert len(ids) == len(set(ids))
    return sorted(m["grade_id"] for m in found) == sorted(wanted) and all(
        wanted[m["grade_id"]] == m for m in found
    )


def test_an_answer_split_within_a_function_is_joined():
    notebook = handed_out()
    split(notebook, "answer-2-2", "def rows_needed(n, share):\n    a = 1", "    return a")
    before = copy.deepcopy(notebook)
    mended, (line,) = mend(notebook, handed_out())
    assert notebook == before and whole(mended)
    (place,) = at(mended, "answer-2-2")
    assert text(mended["cells"][place]) == "def rows_needed(n, share):\n    a = 1\n    return a"
    assert line == "2.2, the cell of the answer was split in 2: joined; keep it in one cell"
    assert line in text(mended["cells"][place - 1])
    assert mend(mended, handed_out()) == (mended, [])  # nothing is left to do


def test_an_answer_split_between_two_functions_runs_as_it_is():
    notebook = handed_out()
    split(notebook, "answer-2-2", "%matplotlib inline\nhelp_me = 1", "def rows_needed(n): return n")
    mended, (line,) = mend(notebook, handed_out())
    (place,) = at(mended, "answer-2-2")
    code = [text(c) for c in mended["cells"][:place] if c["cell_type"] == "code"]
    assert whole(mended) and code[-1].endswith("help_me = 1")
    assert "stands there 2 times: all are run, and this last one counts" in line


def test_a_written_answer_split_in_two_is_read_whole():
    notebook = handed_out()
    split(notebook, "essay-2-6", "First thought.", "Second thought.")
    mended, (line,) = mend(notebook, handed_out())
    (place,) = at(mended, "essay-2-6")
    assert whole(mended) and "split in 2" in line
    assert text(mended["cells"][place]) == "First thought.\n\nSecond thought."


@pytest.mark.parametrize("where", [0, 8, -1])
def test_a_check_that_was_copied_counts_once_and_after_its_answer(where):
    notebook = handed_out()
    (place,) = at(notebook, "check-2-2")
    notebook["cells"].insert(where, copy.deepcopy(notebook["cells"][place]))
    mended, told = mend(notebook, handed_out())
    assert whole(mended) and len(told) == 1
    assert at(mended, "check-2-2")[0] > at(mended, "answer-2-2")[0]
    assert sum('check("2.2"' in text(cell) for cell in mended["cells"]) == 2  # both run


@pytest.mark.parametrize("mark", ["check-2-1", "check-2-2", "check-2-6", "essay-2-6"])
def test_a_cell_with_points_that_was_deleted_is_put_back(mark):
    notebook = handed_out()
    (place,) = at(notebook, mark)
    del notebook["cells"][place]
    mended, (line,) = mend(notebook, handed_out())
    assert whole(mended) and "was deleted: put back" in line
    order = [m["grade_id"] for m, _ in marked(mended["cells"])]
    assert order == [m["grade_id"] for m, _ in marked(handed_out()["cells"])]


def test_a_check_above_its_answer_moves_below():
    notebook = handed_out()
    (place,) = at(notebook, "check-2-3")
    notebook["cells"].insert(3, notebook["cells"].pop(place))
    mended, (line,) = mend(notebook, handed_out())
    assert whole(mended) and at(mended, "check-2-3")[0] > at(mended, "answer-2-3")[0]
    assert "stood above: moved" in line


def test_an_answer_that_was_deleted_is_not_put_over_the_students_own():
    notebook = handed_out()
    (place,) = at(notebook, "answer-2-3")
    del notebook["cells"][place]["metadata"]["nbgrader"]  # cut and pasted in a new cell
    mended, told = mend(notebook, handed_out())
    assert told == [] and mended["cells"] == notebook["cells"]


def test_marks_that_nobody_handed_out_or_that_are_broken_are_mended():
    notebook = handed_out()
    for cell, nbgrader in zip(notebook["cells"], [{}, {"grade_id": "mine", "grade": True}]):  # noqa: B905
        cell["metadata"]["nbgrader"] = nbgrader
    (place,) = at(notebook, "check-2-1")
    notebook["cells"][place]["metadata"]["nbgrader"] |= {"points": 99, "schema_version": 1}
    mended, (line,) = mend(notebook, handed_out())
    assert whole(mended) and "the mark 'mine' is none of ours" in line


def test_many_things_at_once_and_all_cells_deleted():
    notebook = handed_out()
    for mark in ("check-2-1", "check-2-2", "answer-2-4"):
        split(notebook, mark, "x = (", "1)")
    for mark in ("check-2-5", "check-2-6"):
        del notebook["cells"][at(notebook, mark)[0]]
    mended, told = mend(notebook, handed_out())
    assert whole(mended) and len(told) == 5
    nothing, told = mend({**notebook, "cells": []}, handed_out())
    graded = [m["grade_id"] for m, _ in marked(handed_out()["cells"]) if m["grade"]]
    assert (
        [m["grade_id"] for m, _ in marked(nothing["cells"])] == graded == [*dict.fromkeys(graded)]
    )
    assert len(told) == len(graded)


def test_a_course_is_mended_in_place_and_what_came_is_kept(tmp_path):
    release = tmp_path / "release/chapter_02/exercises_02.ipynb"
    release.parent.mkdir(parents=True)
    release.write_text(json.dumps(handed_out()), encoding="utf-8")
    notebook = handed_out()
    del notebook["cells"][at(notebook, "check-2-2")[0]]
    for student, content in {
        "ada": json.dumps(notebook),
        "bob": json.dumps(handed_out()),
        "cy": "{cut off",
        "di": "[]",
        "eve": '{"cells": [{"metadata": null}]}',
    }.items():
        path = tmp_path / "submitted" / student / "chapter_02/exercises_02.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(content, encoding="utf-8")
    told = mend_submitted(tmp_path)
    assert told[0].startswith("ada, exercises_02.ipynb: 2.2, the cell that checks was deleted")
    assert [line.split(",")[0] for line in told] == ["ada", "cy", "di", "eve"]
    assert all("no notebook; ask for the file again" in line for line in told[1:])
    ada = tmp_path / "submitted/ada/chapter_02"
    assert json.loads((ada / "exercises_02.ipynb.as-handed-in").read_text()) == notebook
    assert whole(json.loads((ada / "exercises_02.ipynb").read_text()))
    assert mend_submitted(tmp_path) == told[1:]


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
