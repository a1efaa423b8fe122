"""The page of findings: records are read as they are, and no table is made that would be wrong."""

import inspect
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import findings
import nbformat
import pytest
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from recsys_book.show.claims import MIME, anchor, by_world, claim, measured, records_in, statement
from recsys_book.show.intervals import (
    bootstrap_interval,
    paired_bootstrap,
    paired_interval,
    t_interval,
)


def record(sentence="A is above B", value=0.1, over="simulated worlds", **more):
    """Of a claim; a number more or less than 0.05 says which way it points."""
    made = claim(sentence, measured(0.5 + value, 0.5), ">" if value > 0 else "<", "HR@10").record
    return (
        made
        | {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 3, "over": over}
        | more
    )


BARE = {"low": None, "high": None, "n": None, "over": ""}


def executed(*records):
    """A notebook of one cell for each record, as nbformat reads it."""
    outputs = [[{"output_type": "display_data", "data": {MIME: r}}] for r in records]
    cells = [{"cell_type": "code", "outputs": out} for out in outputs]
    return {"cells": [{"cell_type": "markdown", "source": "# A"}, *cells]}


def test_a_claim_and_its_row_write_the_same_figures():
    made = claim("A is above B", by_world([0.31, 0.32, 0.33], [0.1, 0.12, 0.1]), ">", "HR@10")
    told = made._repr_mimebundle_()
    row = findings.Finding(json.loads(json.dumps(told[MIME])), "a.html", "A", "")
    [_, (_, cells)] = Table(findings._group([row], "")).rows
    assert (
        f"{cells[0]} (difference {cells[1]}, 95 % interval {cells[2]}, {cells[3]})"
        == told["text/plain"]
    )


def test_records_are_read_in_order_and_other_outputs_are_left_alone():
    notebook = executed(record("one"), record("two", **BARE))
    notebook["cells"][1]["outputs"].insert(0, {"output_type": "stream", "text": "three"})
    assert [r["claim"] for r in records_in(notebook)] == ["one", "two"]
    assert records_in({"cells": []}) == []


def test_a_broken_record_is_refused_by_the_name_of_its_cell():
    with pytest.raises(ValueError, match="cell 3: n is 0"):
        records_in(executed(record(), record("B") | {"n": 0}))
    with pytest.raises(ValueError, match="cell 2: a claim's record lacks"):
        records_in(executed({"claim": "A", "value": 1.0, "low": None}))
    with pytest.raises(ValueError, match="must have names and values"):
        records_in(executed("A"))


def document(*shown):
    """A page "Chapter" with a section "Runs" in which sentences are shown."""
    runs = nodes.section("", nodes.title("", "Runs"))
    for sentence in shown:
        runs += nodes.raw("", f'<div class="claim" id="{anchor(sentence)}">✓</div>', format="html")
    doctree = nodes.document(None, None)
    doctree += nodes.section("", nodes.title("", "Chapter"), nodes.paragraph("", "…"), runs)
    return doctree


def test_a_claim_goes_with_the_heading_over_it():
    page = findings.read_page(executed(record("one"), record("two")), document("two", "one"))
    assert [r["claim"] for r in page.records] == ["one", "two"]
    assert page.sections == ["Runs", "Runs"] and page.problems == []


def test_a_claim_that_its_page_hides_is_a_problem():
    page = findings.read_page(executed(record("one"), record("two")), document("one"))
    assert page.problems == ["the page does not show the claim “two”"]


def test_problems_name_the_page():
    page = lambda *sentences: findings.Page([record(s) for s in sentences], ["Runs"])
    pages = {"chapters/00": page("one"), "chapters/01": page("one"), "chapters/02": page()}
    told = findings.problems_of(pages, ["chapters/00", "chapters/01", "chapters/02", "chapters/03"])
    assert told == [
        "chapters/02: no claim in its executed notebook",
        "chapters/03: is not in the book; _toc.yml should name it",
        "chapters/01: “one” is claimed already, in chapters/00",
    ]
    assert (
        findings.problems_of({"chapters/00": page("one"), "book/a": page()}, ["chapters/00"]) == []
    )


class Table(HTMLParser):
    """Rows, each with its id and the text of its cells, and where links lead."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.links, self.in_cell = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "tr":
            self.rows.append((attributes.get("id"), []))
        elif tag in ("td", "th"):
            self.rows[-1][1].append("")
            self.in_cell = True
        elif tag == "a":
            self.links.append(attributes.get("href"))

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self.in_cell:
            self.rows[-1][1][-1] += data


def test_the_table_has_a_row_for_each_claim_under_its_chapter():
    rows = [
        findings.Finding(record("A < B & C"), "chapters/00.html", "0 · Why", "Runs"),
        findings.Finding(record("two", -0.4, **BARE), "chapters/01.html", "1 · How", ""),
        findings.Finding(record("three", n=99, over="people"), "chapters/01.html", "1 · How", ""),
    ]
    table = Table(findings.render(rows, "../"))
    assert table.rows[1:] == [
        (None, ["0 · Why"]),
        (anchor("A < B & C"), ["✓ A < B & C: .600 against .500 HR@10", ".100", ".090 to .110",
                               "3 simulated worlds", "Runs"]),
        (None, ["1 · How"]),
        (anchor("two"), ["✓ two: .10 against .50 HR@10", "−.40", "", "", ""]),
        (anchor("three"), ["✓ three: .600 against .500 HR@10", ".100", ".090 to .110",
                           "99 people", ""]),
    ]  # fmt: skip
    assert f"../chapters/00.html#{anchor('A < B & C')}" in table.links
    assert "#from-01" in table.links and "../_static/findings.json" in table.links


def test_the_page_says_how_many_claims_there_are_and_how_many_may_err():
    unclear = {"relation": "≈", "verdict": "not told apart", "low": -0.1, "high": 0.3}
    rows = [
        findings.Finding(
            record(str(i), **(BARE if i < 10 else unclear if i < 30 else {})), "", "", ""
        )
        for i in range(1_210)
    ]
    told = re.sub("<[^>]+>", "", findings.count(rows)).replace("\N{NO-BREAK SPACE}", " ")
    assert "makes 1,210 claims: 1,190 differences shown (✓), 20 not told apart (≈) and 0" in told
    assert "Of these, 1,200 rest on a 95 % interval" in told
    assert "on average one such interval in 20 misses: expect about 60 of these to err" in told
    assert "trainings" not in told
    assert findings.render(rows, "").startswith(findings.count(rows))
    rows.append(findings.Finding(record("real", over="trainings, not over people"), "", "", ""))
    assert "1 compare on real data over trainings only" in findings.count(rows)


def test_the_level_told_is_that_of_the_intervals():
    for made in (t_interval, paired_interval, bootstrap_interval, paired_bootstrap):
        assert inspect.signature(made).parameters["level"].default == findings.LEVEL


CONF = """
extensions = ["myst_nb", "findings"]
source_suffix = {{".md": "myst-nb", ".ipynb": "myst-nb"}}
nb_execution_mode = "cache"
nb_execution_cache_path = {cache!r}
nb_execution_raise_on_error = True
suppress_warnings = ["mystnb.unknown_mime_type"]
exclude_patterns = ["chapters/02*"]  # as `only_build_toc_files` does
"""


class Book:
    """A book of two small chapters, one of which is no notebook file but a page with a cell."""

    def __init__(self, folder):
        self.root, self.made = folder / "book", folder / "made" / "html"
        (self.root / "chapters").mkdir(parents=True)
        (self.root / "conf.py").write_text(CONF.format(cache=str(folder / "cache")))
        toc = "\n".join(["```{toctree}", "chapters/00", "chapters/01", "page", "all", "```"])
        (self.root / "index.md").write_text(f"# Book\n\n{toc}\n")
        (self.root / "all.md").write_text("# All\n\n```{findings}\n```\n")

    def chapter(self, name, *records, prose=""):
        cell = nbformat.v4.new_code_cell(self.source(*records))
        cells = [nbformat.v4.new_markdown_cell(f"# Chapter {name}\n\n## Runs\n\n{prose}"), cell]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
        nbformat.write(notebook, self.root / "chapters" / f"{name}.ipynb")

    def page(self, *records):
        head = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n"
        cell = f"```{{code-cell}} ipython3\n{self.source(*records)}\n```\n"
        (self.root / "page.md").write_text(f"{head}\n# Page\n\n{cell}")

    def source(self, *records):
        """Code that shows claims without importing the package, which takes its time."""
        shown = [f'<div class="claim" id="{anchor(r["claim"])}">✓</div>' for r in records]
        bundles = [{"text/html": s, MIME: r} for s, r in zip(shown, records, strict=True)]
        return "\n".join(f"display({bundle!r}, raw=True)" for bundle in bundles) or "1"

    def build(self):
        with docutils_namespace():
            app = Sphinx(
                self.root, self.root, self.made, self.made.parent / "trees", "html",
                status=None, warning=None, warningiserror=True,
            )  # fmt: skip
            app.build()
        assert app.statuscode == 0
        rows = json.loads((self.made / "_static" / "findings.json").read_text())
        table = Table((self.made / "all.html").read_text(encoding="utf-8"))
        told = [cells[0] for here, cells in table.rows if here]
        assert [f"✓ {statement(r)}" for r in rows] == told
        for row in rows:
            page, mark = row["address"].split("#")
            assert f'id="{mark}"' in (self.made / page).read_text(encoding="utf-8")
        return {row["claim"]: (row["value"], row["chapter"], row["section"]) for row in rows}


def test_a_page_can_call_a_claim_by_its_sentence_and_no_other(tmp_path):
    book = Book(tmp_path)
    for name, sentence in (("00", "first"), ("01", "second")):
        book.chapter(name, record(sentence))
    parts = " ".join(f"{{{part}}}`first`" for part in findings.PARTS)
    call = f"# Page\n\nBoth: {parts}.\n\n```{{finding}}\nsecond\n```\n"
    (book.root / "page.md").write_text(call)
    book.build()
    text = (book.made / "page.html").read_text(encoding="utf-8")
    assert "second: .600 against .500 HR@10</b>" in text and "interval .090 to .110" in text
    assert f'chapters/01.html#{anchor("second")}">Chapter 01</a>' in text
    to = f'<a href="./chapters/00.html#{anchor("first")}">'
    told = (".600 against .500 HR@10", ".100", ".090 to .110", "3 simulated worlds")
    assert f"Both: {' '.join(f'{to}{part}</a>' for part in told)}." in text

    # The figure moves in the chapter, and on the page that calls it, though nobody touched that.
    book.chapter("01", record("second", 0.2))
    book.build()
    assert "second: .700 against" in (book.made / "page.html").read_text(encoding="utf-8")

    (book.root / "page.md").write_text(call.replace("second", "third"))
    with pytest.raises(findings.FindingsError, match="page: nobody claims “third”"):
        book.build()


def test_a_build_shows_its_own_claims_whole_or_not_at_all(tmp_path):
    book = Book(tmp_path)
    book.chapter("01", record("second"))
    book.chapter("00", record("first"))
    book.page(record("third", 0.5))
    assert list(book.build().items()) == [
        ("first", (0.1, "Chapter 00", "Runs")),
        ("second", (0.1, "Chapter 01", "Runs")),
        ("third", (0.5, "Page", "Page")),
    ]

    # Other prose, and so outputs from the cache: nothing is lost.
    book.chapter("00", record("first"), prose="Words.")
    assert list(book.build()) == ["first", "second", "third"]

    # Another figure, another sentence: nothing stale.
    book.chapter("01", record("second", 0.2))
    book.page(record("fourth"))
    told = book.build()
    assert list(told) == ["first", "second", "fourth"] and told["second"][0] == 0.2

    # What fails leaves the pages alone, and fails again until it is mended.
    before = (book.made / "all.html").read_text(encoding="utf-8")
    for broken, message in (
        ([], "chapters/01: no claim"),
        ([record("second", relation="<")], "chapters/01: cell 2: the figures of “second”"),
        ([record("first")], "chapters/01: “first” is claimed already, in chapters/00"),
    ):
        book.chapter("01", *broken)
        for _ in range(2):
            with pytest.raises(findings.FindingsError, match=message):
                book.build()
    assert (book.made / "all.html").read_text(encoding="utf-8") == before
    book.chapter("01", record("second"))
    book.chapter("02", record("fifth"))
    with pytest.raises(findings.FindingsError, match="chapters/02: is not in the book"):
        book.build()
    (book.root / "chapters" / "02.ipynb").unlink()
    assert list(book.build()) == ["first", "second", "fourth"]


@pytest.mark.parametrize("root, stops", [("index", True), ("chapters/00", False)])
def test_a_chapter_alone_needs_no_other(tmp_path, root, stops):
    (tmp_path / "chapters").mkdir()
    for name in ("00", "01"):
        (tmp_path / "chapters" / f"{name}.ipynb").touch()
    env = SimpleNamespace(
        srcdir=tmp_path, config=SimpleNamespace(root_doc=root), findings_shown_on=set(),
        findings={"chapters/00": findings.Page(records=[record("a")], sections=["S"])},
    )  # fmt: skip
    if stops:
        with pytest.raises(findings.FindingsError, match="chapters/01: is not in the book"):
            findings.check_all(None, env)
    else:
        assert findings.check_all(None, env) == []
