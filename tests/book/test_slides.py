"""Slides: the rules by which a chapter becomes a deck, on small notebooks made by hand."""

import base64
import io
import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import slide_rules
import slide_text
import slides
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from recsys_book.show.claims import by_world, claim

ROOT = Path(__file__).parents[2]
CARD = "# 9 · A chapter\n\n| | |\n|---|---|\n| **You will be able to** | turn it |\n| **Time** | 5 minutes |"  # noqa: E501
LONG = "Words stand here. " + "Nobody reads this sentence from the last row. " * 12


def figure(alt="Two bars", width=640, height=360):
    raw = io.BytesIO()
    Image.new("RGB", (width, height)).save(raw, format="png")
    data = base64.b64encode(raw.getvalue()).decode()
    shown = (
        f'<img class="book-figure" alt="{alt}" width="{width}" src="data:image/png;base64,{data}">'
    )
    return new_output("display_data", data={"text/html": shown, "text/plain": alt})


def claimed(sentence="A is above B"):
    made = claim(sentence, by_world([0.35, 0.36, 0.37], [0.1, 0.12, 0.11]), ">", "HR@10")
    return new_output("execute_result", data=made._repr_mimebundle_(), execution_count=1)


def printed(text="3"):
    return new_output("stream", text=text)


def text(source, slide_type=None):
    cell = new_markdown_cell(source)
    if slide_type:
        cell.metadata["slideshow"] = {"slide_type": slide_type}
    return cell


def code(source="draw()", *outputs, slide_type=None):
    cell = new_code_cell(source, outputs=list(outputs))
    if slide_type:
        cell.metadata["slideshow"] = {"slide_type": slide_type}
    return cell


def slides_of(*cells, card=True):
    """[(what is on the slide, what is in its notes)], without the title slide."""
    notebook = new_notebook(cells=[*([text(CARD)] if card else []), *cells])
    made = slides.deck(notebook, "chapter")
    found = []
    for cell in made.cells:
        kind = cell.metadata["slideshow"]["slide_type"]
        if kind in ("slide", "subslide"):
            found.append(["", ""])
        out = "".join(str(o.get("data", o.get("text"))) for o in cell.get("outputs", []))
        found[-1][kind == "notes"] += cell.source + "\n" + out
    return [tuple(one) for one in found[1:]] if card else [tuple(one) for one in found]


def page_of(*cells):
    notebook = new_notebook(cells=[text(CARD), *cells])
    return slides.exporter().from_notebook_node(slides.deck(notebook, "chapter"))[0]


def test_the_title_slide_has_the_chapters_card():
    ((shown, _),) = slides_of(text(CARD), card=False)
    assert "<h1>9 · A chapter</h1>" in shown
    assert "<dt>You will be able to</dt><dd>turn it</dd>" in shown and "<dt>Time</dt>" in shown


def test_a_heading_starts_a_column_and_a_smaller_one_a_slide_under_it():
    made = slides.deck(
        new_notebook(
            cells=[text(CARD), text(f"## The idea\n\n{LONG}\n\n### More\n\n{LONG}"), text(LONG)]
        )
    )
    starts = [
        c.metadata["slideshow"]["slide_type"]
        for c in made.cells
        if c.metadata.get("layout") is not None
    ]
    assert starts == ["slide", "slide", "subslide"]


def test_a_slide_shows_a_figure_with_its_alt_text_and_not_the_code_that_made_it():
    ((shown, _),) = slides_of(text("## The idea"), code("draw_it()", figure("Two bars: 1 and 2")))
    assert 'alt="Two bars: 1 and 2"' in shown and "draw_it" not in shown


def test_long_prose_is_for_the_speaker_and_the_slide_has_its_first_and_its_bold_sentences():
    prose = (
        "First comes this sentence, which has a sensible length. Then comes one that "
        "nobody has to read. **This one matters.** And some more words."
    )
    ((shown, notes),) = slides_of(text(f"## The idea\n\n{prose}"))
    assert "First comes" in shown and "**This one matters.**" in shown
    assert "nobody has to read" not in shown and "nobody has to read" in notes


def test_equations_lists_and_what_leads_to_them_are_shown():
    source = (
        f"## The idea\n\n{LONG}\n\nUnimportant. A score is a sum:\n\n$$s = a + b$$\n\n- one\n- two"
    )
    shown = slides_of(text(source))[0][0]
    assert "A score is a sum:" in shown and "$$s = a + b$$" in shown and "- two" in shown
    assert "Unimportant" not in shown


def test_a_fold_goes_to_the_notes_and_a_prompt_comes_before_the_figure_that_answers_it():
    fold = "<details><summary>Proof</summary>\n\nBecause of this.\n\n</details>"
    prompt = "<details><summary><b>Predict before you run:</b> up or down?</summary>\n\nUp.\n\n</details>"  # noqa: E501
    told = slides_of(text(f"## The idea\n\n{LONG}\n\n{fold}\n\n{prompt}"), code("draw()", figure()))
    assert len(told) == 2
    (first, notes), (second, _) = told
    assert "Because of this" not in first and "Because of this" in notes
    assert "up or down?" in first and "<img" not in first and "<img" in second


def test_set_up_and_imports_are_skipped():
    set_up = code(
        "from recsys_book.show.notebook import setup\n\ndevice = setup(seed=0)", printed("Python")
    )
    install = code(
        "try:\n    import recsys_book\nexcept ImportError:\n    %pip install -q recsys-book"
    )
    imports = code("import math\nfrom torch import (\n    nn,\n    optim,\n)", printed())
    told = slides_of(
        text(f"## Build it\n\n{LONG}"), set_up, install, imports, code("x = 1\nx", printed())
    )
    everything = "".join(shown for shown, _ in told)
    assert "import" not in everything and "setup" not in everything and "x = 1" in everything


@pytest.mark.parametrize(
    ("column", "lines", "shown"),
    [("Build it", 8, True), ("Build it", 11, False), ("The map", 3, False)],
)
def test_short_code_is_shown_where_the_chapter_builds(column, lines, shown):
    source = "\n".join(f"step_{i} = {i}" for i in range(lines))
    told = slides_of(text(f"## {column}\n\n{LONG}"), code(source, printed()))
    assert any("step_0" in one for one, _ in told) == shown


def test_claims_stand_under_a_figure_with_their_figure_and_interval():
    ((shown, _),) = slides_of(
        text("## The experiment"), code("c()", figure(width=1200)), code("c()", claimed())
    )
    assert "<img" in shown and "A is above B: .360 against .110 HR@10" in shown
    assert "difference .250" in shown and "3 simulated worlds" in shown


def test_what_does_not_fit_goes_on_under_the_same_title():
    many = [code("c()", claimed(f"{i}: a claim of some length, as they are")) for i in range(12)]
    told = slides_of(text("## The experiment"), *many)
    assert len(told) >= 2 and all("<h2>The experiment</h2>" in shown for shown, _ in told)
    assert "".join(shown for shown, _ in told).count('class="claim"') == 12


def test_a_widget_has_a_slide_of_its_own_and_keeps_its_state():
    view = {slide_rules.WIDGET: {"version_major": 2, "version_minor": 0, "model_id": "abc"}}
    widget = code("w()", new_output("display_data", data={**view, "text/plain": "W"}))
    notebook = new_notebook(cells=[text(CARD), text(f"## The map\n\n{LONG}"), widget, text(LONG)])
    notebook.metadata["widgets"] = {slides.STATE: {"state": {"abc": {"x": 1}}}}
    page = slides.exporter().from_notebook_node(slides.deck(notebook, "chapter"))[0]
    assert '"model_id": "abc"' in page
    assert '"abc": {"x": 1}' in page and "vendor/embed-amd.js" in page


def test_metadata_overrules():
    told = slides_of(
        text(f"## The idea\n\n{LONG}"),
        text("Not this.", "skip"),
        text("For the speaker.", "notes"),
        code("shown = 'as it stands'", printed("yes"), slide_type="subslide"),
        text("All of this. Every word of it stands here.", "slide"),
        text("Then this.", "fragment"),
    )
    everything = "".join(shown + notes for shown, notes in told)
    assert "Not this" not in everything
    assert "For the speaker." in told[0][1] and "For the speaker." not in told[0][0]
    assert "as it stands" in told[1][0]
    assert "Every word of it" in told[2][0] and "Then this." in told[2][0] and len(told) == 3


def test_a_fragment_appears_by_itself():
    page = page_of(text(f"## A\n\n{LONG}"), text("Later.", "fragment"))
    assert re.search(r'<div class="fragment">\s*<div class="part own">\s*<p>Later.</p>', page)


OLD = """<details><summary><b>Check yourself</b> (two questions)</summary>

1. Why?

<details><summary>Answer</summary>

Because.

</details>

2. Who?

<details><summary>Answer</summary>

She.

</details>

</details>"""
NEW = """**1. Why $x$?**

<details><summary>A. for $y$</summary>

✗ No: it is not.

</details>
<details><summary>B. because</summary>

✓ Yes.

</details>

**2. Who?**

<details><summary>A. he</summary>

✗ No.

</details>

<details><summary>B. she</summary>

✓ She was it.

</details>"""


@pytest.mark.parametrize(
    "source",
    [
        OLD,
        f"<details><summary><b>Check yourself</b> (two)</summary>\n\n{NEW}\n\n</details>",
        f"## Check yourself\n\n{NEW}",
        f"**Check yourself** (two questions)\n\n{NEW}",
    ],
)
def test_every_question_is_a_slide_and_its_answers_open(source):
    told = slides_of(text(source))
    assert len(told) == 2
    assert "Why" in told[0][0] and "Who" not in told[0][0] and "1 of 2" in told[0][0]
    n_folds = 1 if source is OLD else 2
    for shown, notes in told:
        assert shown.count("<details") == shown.count("<summary>") == n_folds
        assert ("Because." if source is OLD and "Why" in shown else "") in notes
        everything = shown + notes
        assert ("Because." in everything or "✓ Yes." in everything) == ("Why" in shown)
    if source is not OLD:  # one of the answers is open at a time
        assert told[0][0].count('name="question-1"') == 2 and "✓ Yes." in told[0][0]


def test_exercises_are_titles_or_the_list_that_the_chapter_has():
    long = "**1. XNOR (5 minutes).** Turn the table round.\n\n<details><summary>Hint</summary>\n\nH.\n\n</details>"  # noqa: E501
    for body, wanted in (
        (long, "**1. XNOR"),
        ("- [XNOR](../exercises/xnor.ipynb), 5 minutes", "XNOR"),
    ):
        fold = f"<details><summary><b>Exercises</b> (one)</summary>\n\n{body}\n\n</details>"
        ((shown, _),) = slides_of(text(fold))
        assert wanted in shown and "Turn the table" not in shown and "ipynb" not in shown


def test_the_papers_table_is_split_by_rows():
    rows = "\n".join(
        f"| claim {i}, which is often repeated | {'what they say ' * 12} |" for i in range(12)
    )
    fold = f"<details><summary><b>What the papers really say</b></summary>\n\n| A | B |\n|---|---|\n{rows}\n\n</details>"  # noqa: E501
    told = slides_of(text(fold))
    assert len(told) >= 2 and all("| A | B |" in shown for shown, _ in told)
    assert [i for i in range(12) if f"claim {i}," in "".join(s for s, _ in told)] == list(range(12))


def test_a_deck_stays_short_and_what_gives_way_is_said():
    cells = []
    for i in range(50):
        cells += [text(f"### Part {i}\n\nSentence {i} leads. {LONG}"), code("draw()", figure())]
    told = slides_of(text("## Build it"), *cells)
    assert len(told) + 1 == slide_rules.MOST_SLIDES
    assert "Sentence 49 leads" in "".join(notes for _, notes in told)


def test_every_heading_keeps_a_slide_while_a_crowded_one_gives_way():
    crowd = [code("draw()", figure()) for _ in range(50)]
    small = [text(f"### Small\n\n{LONG}"), code("x = 1\nx", printed())]
    told = slides_of(text(f"## Build it\n\n### Crowd\n\n{LONG}"), *crowd, *small)
    assert len(told) + 1 == slide_rules.MOST_SLIDES
    assert sum("<h2>Small</h2>" in shown for shown, _ in told) == 1


def test_sentences_end_where_they_do():
    told = slide_text.sentences(
        "Rendle et al. (2020) say $0.5. X$ so. **Half one. Half two.** See [A. B](c.ipynb). (An aside. It goes on.) End?"  # noqa: E501
    )
    assert told == [
        "Rendle et al. (2020) say $0.5. X$ so.",
        "**Half one. Half two.**",
        "See [A. B](c.ipynb).",
        "(An aside. It goes on.)",
        "End?",
    ]


def test_short_sentences_bring_the_next_and_small_questions_do_not_count():
    gist = slide_text.gist
    assert gist("**kNN.** It counts. No more.") == "**kNN.** It counts."
    assert gist("You inherit a run. It is bad. Why?", lead=True) == "You inherit a run. It is bad."
    asked = "Nothing. How long must a vector be, at the very least?"
    assert gist(asked).startswith("How long") and gist(asked, questions=False) == ""
    assert gist("(**Aside.** It is one.)") == ""


def test_a_data_frames_index_name_needs_no_row():
    frame = pd.DataFrame({"MF": [0.1], "DNN": [0.2]}, index=pd.Index([7], name="world"))
    told = slide_rules.tidy(frame.to_html())
    assert told.count("<tr") == 2 and "<th></th>" not in told
    assert re.findall("<th>(.*?)</th>", told) == ["world", "MF", "DNN", "7"]
    assert (
        slide_rules.tidy("<table><tr><td>1</td></tr></table>")
        == "<table><tr><td>1</td></tr></table>"
    )


def test_links_lead_to_the_pages_of_the_book():
    told = slide_text.links("[a](03_neumf.ipynb#x) [b](../book/papers.md) [c](https://d.org/e.md)")
    assert (
        told == "[a](../chapters/03_neumf.html#x) [b](../book/papers.html) [c](https://d.org/e.md)"
    )


def test_the_chapters_own_blocks_lose_nothing():
    for path in (ROOT / "chapters").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                source = "".join(cell["source"])
                words = re.findall(r"\w+", re.sub(r"</?(details|summary)[^>]*>", "", source))
                kept = "\n".join(
                    f"{b.name if b.kind == 'fold' else ''} {b.text}"
                    for b in slide_text.blocks(source)
                )
                assert re.findall(r"\w+", re.sub(r"</?(details|summary)[^>]*>", "", kept)) == words


@pytest.fixture
def chapter(tmp_path):
    """A chapter, its notebook cache, and a built book to put slides into."""
    path = tmp_path / "09_chapter.ipynb"
    cells = [text(CARD), text(f"## The idea\n\n{LONG}"), code("draw()", figure())]
    run = new_notebook(cells=cells)
    plain = nbformat.from_dict(run)
    cache = get_cache(tmp_path / "cache")
    cache.cache_notebook_bundle(CacheBundleIn(run, str(path)), check_validity=False)
    plain.cells[2].outputs = []
    nbformat.write(plain, path)
    (tmp_path / "site").mkdir()
    return path, tmp_path / "cache", tmp_path / "site"


def test_decks_lie_beside_what_they_share_and_name_no_other_site(chapter):
    path, cache, site = chapter
    listed = slides.make_all(site, [path], cache)
    names = {file.name for file in (site / "slides").iterdir()}
    assert names == {"09_chapter.html", "index.html", "slides.css", "slides.js", "code.css"}
    assert 'href="09_chapter.html"' in listed.read_text(encoding="utf-8")
    page = (site / "slides" / "09_chapter.html").read_text(encoding="utf-8")
    assert "<img" in page and 'href="../chapters/09_chapter.html"' in page
    for file in (site / "slides").iterdir():
        assert not re.search(r"(src|href)=\"(https?:)?//|url\(", file.read_text(encoding="utf-8"))
    slides.make_all(site, [path], cache)  # again: the same, bit for bit
    assert (site / "slides" / "09_chapter.html").read_text(encoding="utf-8") == page


def test_a_chapter_that_was_not_run_as_it_stands_is_named_and_the_last_decks_stay(chapter):
    path, cache, site = chapter
    slides.make_all(site, [path], cache)
    changed = nbformat.read(path, as_version=4)
    changed.cells[1].source += " More prose."  # needs no run
    nbformat.write(changed, path)
    slides.make_all(site, [path], cache)
    changed.cells[2].source = "draw(again=True)"
    nbformat.write(changed, path)
    with pytest.raises(slides.SlidesError, match=r"09_chapter: .*run `make book`"):
        slides.make_all(site, [path], cache)
    assert (site / "slides" / "09_chapter.html").exists()
    shutil.rmtree(cache)
    with pytest.raises(slides.SlidesError, match=r"09_chapter: .*run `make book`"):
        slides.make_all(site, [path], cache)


def test_a_failed_deck_fails_the_build_and_leaves_the_last_good_book(tmp_path, monkeypatch, capfd):
    import build

    class Done:
        returncode = 0

    def no_slides(*_, **__):
        raise slides.SlidesError("09_chapter: run `make book`")

    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("good")
    monkeypatch.setattr(build, "FINISHED", tmp_path / "html")
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "execute", lambda jobs, pages: (False, []))
    monkeypatch.setattr(build.subprocess, "run", lambda *a, **k: Done())
    monkeypatch.setattr(build.slides, "make_all", no_slides)
    monkeypatch.setattr(sys, "argv", ["build.py"])
    monkeypatch.setattr(build, "BUILD", tmp_path)
    for name in (*build.FOR_KERNELS, "IPYTHONDIR"):
        monkeypatch.setenv(name, "0")  # this puts them back
    assert build.main() == 1
    assert (tmp_path / "html" / "index.html").read_text() == "good"
    said = capfd.readouterr().err
    assert "09_chapter" in said and "the last good book stays" in said
