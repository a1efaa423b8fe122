"""How long a chapter takes to read, worked out from what its page shows.

    python book/tools/reading.py            # what stands on the main line of each chapter
    python book/tools/reading.py --write    # and put the minutes on the cards and the front page

200 words a minute, a minute for a figure or a widget, half a minute for a cell of code that is
shown. Only the main line counts: what is folded is for those who open it. Figures are counted in
the notebooks that the last build executed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_cache import get_cache

from recsys_book.show.claims import MIME

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "_build" / "notebook-cache"
WIDGET = "application/vnd.jupyter.widget-view+json"
FOLDS = {"hide-input", "hide-cell", "remove-cell", "remove-input"}
CARD = re.compile(r"(\*\*Time\*\* \| )\d+( minutes to read)")


@dataclass(frozen=True)
class Length:
    """What stands on a chapter's main line."""

    words: int
    figures: int
    cells: int
    claims: int

    @property
    def minutes(self) -> int:
        """To the next five."""
        exact = self.words / 200 + self.figures + self.cells / 2
        return max(5, 5 * round(exact / 5))


def unfolded(text: str) -> str:
    """Markdown or HTML without what stands between <details> and </details>, however nested."""
    depth, kept = 0, []
    for part in re.split(r"(<details\b[^>]*>|</details>)", text):
        if part.startswith("<details"):
            depth += 1
        elif part == "</details>":
            depth -= 1
        elif depth == 0:
            kept.append(part)
    return "".join(kept)


def measure(notebook: Mapping) -> Length:
    """The length of an executed notebook."""
    words = figures = cells = claims = 0
    for cell in notebook["cells"]:
        tags = set(cell["metadata"].get("tags", []))
        if cell["cell_type"] == "markdown":
            text = re.sub(r"\]\([^)]*\)|<[^>]+>|\$[^$]*\$", " ", unfolded(cell["source"]))
            words += len(re.findall(r"[A-Za-z][\w'’-]*", text))
            continue
        cells += not tags & FOLDS
        if tags & {"hide-cell", "remove-cell", "hide-output", "remove-output"}:
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            shown = unfolded(data.get("text/html", ""))
            claims += shown.count('id="claim-')
            drawn = '<figure class="claims"' in shown
            figures += WIDGET in data or "<img" in shown or drawn
            figures += MIME not in data and "text/html" not in data and "image/png" in data
    return Length(words, figures, cells, claims)


def executed(path: Path) -> Mapping:
    """A notebook with what the last build got from it.

    Raises:
        KeyError: it was not executed as it is.
    """
    notebook = nbformat.read(path, as_version=4)
    return get_cache(CACHE).merge_match_into_notebook(notebook)[1]


def lengths() -> dict[Path, Length]:
    """Chapter → what its main line holds."""
    return {p: measure(executed(p)) for p in sorted((ROOT / "chapters").glob("*.ipynb"))}


def write(path: Path, minutes: int) -> None:
    """Put the minutes on a chapter's card, and under its card on the front page."""
    text = path.read_text(encoding="utf-8")
    path.write_text(CARD.sub(rf"\g<1>{minutes}\g<2>", text), encoding="utf-8")
    index = ROOT / "book" / "index.md"
    card = re.compile(
        rf"(:link: \.\./chapters/{path.stem}\n(?:.*\n)*?```{{card-footer}}\n)\d+( min\n)"
    )
    front = index.read_text(encoding="utf-8")
    index.write_text(card.sub(rf"\g<1>{minutes}\g<2>", front), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the chapters take to read.")
    parser.add_argument("--write", action="store_true", help="put the minutes on the cards")
    arguments = parser.parse_args()
    for path, length in lengths().items():
        print(f"{path.stem:28} {length.minutes:3} minutes  {length}")
        if arguments.write:
            write(path, length.minutes)


if __name__ == "__main__":
    main()
