"""Make the students' copies of the exercises from the instructor's, with nbgrader.

    python book/tools/exercises.py            write book/exercises/release, and the chapters' lists
    python book/tools/exercises.py --check    say which copies are out of step, and fail if any is
    python book/tools/exercises.py --mend book/exercises    before `nbgrader autograde`: put right
                                              what students have done to cells, and say what it was

nbgrader clears solutions and hidden tests and writes the metadata that its autograder reads. It
works in a folder of its own here, so that no gradebook of a running course is touched.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXERCISES = ROOT / "book" / "exercises"


def assignments(course: Path = EXERCISES) -> list[str]:
    """Names of the assignments, in order."""
    return sorted(path.name for path in (course / "source").iterdir() if path.is_dir())


def nbgrader(course: Path, *arguments: str) -> str:
    """Run an nbgrader command in a course's folder; what it said.

    Before `autograde`, what has been handed in is put right (`mend_submitted`).

    Raises:
        RuntimeError: it failed; the message ends with what it said last.
    """
    if arguments[:1] == ("autograde",):
        print("".join(f"{line}\n" for line in mend_submitted(course)), end="")
    # nbgrader calls alembic, and a kernel calls python: both those of this environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"nbgrader {' '.join(arguments)} failed:\n{said}")
    return done.stdout + done.stderr


def start_course(folder: Path) -> Path:
    """A copy of the course's configuration and sources, with nothing else in it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(EXERCISES / "nbgrader_config.py", folder)
    shutil.copytree(EXERCISES / "source", folder / "source", dirs_exist_ok=True)
    for stray in folder.rglob(".ipynb_checkpoints"):
        shutil.rmtree(stray)
    return folder


def student_copies() -> dict[str, str]:
    """Path below release/ → the notebook's text."""
    with tempfile.TemporaryDirectory() as scratch:
        course = start_course(Path(scratch))
        for name in assignments():
            nbgrader(course, "generate_assignment", name)
        made = sorted((course / "release").rglob("*.ipynb"))
        return {
            str(path.relative_to(course / "release")): path.read_text(encoding="utf-8").rstrip()
            + "\n"
            for path in made
        }


# ---------------------------------------------------------------- what students do to cells
#
# nbgrader knows cells by a mark in their metadata, and Jupyter copies the mark with the cell. One
# mark twice, or one too few, and nbgrader gives up the whole notebook, with a message on old
# versions. Here each such cell is put right, so that every other exercise is graded.


def mend_submitted(course: Path) -> list[str]:
    """Put right every notebook in a course's submitted/, in place; a line for each thing done.

    The notebook as it was handed in stays beside it, with `.as-handed-in` after its name. A second
    time there is nothing left to do.
    """
    lines = []
    for path in sorted((course / "submitted").glob("*/*/*.ipynb")):
        student, assignment = path.parts[-3:-1]
        handed_out = course / "release" / assignment / path.name
        if not handed_out.exists():
            continue  # nbgrader says itself that it knows no such notebook
        try:
            notebook = json.loads(path.read_text(encoding="utf-8"))
            mended, told = mend(notebook, json.loads(handed_out.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError):
            lines.append(f"{student}, {path.name}: it is no notebook; ask for the file again")
            continue
        if told:
            before = path.with_name(path.name + ".as-handed-in")
            if not before.exists():
                shutil.copy(path, before)
            path.write_text(json.dumps(mended, indent=1, ensure_ascii=False), encoding="utf-8")
        lines += [f"{student}, {path.name}: {line}" for line in told]
    return lines


def mend(notebook: dict, handed_out: dict) -> tuple[dict, list[str]]:
    """A handed-in notebook with each marked cell once and in its place.

    - An answer's cell that was **split**: its parts are joined where only together they are Python;
      else all of them run, and the mark stays with the last. A written answer is joined.
    - A cell that was **copied**: all copies run, and the mark stays with the last.
    - A cell with points that was **deleted**, or stands before its answer: it is put after it.
    - A mark that nobody handed out is taken off.

    Args:
        notebook: what came back, as JSON.
        handed_out: the student's copy it was made from.

    Returns:
        the notebook mended (the one given is left alone), and for each thing done a line that says
        what was wrong and how to mend it; the same stands in a cell above the place.
    """
    notebook = copy.deepcopy(notebook)
    cells, told = notebook["cells"], []
    wanted = {_mark(cell): cell for cell in handed_out["cells"] if _mark(cell)}
    for cell in cells:
        mark = _mark(cell)
        if "nbgrader" in cell["metadata"] and mark not in wanted:
            del cell["metadata"]["nbgrader"]
            if mark:
                told.append(_tell(cells, cell, f"the mark {mark!r} is none of ours: taken off"))
        elif mark:  # points and the like as they were handed out
            cell["metadata"]["nbgrader"] = copy.deepcopy(wanted[mark]["metadata"]["nbgrader"])
    for mark, original in wanted.items():
        meta = original["metadata"]["nbgrader"]
        parts = [cell for cell in cells if _mark(cell) == mark]
        if len(parts) > 1:
            told.append(_one_of(cells, parts, mark))
        elif not parts and meta["grade"]:
            parts = [copy.deepcopy(original)]
            cells.insert(_after(cells, mark, list(wanted)), parts[0])
            rule = "leave it in its place below the answer"
            told.append(_tell(cells, parts[0], f"{_name(mark)} was deleted: put back; {rule}"))
        if meta["grade"] and parts:
            answer = next((c for c in cells if _mark(c) == _answer_of(mark)), None)
            if answer is not None and _place(cells, answer) > _place(cells, parts[-1]):
                cells.pop(_place(cells, parts[-1]))
                cells.insert(_place(cells, answer) + 1, parts[-1])
                rule = "a check comes after what it checks"
                told.append(_tell(cells, parts[-1], f"{_name(mark)} stood above: moved; {rule}"))
    _different_ids(cells)
    return notebook, told


def _one_of(cells: list[dict], parts: list[dict], mark: str) -> str:
    """Leave the mark with the last of several cells, or join them in it; the line on it."""
    *others, last = parts
    texts = ["".join(cell["source"]).strip("\n") for cell in parts]
    kind, whole = _name(mark), "\n".join(texts)
    written = all(cell["cell_type"] == "markdown" for cell in parts)
    if written and len(set(texts)) > 1:
        whole = "\n\n".join(texts)
    if (written and len(set(texts)) > 1) or (
        mark.startswith("answer") and _is_python(whole) and not all(map(_is_python, texts))
    ):
        last["source"] = whole.splitlines(keepends=True)
        for cell in others:
            cells.pop(_place(cells, cell))
        return _tell(cells, last, f"{kind} was split in {len(parts)}: joined; keep it in one cell")
    for cell in others:
        del cell["metadata"]["nbgrader"]
    found = f"{kind} stands there {len(parts)} times"
    rule = "split no cell and copy none, but add new ones with +"
    return _tell(cells, last, f"{found}: all are run, and this last one counts; {rule}")


def _tell(cells: list[dict], cell: dict, line: str) -> str:
    """Put the line in a cell of its own above, where the student finds it."""
    text = {"cell_type": "markdown", "metadata": {}, "source": [f"**Before grading:** {line}."]}
    if "id" in cell:
        text["id"] = f"mended-{len(cells)}"
    cells.insert(_place(cells, cell), text)
    return line


def _after(cells: list[dict], mark: str, order: list[str]) -> int:
    """Where a cell that is missing belongs: below the last one that was handed out before it."""
    before = order[: order.index(mark)]
    places = [i for i, cell in enumerate(cells) if _mark(cell) in before]
    return max(places) + 1 if places else len(cells)


def _place(cells: list[dict], cell: dict) -> int:
    return next(i for i, other in enumerate(cells) if other is cell)


def _mark(cell: dict) -> str | None:
    return cell["metadata"].get("nbgrader", {}).get("grade_id")


def _answer_of(mark: str) -> str:
    return "answer-" + mark.partition("-")[2]


def _name(mark: str) -> str:
    """answer-2-3 → "2.3, the cell of the answer"."""
    kind, _, number = mark.partition("-")
    told = {"answer": "cell of the answer", "check": "cell that checks", "essay": "written answer"}
    return f"{number.replace('-', '.', 1)}, the {told.get(kind, kind)}"


def _is_python(text: str) -> bool:
    """Whether it is Python, lines for IPython aside."""
    try:
        ast.parse(re.sub(r"^(\s*)[%!?].*$", r"\1pass", text, flags=re.M))
    except (SyntaxError, ValueError):
        return False
    return True


def _different_ids(cells: list[dict]) -> None:
    """A notebook of format 4.5 may not hold one cell id twice."""
    seen: set[str] = set()
    for i, cell in enumerate(cells):
        if cell.get("id") in seen:
            cell["id"] = f"{cell['id'][:50]}-{i}"
        if "id" in cell:
            seen.add(cell["id"])


# ---------------------------------------------------------------- the chapters' lists


FOLD = re.compile(r"<details><summary><b>Exercises</b>.*?\n</details>(?=\n\n<details>)", re.S)


def chapters_with_lists(root: Path = ROOT) -> dict[Path, str]:
    """Chapter's notebook → its text with the folded list of exercises as it should be.

    Raises:
        RuntimeError: a chapter whose last text cell has no such fold.
    """
    from classroom import fold, read_assignments

    texts = {}
    for one in read_assignments(root):
        path = root / "chapters" / f"{one.chapter}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cell = notebook["cells"][-1]
        text = "".join(cell["source"])
        if len(FOLD.findall(text)) != 1:
            raise RuntimeError(f"{path.name}: the last cell has no fold “Exercises”")
        text = FOLD.sub(lambda _, one=one: fold(one), text)
        cell["source"] = text.splitlines(keepends=True)
        texts[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return texts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of step")
    parser.add_argument("--mend", metavar="COURSE", type=Path, help="put right what is handed in")
    arguments = parser.parse_args()
    if arguments.mend is not None:
        lines = mend_submitted(arguments.mend)
        print("\n".join(lines) or "nothing to put right")
        return 0
    release = EXERCISES / "release"
    wanted = {release / name: text for name, text in student_copies().items()}
    left = [p for p in sorted(release.rglob("*.ipynb")) if p not in wanted]
    if not arguments.check:
        _write(wanted)
        for path in left:
            path.unlink()
    wanted |= chapters_with_lists()  # reads the students' copies
    wrong = left + [p for p, text in wanted.items() if not _is(p, text)]
    if not arguments.check:
        _write(wanted)
        print(f"{len(wanted)} notebooks are in step: students' copies in {release}, and chapters")
        return 0
    for path in wrong:
        print(f"out of step: {path.relative_to(ROOT)} (make exercises)", file=sys.stderr)
    return bool(wrong)


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _write(texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        if not _is(path, text):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
