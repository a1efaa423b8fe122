"""Slides: every chapter as a reveal.js deck, made from its executed notebook by nbconvert.

The executed notebook comes from the book's notebook cache. `deck` turns it into another notebook,
one cell a block of a slide, by the rules in slide_rules.py; nbconvert's slides exporter and the
template in book/slides/ do the rest.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from nbconvert import SlidesExporter
from nbformat.v4 import new_markdown_cell, new_notebook
from pygments.formatters import HtmlFormatter
from slide_rules import Reader, Slide, layout_of, tighten
from slide_text import inline, plain_length
from traitlets.config import Config

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "_build" / "notebook-cache"
SITE = ROOT / "_build" / "html"
LOOK = ROOT / "book" / "slides"  # template, style and script of the decks
STATE = "application/vnd.jupyter.widget-state+json"
BOOK_TITLE = "Deep Learning Foundations of Recommender Systems"
LARGEST = 4_000_000  # bytes of a deck


class SlidesError(Exception):
    """A deck cannot be made."""


def deck(notebook: Mapping, chapter: str = "") -> nbformat.NotebookNode:
    """The notebook of a deck: a cell a block of a slide, notes in cells of their own.

    Args:
        notebook: executed, as nbformat reads it (version 4).
        chapter: its name, for errors.

    Raises:
        SlidesError: nothing in it can be shown.
    """
    slides = tighten([slide for slide in Reader(chapter).read(notebook) if slide.parts])
    if not slides:
        raise SlidesError(f"{chapter}: no cell makes a slide")
    made = new_notebook()
    for slide in slides:
        made.cells += _cells_of(slide, first=slide is slides[0])
    # The title slide has no words of its own to be named by.
    made.metadata["title"] = re.sub(r"[*_`$]", "", slides[0].title)
    made.metadata["name"] = chapter
    made.metadata["language_info"] = {"name": "python"}
    if state := notebook["metadata"].get("widgets", {}).get(STATE):
        made.metadata["widgets"] = {STATE: state}
    for number, cell in enumerate(made.cells):
        cell["id"] = f"{number:04d}"  # nbformat draws one at random
    return made


def _cells_of(slide: Slide, first: bool) -> Iterator[nbformat.NotebookNode]:
    level = "h1" if first else "h2"
    over = f'<p class="over">{inline(slide.column)}</p>'
    over = over if slide.column != slide.title else ""
    if first:
        over = f'<p class="over">{BOOK_TITLE}</p>'
    head = new_markdown_cell(f"{over}<{level}>{inline(slide.title)}</{level}>")
    head.metadata["slideshow"] = {"slide_type": "slide" if slide.starts else "subslide"}
    layout = "title" if first else layout_of(slide.parts)
    head.metadata["layout"] = layout
    head.metadata["kind"] = "head long" if plain_length(slide.title) > 48 else "head"
    yield head
    # Beside a figure the words stand together, on its left.
    parts = slide.parts
    if layout.startswith("beside"):
        parts = sorted(parts, key=lambda part: part.kind == "figure")
    for i, part in enumerate(parts):
        cell = nbformat.from_dict(part.cell)
        cell.metadata["kind"] = part.kind
        cell.metadata["slideshow"] = {"slide_type": "fragment" if part.fragment else "-"}
        if layout.startswith("beside"):
            cell.metadata["words_start"] = i == 0
            cell.metadata["words_end"] = i == len(parts) - 2
        yield cell
    told = "\n\n".join(note for note in slide.notes if note.strip())
    if told:
        notes = new_markdown_cell(told)
        notes.metadata["slideshow"] = {"slide_type": "notes"}
        yield notes


def exporter() -> SlidesExporter:
    """nbconvert's, with the book's template; nothing in it names another site."""
    settings = Config()
    settings.SlidesExporter.template_name = "book"
    settings.SlidesExporter.extra_template_basedirs = [str(LOOK)]
    settings.SlidesExporter.exclude_anchor_links = True
    settings.SlidesExporter.exclude_input_prompt = True
    settings.SlidesExporter.exclude_output_prompt = True
    settings.CSSHTMLHeaderPreprocessor.enabled = False
    return SlidesExporter(config=settings)


def executed(path: Path, cache) -> nbformat.NotebookNode:
    """A chapter with the outputs that the book's own build gave it.

    Raises:
        SlidesError: the cache has no run of this notebook's present code.
    """
    notebook = nbformat.read(path, as_version=4)
    try:
        return cache.merge_match_into_notebook(notebook)[1]
    except KeyError:
        raise SlidesError(
            f"{path.stem}: the notebook cache has no run of its present code; run `make book`"
        ) from None


def make_all(site: Path, chapters: Sequence[Path] | None = None, cache: Path = CACHE) -> Path:
    """Write a deck for every chapter into `<site>/slides/`, their style and script beside them.

    Args:
        site: the built book; its `_static/vendor` has the third-party scripts.
        chapters: notebooks; all of chapters/ by default.
        cache: of executed notebooks.

    Returns:
        the page that lists the decks.

    Raises:
        SlidesError: a chapter was not executed, or its deck is too large. Nothing is written.
    """
    chapters = sorted((ROOT / "chapters").glob("*.ipynb")) if chapters is None else chapters
    if not cache.is_dir():
        raise SlidesError(f"{chapters[0].stem}: there is no notebook cache; run `make book`")
    runs, convert = get_cache(cache), exporter()
    pages = {}
    for path in chapters:
        made = deck(executed(path, runs), path.stem)
        page = convert.from_notebook_node(made, {"metadata": {"name": path.stem}})[0]
        if len(page.encode()) > LARGEST:
            raise SlidesError(f"{path.stem}: the deck has {len(page.encode()):,} bytes")
        pages[path.stem] = (made.metadata["title"], page)
    folder, fresh = site / "slides", site / "slides.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, (_, page) in pages.items():
        (fresh / f"{name}.html").write_text(page, encoding="utf-8")
    for file in (*LOOK.glob("*.css"), *LOOK.glob("*.js")):
        shutil.copy(file, fresh)
    (fresh / "code.css").write_text(code_style(), encoding="utf-8")
    (fresh / "index.html").write_text(contents(pages), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return folder / "index.html"


def code_style() -> str:
    """Colours of code, those of the book's pages, light and dark."""
    light = HtmlFormatter(style="a11y-high-contrast-light").get_style_defs(".highlight")
    dark = HtmlFormatter(style="a11y-high-contrast-dark").get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{textwrap.indent(dark, '  ')}\n}}\n"


def contents(pages: Mapping[str, tuple[str, str]]) -> str:
    """The page that lists the decks."""
    rows = "\n".join(
        f'<li><a href="{name}.html">{html.escape(title)}</a></li>'
        for name, (title, _) in pages.items()
    )
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slides</title>
<link rel="icon" href="../_static/favicon.png">
<link rel="stylesheet" href="slides.css">
</head>
<body class="contents">
<main>
<h1>Slides</h1>
<p>A deck a chapter, made from its notebook. Arrow keys turn, S opens the speaker notes, O shows
all slides, ? lists the keys. For paper or PDF add <code>?print-pdf</code> to a deck's address and
print.</p>
<ul>
{rows}
</ul>
<p><a href="../book/index.html">The book</a></p>
</main>
</body>
</html>
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the slides from the last build of the book.")
    parser.add_argument("--site", type=Path, default=SITE, help="the built book")
    arguments = parser.parse_args()
    try:
        print(f"The slides are in {make_all(arguments.site)}")
    except SlidesError as error:
        print(f"No slides: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
