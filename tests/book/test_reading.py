"""The reading time on a card is worked out, not guessed."""

import reading
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


def output(**data):
    return new_output("display_data", data={k.replace("_", "/"): v for k, v in data.items()})


def test_what_is_folded_does_not_count():
    nested = (
        "one <details open><summary>a</summary> two <details>three</details> four</details> five"
    )
    assert reading.unfolded(nested).split() == ["one", "five"]
    assert reading.unfolded("plain") == "plain"


def test_words_figures_cells_and_claims_of_the_main_line():
    picture, folded = '<img alt="x">', '<details><img alt="x"></details>'
    claim, group = '<div id="claim-1">', '<figure class="claims"><div id="claim-2">'
    cells = [
        new_markdown_cell("Four plain words here <details>and folded ones</details> [link](x y)"),
        new_code_cell("shown()", outputs=[output(text_html=picture)]),
        new_code_cell("hidden()", outputs=[output(text_html=claim), output(text_html=group)]),
        new_code_cell("folded()", outputs=[output(text_html=folded)]),
        new_code_cell("away()", outputs=[output(text_html=picture)]),
    ]
    cells[2].metadata["tags"] = cells[3].metadata["tags"] = ["hide-input"]
    cells[4].metadata["tags"] = ["hide-cell"]
    found = reading.measure(new_notebook(cells=cells))
    assert found == reading.Length(words=5, figures=2, cells=1, claims=2)


def test_minutes_are_rounded_to_five():
    assert reading.Length(words=2_000, figures=8, cells=10, claims=0).minutes == 25  # 23
    assert reading.Length(words=10, figures=0, cells=0, claims=0).minutes == 5


def test_the_minutes_go_to_the_card_and_to_the_front_page(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "ROOT", tmp_path)
    (tmp_path / "book").mkdir()
    chapter = tmp_path / "00_why.ipynb"
    chapter.write_text("| **Time** | 40 minutes to read, one to run |")
    one = (
        ":::{grid-item-card} 00\n:link: ../chapters/00_why\nWords.\n```{card-footer}\n40 min\n```\n"
    )
    other = one.replace("00_why", "01_how")
    (tmp_path / "book" / "index.md").write_text(one + other)
    reading.write(chapter, 25)
    assert chapter.read_text() == "| **Time** | 25 minutes to read, one to run |"
    assert (tmp_path / "book" / "index.md").read_text() == one.replace("40", "25") + other
