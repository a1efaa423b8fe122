"""The pages for students and teachers, by keyboard alone and with the network cut off."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.pages

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
NAMES = sorted(p.name for p in (ROOT / "book/exercises/source").glob("chapter_*"))


def test_every_students_copy_can_be_downloaded_and_is_the_committed_one(open_page):
    page, _ = open_page("book/exercises.html")
    links = page.locator("article a[download]")
    assert links.count() == len(NAMES)
    for link, name in zip(links.all(), NAMES, strict=True):
        link.focus()
        with page.expect_download() as started:
            page.keyboard.press("Enter")
        kept = ROOT / "book/exercises/release" / name / f"exercises_{name[-2:]}.ipynb"
        assert started.value.suggested_filename == kept.name
        assert json.loads(Path(started.value.path()).read_text()) == json.loads(kept.read_text())
    for name in NAMES:
        path = f"main/book/exercises/release/{name}/exercises_{name[-2:]}.ipynb"
        assert page.locator(f"article a[href*='colab'][href$='{path}']").count() == 1


def test_nothing_of_a_solution_is_in_the_finished_site():
    for path in SITE.rglob("*"):
        if path.suffix in (".html", ".ipynb", ".js", ".json", ".txt", ".md"):
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert "BEGIN SOLUTION" not in text and "HIDDEN TESTS" not in text, path
    assert len(list(SITE.rglob("exercises_*.ipynb"))) == len(NAMES)  # the students' copies alone


def test_answers_to_the_discussion_open_by_keyboard(open_page):
    page, heard = open_page("book/for-teachers.html")
    folds = page.locator("article details")
    assert folds.count() >= 10
    for fold in folds.all():
        assert fold.get_attribute("open") is None
        fold.locator("summary").focus()
        page.keyboard.press("Enter")
        assert fold.get_attribute("open") is not None
        assert len(fold.inner_text()) > 100
    assert page.locator("article .claim").count() >= 10 and heard.console == []


def test_the_teachers_page_names_every_chapter_its_minutes_and_its_slides(open_page, site):
    page, _ = open_page("book/for-teachers.html")
    table = page.locator("article table").first
    assert table.locator("tbody tr").count() == len(NAMES) + 1
    slides = [a.get_attribute("href") for a in page.locator("article a[href*='slides/']").all()]
    assert len(slides) == len(NAMES)
    for address in slides:
        assert (SITE / "book" / address).resolve().exists(), address


def test_a_chapter_leads_to_its_exercises(open_page):
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        page, _ = open_page(f"chapters/{path.stem}.html")
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        name = f"exercises_{path.stem[:2]}.ipynb"
        assert page.locator(f"article a[href*='colab'][href$='{name}']").count() == 1
        link = page.locator(f"article a[href$='{name}']:not([href*='colab'])")
        assert link.count() == 1
        target = (SITE / "chapters" / link.get_attribute("href")).resolve()
        assert target.exists(), target
