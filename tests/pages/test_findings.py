"""The page of findings, as a reader uses it, held against the chapters that make the claims."""

import json
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache

from recsys_book.show.claims import anchor, figure_text, interval_text, mark, records_in, statement

pytestmark = pytest.mark.pages

ROOT = Path(__file__).parents[2]
PAGE = "book/findings.html"
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
ROWS = ".findings tbody tr[id]"
CELLS = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
SHOWN = f"[...document.querySelectorAll('{ROWS}')].filter(row => row.offsetParent).length"


def executed(path):
    """Records of a chapter's claims, from the notebook that this build executed."""
    cache = get_cache(ROOT / "_build" / "notebook-cache")
    notebook = nbformat.read(path, as_version=4)
    return records_in(cache.merge_match_into_notebook(notebook)[1])


def test_every_claim_of_every_executed_chapter_has_its_row(open_page):
    page, heard = open_page(PAGE)
    records = [record for path in CHAPTERS for record in executed(path)]
    assert len(records) >= 3 * len(CHAPTERS)
    n = lambda r: "" if r["n"] is None else f"{r['n']:,} {r['over']}"
    rows = page.locator(f"{ROWS}:has(a[href*='chapters/'])").evaluate_all(CELLS)
    assert [row[:4] for row in rows] == [
        [f"{mark(r)} {statement(r)}", figure_text(r), interval_text(r), n(r)] for r in records
    ]
    for path in CHAPTERS:
        heading = page.locator(f".findings-chapter a[href$='chapters/{path.stem}.html']")
        assert heading.count() == 1
    assert heard.console == []


def test_every_row_leads_to_its_claim_and_says_what_it_says(open_page):
    page, _ = open_page(PAGE)
    rows = page.locator(ROWS).evaluate_all(CELLS)
    links = page.locator(f"{ROWS} a").evaluate_all("links => links.map(link => link.href)")
    told = {}
    for address in dict.fromkeys(link.split("#")[0] for link in links):
        assert page.goto(address, wait_until="domcontentloaded").status == 200
        found = page.locator(".claim[id]").evaluate_all("c => c.map(d => [d.id, d.textContent])")
        plain = lambda text: text.replace("\N{NO-BREAK SPACE}", " ")
        told |= {f"{address}#{here}": plain(text) for here, text in found}
    assert set(told) == set(links) and len(told) == len(links)
    for (sentence, figure, interval, n, _), link in zip(rows, links, strict=True):
        assert told[link].startswith(f"{sentence} (") and figure in told[link]
        assert n in told[link] and (
            interval in told[link] or "within a thousandth of it in all" in told[link]
        )


def test_a_link_shows_which_claim_is_meant(open_page):
    page, _ = open_page(PAGE)
    link = page.locator(f"{ROWS} a").last
    here = link.get_attribute("href").split("#")[1]
    link.click()
    page.wait_for_url(f"**#{here}", wait_until="domcontentloaded")
    assert page.locator(".claim:target").get_attribute("id") == here
    assert page.locator(".claim:target").is_visible()


def test_the_page_says_how_many_claims_there_are(open_page):
    page, _ = open_page(PAGE)
    claims = claims_of(page)
    with_interval = sum(claim["low"] is not None for claim in claims)
    told = page.locator(".findings-count").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert f"{len(claims)} claims" in told and f"{with_interval} rest on a 95 % interval" in told
    assert f"expect about {round(with_interval / 20)} of these to err" in told


def claims_of(page):
    """The list beside the page."""
    link = page.locator("a[download]", has_text="JSON").evaluate("link => link.href")
    return json.loads(page.request.get(link).text())


def test_the_list_holds_the_same_claims(open_page):
    page, _ = open_page(PAGE)
    claims, marks = claims_of(page), page.locator(ROWS).evaluate_all("rows => rows.map(r => r.id)")
    assert [anchor(claim["claim"]) for claim in claims] == marks
    assert all(isinstance(claim["value"], float) and claim["section"] for claim in claims)


def test_the_filter_by_keyboard(open_page):
    page, heard = open_page(PAGE)
    total = page.evaluate(SHOWN)
    status = page.locator(".findings-filter [aria-live]")
    assert status.inner_text() == f"{total} of {total} claims"

    page.locator(".findings-chapters a").last.focus()
    page.keyboard.press("Tab")  # the filter comes next
    page.keyboard.type("neumf  HR@10")  # both words; that of a chapter's heading counts
    text = lambda claim: f"{claim['chapter']} {statement(claim)} {claim['section']}".lower()
    fits = [c for c in claims_of(page) if "neumf" in text(c) and "hr@10" in text(c)]
    assert 0 < len(fits) < total
    assert page.evaluate(SHOWN) == len(fits)
    assert status.inner_text() == f"{len(fits)} of {total} claims"
    headings = page.locator(".findings-chapter:visible")
    assert headings.count() == len({claim["chapter"] for claim in fits})
    assert page.evaluate("document.activeElement.id") == "findings-filter"

    page.keyboard.press("Control+A")
    page.keyboard.type("-.0")  # typed as a hyphen, written as a minus
    assert 0 < page.evaluate(SHOWN) < total
    page.keyboard.type("no such words")
    assert page.evaluate(SHOWN) == 0 and status.inner_text() == f"0 of {total} claims"
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    assert page.evaluate(SHOWN) == total
    assert heard.console == []


def test_on_a_phone_the_table_scrolls_in_its_own_frame(open_page):
    page, _ = open_page(PAGE)
    page.set_viewport_size({"width": 390, "height": 800})
    page.locator("#findings-filter").focus()
    page.keyboard.press("Tab")
    frame = page.locator(".findings")
    assert frame.evaluate("frame => frame === document.activeElement")
    assert frame.get_attribute("aria-label")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.findings').scrollLeft > 0")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 1


def test_without_javascript_the_table_is_complete(browser, site, open_page):
    page, _ = open_page(PAGE)
    total = page.locator(ROWS).count()
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(site + PAGE)
    assert plain.locator(ROWS).count() == total and plain.locator(ROWS).last.is_visible()
    assert not plain.locator(".findings-filter").is_visible()
    context.close()
