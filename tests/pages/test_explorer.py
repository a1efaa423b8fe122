"""The explorer in the built page of chapter 02, and in a plain HTML file, as a reader uses it."""

import numpy as np
import pytest
import torch
from playwright.sync_api import expect
from waiting import becomes, changed, laid_out, point, stop_clock

from recsys_book.widgets import EmbeddingExplorer

pytestmark = pytest.mark.pages

PAGE = "chapters/02_embeddings.html"
PICTURE = "w => w.querySelector('canvas.rb-map').toDataURL()"
#: Milliseconds on the page's clock: points take 350 to their new places, an epoch 800.
MOVE, EPOCH = 350, 800
#: Counts what is painted into the map, frame by frame: images, paths and words; the images'
#: places, summed up; and all the canvases that are made meanwhile.
WORK = """page => {
    const work = { frames: [], made: 0 }, paint = CanvasRenderingContext2D.prototype;
    const heard = (on, name, note) => {
        const own = on[name];
        on[name] = function (...given) {
            note(this, given);
            return own.apply(this, given);
        };
    };
    const frame = (c, note) =>
        c.canvas.matches('.rb-map') && work.frames.length && note(work.frames.at(-1));
    heard(paint, 'clearRect', c =>
        c.canvas.matches('.rb-map') && work.frames.push({ images: 0, paths: 0, place: 0 }));
    heard(paint, 'drawImage', (c, [, x, y]) =>
        frame(c, now => { now.images += 1; now.place += x + Math.PI * y; }));
    for (const name of ['fill', 'stroke', 'fillText', 'putImageData', 'getImageData'])
        heard(paint, name, c => frame(c, now => { now.paths += 1; }));
    heard(document, 'createElement', (_, [tag]) => { work.made += tag === 'canvas'; });
    return work;
}"""
#: Notes of each event of a kind whether it was taken from the page, which then does not scroll.
TAKEN = """kind => {
    const taken = [];
    addEventListener(kind, event => taken.push(event.defaultPrevented));
    return taken;
}"""
#: Counts fingers that were lifted, or taken by the browser for scrolling.
LIFTED = """() => {
    const lifted = { n: 0 };
    for (const kind of ['pointerup', 'pointercancel'])
        addEventListener(kind, () => { lifted.n += 1; });
    return lifted;
}"""


@pytest.fixture
def explorer(open_page):
    page, heard = open_page(PAGE)
    widget = page.locator(".rb-explorer").first
    widget.scroll_into_view_if_needed()
    yield page, widget
    assert heard.console == [] and heard.outside == []


def canvas(widget):
    return widget.locator("canvas.rb-map")


def name(widget):
    found = widget.locator(".rb-name")
    return found.inner_text() if found.count() else None


def neighbours(widget):
    """[(title, number)] of the list."""
    rows = widget.locator(".rb-panel li").all()
    texts = [(r.locator("button").inner_text(), r.locator(".rb-number").inner_text()) for r in rows]
    return [(title, float(number.replace("−", "-"))) for title, number in texts]


def spoken(widget):
    return widget.locator(".rb-spoken").inner_text()


def settled(page, widget):
    """The picture once points have stopped moving; the page's clock stands still."""
    page.clock.run_for(2 * MOVE)
    return widget.evaluate(PICTURE)


def hover_somewhere(page, widget):
    """Move the mouse over the map until a film answers."""
    box = canvas(widget).bounding_box()
    for share in np.linspace(0.1, 0.9, 60):
        spot = box["x"] + share * box["width"], box["y"] + box["height"] / 2
        point(page, *spot)
        if name(widget):
            return spot
    raise AssertionError("no film answered the mouse along the middle of the map")


def test_hovering_tells_the_film_and_its_neighbours(explorer):
    page, widget = explorer
    empty = widget.evaluate(PICTURE)
    assert name(widget) is None
    hover_somewhere(page, widget)
    found = neighbours(widget)
    numbers = [number for _, number in found]
    assert len(found) == 6 and numbers == sorted(numbers) and min(numbers) >= 0
    assert "clicks" in widget.locator(".rb-detail").inner_text()
    assert widget.evaluate(PICTURE) != empty
    point(page, 5, 5)
    expect(widget.locator(".rb-name")).to_have_count(0)
    becomes(widget, PICTURE, empty)


def test_a_click_pins_and_the_pin_outlives_the_mouse(explorer):
    page, widget = explorer
    x, y = hover_somewhere(page, widget)
    page.mouse.click(x, y)
    pinned = name(widget)
    assert spoken(widget).startswith(f"Pinned. {pinned}")
    point(page, 5, 5)
    assert name(widget) == pinned
    first = neighbours(widget)[0][0]
    widget.locator(".rb-panel li button").first.click()  # a neighbour can be gone to
    assert name(widget) == first
    second = widget.locator(".rb-panel li button").nth(1)
    second.focus()
    page.keyboard.press("Enter")  # by keyboard the place in the list is kept
    assert (
        widget.locator(".rb-panel li button").nth(1).evaluate("b => b === document.activeElement")
    )
    widget.get_by_role("button", name="Unpin").click()
    assert widget.locator(".rb-unpin").count() == 0 and spoken(widget) == "Unpinned."
    page.mouse.click(x, y, button="right")
    assert widget.locator(".rb-unpin").count() == 0  # only the first button pins


def test_everything_by_keyboard_alone(explorer):
    page, widget = explorer
    widget.locator("button.rb-play").first.focus()
    page.keyboard.press("Tab")  # the next stop is the map
    assert page.evaluate("document.activeElement.className").startswith("rb-picture rb-map")
    seen = set()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
        seen.add(name(widget))
        assert spoken(widget).startswith(name(widget)) and "Nearest by" in spoken(widget)
    assert len(seen) >= 3
    before, taken = page.evaluate("window.scrollY"), page.evaluate_handle(TAKEN, "keydown")
    page.keyboard.press("Enter")
    pinned = name(widget)
    assert widget.locator(".rb-unpin").count() == 1
    page.keyboard.press("ArrowRight")
    assert name(widget) == pinned and not spoken(widget).startswith("Pinned")
    page.keyboard.press("Escape")
    assert widget.locator(".rb-unpin").count() == 0
    assert taken.json_value() == [True] * 3  # the keys did not scroll the page…
    laid_out(page)
    assert page.evaluate("window.scrollY") == before


def test_search_finds_by_part_of_a_title_and_pins(explorer):
    page, widget = explorer
    box = widget.locator(".rb-search")
    before = widget.evaluate(PICTURE)
    box.fill("GOLDEN W")  # in any case
    options = widget.locator(".rb-found li")
    assert options.count() >= 1
    assert all("golden w" in text.lower() for text in options.all_inner_texts())
    assert "match" in spoken(widget) and widget.evaluate(PICTURE) != before
    page.keyboard.press("ArrowDown")
    wanted = options.first.inner_text()
    assert box.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    page.keyboard.press("Enter")
    assert name(widget) == wanted == box.input_value()
    assert not widget.get_by_role("listbox").is_visible()
    page.keyboard.press("Enter")  # nothing is open any more: the pin stays
    assert name(widget) == wanted == box.input_value()
    found = widget.evaluate(PICTURE)
    box.fill("no such film")
    assert options.count() == 0 and spoken(widget).startswith("0 films match")
    assert widget.evaluate(PICTURE) != found  # all points fade
    page.keyboard.press("Escape")
    assert box.input_value() == "" and widget.evaluate(PICTURE) == found


def test_epochs_move_the_points_their_neighbours_and_the_numbers(explorer):
    page, widget = explorer
    hover = hover_somewhere(page, widget)
    page.mouse.click(*hover)
    stop_clock(page)
    last, near = settled(page, widget), neighbours(widget)
    caption = widget.locator(".rb-caption").inner_text()
    assert "neighbour purity" in caption and "Trustworthiness" in caption
    slider = widget.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    first = settled(page, widget)
    assert first != last and neighbours(widget) != near
    assert widget.locator(".rb-caption").inner_text() != caption
    label = canvas(widget).get_attribute("aria-label")
    assert "epoch 0" in label and "neighbour purity" in label
    play, n_epochs = widget.locator("button.rb-play").first, int(slider.get_attribute("max")) + 1
    play.click()
    assert slider.input_value() == "1"  # at once, though the points are still on their way
    page.clock.run_for(MOVE // 2)
    moving = widget.evaluate(PICTURE)
    page.clock.run_for(MOVE)
    assert len({first, moving, widget.evaluate(PICTURE)}) == 3
    for epoch in range(2, n_epochs):
        page.clock.run_for(EPOCH)
        assert slider.input_value() == str(epoch)
    page.clock.run_for(EPOCH)
    expect(play).to_have_text("▶ Play")
    assert settled(page, widget) == last and slider.input_value() == slider.get_attribute("max")


def test_zoom_and_pan_by_button_key_wheel_and_drag(explorer):
    page, widget = explorer
    whole = widget.evaluate(PICTURE)
    widget.get_by_role("button", name="Zoom in").click()
    assert widget.evaluate(PICTURE) != whole
    widget.get_by_role("button", name="Whole map").click()
    assert widget.evaluate(PICTURE) == whole
    box = canvas(widget).bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    point(page, box["x"] + 3, box["y"] + 3)
    at, wheel = page.evaluate("window.scrollY"), page.evaluate_handle(TAKEN, "wheel")
    page.mouse.wheel(0, 60)  # the map was not clicked: the page scrolls, the map does not zoom
    page.wait_for_function("at => window.scrollY > at", arg=at)
    assert wheel.json_value() == [False] and widget.evaluate(PICTURE) == whole
    page.mouse.wheel(0, -60)
    page.wait_for_function("at => window.scrollY === at", arg=at)
    canvas(widget).focus()
    for key in ("+", "Shift+ArrowRight", "Shift+ArrowDown", "-"):
        before = widget.evaluate(PICTURE)
        page.keyboard.press(key)
        assert widget.evaluate(PICTURE) != before, key
    page.keyboard.press("0")
    point(page, *middle)
    at, unzoomed = page.evaluate("window.scrollY"), widget.evaluate(PICTURE)
    page.mouse.wheel(0, -400)
    page.wait_for_function("taken => taken.length === 3", arg=wheel)
    assert wheel.json_value()[-1] and page.evaluate("window.scrollY") == at
    zoomed = widget.evaluate(PICTURE)
    assert zoomed != unzoomed
    page.mouse.down()
    point(page, middle[0] + 60, middle[1] + 30, steps=4)
    page.mouse.up()
    assert widget.evaluate(PICTURE) != zoomed
    assert widget.locator(".rb-unpin").count() == 0  # a drag is no click


def test_colours_by_genre_and_by_popularity_and_one_genre_alone(explorer):
    _, widget = explorer
    by_genre = widget.evaluate(PICTURE)
    key = widget.locator(".rb-key").first
    key.click()
    assert key.get_attribute("aria-pressed") == "true" and widget.evaluate(PICTURE) != by_genre
    key.click()
    assert widget.evaluate(PICTURE) == by_genre
    widget.get_by_label("colour by").select_option(index=1)
    assert widget.evaluate(PICTURE) != by_genre
    assert "lowest (0)" in widget.locator(".rb-legend").inner_text()


def test_nearness_by_cosine_or_by_dot_product(explorer):
    page, widget = explorer
    page.mouse.click(*hover_somewhere(page, widget))
    by_cosine = neighbours(widget)
    widget.get_by_label("near by").select_option(label="dot product")
    by_product = neighbours(widget)
    assert by_product != by_cosine
    numbers = [number for _, number in by_product]
    assert numbers == sorted(numbers, reverse=True)
    assert "dot product" in widget.locator(".rb-measure").inner_text()


def test_the_map_follows_the_theme(explorer):
    page, widget = explorer
    before = widget.evaluate(PICTURE)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    changed(widget, PICTURE, before)


def test_playing_a_thousand_films_is_fluent(explorer):
    """A picture of its own in every frame while points move, and no frame with much to do.

    (How many frames a second that makes is for benchmarks/explorer_fps.py to say.)
    """
    page, widget = explorer
    stop_clock(page)
    widget.locator("input[type=range]").focus()
    page.keyboard.press("Home")
    settled(page, widget)
    work = page.evaluate_handle(WORK)
    widget.locator("button.rb-play").first.click()
    page.clock.run_for(EPOCH + MOVE)  # the way from epoch 0 to 1 and from there to 2
    frames, made = work.evaluate("work => [work.frames, work.made]")
    n = frames[0]["images"]
    assert n >= 1_000 and made == 0  # each kind of point was painted once, before
    for frame in frames:
        assert frame["images"] == n and frame["paths"] < 50
    # Both ways are gone in steps of a frame each, and a frame is a sixtieth of a second.
    places = [frame["place"] for frame in frames]
    assert len(set(places)) >= 2 * (MOVE * 60 // 1000 - 1)


def test_points_at_one_place_can_all_be_reached(new_page, tmp_path):
    flat = np.random.RandomState(0).randn(12, 2)
    flat[3] = flat[5] = flat[0]
    snapshots = [torch.randn(12, 3, generator=torch.Generator().manual_seed(e)) for e in (0, 1)]
    widget = EmbeddingExplorer.from_vectors(
        snapshots, [flat, flat], [f"point {i}" for i in range(12)], title="Points", epochs=[0, 1],
        colourings={"kind": ["a"] * 12}, k=3,
    )  # fmt: skip
    path = tmp_path / "two.html"  # two on one page, too
    path.write_text(f"<!doctype html><html lang='en'>{widget.to_html()}{widget.to_html()}</html>")
    page = new_page()
    page.goto(path.as_uri())
    expect(page.locator(".rb-explorer")).to_have_count(2)
    laid_out(page)
    shown = page.locator(".rb-explorer").nth(1)
    shown.locator(".rb-search").fill("point 0")
    page.keyboard.press("Enter")
    canvas(shown).focus()
    seen = []
    for _ in range(2):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        seen.append(name(shown))
    assert seen == ["point 3", "point 5"]


def test_the_plain_file_works_with_nothing_behind_it(new_page, tmp_path):
    generator = torch.Generator().manual_seed(0)
    snapshots = [torch.randn(60, 4, generator=generator) for _ in range(2)]
    flat = [np.random.RandomState(e).randn(60, 2) for e in (0, 1)]
    widget = EmbeddingExplorer.from_vectors(
        snapshots, flat, [f"Item <b>{i}</b>" for i in range(60)], title="Items", epochs=[0, 3],
        colourings={"popularity": list(range(60))}, captions=["first", "second"], noun="item",
    )  # fmt: skip
    path = tmp_path / "report.html"
    path.write_text(f"<!doctype html><html lang='en'><body>{widget.to_html()}</body></html>")
    page = new_page()
    errors = []
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("console", lambda m: m.type in ("error", "warning") and errors.append(m.text))
    page.goto(path.as_uri())
    shown = page.locator(".rb-explorer")
    expect(shown.locator(".rb-caption")).to_have_text("second")
    laid_out(page)
    stop_clock(page)
    before = shown.evaluate(PICTURE)
    shown.locator("input[type=range]").focus()
    page.keyboard.press("Home")
    expect(shown.locator(".rb-caption")).to_have_text("first")
    assert settled(page, shown) != before
    shown.locator(".rb-search").fill("<b>7<")
    page.keyboard.press("Enter")
    assert name(shown) == "Item <b>7</b>" and len(neighbours(shown)) == 6
    assert errors == []


def test_two_fingers_zoom_and_a_tap_pins(explorer):
    page, widget = explorer
    box = canvas(widget).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        at = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    whole, lifted = widget.evaluate(PICTURE), page.evaluate_handle(LIFTED)
    touch("touchStart", (x - 20, y), (x + 20, y))
    for spread in (40, 60, 90):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    changed(widget, PICTURE, whole)
    page.wait_for_function("lifted => lifted.n === 2", arg=lifted)
    assert widget.locator(".rb-unpin").count() == 0  # a pinch is no tap
    widget.get_by_role("button", name="Whole map").click()
    spot = hover_somewhere(page, widget)
    touch("touchStart", spot)
    touch("touchEnd")
    expect(widget.locator(".rb-unpin")).to_have_count(1)
