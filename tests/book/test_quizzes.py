"""Each chapter's "Check yourself": five questions whose answers say whether they hold, and why."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))
HEAD = """<details open><summary><b>Check yourself</b> (five questions)</summary>

Open the answer you would give. It says whether it holds, and why.

"""
ANSWER = re.compile(
    r"<details><summary>([A-D])\. ([^\n]+)</summary>\n\n([✓✗]) ([^\n]+)\n\n</details>\n\n"
)


def block(path) -> str:
    """The block's source: portable Markdown, so its form can be read line by line."""
    source = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][-1]["source"])
    assert source.count(HEAD) == 1
    return source.split(HEAD)[1].split("</details>\n\n<details><summary><b>Exercises</b>")[0]


def questions(path) -> list[tuple[str, list[tuple[str, str, str, str]]]]:
    """For each question its text and its answers: letter, answer, mark, explanation."""
    parts = re.split(r"^(\*\*\d\. .+\*\*)\n\n", block(path), flags=re.M)
    assert parts[0] == ""
    texts, bodies = parts[1::2], parts[2::2]
    for text, body in zip(texts, bodies, strict=True):
        assert ANSWER.sub("", body) == "", f"not in the form of an answer, under: {text}"
    return [(text, ANSWER.findall(body)) for text, body in zip(texts, bodies, strict=True)]


def right_letters(path) -> list[str]:
    return [letter for _, found in questions(path) for letter, _, mark, _ in found if mark == "✓"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_five_questions_with_one_right_answer_each(path):
    asked = questions(path)
    assert [text[2:5] for text, _ in asked] == ["1. ", "2. ", "3. ", "4. ", "5. "]
    for text, found in asked:
        assert text.endswith("?**"), text
        assert "".join(letter for letter, *_ in found) in ("ABC", "ABCD"), text
        assert [mark for _, _, mark, _ in found].count("✓") == 1, text
        assert len({answer for _, answer, _, _ in found}) == len(found), text


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_every_answer_is_explained(path):
    for text, found in questions(path):
        for letter, _, _, why in found:
            assert len(why.split()) >= 8, f"{letter} of {text}"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_it_shows_alike_in_jupyter_colab_github_and_the_book(path):
    for _, found in questions(path):
        for _, answer, _, _ in found:
            # A summary is raw HTML: Markdown and mathematics would stand there as they are typed.
            assert not re.search(r"[$`*\\]", answer), answer
            plain = re.sub(r"</?(i|code)>|&(lt|gt|amp);", "", answer)
            assert not re.search(r"[<>&]", plain), answer
    text = block(path)
    assert not re.search(r"```\{|:::|\{[a-z:]+\}`", text), "MyST shows as raw text elsewhere"


def test_the_right_letter_cannot_be_guessed():
    letters = {path.stem: right_letters(path) for path in CHAPTERS}
    for chapter, right in letters.items():
        assert max(Counter(right).values()) <= 3 and len(set(right)) >= 3, chapter
    assert len(set(map(tuple, letters.values()))) == len(letters), "the same letters twice"
    counts = Counter(letter for right in letters.values() for letter in right)
    assert len(counts) >= 3 and max(counts.values()) <= 0.4 * counts.total()


def test_the_right_answer_is_not_given_away_by_its_length():
    longest = []
    for path in CHAPTERS:
        for _, found in questions(path):
            [right] = [answer for _, answer, mark, _ in found if mark == "✓"]
            longest.append(len(right) == max(len(answer) for _, answer, _, _ in found))
    assert sum(longest) <= len(longest) / 2
