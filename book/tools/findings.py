"""The page of findings: every claim of the notebooks that this build executed, in one table.

A Sphinx extension, named in _config.yml. While a page is read, the records of its claims are taken
from its executed notebook: the one in the notebook cache that the page itself is made from. They
are kept in Sphinx's environment, so that an incremental build forgets what it reads anew and keeps
the rest. When all pages are read, the table takes the place of the directive `{findings}`, and a
single claim that of `{finding}` with its sentence; roles give a part of it in a line (`PARTS`).

A chapter without a claim, a broken record, a claim that its page does not show, or two claims with
one sentence: each stops the build, before a page is written.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from docutils import nodes
from jupyter_cache import get_cache
from myst_nb.core.read import create_nb_reader
from sphinx.environment.collectors import EnvironmentCollector
from sphinx.errors import SphinxError
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from recsys_book.show.claims import (
    TRAININGS,
    anchor,
    claim_html,
    figure_text,
    interval_text,
    mark,
    records_in,
    statement,
)

CHAPTERS = "chapters"  # the folder whose notebooks must each make a claim
LIST = "_static/findings.json"
LEVEL = 0.95  # coverage of the claims' intervals: the default of all that makes them
NUMBER = ' class="findings-number"'
HEADS = {
    "Claim": "",
    "Difference": NUMBER,
    "95&nbsp;% interval": NUMBER,
    "Over": NUMBER,
    "Where": "",
}


class FindingsError(SphinxError):
    """The table cannot be made; nothing is written."""

    category = "The page of findings cannot be made"


@dataclass
class Page:
    """What one page says of its claims."""

    records: list[dict] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)  # heading over each claim, in the same order
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """A row of the table."""

    record: dict
    page: str  # address, from the root of the site
    title: str
    section: str

    @property
    def address(self) -> str:
        """From the root of the site to the claim on its page."""
        return f"{self.page}#{anchor(self.record['claim'])}"


# ---------------------------------------------------------------- while pages are read


def read_page(notebook: Mapping, doctree: nodes.document) -> Page:
    """Claims of an executed notebook, each with the heading under which the page shows it."""
    try:
        page = Page(records=records_in(notebook))
    except ValueError as error:
        return Page(problems=[str(error)])
    shown = {
        found: _heading_over(raw)
        for raw in doctree.findall(nodes.raw)
        for found in re.findall(r'<div class="claim[^"]*" id="([^"]+)"', raw.astext())
    }
    for record in page.records:
        here = anchor(record["claim"])
        if here not in shown:
            page.problems.append(f"the page does not show the claim “{record['claim']}”")
        page.sections.append(shown.get(here, ""))
    return page


def _heading_over(node: nodes.Node) -> str:
    while node is not None and not isinstance(node, nodes.section):
        node = node.parent
    return "" if node is None else node.next_node(nodes.title).astext()


def executed_notebook(env, docname: str) -> Mapping | None:
    """The executed notebook that the page is made from; None where the page is no notebook.

    (The copy that MyST-NB writes beside the pages will not do: it has no outputs when they came
    from the cache.)
    """
    path = env.doc2path(docname)
    text = Path(path).read_text(encoding="utf-8")
    reader = create_nb_reader(path, env.myst_config, env.mystnb_config, text)
    if reader is None:
        return None
    try:
        cache = get_cache(env.mystnb_config.execution_cache_path)
        return cache.merge_match_into_notebook(reader.read(text))[1]
    except KeyError:
        return {"cells": []}  # was not executed


class Collector(EnvironmentCollector):
    """Keeps a `Page` for every page that is a notebook."""

    def process_doc(self, app, doctree) -> None:
        notebook = executed_notebook(app.env, app.env.docname)
        if notebook is not None:
            _pages(app.env)[app.env.docname] = read_page(notebook, doctree)

    def clear_doc(self, app, env, docname) -> None:
        _pages(env).pop(docname, None)
        _shown_on(env).discard(docname)

    def merge_other(self, app, env, docnames, other) -> None:
        _pages(env).update({d: page for d, page in _pages(other).items() if d in docnames})
        _shown_on(env).update(_shown_on(other) & set(docnames))


def _pages(env) -> dict[str, Page]:
    """Page → its claims."""
    return env.__dict__.setdefault("findings", {})


def _shown_on(env) -> set[str]:
    """Pages with the directive."""
    return env.__dict__.setdefault("findings_shown_on", set())


# ---------------------------------------------------------------- when all are read


def problems_of(pages: Mapping[str, Page], chapters: Sequence[str]) -> list[str]:
    """What would make the table wrong or short, in words.

    Args:
        pages: page → its claims.
        chapters: pages that must have some.
    """
    told = [f"{name}: {problem}" for name, page in pages.items() for problem in page.problems]
    for name in chapters:
        if name not in pages:
            told.append(f"{name}: is not in the book; _toc.yml should name it")
        elif not pages[name].records and not pages[name].problems:
            told.append(f"{name}: no claim in its executed notebook")
    first = {}
    for name, page in pages.items():
        for record in page.records:
            sentence = record["claim"]
            if sentence in first:
                told.append(f"{name}: “{sentence}” is claimed already, in {first[sentence]}")
            first.setdefault(sentence, name)
    return told


def check_all(app, env) -> list[str]:
    """Stop unless the table will be complete; else have its page written anew.

    Where a chapter is the root, it is looked at alone, without the rest of the book.
    """
    chapters = [f"{CHAPTERS}/{p.stem}" for p in sorted(Path(env.srcdir, CHAPTERS).glob("*.ipynb"))]
    root = env.config.root_doc
    problems = problems_of(_pages(env), [root] if root in chapters else chapters)
    if problems:
        raise FindingsError("\n- ".join(["", *problems]))
    return sorted(_shown_on(env))


def findings_of(env, builder) -> list[Finding]:
    """Rows in the order of the book."""
    found = []
    for docname in _reading_order(env, env.config.root_doc, set()):
        page, title = _pages(env).get(docname, Page()), env.titles[docname].astext()
        for record, section in zip(page.records, page.sections, strict=True):
            found.append(Finding(record, builder.get_target_uri(docname), title, section))
    return found


def _reading_order(env, docname: str, seen: set[str]) -> Iterator[str]:
    if docname not in seen:
        seen.add(docname)
        yield docname
        for child in env.toctree_includes.get(docname, []):
            yield from _reading_order(env, child, seen)


# ---------------------------------------------------------------- what is written


def count(findings: Sequence[Finding]) -> str:
    """How many claims there are, what they say, and how many of them may err, as HTML.

    An interval at 95 % misses what it is about one time in twenty. The number is what to expect of
    as many intervals; which of them miss, nobody can tell.
    """
    records = [finding.record for finding in findings]
    of = lambda verdict: sum(record["verdict"].startswith(verdict) for record in records)
    bounded = sum(record["low"] is not None for record in records)
    trainings = sum(record["over"] == TRAININGS for record in records)
    one_in = round(1 / (1 - LEVEL))
    text = (
        f'<p class="findings-count">This book makes <b>{len(records):,} claims</b>: '
        f"{of('shown'):,} differences shown (✓), {of('not'):,} not told apart (≈) and "
        f"{of('equal'):,} equal within a margin (=). Of these, {bounded:,} rest on a "
        f"{LEVEL:.0%} interval. Even where everything was done right, on average one such "
        f"interval in {one_in} misses: expect about {round(bounded / one_in):,} of these to err, "
        f"without knowing which."
    )
    if trainings:
        text += (
            f" {trainings:,} compare on real data over trainings only: their intervals leave out "
            "what other people would change."
        )
    return text.replace("%", "\N{NO-BREAK SPACE}%") + "</p>"


def render(findings: Sequence[Finding], to_root: str) -> str:
    """How many claims there are, the list of chapters, the filter and the table, as HTML.

    Without JavaScript the filter stays hidden and the table is complete.

    Args:
        findings: rows, those of one page together.
        to_root: from the page to the root of the site, such as "../".
    """
    groups = [list(rows) for _, rows in groupby(findings, key=lambda row: row.page)]
    jumps = [
        f'<li><a href="#{_name(rows)}">{html.escape(rows[0].title)}</a> ({len(rows)})</li>'
        for rows in groups
    ]
    bodies = [_group(rows, to_root) for rows in groups]
    heads = "".join(f'<th scope="col"{align}>{name}</th>' for name, align in HEADS.items())
    return f"""\
{count(findings)}
<ul class="findings-chapters">
{"".join(jumps)}
</ul>
<div class="findings-filter" hidden>
<label for="findings-filter">Filter</label>
<input id="findings-filter" type="search" autocomplete="off" aria-controls="findings-table">
<span class="findings-left" role="status" aria-live="polite"></span>
</div>
<div class="findings" tabindex="0" role="region" aria-label="All claims of this book, a table">
<table class="table" id="findings-table">
<thead><tr>{heads}</tr></thead>
{"".join(bodies)}
</table>
</div>
<p>The same {len(findings)} claims as <a href="{to_root}{LIST}" download>a JSON file</a>, \
numbers unrounded.</p>
"""


def _name(rows: Sequence[Finding]) -> str:
    return f"from-{Path(rows[0].page).stem}"


def _group(rows: Sequence[Finding], to_root: str) -> str:
    link = f'<a href="{to_root}{rows[0].page}">{html.escape(rows[0].title)}</a>'
    head = f'<tr class="findings-chapter"><th scope="rowgroup" colspan="5">{link}</th></tr>'
    body = "".join(_row(row, to_root) for row in rows)
    return f'<tbody id="{_name(rows)}">\n{head}\n{body}</tbody>\n'


def _row(finding: Finding, to_root: str) -> str:
    record = finding.record
    cells = [
        f"<td>{mark(record)} {html.escape(statement(record))}</td>",
        f"<td{NUMBER}>{figure_text(record)}</td>",
        f"<td{NUMBER}>{interval_text(record)}</td>",
        f"<td{NUMBER}>{_repeats(record)}</td>",
        f'<td><a href="{to_root}{finding.address}">{html.escape(finding.section)}</a></td>',
    ]
    return f'<tr id="{anchor(record["claim"])}">{"".join(cells)}</tr>\n'


def _repeats(record: Mapping) -> str:
    """Over how many of what the interval is."""
    return "" if record["n"] is None else f"{record['n']:,} {record['over']}"


def as_list(findings: Sequence[Finding]) -> list[dict]:
    """The rows for programs: figures as they were worked out, and where they stand."""
    return [
        dict(f.record) | {"chapter": f.title, "section": f.section, "address": f.address}
        for f in findings
    ]


class placeholder(nodes.General, nodes.Element):
    """Where the table will stand."""


class one_finding(nodes.General, nodes.Element):
    """Where one claim of another page will stand."""


class FindingsDirective(SphinxDirective):
    """`{findings}`: the table of all claims."""

    def run(self) -> list[nodes.Node]:
        _shown_on(self.env).add(self.env.docname)
        return [placeholder()]


class FindingDirective(SphinxDirective):
    """`{finding}`: one claim, called by its sentence, with its figure and the way to its page."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        _shown_on(self.env).add(self.env.docname)
        return [one_finding(sentence=" ".join(" ".join(self.content).split()))]


#: Parts of a claim that can stand within a line of text, by the name of their role.
PARTS = {
    "levels": lambda record: statement(record).removeprefix(record["claim"] + ": "),
    "difference": figure_text,
    "interval": interval_text,
    "varied": lambda record: f"{record['n']:,} {record['over']}",
}


def part_role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """`{levels}`, `{difference}`, `{interval}`, `{varied}`: a part of one claim, called by its
    sentence, within a line of text."""
    env = inliner.document.settings.env
    _shown_on(env).add(env.docname)
    return [one_finding(sentence=" ".join(text.split()), part=name)], []


def render_part(finding: Finding, part: str, to_root: str) -> str:
    """A part of a claim, as the way to where the claim is made."""
    words = html.escape(PARTS[part](finding.record))
    return f'<a href="{to_root}{finding.address}">{words}</a>'


def render_one(finding: Finding, to_root: str) -> str:
    """A claim as its page shows it, and where that is."""
    where = f'<a href="{to_root}{finding.address}">{html.escape(finding.title)}</a>'
    shown = claim_html(finding.record, where=where)
    return re.sub(r' id="[^"]+"', "", shown, count=1) + "\n"  # the place of the claim is its page


def fill_in(app, doctree, docname) -> None:
    """Put the table, and single claims, in the place of their directives."""
    called = list(doctree.findall(one_finding))
    if called:
        to_root = relative_uri(app.builder.get_target_uri(docname), "")
        known = {f.record["claim"]: f for f in findings_of(app.env, app.builder)}
        for node in called:
            if node["sentence"] not in known:
                raise FindingsError(f"{docname}: nobody claims “{node['sentence']}”")
            finding, part = known[node["sentence"]], node.get("part")
            text = render_part(finding, part, to_root) if part else render_one(finding, to_root)
            node.replace_self(nodes.raw("", text, format="html"))
    for node in list(doctree.findall(placeholder)):
        to_root = relative_uri(app.builder.get_target_uri(docname), "")
        table = render(findings_of(app.env, app.builder), to_root)
        node.replace_self(nodes.raw("", table, format="html"))


def write_list(app, exception) -> None:
    """Write the rows beside the pages."""
    if exception is None and app.builder.format == "html":
        rows = as_list(findings_of(app.env, app.builder))
        text = json.dumps(rows, ensure_ascii=False, indent=1)
        Path(app.outdir, LIST).write_text(text + "\n", encoding="utf-8")


def setup(app) -> dict:
    app.add_env_collector(Collector)
    app.add_node(placeholder)
    app.add_node(one_finding)
    app.add_directive("findings", FindingsDirective)
    app.add_directive("finding", FindingDirective)
    for name in PARTS:
        app.add_role(name, part_role)
    app.connect("env-updated", check_all)
    app.connect("doctree-resolved", fill_in)
    app.connect("build-finished", write_list)
    # Pages read by another version of this file are read again.
    version = int(hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8], 16)
    return {"env_version": version, "parallel_read_safe": True, "parallel_write_safe": True}
