"""What students do to cells, in nbgrader's own hands: the other exercises are graded as ever."""

import copy
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))

from exercises import EXERCISES, nbgrader, start_course  # noqa: E402

NAME, FILE = "chapter_02", "exercises_02.ipynb"
SPLIT = ("def rows_needed(n, share):\n    rest = 1 - share", "    return -n / np.log(rest)")


def place(cells, mark):
    marks = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells]
    return marks.index(mark)


def awkward(solved):
    """2.1's check copied, 2.2's answer split within its function, 2.3's check deleted; exit() in
    2.4's answer, and the process ended in the one of 2.5 (2.6 is not begun)."""
    cells = solved["cells"]
    copied = copy.deepcopy(cells[place(cells, "check-2-1")])
    cells.insert(place(cells, "check-2-1"), copied | {"id": "a-copy"})
    half = copy.deepcopy(cells[place(cells, "answer-2-2")])
    cells[place(cells, "answer-2-2")]["source"] = SPLIT[1]
    cells.insert(place(cells, "answer-2-2"), half | {"source": SPLIT[0], "id": "a-half"})
    del cells[place(cells, "check-2-3")]
    inside = "def one_step(p, q, y, lr):\n    exit()\n\nexit()\n"
    cells[place(cells, "answer-2-4")]["source"] = inside
    cells[place(cells, "answer-2-5")]["source"] = "import os\n\nos._exit(1)"
    cells[place(cells, "answer-2-6")]["source"] = "points = perplexity = None"
    return solved


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = start_course(tmp_path_factory.mktemp("awkward"))
    nbgrader(folder, "generate_assignment", NAME)
    solved = json.loads((EXERCISES / "source" / NAME / FILE).read_text(encoding="utf-8"))
    path = folder / "submitted" / "ada" / NAME / FILE
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(awkward(solved)), encoding="utf-8")
    nbgrader(folder, "autograde", NAME)
    nbgrader(folder, "generate_feedback", NAME)
    return folder


def test_every_other_exercise_has_its_grade(course):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "deep_recommenders") as book:
        notebook = book.find_submission_notebook(FILE.removesuffix(".ipynb"), NAME, "ada")
        found = {g.name: g.auto_score for g in notebook.grades}
    assert found.pop("essay-2-6") is None  # waits for a person
    assert found == {
        "check-2-1": 2, "check-2-2": 2, "check-2-3": 2,
        "check-2-4": 0, "check-2-5": 0, "check-2-6": 0,
    }  # fmt: skip


def test_a_line_says_what_was_wrong_with_each_cell_and_how_to_mend_it(course):
    page = (course / "feedback/ada" / NAME / FILE).with_suffix(".html").read_text(encoding="utf-8")
    said = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for line in (
        "2.1, the cell that checks stands there 2 times",
        "2.2, the cell of the answer was split in 2: joined; keep it in one cell",
        "2.3, the cell that checks was deleted: put back; leave it in its place",
        "Likeliest: it ends the program.",
        "take exit(), quit() or os._exit() out of the cell",
    ):
        assert line in said, line
