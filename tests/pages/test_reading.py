"""What stands on a chapter's main line, counted on the page that the build made."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import reading  # noqa: E402

pytestmark = pytest.mark.pages

CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_the_minutes_on_the_card_and_on_the_front_page_are_worked_out(path):
    minutes = reading.measure(reading.executed(path)).minutes
    front = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    card = front.split(f":link: ../chapters/{path.stem}\n")[1].split(":::")[0]
    assert f"{minutes} min\n" in card, "python book/tools/reading.py --write"
    assert f"**Time** | {minutes} minutes to read" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", [p for p in CHAPTERS if p.stem[:2] in ("00", "01", "02", "03")], ids=lambda p: p.stem
)
def test_the_main_line_is_short(path):
    length = reading.measure(reading.executed(path))
    assert length.words <= 3_000 and length.figures <= 8 and length.claims <= 8, length
