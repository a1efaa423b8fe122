"""Switches, as a reader flips them: by mouse, by keyboard, in both themes."""

import pytest
from waiting import changed

pytestmark = pytest.mark.pages

PAGE = "chapters/03_neumf.html"
SHOWN = """w => [
    w.querySelector('.rb-verdict').textContent,
    ...[...w.querySelectorAll('.rb-figure')].map(f => f.textContent),
    ...[...w.querySelectorAll('.rb-dot')].map(d => d.style.left),
].join('|')"""


@pytest.fixture
def widget(open_page):
    page, heard = open_page(PAGE)
    widget = page.locator(".rb-switches")
    widget.scroll_into_view_if_needed()
    yield widget
    assert heard.console == [] and heard.outside == []


def test_every_switch_changes_what_is_shown_somewhere(widget):
    """A click on any position is taken, and every switch matters from where it stands or soon."""
    seen = {widget.evaluate(SHOWN)}
    for s in range(widget.locator("fieldset").count()):
        before, radios = len(seen), widget.locator("fieldset").nth(s).locator("input")
        for i in range(radios.count()):
            radios.nth(i).check()
            assert radios.nth(i).is_checked()
            seen.add(widget.evaluate(SHOWN))
        assert len(seen) > before, widget.locator("legend").nth(s).inner_text()


def test_flipping_the_rules_makes_another_model_win(widget):
    winners = set()
    verdict = widget.locator(".rb-verdict")
    winners.add(verdict.inner_text())
    for name, position in (
        ("MF is", "as it comes"),
        ("item model is", "ItemKNN"),
        ("MF is", "tuned"),
    ):
        field = widget.get_by_role("group", name=name, exact=True)
        field.get_by_label(position, exact=True).check()
        winners.add(verdict.inner_text())
    assert any("too close" in text.lower() for text in winners), winners
    who = {text.split(" wins")[0] for text in winners if " wins" in text}
    assert who == {"item model", "MF", "NeuMF"}, winners


def test_arrow_keys_flip_a_switch(widget):
    radios = widget.locator("fieldset").first.locator("input")
    before = widget.evaluate(SHOWN)
    radios.first.focus()
    radios.first.press("ArrowRight")
    assert radios.nth(1).is_checked() and widget.evaluate(SHOWN) != before


def test_the_dot_of_the_winner_is_furthest_right(widget):
    places = widget.evaluate(
        "w => [...w.querySelectorAll('.rb-race li')].map(l => [parseFloat("
        "l.querySelector('.rb-dot').style.left), parseFloat(l.querySelector('.rb-figure')"
        ".textContent)])"
    )
    assert max(places, key=lambda p: p[0])[1] == max(p[1] for p in places)
    assert all(0 <= left <= 100 for left, _ in places)


def test_switches_follow_the_theme(open_page):
    page, _ = open_page(PAGE, "light")
    words = "w => getComputedStyle(w).color"
    widget = page.locator(".rb-switches")
    before = widget.evaluate(words)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    changed(widget, words, before)
