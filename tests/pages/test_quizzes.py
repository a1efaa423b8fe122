"""“Check yourself” at the end of each chapter, by keyboard alone, and without JavaScript."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.pages

ROOT = Path(__file__).parents[2]
#: The only folded block that stands open from the start.
BLOCK = "details[open]:has(> details > summary)"
#: Which answer the keyboard is at, −1 at the button. MathJax's formulas are stops on the way, too.
AT = """block => {
    const here = document.activeElement;
    if (here.tagName === 'BUTTON') return -1;
    if (here.closest('mjx-container')) return 'mathematics';
    return [...block.querySelectorAll('details')].findIndex(d => d.firstElementChild === here);
}"""
#: Contrast of a mark with the page, by WCAG's formula.
CONTRAST = """mark => {
    const light = css => {
        const [r, g, b] = css.match(/[\\d.]+/g).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const both = [light(getComputedStyle(mark).color),
                  light(getComputedStyle(document.body).backgroundColor)];
    return Math.max(...both) / Math.min(...both);
}"""


def asked() -> dict[str, list[tuple[int, bool]]]:
    """For each chapter's page its answers in order, as the notebook has them: the question's
    number, and whether the answer is right."""
    path = ROOT / "tests" / "book" / "test_quizzes.py"
    spec = importlib.util.spec_from_file_location("notebook_quizzes", path)
    notebooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebooks)
    return {
        f"chapters/{path.stem}.html": [
            (n, mark == "✓")
            for n, (_, answers) in enumerate(notebooks.questions(path))
            for _, _, mark, _ in answers
        ]
        for path in notebooks.CHAPTERS
    }


CHAPTERS = asked()


@pytest.mark.parametrize("path", CHAPTERS)
def test_by_keyboard_alone(open_page, path):
    page, heard = open_page(path)
    answers, block = CHAPTERS[path], page.locator(BLOCK)
    score, status = block.locator(".quiz-score"), block.locator("[role=status]")
    assert block.locator("> summary").inner_text() == "Check yourself (five questions)"
    assert not score.is_visible()

    def tab():
        page.keyboard.press("Tab")
        while (at := block.evaluate(AT)) == "mathematics":
            page.keyboard.press("Tab")
        return at

    def open_and_read(i, key):
        page.keyboard.press(key)
        answer, right = block.locator("details").nth(i), answers[i][1]
        assert answer.locator("p").first.is_visible()
        assert answer.locator("p").first.inner_text()[0] == "✗✓"[right]
        word = "right" if right else "wrong"
        assert answer.get_attribute("class") == f"quiz-{word}"
        assert answer.locator(".quiz-mark").inner_text() == f"{'✗✓'[right]} {word}"
        assert f"is {word}" in status.inner_text()

    # Every right answer is opened; of two questions whose A is wrong, A before it.
    firsts = [i for i in range(len(answers)) if i == 0 or answers[i][0] > answers[i - 1][0]]
    spoilt = [i for i in firsts if not answers[i][1]][:2]
    block.locator("> summary").focus()
    for i, (_, right) in enumerate(answers):
        assert tab() == i
        if right or i in spoilt:
            open_and_read(i, "Enter" if i % 2 else "Space")
    assert score.inner_text() == "3 of 5 right at the first try"

    # Marks can be read in light and in dark, and told apart without colour.
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        for kind, line in (("right", "solid"), ("wrong", "dashed")):
            answer = block.locator(f".quiz-{kind}").first
            assert answer.locator(".quiz-mark").evaluate(CONTRAST) >= 4.5, (theme, kind)
            assert answer.evaluate("a => getComputedStyle(a).borderLeftStyle") == line

    # Closing takes nothing back. Start again does, and leads to the first answer.
    block.locator("details[open] > summary").last.press("Enter")
    assert score.inner_text() == "3 of 5 right at the first try"
    while tab() != -1:
        pass
    page.keyboard.press("Enter")
    assert not score.is_visible()
    assert block.locator("details[open], .quiz-mark").count() == 0
    assert block.evaluate(AT) == 0
    open_and_read(0, "Enter")
    assert score.inner_text() == f"{int(answers[0][1])} of 5 right at the first try"
    assert heard.console == []


def test_without_javascript_the_answers_still_open(new_page, site):
    page = new_page(java_script_enabled=False)
    for path, answers in CHAPTERS.items():
        page.goto(site + path, wait_until="domcontentloaded")
        assert page.locator(f"{BLOCK} details").count() == len(answers)
        for i, (_, right) in enumerate(answers[:3]):
            answer = page.locator(f"{BLOCK} details").nth(i)
            assert not answer.locator("p").first.is_visible()
            answer.locator("summary").press("Enter")
            assert answer.locator("p").first.is_visible()
            assert answer.locator("p").first.inner_text()[0] == "✗✓"[right]
        assert not page.locator(".quiz-foot").count()
