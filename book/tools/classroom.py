"""The exercises on the book's pages, read from their notebooks: a Sphinx extension.

`{exercises}` lists them chapter by chapter, with the links to open or download a student's copy;
with the option `table` it is one row a chapter, with minutes and points. Titles, minutes and points
stand in one place, the first cell of an exercise notebook; the students' copies are read, as a
teacher may have taken the instructor's away.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import SphinxError
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
RELEASE = Path("book") / "exercises" / "release"
ROW = re.compile(r"^\| (\d\.\d) \| (.+?)(?: \((.+)\))? \| (\d+) \| (\d+) \|$", re.M)


class ExercisesError(SphinxError):
    """The list cannot be made; nothing is written."""

    category = "The list of exercises cannot be made"


@dataclass(frozen=True)
class Row:
    """One exercise: its number, title, kind ("warm-up", "open-ended" or ""), minutes, points."""

    number: str
    title: str
    kind: str
    minutes: int
    points: int


@dataclass(frozen=True)
class Assignment:
    """A chapter's exercises.

    Attributes:
        name: of the assignment, as nbgrader knows it.
        chapter: stem of the chapter's notebook.
        title: of the chapter.
        reading: minutes to read the chapter.
        rows: the exercises.
    """

    name: str
    chapter: str
    title: str
    reading: int
    rows: tuple[Row, ...]

    @property
    def minutes(self) -> int:
        return sum(row.minutes for row in self.rows)

    @property
    def points(self) -> int:
        return sum(row.points for row in self.rows)

    @property
    def copy(self) -> str:
        """The student's copy, below book/."""
        return f"exercises/release/{self.name}/exercises_{self.name[-2:]}.ipynb"

    @property
    def colab(self) -> str:
        from recsys_book import REPOSITORY

        owner = REPOSITORY.removeprefix("https://github.com/")
        return f"https://colab.research.google.com/github/{owner}/blob/main/book/{self.copy}"


def first_text(path: Path) -> str:
    """The first cell of a notebook."""
    return "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])


def read_assignments(root: Path = ROOT) -> list[Assignment]:
    """All assignments, in the chapters' order.

    Raises:
        ExercisesError: a chapter without its notebook, or a notebook without its table.
    """
    found = []
    for chapter in sorted((root / "chapters").glob("*.ipynb")):
        name = f"chapter_{chapter.stem[:2]}"
        path = root / RELEASE / name / f"exercises_{chapter.stem[:2]}.ipynb"
        if not path.exists():
            raise ExercisesError(
                f"{chapter.name} has no exercises: {path} is missing (make exercises)"
            )
        rows = tuple(
            Row(number, title, kind, int(minutes), int(points))
            for number, title, kind, minutes, points in ROW.findall(first_text(path))
        )
        if not rows:
            raise ExercisesError(f"{path}: the first cell has no table of exercises")
        card = first_text(chapter)
        reading = re.search(r"\*\*Time\*\* \| (\d+) minutes to read", card)
        if reading is None:
            raise ExercisesError(f"{chapter.name}: its card does not say how long it takes to read")
        title = card.splitlines()[0].removeprefix("# ")
        found.append(Assignment(name, chapter.stem, title, int(reading[1]), rows))
    return found


def as_list(assignments: list[Assignment]) -> str:
    """Markdown: a paragraph of links and a list of exercises for each chapter."""
    parts = []
    for one in assignments:
        parts.append(f"**{one.title}** ({len(one.rows)} exercises, {one.minutes} minutes)")
        parts.append(
            f'[Open in Colab]({one.colab}) · <a href="{one.copy}" download>Download</a> · '
            f"[Chapter](../chapters/{one.chapter})"
        )
        parts.append("\n".join(_items(one)))
    return "\n\n".join(parts)


def as_table(assignments: list[Assignment]) -> str:
    """Markdown: one row a chapter, and their sum."""
    lines = [
        "| Chapter | Minutes to read | Exercises | Minutes to solve | Points |",
        "|---|---|---|---|---|",
    ]
    for one in assignments:
        lines.append(
            f"| [{one.title}](../chapters/{one.chapter}) | {one.reading} | {len(one.rows)} | "
            f"{one.minutes} | {one.points} |"
        )
    read, n, solve, points = (
        sum(values)
        for values in zip(
            *((a.reading, len(a.rows), a.minutes, a.points) for a in assignments), strict=True
        )
    )
    lines.append(f"| **Together** | {read} | {n} | {solve} | {points} |")
    return "\n".join(lines)


NUMBERS = "no one two three four five six seven eight nine ten".split()


def fold(one: Assignment) -> str:
    """Portable Markdown: what stands, folded, at the end of a chapter."""
    name = f"exercises_{one.name[-2:]}.ipynb"
    lines = [
        f"<details><summary><b>Exercises</b> ({NUMBERS[len(one.rows)]}, about {one.minutes} "
        "minutes)</summary>",
        "",
        "They are in a notebook of their own, which checks your answers and says what seems to be "
        f"wrong with one. [Open it in Colab]({one.colab}); in Jupyter it is "
        # Not as Markdown: Sphinx would look for a page of that name. The build puts the file there.
        f'<a href="../book/{one.copy}">{name}</a>.',
        "",
        *_items(one),
        "",
        "</details>",
    ]
    return "\n".join(lines)


def _items(one: Assignment) -> list[str]:
    told = lambda row: ", ".join(filter(None, [row.kind, f"{row.minutes} minutes"]))
    return [f"- {row.number} {row.title} ({told(row)})" for row in one.rows]


class ExercisesDirective(SphinxDirective):
    """`{exercises}`, or with `:table:` a row a chapter."""

    option_spec = {"table": directives.flag}  # noqa: RUF012 — docutils' own way

    def run(self) -> list[nodes.Node]:
        for path in [*(ROOT / RELEASE).rglob("*.ipynb"), *(ROOT / "chapters").glob("*.ipynb")]:
            self.env.note_dependency(str(path))
        assignments = read_assignments()
        text = as_table(assignments) if "table" in self.options else as_list(assignments)
        return self.parse_text_to_nodes(text)


def setup(app) -> dict:
    """Called by Sphinx."""
    app.add_directive("exercises", ExercisesDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
