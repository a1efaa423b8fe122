"""Markdown of the chapters, for slides: its blocks, its sentences, and how much room they take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nbconvert.filters.markdown import markdown2html

# Pixels of a slide of 1280 × 720. They decide what goes together, roughly; the page then measures
# and takes a smaller size of type where the guess was short.
WIDTH = 1180
LINE, LETTER = 39, 13.2


@dataclass(frozen=True)
class Block:
    """A paragraph, or another piece of Markdown that stands on its own.

    Attributes:
        kind: heading, paragraph, list, table, equation, code or fold.
        text: its source; of a fold what is inside.
        name: of a heading its words, of a fold its summary (HTML).
        level: of a heading.
    """

    kind: str
    text: str
    name: str = ""
    level: int = 0


def blocks(source: str) -> list[Block]:
    """Cut portable Markdown, as the chapters have it, into blocks."""
    found, lines = [], source.strip().split("\n")
    while lines:
        line = lines[0]
        if not line.strip():
            lines.pop(0)
        elif line.lstrip().startswith("<details"):
            found.append(_fold(_take_fold(lines)))
        elif heading := re.match(r"(#{1,6})\s+(.*?)\s*#*$", line):
            lines.pop(0)
            found.append(Block("heading", line, heading[2], len(heading[1])))
        elif fence := re.match(r"\s*(```|~~~)", line):
            end = next((i for i, other in enumerate(lines[1:], 1) if other.strip() == fence[1]), -1)
            found.append(Block("code", _take(lines, end + 1 or len(lines))))
        else:
            end = next((i for i, other in enumerate(lines) if not other.strip()), len(lines))
            listed = re.match(r"([-*+]|\d+[.)])\s", line)
            # A list goes on after an empty line where the next line is an item or is indented.
            while (
                listed
                and end + 1 < len(lines)
                and re.match(r"\s+\S|[-*+]\s|\d+[.)]\s", lines[end + 1])
            ):
                rest = lines[end + 1 :]
                end += 1 + next((i for i, other in enumerate(rest) if not other.strip()), len(rest))
            text = _take(lines, end)
            if listed:
                kind = "list"
            elif line.lstrip().startswith("|"):
                kind = "table"
            elif text.strip().startswith("$$") and text.strip().endswith("$$"):
                kind = "equation"
            else:
                kind = "paragraph"
            found.append(Block(kind, text))
    return found


def _take(lines: list[str], n: int) -> str:
    taken = "\n".join(lines[:n])
    del lines[:n]
    return taken


def _take_fold(lines: list[str]) -> str:
    """Up to the `</details>` that closes the first `<details>`; folds may stand in folds."""
    depth = 0
    for i, line in enumerate(lines, start=1):
        depth += line.count("<details") - line.count("</details>")
        if depth <= 0:
            return _take(lines, i)
    return _take(lines, len(lines))


def _fold(text: str) -> Block:
    inside = re.sub(r"^\s*<details[^>]*>|</details>\s*$", "", text.strip())
    summary = re.search(r"<summary[^>]*>(.*?)</summary>", inside, re.DOTALL)
    if summary is None:
        return Block("fold", inside)
    body = inside[: summary.start()] + inside[summary.end() :]
    return Block("fold", body.strip(), summary[1].strip())


def sentences(paragraph: str) -> list[str]:
    """Cut a paragraph at the ends of its sentences; bold and brackets stay whole."""
    kept: list[str] = []

    def hide(match: re.Match) -> str:
        kept.append(match[0])
        return f"\x01{len(kept) - 1}\x02"

    text = " ".join(paragraph.split())
    text = re.sub(r"\$[^$]+\$|`[^`]+`|\[[^\]]*\]\([^)]*\)", hide, text)
    text = re.sub(r"\b(e\.g\.|i\.e\.|al\.|vs\.|etc\.)", hide, text)
    pieces = re.split(r"(?<=[.!?])([*\"”’)\]]*)\s+(?=[A-Z“\"*(\x01\[])", text)
    whole = [a + b for a, b in zip(pieces[::2], [*pieces[1::2], ""], strict=True)]
    found: list[str] = []
    for piece in whole:
        before = found[-1] if found else ""
        if before.count("**") % 2 or before.count("(") > before.count(")"):
            found[-1] += " " + piece
        else:
            found.append(piece)
    show = lambda piece: re.sub(r"\x01(\d+)\x02", lambda m: kept[int(m[1])], piece)
    return [show(piece) for piece in found if piece.strip()]


def gist(
    paragraph: str,
    *,
    lead: bool = False,
    leads_on: bool = False,
    questions: bool = True,
    most: int = 3,
) -> str:
    """What a slide shows of a paragraph; the rest is for the speaker.

    Args:
        paragraph: Markdown.
        lead: the first sentence counts.
        leads_on: the last sentence counts; an equation, a list or a table follows.
        questions: they count, but for “Is it so?” and its like.
        most: sentences that count, at most; a short one brings the next.

    Returns:
        sentences in their order; empty where nothing stands out.
    """
    if paragraph.lstrip().startswith("("):
        return ""  # an aside
    told = sentences(paragraph)
    length = [plain_length(one) for one in told]
    asks = [one.rstrip("*)").endswith("?") and n >= 30 for one, n in zip(told, length, strict=True)]
    marked = [i for i, one in enumerate(told) if "**" in one or (questions and asks[i])]
    first = [0] if lead else []
    last = [len(told) - 1] if leads_on and told[-1].rstrip("*").endswith((":", ",")) else []
    wanted = set(list(dict.fromkeys([*last, *first, *marked]))[:most])
    # “You inherit a training run.” and “**Item kNN.**” say nothing without what follows.
    wanted |= {0, 1} if lead and length[0] < 50 else set()
    wanted |= {i + 1 for i in marked if length[i] < 20}
    return " ".join(one for i, one in enumerate(told) if i in wanted)


def plain_length(markdown: str) -> float:
    """Letters that a reader sees, roughly: marks, addresses and TeX commands are not letters."""
    text = re.sub(r"\]\([^)]*\)|<[^>]+>|[*`$\[{}_^]", "", markdown)
    return len(re.sub(r"\\[a-zA-Z]+", "x", text))


def text_height(markdown: str, width: float = WIDTH, size: float = 1.0) -> float:
    """Pixels of a paragraph on a slide."""
    lines = -(-plain_length(markdown) * LETTER * size // width)
    return max(1, lines) * LINE * size + 14


def short_list(text: str, most: int = 170) -> str:
    """A list whose long items are cut to their first sentence."""
    items = re.split(r"\n(?=[-*+]\s|\d+[.)]\s)", text)
    short = []
    for item in items:
        mark, body = re.match(r"([-*+]\s+|\d+[.)]\s+)?(.*)", item, re.DOTALL).groups()
        if plain_length(body) > most and "$$" not in body:
            told = sentences(body)
            keep = 1 + (plain_length(told[0]) < 30)  # “**Bend.** …”: the name alone says nothing
            body = " ".join(told[:keep])
        short.append((mark or "") + body)
    return "\n".join(short)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def column_widths(rows: Sequence[str]) -> list[float]:
    """Pixels for each column, in proportion to the square root of what it holds."""
    sums: list[float] = []
    for row in rows:
        for i, cell in enumerate(cells(row)):
            sums += [0.0] * (i + 1 - len(sums))
            sums[i] += plain_length(cell)
    share = [max(1.0, total) ** 0.5 for total in sums]
    return [WIDTH * one / sum(share) - 30 for one in share]


def row_height(row: str, widths: Sequence[float]) -> float:
    pairs = zip(cells(row), widths, strict=False)
    return max(text_height(cell, max(60, width), 0.8) for cell, width in pairs) + 6


def inline(markdown: str) -> str:
    """HTML of a line of Markdown, without a paragraph around it."""
    return re.sub(r"^\s*<p>|</p>\s*$", "", markdown2html(markdown)).strip()


def links(markdown: str) -> str:
    """Links between notebooks and pages, seen from a deck: the pages of the book."""

    def moved(match: re.Match) -> str:
        before, target, mark = match.groups()
        if re.match(r"[a-z]+:|#|/", target):
            return match[0]
        target = re.sub(r"\.(ipynb|md)$", ".html", target)
        target = target if target.startswith("../") else f"../chapters/{target}"
        return f"{before}{target}{mark}"

    markdown = re.sub(r"(\]\()([^)#\s]+)([)#])", moved, markdown)
    return re.sub(r"""(href=["'])([^"'#]+)(["'#])""", moved, markdown)
