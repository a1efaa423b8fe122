"""The pages for students and teachers, by keyboard alone and with the network cut off."""

import json
import re
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
    there = list(SITE.rglob("exercises_*.ipynb"))
    assert len(there) >= len(NAMES)
    for path in there:
        kept = ROOT / "book/exercises/release" / f"chapter_{path.stem[-2:]}" / path.name
        assert path.read_bytes() == kept.read_bytes(), f"{path} is no student's copy"


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


def test_a_chapter_leads_to_its_exercises():
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        name = f"exercises_{path.stem[:2]}.ipynb"
        text = (SITE / "chapters" / f"{path.stem}.html").read_text(encoding="utf-8")
        links = re.findall(rf'href="([^"]*{name})"', text)
        (colab,) = [link for link in links if link.startswith("https://colab")]
        (own,) = [link for link in links if not link.startswith("https://")]
        assert colab.endswith(f"main/book/exercises/release/chapter_{path.stem[:2]}/{name}")
        assert (SITE / "chapters" / own).resolve().exists(), own
