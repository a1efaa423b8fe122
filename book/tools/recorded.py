"""The directive `{recorded-runs}`: every recorded run, when it was made, and whether its code is
still what it was. A Sphinx extension, named in _config.yml."""

from __future__ import annotations

import html

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from recsys_book.reproduce.record import read_record, recorded, state

HEADS = ("Run", "Recorded", "Commit", "Core hours", "Made")


def rows() -> list[tuple[str, ...]]:
    """Run, date, commits, core hours, and the state of its code."""
    found = []
    for name in recorded():
        record = read_record(name)
        pieces = record.get("pieces", {})
        hours = pieces.get("processor_seconds", record["seconds"]) / 3600
        commits = sorted({record["commit"], *pieces.get("commits", ())})
        made = state(record)
        found.append((name, record["date"], ", ".join(commits), f"{hours:.1f}", made))
    return found


def render() -> str:
    """The table, as HTML."""
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    body = ""
    for name, *others in rows():
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in others)
        body += f'<tr><th scope="row"><code>{name}</code></th>{cells}</tr>\n'
    return f"""\
<div class="recorded-runs" tabindex="0" role="region" aria-label="The recorded runs, a table">
<table class="table">
<thead><tr>{heads}</tr></thead>
<tbody>
{body}</tbody>
</table>
</div>
"""


class records_table(nodes.General, nodes.Element):
    """Where the table will stand: code may change while the page's own text does not."""


class RecordedRuns(SphinxDirective):
    """`{recorded-runs}`."""

    def run(self) -> list[nodes.Node]:
        _shown_on(self.env).add(self.env.docname)
        return [records_table()]


def _shown_on(env) -> set[str]:
    return env.__dict__.setdefault("recorded_shown_on", set())


def fill_in(app, doctree, docname) -> None:
    """Put the table in the place of its directive."""
    for node in list(doctree.findall(records_table)):
        node.replace_self(nodes.raw("", render(), format="html"))


def setup(app) -> dict:
    app.add_node(records_table)
    app.add_directive("recorded-runs", RecordedRuns)
    app.connect("env-updated", lambda app, env: sorted(_shown_on(env)))
    app.connect("env-purge-doc", lambda app, env, docname: _shown_on(env).discard(docname))
    app.connect("doctree-resolved", fill_in)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
