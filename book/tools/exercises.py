"""Make the students' copies of the exercises from the instructor's, with nbgrader.

    python book/tools/exercises.py            write book/exercises/release, and the chapters' lists
    python book/tools/exercises.py --check    say which copies are out of step, and fail if any is

nbgrader clears solutions and hidden tests and writes the metadata that its autograder reads. It
works in a folder of its own here, so that no gradebook of a running course is touched.
"""

from __future__ import annotations

import argparse
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

    Raises:
        RuntimeError: it failed; the message ends with what it said last.
    """
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
    arguments = parser.parse_args()
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
