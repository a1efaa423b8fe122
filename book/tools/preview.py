"""What a link to a chapter shows where it is shared, and in lists of results: a Sphinx extension.

sphinxext.opengraph takes the first text of a page, which in a chapter is its card: a link to Colab
and a table. Here it is the first paragraph of the chapter's own.
"""

from __future__ import annotations

import html
import re
import textwrap

from docutils import nodes

LONGEST = 200  # characters, as sphinxext.opengraph has it


def opening(doctree: nodes.document) -> str:
    """The first paragraph outside tables that is more than a link: as many of its sentences as
    find room, or the beginning of the first; "" if there is none."""
    for paragraph in doctree.findall(nodes.paragraph):
        if any(isinstance(c, nodes.Text | nodes.inline | nodes.strong) for c in paragraph.children):
            if not _inside(paragraph, nodes.table):
                text = " ".join(paragraph.astext().split())
                break
    else:
        return ""
    ends = [m.end() for m in re.finditer(r"[.?!](?=\s|$)", text) if m.end() <= LONGEST]
    return text[: ends[-1]] if ends else textwrap.shorten(text, LONGEST, placeholder=" …")


def _inside(node: nodes.Node, kind: type) -> bool:
    while (node := node.parent) is not None:
        if isinstance(node, kind):
            return True
    return False


def describe(app, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Put the description where sphinxext.opengraph, which comes later, leaves it."""
    if doctree is None or not page.startswith("chapters/"):
        return
    if text := opening(doctree):
        context["meta"] = (context["meta"] or {}) | {"og:description": text}
        context["metatags"] += f'<meta name="description" content="{html.escape(text)}" />\n'


def setup(app) -> dict:
    app.connect("html-page-context", describe, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
