"""The page on the package, by autodoc: `{api}` shows a module, `{api-modules}` lists those shown.

A Sphinx extension, named in _config.yml. Docstrings are written for readers of the source, with
`code` in single marks and |w| for an amount; here they are made fit for reStructuredText.
"""

from __future__ import annotations

import html
import re
from importlib import import_module

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.ext import napoleon
from sphinx.util.docutils import SphinxDirective

SECTIONS = ("Args:", "Returns:", "Raises:", "Attributes:", "Shapes:", "Yields:")
OPTIONS = (":members:", ":member-order: bysource")


def purpose(name: str) -> str:
    """The first paragraph of a module's docstring, in one line."""
    doc = import_module(name).__doc__ or ""
    return " ".join(doc.split("\n\n")[0].split())


def make_fit(app, what, name, thing, options, lines: list[str]) -> None:
    """Code in single marks becomes code, a bar a bar, and what is set in after a colon stays as it
    is."""
    literal, indent = False, 0
    for i, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        if literal and line.strip() and depth <= indent:
            literal = False
        if literal:
            continue
        parts = re.split(r"(``.+?``|`[^`]+`)", line)
        for j, part in enumerate(parts):
            if part.startswith("`") and not part.startswith("``"):
                parts[j] = f"`{part}`"
            elif not part.startswith("`"):
                parts[j] = part.replace("|", r"\|")
        lines[i] = "".join(parts)
        after = lines[i + 2] if i + 2 < len(lines) else ""
        set_in = len(after) - len(after.lstrip()) > depth and not lines[i + 1].strip()
        if line.endswith(":") and line.strip() not in SECTIONS and set_in:
            lines[i] += ":"
            literal, indent = True, depth


class Module(SphinxDirective):
    """`{api} recsys_book.losses`: the module's docstring and what is public in it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        for module in self.env.found_docs and [import_module(name)]:
            self.env.note_dependency(module.__file__)
        lines = [f".. automodule:: {name}", *(f"   {option}" for option in OPTIONS), ""]
        node = nodes.container(classes=["api"])
        parse_rst(self, lines, node)
        return [node]


def parse_rst(directive: SphinxDirective, lines: list[str], node: nodes.Element) -> None:
    """Parse reStructuredText within a Markdown page, as MyST's eval-rst does."""
    text = "\n".join(["```{eval-rst}", *lines, "```"])
    directive.state.nested_parse(StringList(text.split("\n"), source="api"), 0, node)


class Modules(SphinxDirective):
    """`{api-modules}`: the modules of the page, one line each, with the way to them."""

    def run(self) -> list[nodes.Node]:
        source = self.env.doc2path(self.env.docname)
        with open(source, encoding="utf-8") as file:
            names = re.findall(r"^```\{api\} ([\w.]+)$", file.read(), re.M)
        rows = "".join(
            f'<tr><td><a href="#{name.removeprefix("recsys_book.").replace(".", "-")}"><code>'
            f"{name.removeprefix('recsys_book.')}</code></a></td>"
            f"<td>{html.escape(purpose(name))}</td></tr>\n"
            for name in names
        )
        head = '<tr><th scope="col">Module</th><th scope="col">What it is for</th></tr>'
        parts = f"<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n"
        table = f'<table class="table api-modules">\n{parts}</table>\n'
        return [nodes.raw("", table, format="html")]


def setup(app) -> dict:
    app.setup_extension("sphinx.ext.autodoc")
    napoleon.setup(app)
    app.connect("autodoc-process-docstring", make_fit, priority=100)  # before napoleon
    app.add_directive("api", Module)
    app.add_directive("api-modules", Modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
