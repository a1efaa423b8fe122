"""The built pages, in a real browser with the network cut off."""

import re
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect
from waiting import at_rest, changed, laid_out, stop_clock

pytestmark = pytest.mark.pages

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
AXE = ROOT / "book" / "node_modules" / "axe-core" / "axe.min.js"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
FILES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
#: Every page of the book, in the order of its table of contents.
PAGES = [f"{name}.html" for name in FILES]
CHAPTERS = [p for p in PAGES if p.startswith("chapters/")]
WITH_WIDGETS = ["book/index.html", "book/simulated-service.html", *CHAPTERS]

#: What is drawn, not what the slider says: the canvas's pixels or the image's data.
PICTURE = """widget => {
    const picture = widget.querySelector('.rb-picture');
    return picture.tagName === 'CANVAS' ? picture.toDataURL() : picture.src;
}"""
#: Milliseconds on the page's clock, which cost next to nothing: longer than anything plays.
LONG = 120_000
#: Notes each place that a slider is moved to by its widget.
MOVES = """slider => {
    const seen = [];
    const heard = new MutationObserver(() => {
        const at = Number(slider.value);
        if (at !== seen.at(-1)) seen.push(at); // where it stops, it is put once more
    });
    heard.observe(slider, { attributeFilter: ['aria-valuetext'] });
    return seen;
}"""


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_sound(open_page, path):
    """In light, then as the system turns dark: opened once, as opening a chapter is what takes the
    time. All faults are told."""
    page, heard = open_page(path)
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    faults = serious_by_axe(page)
    if path in CHAPTERS and page.locator(".rb-widget").count() < 2:
        faults.append("a chapter has at least two widgets")
    if page.locator(".cell_output .stderr").count():
        faults.append("a warning stands on the page: " + page.locator(".stderr").first.inner_text())
    without = "i => !i.alt.trim()"
    images = f"[...document.querySelectorAll('article img')].filter({without})"
    faults += page.evaluate(f"{images}.map(i => 'no alt text: ' + i.src.slice(0, 80))")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    at_rest(page)
    faults += serious_by_axe(page, ["color-contrast"])  # the other rules have spoken
    page.set_viewport_size({"width": 390, "height": 800})
    laid_out(page)
    over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if over > 1:
        faults.append(f"runs over by {over} pixels on a phone")
    assert faults == []
    assert heard.console == [] and heard.outside == [] and heard.failed == []


@pytest.mark.parametrize("path", ["book/index.html", *CHAPTERS[:2]])
def test_a_page_opens_in_the_dark(open_page, path):
    page, heard = open_page(path, "dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert serious_by_axe(page, ["color-contrast"]) == []
    assert heard.console == [] and heard.outside == [] and heard.failed == []


def serious_by_axe(page, rules: list[str] | None = None) -> list:
    """What axe-core finds serious by all its rules or these, with every fold open."""
    assert AXE.exists(), "axe-core comes with `npm ci` in book/"
    folds = "document.querySelectorAll('details:not([open])')"
    page.evaluate(f"window.folds = [...{folds}]; folds.forEach(d => d.open = true)")
    at_rest(page)  # what was folded away turns its colours only now
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=str(AXE))
    told = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = page.evaluate("told => axe.run(document, told).then(r => r.violations)", told)
    page.evaluate("folds.forEach(d => d.open = false)")
    return [
        (v["id"], v["impact"], [n["html"][:150] for n in v["nodes"]][:4])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("path", WITH_WIDGETS)
def test_every_control_of_every_widget_changes_the_picture_by_mouse_and_keyboard(open_page, path):
    page, heard = open_page(path)
    widgets = page.locator(".rb-frames")
    assert widgets.count() >= 1
    for i in range(widgets.count()):
        widget = widgets.nth(i)
        widget.scroll_into_view_if_needed()
        sliders, selects = widget.locator("input[type=range]"), widget.locator("select")
        assert sliders.count() + selects.count() >= 1
        for s in range(sliders.count()):
            slider = sliders.nth(s)
            before = widget.evaluate(PICTURE)
            if slider.input_value() == "0":  # some start there: a way to come back is needed
                slider.focus()
                page.keyboard.press("End")
                before = changed(widget, PICTURE, before)
            slider.click(position={"x": 4, "y": slider.bounding_box()["height"] / 2})  # far left
            expect(slider, f"widget {i}, slider {s}: mouse").to_have_value("0")
            by_mouse = changed(widget, PICTURE, before)
            slider.focus()
            page.keyboard.press("End")
            changed(widget, PICTURE, by_mouse)
        for s in range(selects.count()):
            select = selects.nth(s)
            before = widget.evaluate(PICTURE)
            now = int(select.input_value())
            select.focus()
            page.keyboard.press("ArrowDown" if now == 0 else "ArrowUp")
            changed(widget, PICTURE, before)
    assert heard.console == []


@pytest.mark.parametrize("path", WITH_WIDGETS)
def test_play_moves_the_picture_and_alt_text_follows(open_page, path):
    page, _ = open_page(path)
    stop_clock(page)
    told = "w => { const p = w.querySelector('.rb-picture'); return p.alt || p.ariaLabel; }"
    playing = page.locator(".rb-frames:has(input[type=range])")  # words alone have no Play
    for i in range(playing.count()):
        widget = playing.nth(i)
        widget.scroll_into_view_if_needed()
        slider, button = widget.locator("input[type=range]").last, widget.locator("button")
        last = int(slider.get_attribute("max"))
        slider.focus()
        page.keyboard.press("End")  # some start at 0, where Home would change nothing
        expect(slider).to_have_value(str(last))
        page.keyboard.press("Home")
        expect(slider).to_have_value("0")
        picture, alt = widget.evaluate(PICTURE), widget.evaluate(told)
        assert widget.locator("[aria-live]").inner_text() == alt  # announced on change

        button.click()
        expect(slider).to_have_value("1")  # a step at once…
        changed(widget, PICTURE, picture)
        changed(widget, told, alt)
        if last > 1:
            run_to(page, slider, "2")  # …and one more
            assert widget.evaluate(PICTURE) != picture and widget.evaluate(told) != alt
        stopped = slider.input_value(), widget.evaluate(PICTURE)
        button.click()
        page.clock.run_for(LONG)
        assert (slider.input_value(), widget.evaluate(PICTURE)) == stopped

        # Once more, to the end: one place after the other, and there it stops by itself.
        seen = slider.evaluate_handle(MOVES)
        expect(button).to_have_accessible_name(re.compile("^Play"))
        button.click()
        page.clock.run_for(LONG)
        expect(button).to_have_accessible_name(re.compile("^Play"))
        at = int(stopped[0])
        assert seen.json_value() == [*range(0 if at == last else at + 1, last + 1)]
        assert slider.input_value() == str(last)


def run_to(page, slider, wanted: str) -> None:
    """Let time pass until the slider has left its place; it has to come to the next one."""
    before = slider.input_value()
    for _ in range(LONG // 50):
        page.clock.run_for(50)
        if slider.input_value() != before:
            break
    assert slider.input_value() == wanted


@pytest.mark.parametrize("path", WITH_WIDGETS)
def test_widgets_follow_the_theme(open_page, path):
    page, _ = open_page(path, "light")
    words = "w => getComputedStyle(w).color"  # images keep their white; words and canvases turn
    widget, canvases = page.locator(".rb-frames").first, page.locator("canvas.rb-picture")
    before = widget.evaluate(words), [c.evaluate("c => c.toDataURL()") for c in canvases.all()]
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    changed(widget, words, before[0])
    for canvas, picture in zip(canvases.all(), before[1], strict=True):
        changed(canvas, "c => c.toDataURL()", picture)


@pytest.mark.parametrize("path", PAGES)
def test_own_payload(path):
    size = (SITE / path).stat().st_size
    assert size < 2_000_000, f"{path} weighs {size:,} bytes"


def test_the_front_page_shows_the_book_in_one_screen(open_page):
    page, _ = open_page("book/index.html")
    for part in ("article h1", ".front-buttons", ".rb-frames", ".book-cards"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= 900, part


def test_the_root_leads_to_the_front_page(new_page, site):
    page = new_page()
    page.goto(site, wait_until="commit")  # it may be left before it has loaded
    page.wait_for_url("**/book/index.html")


def test_a_wrong_address_gets_the_books_own_page(open_page):
    page, _ = open_page("chapters/no/such.html", status=404)
    assert page.locator("article h1, main h1", has_text="not found").count()
    font = page.evaluate("getComputedStyle(document.body).fontFamily")
    assert "Times New Roman" not in font  # the browser's own face: the style sheet was not found
    home = page.locator("a.navbar-brand").first.get_attribute("href")
    assert home.startswith("/recsys-book/")  # absolute: the page is shown at any depth


def test_search_finds_a_word(open_page):
    page, _ = open_page("search.html?q=parity")
    page.wait_for_selector("#search-results li")


def test_the_social_card_and_favicon_exist():
    text = (SITE / "book/index.html").read_text(encoding="utf-8")
    assert 'property="og:image"' in text and 'rel="icon"' in text
    assert (SITE / "_static/generated/card.png").exists()


def test_every_claim_of_a_chapter_is_on_its_page():
    for path in CHAPTERS:
        text = (SITE / path).read_text(encoding="utf-8")
        assert text.count('class="claim claim-') >= 3
