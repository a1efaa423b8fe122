"""The exercises in nbgrader's own hands: handed out, handed in, graded, given back."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from planted import PLANTED

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))

from exercises import EXERCISES, assignments, nbgrader, start_course  # noqa: E402

from recsys_book.check import exercise, exercises  # noqa: E402

#: What the page for teachers tells to type, without what is done in the browser: release, collect,
#: grade, give back. One chapter goes through all of it; the others' work is laid down collected.
COMMANDS = re.findall(
    r"^nbgrader (.+?) +# \d", (ROOT / "book/for-teachers.md").read_text(encoding="utf-8"), re.M
)
BY_ARCHIVE = "chapter_02"


def notebook_name(assignment):
    return f"exercises_{assignment.removeprefix('chapter_')}.ipynb"


def source_of(assignment):
    return EXERCISES / "source" / assignment / notebook_name(assignment)


def graded_cells(path):
    """grade_id → (points, whether a person has to read it)."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    marked = [c["metadata"]["nbgrader"] for c in cells if "nbgrader" in c["metadata"]]
    return {m["grade_id"]: (m["points"], m["solution"]) for m in marked if m["grade"]}


def last_exercise(name):
    """Number of the open-ended one, which is the last."""
    return list(exercises(int(name[-2:])))[-1]


def with_planted(solved, handed_out, planted):
    """The solved notebook with one mistake, and the last exercise not begun (as in many a copy that
    is handed in; and it is the one that takes the time)."""
    notebook, blank = json.loads(solved), json.loads(handed_out)
    last = last_exercise(f"chapter_0{planted.number[0]}")
    for cell, empty in zip(notebook["cells"], blank["cells"], strict=True):
        kind, _, of = cell["metadata"].get("nbgrader", {}).get("grade_id", "").partition("-")
        if of == planted.number.replace(".", "-") and kind == "answer":
            cell["source"] = planted.code.strip().splitlines(keepends=True)
        elif of.startswith(last.replace(".", "-")) and kind in ("answer", "essay"):
            cell["source"] = empty["source"]
    return json.dumps(notebook)


@pytest.fixture(scope="module", params=assignments())
def course(request, tmp_path_factory):
    """A course with one assignment: released, handed in three times, autograded."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    start_course(folder)
    shutil.copytree(EXERCISES / "release" / name, folder / "release" / name)  # as it is in a clone
    release, collect, grade, give_back = (
        line.replace("chapter_02", name).split() for line in COMMANDS
    )
    nbgrader(folder, *release)
    handed_out = (folder / "release" / name / notebook_name(name)).read_text(encoding="utf-8")
    solved = source_of(name).read_text(encoding="utf-8")
    for student, text in {
        "solved": solved,
        "untouched": handed_out,
        "planted": with_planted(solved, handed_out, PLANTED[name]),
    }.items():
        hand_in(folder, name, student, text)
    if name == BY_ARCHIVE:
        nbgrader(folder, *collect)
    else:
        give_back += ["--student", "planted"]  # the one that is looked at
    nbgrader(folder, *grade)
    nbgrader(folder, *give_back)
    return folder, name


def hand_in(folder, name, student, text):
    """Lay a notebook where nbgrader grades it, or where a learning platform's files lie."""
    path = folder / "submitted" / student / name / notebook_name(name)
    if name == BY_ARCHIVE:
        path = folder / "downloaded" / name / "archive" / f"{student}_{notebook_name(name)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def grades(course, student):
    """grade_id → (points given by the machine, points there are, whether a person must read it)."""
    from nbgrader.api import Gradebook

    folder, name = course
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "deep_recommenders") as book:
        notebook = book.find_submission_notebook(
            notebook_name(name).removesuffix(".ipynb"), name, student
        )
        return {
            g.name: (g.auto_score, g.max_score, bool(g.needs_manual_grade)) for g in notebook.grades
        }


def test_the_release_is_the_committed_one(course):
    folder, name = course
    made = (folder / "release" / name / notebook_name(name)).read_text(encoding="utf-8")
    kept = EXERCISES / "release" / name / notebook_name(name)
    assert kept.exists(), f"{kept} is missing: make exercises"
    assert json.loads(made) == json.loads(kept.read_text()), "out of step: make exercises"


def test_the_instructors_solution_gets_full_marks(course):
    found, cells = grades(course, "solved"), graded_cells(source_of(course[1]))
    assert set(found) == set(cells) and sum(points for points, _ in cells.values()) > 0
    for grade_id, (points, by_hand) in cells.items():
        given, most, waits = found[grade_id]
        assert most == points
        assert (given is None and waits) if by_hand else given == points, grade_id
    give_by_hand(course, "solved")
    assert total(course, "solved") == sum(points for points, _ in cells.values())


def give_by_hand(course, student):
    """What a teacher does in the form grader: all points for the written answers."""
    from nbgrader.api import Gradebook

    folder, name = course
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "deep_recommenders") as book:
        stem = notebook_name(name).removesuffix(".ipynb")
        for grade in book.find_submission_notebook(stem, name, student).grades:
            if grade.needs_manual_grade:
                grade.manual_score = grade.max_score
        book.db.commit()


def total(course, student):
    from nbgrader.api import Gradebook

    folder, name = course
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}", "deep_recommenders") as book:
        return book.find_submission(name, student).score


def test_an_untouched_copy_gets_nothing_and_waits_for_nobody(course):
    found = grades(course, "untouched")
    assert all(given == 0 and not waits for given, _, waits in found.values()), found
    assert total(course, "untouched") == 0


def test_a_planted_misconception_costs_its_points_and_is_named(course):
    folder, name = course
    planted, found = PLANTED[name], grades(course, "planted")
    dashed = lambda number: number.replace(".", "-")
    cells = {
        grade_id: given
        for grade_id, (given, _, _) in found.items()
        if not grade_id.partition("-")[2].startswith(dashed(last_exercise(name)))
    }
    assert cells.pop(f"check-{dashed(planted.number)}") == 0
    assert cells and all(given == found[grade_id][1] for grade_id, given in cells.items())
    assert 0 < total(course, "planted") < total(course, "solved")
    page = (folder / "feedback" / "planted" / name / notebook_name(name)).with_suffix(".html")
    said = " ".join(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")).split())
    assert f"Likeliest: {planted.name}." in said
    hint = exercise(planted.number).hints[planted.name]
    assert " ".join(hint.split()) in said.replace("&#39;", "'").replace("&quot;", '"').replace(
        "&gt;", ">"
    ).replace("&lt;", "<").replace("&amp;", "&")


def test_names_of_files_handed_in():
    text = (EXERCISES / "nbgrader_config.py").read_text(encoding="utf-8")
    (pattern,) = re.findall(r'r"(\.\*/.+)"', text)
    for name, student in {
        "ada_exercises_02.ipynb": "ada",
        "ada_lovelace_exercises_02.ipynb": "ada_lovelace",
        "Ada Lovelace_1234_assignsubmission_file_exercises_02.ipynb": "Ada Lovelace",
    }.items():
        found = re.match(pattern, f"/somewhere/extracted/{name}").groupdict()
        assert found == {"student_id": student, "file_id": "exercises_02"}
