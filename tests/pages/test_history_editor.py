"""The history editor in a plain HTML file: two networks in the page that agree with torch."""

import numpy as np
import pytest
import torch
from waiting import changed, laid_out

from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker
from recsys_book.widgets import HistoryEditor
from recsys_book.widgets.history_editor import rounded

pytestmark = pytest.mark.pages

N, CANDIDATES, SHOWN = 60, 20, 5
CONTEXTS = {"device": ["phone", "tv"], "time": ["morning", "evening", "night"]}
TITLES = [f"The {w} Lantern {i}" for i, w in enumerate(["Red", "Blue", "Old"] * 20)]


def models(ages: bool = True):
    torch.manual_seed(0)
    more = {"cardinalities": (3, 4), "init_std": 0.6}
    generator = CandidateGenerator(N, 6, (10, 8), oldest=9.0 if ages else None, **more)
    ranker = WatchTimeRanker(N, 2, dim=6, hidden=(9, 7), **more)
    return generator, ranker


@pytest.fixture
def opened(new_page, tmp_path):
    """open(width, theme) → (page, widget, errors)."""
    generator, ranker = models()
    editor = HistoryEditor.from_models(
        generator, ranker, np.random.RandomState(0).rand(N, 2), TITLES, title="Watch something",
        kinds=["drama", "crime", "comedy"] * 20, contexts=CONTEXTS, continuous=(0.25, 0.5),
        history=[3, 8], n_candidates=CANDIDATES, shown=SHOWN,
    )  # fmt: skip
    path = tmp_path / "editor.html"
    path.write_text(
        "<!doctype html><html lang='en'><meta name='viewport' content='width=device-width'>"
        f"<body>{editor.to_html()}</body></html>"
    )

    def open_it(width=1000, theme="light"):
        page = new_page(viewport={"width": width, "height": 900}, color_scheme=theme, offline=True)
        errors = []
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto(path.as_uri())
        widget = page.locator(".rb-history")
        widget.wait_for()
        laid_out(page)
        return page, widget, errors

    return open_it


def titles(widget, column):
    return widget.locator(".rb-list").nth(column).locator("button").all_inner_texts()


PICTURE = "w => w.querySelector('canvas.rb-map').toDataURL()"


@pytest.mark.parametrize(
    ("history", "context"),
    [([3, 8], [0, 0]), ([], [1, 2]), ([59], [0, 2]), (list(range(0, 40, 2)), [1, 1])],
)
def test_the_page_agrees_with_torch(opened, history, context):
    _, widget, errors = opened()
    answer = widget.evaluate("(w, [h, c]) => w.answer(h, c)", [history, context])
    generator, ranker = (rounded(m) for m in models())
    ids = torch.tensor([history], dtype=torch.int64)
    fields = torch.tensor([context]) + 1
    with torch.no_grad():
        user = generator(ids, fields)
        scores = generator.score(ids, fields)[0]
        masked = scores.clone()
        masked[ids[0]] = -torch.inf
        candidates = masked.topk(CANDIDATES).indices
        n = len(candidates)
        minutes = ranker.predict_watch_time(
            candidates, ids.expand(n, -1), fields.expand(n, -1), torch.tensor([[0.25, 0.5]] * n)
        )
    assert answer["candidates"] == candidates.tolist()
    for found, true in (("user", user[0]), ("scores", scores), ("minutes", minutes)):
        assert torch.allclose(torch.tensor(answer[found]).double(), true.double(), atol=1e-4), found
    assert errors == []


def test_both_lists_show_what_was_worked_out(opened):
    _, widget, _ = opened()
    answer = widget.evaluate("w => w.answer([3, 8], [0, 0])")
    assert titles(widget, 0) == [TITLES[i] for i in answer["candidates"][:SHOWN]]
    best = np.argsort(-np.array(answer["minutes"]), kind="stable")[:SHOWN]
    assert titles(widget, 1) == [TITLES[answer["candidates"][i]] for i in best]


def test_watching_and_forgetting_change_lists_and_map(opened):
    _, widget, errors = opened()
    before, picture = titles(widget, 1), widget.evaluate(PICTURE)
    watched = titles(widget, 0)[0]
    widget.locator(".rb-list").first.locator("button").first.click()
    assert widget.get_by_role("button", name=f"Forget {watched}").is_visible()
    assert watched not in titles(widget, 0) + titles(widget, 1)
    assert widget.evaluate(PICTURE) != picture
    widget.get_by_role("button", name=f"Forget {watched}").click()
    assert titles(widget, 1) == before and widget.evaluate(PICTURE) == picture
    widget.get_by_role("button", name="Forget all").click()
    assert "everybody new" in widget.locator(".rb-watched").inner_text()
    assert len(titles(widget, 1)) == SHOWN and titles(widget, 1) != before
    assert "0 watched" in widget.locator(".rb-spoken").inner_text()
    assert errors == []


def test_a_film_is_found_by_title_with_the_keyboard_alone(opened):
    page, widget, _ = opened()
    before = titles(widget, 1)
    box = widget.get_by_role("combobox", name="watch a film")
    box.focus()
    page.keyboard.type("lantern 4")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert widget.locator(".rb-remove").count() == 3
    assert titles(widget, 1) != before and box.input_value() == ""


def test_the_context_counts(opened):
    _, widget, _ = opened()
    before = titles(widget, 0) + titles(widget, 1)
    widget.get_by_label("device").select_option("1")
    assert titles(widget, 0) + titles(widget, 1) != before


def test_nothing_runs_over_on_a_phone(opened):
    page, widget, _ = opened(width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    canvas = widget.locator("canvas.rb-map").bounding_box()
    assert 200 <= canvas["width"] <= 366


def test_it_follows_the_theme(opened):
    page, widget, _ = opened()
    before = widget.evaluate(PICTURE)
    page.evaluate("document.documentElement.style.colorScheme = 'dark'")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    changed(widget, PICTURE, before)


def test_the_chapter_carries_a_trained_model_that_answers(open_page):
    """In the built book: what somebody watches decides what both networks offer, asking nobody."""
    page, heard = open_page("chapters/04_youtube_dnn.html")
    widget = page.locator(".rb-history")
    widget.scroll_into_view_if_needed()
    assert widget.locator(".rb-remove").count() > 0
    before = titles(widget, 0), titles(widget, 1)
    assert before[0] != before[1]
    widget.get_by_role("button", name="Forget all").click()
    empty = titles(widget, 0), titles(widget, 1)
    assert empty != before and all(len(column) == 10 for column in empty)
    for _ in range(3):
        widget.locator(".rb-list").first.locator(".rb-watch").first.click()
    assert widget.locator(".rb-remove").count() == 3 and titles(widget, 1) != empty[1]
    for field, value in (("device", "1"), ("time of day", "2")):
        shown = titles(widget, 0), titles(widget, 1)
        widget.get_by_label(field, exact=True).select_option(value)
        assert (titles(widget, 0), titles(widget, 1)) != shown
    assert heard.console == [] and heard.outside == []
