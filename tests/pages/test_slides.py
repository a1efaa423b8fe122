"""The decks, in a real browser with the network cut off."""

import re

import pytest
from playwright.sync_api import expect
from test_pages import AXE, PICTURE, ROOT
from waiting import changed

pytestmark = pytest.mark.pages

DECKS = sorted(p.stem for p in (ROOT / "chapters").glob("*.ipynb"))
READY = "document.documentElement.dataset.deck === 'ready'"
HERE = "document.querySelector('.slides section.present:not(.stack) .slide')"

#: A widget tries its layouts when it is first shown; the deck's script says when it has.
FITTED = "slide => [...slide.querySelectorAll('.live')].every(live => live.dataset.fitted)"

#: Turns to the first slide that holds such an element.
SHOW = """what => {
    const { h, v } = Reveal.getIndices(document.querySelector(what).closest('section'));
    Reveal.slide(h, v);
}"""

#: What is wrong with the slide that is shown, in words; every answer is opened once.
FAULTS = """slide => {
    const faults = [], name = slide.querySelector('h1, h2').textContent;
    const look = (when) => {
        const edge = slide.getBoundingClientRect();
        for (const box of [slide, ...slide.querySelectorAll('.words, .words > .part')])
            if (box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1)
                faults.push(`${name}: too much ${when}`);
        for (const inner of slide.querySelectorAll('.part, .figure img, .rb-widget')) {
            const at = inner.getBoundingClientRect();
            if (at.bottom > edge.bottom + 1 || at.right > edge.right + 1 || at.left < edge.left - 1)
                faults.push(`${name}: ${inner.className} runs over ${when}`);
        }
    };
    look('');
    if (Number(slide.style.getPropertyValue('--fit')) < 0.7) faults.push(`${name}: small type`);
    for (const fold of slide.querySelectorAll('.part > details')) {
        fold.open = true;
        look('when opened');
        fold.open = false;
    }
    for (const image of slide.querySelectorAll('img'))
        if (!image.alt.trim()) faults.push(`${name}: an image without alt text`);
    for (const image of slide.querySelectorAll('.figure img'))
        if (image.clientHeight < 250 && image.clientWidth < 1000)
            faults.push(`${name}: a tiny figure`);
    const words = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        const text = words.currentNode;
        if (text.data.includes('$') && !text.parentElement.closest('pre, code, script, .notes'))
            faults.push(`${name}: not typeset: ${text.data}`);
    }
    if (slide.querySelector('mjx-merror')) faults.push(`${name}: MathJax stumbled`);
    return faults;
}"""


def open_deck(open_page, name, theme="light", query=""):
    page, heard = open_page(f"slides/{name}.html{query}", theme)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.wait_for_function(READY)
    return page, heard


def place(page):
    return page.evaluate("JSON.stringify(Reveal.getIndices())")


# A deck is heavy to open, so all that is asked of it is asked at once; the looks take turns.
@pytest.mark.parametrize("name", DECKS)
def test_a_deck(open_page, name):
    page, heard = open_deck(open_page, name, "dark" if DECKS.index(name) % 2 else "light")
    turn_every_slide(page)
    move_the_first_widget(page)
    ask_axe(page)
    assert heard.console == [] and heard.outside == [] and heard.failed == []


def turn_every_slide(page):
    """By keyboard; all of each slide can be seen, and read."""
    n = page.evaluate("Reveal.getTotalSlides()")
    assert 15 <= n <= 34
    seen, faults = set(), []
    for _ in range(n):
        seen.add(place(page))
        slide = page.evaluate_handle(HERE)
        page.wait_for_function(FITTED, arg=slide)
        faults += slide.evaluate(FAULTS)
        page.keyboard.press("ArrowRight")
    assert len(seen) == n and faults == []
    assert page.locator("mjx-container").count() > 0
    last = place(page)
    page.keyboard.press("ArrowLeft")
    assert place(page) != last


def move_the_first_widget(page):
    """By keyboard, and the slide stays; after Escape the same key turns it."""
    turn_to(page, ".rb-frames :is(input[type=range], select)")
    widget = page.locator(".slides section.present:not(.stack) .rb-frames").first
    control = widget.locator("input[type=range], select").last
    control.focus()
    at, before, value = place(page), widget.evaluate(PICTURE), control.input_value()
    slider = control.evaluate("c => c.type === 'range'")
    on, back = ("ArrowRight", "ArrowLeft") if slider else ("ArrowDown", "ArrowUp")
    page.keyboard.press(on if value == "0" else back)
    expect(control).not_to_have_value(value)
    changed(widget, PICTURE, before)
    assert place(page) == at
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert place(page) != at


def turn_to(page, what):
    """The first slide that holds such an element, once its widgets have their sizes."""
    page.evaluate(SHOW, what)
    page.wait_for_function(FITTED, arg=page.evaluate_handle(HERE))


def ask_axe(page):
    """Of all slides, side by side."""
    page.evaluate("""() => {
        document.documentElement.classList.add('measuring');
        for (const section of document.querySelectorAll('.slides section')) {
            section.removeAttribute('aria-hidden');
            section.removeAttribute('hidden');
        }
        document.querySelectorAll('.part > details').forEach(d => d.open = true);
    }""")
    page.add_script_tag(path=str(AXE))
    found = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)"
    )
    serious = [
        (v["id"], v["impact"], [n["html"][:150] for n in v["nodes"]][:4])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_printed_each_slide_is_a_page(open_page):
    page, heard = open_deck(open_page, DECKS[1], "light", "?print-pdf")
    assert page.locator(".pdf-page").count() == page.locator(".slide").count()
    printed = page.pdf(prefer_css_page_size=True)
    n = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert n == page.locator(".slide").count()
    assert heard.console == [] and heard.failed == []


def test_a_map_knows_where_the_pointer_is_though_it_is_enlarged(open_page):
    page, _ = open_deck(open_page, "02_embeddings")
    turn_to(page, ".rb-explorer")
    canvas = page.locator(".slides section.present:not(.stack) .rb-map")
    box = canvas.bounding_box()
    scale = box["width"] / canvas.evaluate("c => c.offsetWidth")
    assert abs(scale - 1) > 0.05  # else there is nothing to find out
    heard = canvas.evaluate_handle("""c => {
        const heard = [];
        c.addEventListener('pointermove', e => {
            const box = c.getBoundingClientRect();
            heard.push([e.clientX - box.left, e.clientY - box.top]);
        });
        return heard;
    }""")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    page.wait_for_function("heard => heard.length", arg=heard)
    x, y = heard.json_value()[-1]
    assert abs(x - box["width"] / scale / 2) < 2 and abs(y - box["height"] / scale / 4) < 2


def test_the_decks_are_listed_and_lead_back_to_their_chapters(open_page):
    page, heard = open_page("slides/index.html")
    names = [a.get_attribute("href") for a in page.locator("li a").all()]
    assert names == [f"{name}.html" for name in DECKS]
    page.locator("li a").first.click()
    page.wait_for_function(READY)
    page.locator(".back a").first.click()
    page.wait_for_url(f"**/chapters/{DECKS[0]}.html")
    assert heard.failed == []
