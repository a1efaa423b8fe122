"""The rules by which a chapter becomes slides.

- A heading ## starts a column, ### a slide under it; a slide that is full goes on in another.
- Of prose, a slide shows the first sentence, sentences in bold, questions, and what leads to an
  equation, a list or a table. All of it stands in the speaker notes (press S), and so do folded
  blocks.
- “Predict before you run” stands on a slide before the figure that answers it.
- Figures, claims and widgets are shown, the code that made them is not. Code of up to ten lines is
  shown under “Build it”, where it prints something or defines something. Set-up and imports go.
- “Check yourself” is a slide a question; the papers' table is split by rows; of exercises there
  are the titles.
- What follows a figure or a claim is shown where there is room for it.
- Where that makes more slides than a lecture has time for, code, tables and lone sentences give
  way first, those of the headings with the most slides before others. Their words stay in the
  notes.

The standard cell metadata `slideshow.slide_type` overrules: `skip` and `notes` as everywhere;
`slide`, `subslide` and `fragment` show the whole cell as it stands.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from slide_text import (
    LINE,
    WIDTH,
    Block,
    blocks,
    cells,
    column_widths,
    gist,
    inline,
    links,
    plain_length,
    row_height,
    sentences,
    short_list,
    text_height,
)

from recsys_book.show.claims import MIME as CLAIM
from recsys_book.show.claims import evidence, mark, records_of, statement

WIDGET = "application/vnd.jupyter.widget-view+json"
MOST_SLIDES = 32
MOST_LINES = 10  # of code
MOST_ROWS, MOST_COLUMNS = 8, 7  # of a table that a cell made
ROOM = 566  # pixels under the title of a slide
FIGURE = 380  # the least height at which a figure can be read


# ---------------------------------------------------------------- slides


@dataclass
class Part:
    """A block of a slide: a cell, and about how high it will be."""

    kind: str
    cell: Mapping
    height: float
    shape: float = 0.0  # of a figure: width over height
    fragment: bool = False


@dataclass
class Slide:
    """One slide; `starts` is True for the first of a column."""

    column: str
    title: str
    starts: bool
    follows: bool = False  # goes on from the slide before, under the same title
    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    closed: bool = False
    pinned: bool = False  # asked for by metadata

    @property
    def kinds(self) -> set[str]:
        return {part.kind for part in self.parts}

    def takes(self, part: Part) -> bool:
        """Is there room for one more?"""
        if part.kind in LARGE and self.kinds & LARGE:
            return False
        return not self.closed and height_of([*self.parts, part]) <= ROOM


def layout_of(parts: Sequence[Part]) -> str:
    """Words above and below a figure, or on its left where it is not wide."""
    figures = [part for part in parts if part.kind == "figure"]
    words = [part for part in parts if part.kind != "figure"]
    if len(figures) != 1 or not words or {p.kind for p in words} - {"text", "claim", "equation"}:
        return ""
    if any(p.kind == "equation" and plain_length(p.cell["source"]) > 40 for p in words):
        return ""  # too long for a column
    if figures[0].shape < 1.3:
        return "beside"
    few = sum(part.height for part in words) <= 150
    return "beside wide" if figures[0].shape < 1.95 and not few else ""


def height_of(parts: Sequence[Part]) -> float:
    """Of all the parts of a slide."""
    layout = layout_of(parts)
    if not layout:
        narrow = any(part.kind == "figure" and part.shape < 1.3 for part in parts)
        # A tall figure under words would be a stamp.
        return inf if narrow and len(parts) > 1 else sum(part.height for part in parts)
    longer = 2.0 if layout == "beside" else 2.4  # lines, in a column and not in the whole width
    words = [part.height for part in parts if part.kind != "figure"]
    return sum((height - 14) * longer + 14 for height in words)


def leads_on(slide: Slide) -> bool:
    """Does the slide end in “…:”, and is there something before it?"""
    last = slide.parts[-1]
    ends = last.kind == "text" and last.cell["source"].rstrip("*").endswith(":")
    return ends and len(slide.parts) > 1


#: At most one of these on a slide.
LARGE = {"figure", "table", "widget", "quiz"}
#: What is given up last has the highest number.
WORTH = {"code": 1, "output": 1, "table": 2, "text": 3, "list": 3, "equation": 4, "prompt": 5}
ALWAYS = 9
ONLY = 4  # the more, as the only slide under a heading


class Writer:
    """Lays blocks on slides, in the order of the notebook."""

    def __init__(self, chapter: str) -> None:
        self.chapter = chapter
        self.slides: list[Slide] = []
        self.column = self.title = ""
        self.column_is_new = False
        self.title_is_new = False
        self.waiting: list[str] = []  # notes for the next slide

    # -- where things go

    def start_column(self, name: str) -> None:
        self.column = self.title = name
        self.column_is_new = self.title_is_new = True
        self.close()

    def start_slide(self, name: str) -> None:
        self.title, self.title_is_new = name, True
        self.close()

    def close(self) -> None:
        """What comes next goes to another slide."""
        if self.slides:
            self.slides[-1].closed = True

    def _open(self) -> Slide:
        made = Slide(self.column, self.title, self.column_is_new, not self.title_is_new)
        self.column_is_new = self.title_is_new = False
        made.notes, self.waiting = self.waiting, []
        self.slides.append(made)
        return made

    def add(self, part: Part) -> Slide:
        slide = self.slides[-1] if self.slides else None
        if slide is None or not slide.takes(part):
            before, slide = slide, self._open()
            if before and before.title == slide.title and not before.closed and leads_on(before):
                slide.parts.append(before.parts.pop())
        slide.parts.append(part)
        return slide

    def note(self, markdown: str) -> None:
        """For the speaker, on the slide that is being filled."""
        open_now = self.slides and not self.slides[-1].closed
        (self.slides[-1].notes if open_now else self.waiting).append(markdown)

    # -- kinds of parts

    def text(self, markdown: str, kind: str = "text", height: float | None = None) -> None:
        height = text_height(markdown) if height is None else height
        self.add(Part(kind, new_markdown_cell(markdown), height))

    def has_room(self, markdown: str) -> bool:
        """Would a paragraph fit on the slide that is being filled?"""
        part = Part("text", {}, text_height(markdown))
        return bool(self.slides) and self.slides[-1].takes(part)

    def code(self, source: str, outputs: Sequence[Mapping] = ()) -> None:
        lines = source.count("\n") + 1
        out = sum(_text_of(o).count("\n") + 1 for o in outputs)
        cell = new_code_cell(source, outputs=list(outputs))
        self.add(Part("code", cell, 30 * (lines + out) + 60))


def _text_of(output: Mapping) -> str:
    return output.get("text", output.get("data", {}).get("text/plain", "")).rstrip("\n")


# ---------------------------------------------------------------- from notebook to slides


class Reader:
    """Walks the cells of an executed notebook and hands their blocks to a `Writer`."""

    def __init__(self, chapter: str) -> None:
        self.write = Writer(chapter)
        self.lead = True  # the next paragraph is the first under its heading
        self.shown = False  # an output was shown since the last prose
        self.context = ""  # such as "Check yourself"
        self.asked = 0  # questions so far

    def read(self, notebook: Mapping) -> list[Slide]:
        cells = notebook["cells"]
        for cell, following in zip(cells, [*cells[1:], None], strict=True):
            wish = cell["metadata"].get("slideshow", {}).get("slide_type", "-")
            if wish == "skip":
                continue
            if wish == "notes":
                self.write.note(_as_note(cell))
            elif wish in ("slide", "subslide", "fragment"):
                self._as_it_stands(cell, wish)
            elif cell["cell_type"] == "markdown":
                self._prose(cell["source"], following is not None and _makes(following, "widget"))
            elif cell["cell_type"] == "code":
                self._code(cell)
        if self.write.waiting and self.write.slides:
            self.write.slides[-1].notes += self.write.waiting
        total = self.asked
        for slide in self.write.slides:
            slide.column = slide.column.replace("of ?", f"of {total}")
        return self.write.slides

    def _as_it_stands(self, cell: Mapping, wish: str) -> None:
        source = cell["source"]
        first = (blocks(source) or [Block("paragraph", "")])[0]
        if cell["cell_type"] == "markdown" and first.kind == "heading":
            source = source.replace(first.text, "", 1).strip()
            start = self.write.start_column if first.level <= 2 else self.write.start_slide
            start(first.name)
        if wish == "slide":
            self.write.column_is_new = True
        if wish != "fragment":
            self.write.close()
        if cell["cell_type"] == "markdown":
            part = Part("own", new_markdown_cell(links(source)), text_height(source))
        else:
            outputs = [_shown(output) for output in cell["outputs"]]
            part = Part("own", new_code_cell(source, outputs=outputs), FIGURE)
        part.fragment = wish == "fragment"
        if part.fragment and self.write.slides:
            slide = self.write.slides[-1]  # a fragment belongs to the slide before it
            slide.parts.append(part)
        else:
            slide = self.write.add(part)
        slide.pinned = True

    # -- prose

    def _prose(self, source: str, before_widget: bool) -> None:
        found = blocks(source)
        after = self.shown
        self.shown = False
        spoken: list[str] = []
        paragraphs = [b for b in found if b.kind == "paragraph"]
        answers = 0  # folds that stand on the slide of their question
        for i, block in enumerate(found):
            following = found[i + 1].kind if i + 1 < len(found) else ""
            if answers:
                answers -= 1
            elif block.kind == "heading":
                self._tell(spoken)
                after = False
                self._heading(block)
            elif self._is_question(found, i):
                self._tell(spoken)
                answers = self._question(found, i)
            elif self.context == "exercises":
                self._exercise(block)
            elif block.kind == "paragraph" and block.text.startswith("**Check yourself**"):
                self.context = "check yourself"
            elif self.context == "title" and block.kind != "fold":
                if block.kind == "table":
                    self._card(block.text)
            elif block.kind == "fold":
                self._tell(spoken)
                self._folded(block)
            elif self.context in ("check yourself", "further reading"):
                spoken.append(block.text)
            elif block.kind == "paragraph":
                spoken.append(block.text)
                last = block is paragraphs[-1] and len(paragraphs) > 1
                if last and before_widget and not following:
                    self._tell(spoken)
                    self.write.close()  # it stands over the widget
                    self._gist(block.text, lead=True)
                    continue
                marked = any("**" in paragraph.text for paragraph in paragraphs)
                takeaway = after and block is paragraphs[0] and not marked
                long = takeaway and plain_length(sentences(block.text)[0]) > 220
                if block.text.startswith("**Next:**"):
                    continue
                self._gist(
                    block.text,
                    lead=self.lead or (takeaway and not long),
                    leads_on=following in ("equation", "list", "table", "code"),
                    if_room=after,
                )
                self.lead = self.write.column == "The question"  # every paragraph has its say
            else:
                spoken.append(block.text)
                self._set(block)
        self._tell(spoken)

    def _tell(self, spoken: list[str]) -> None:
        if spoken:
            self.write.note(links("\n\n".join(spoken)))
            spoken.clear()

    def _gist(
        self, paragraph: str, *, lead: bool, leads_on: bool = False, if_room: bool = False
    ) -> None:
        told = gist(paragraph, lead=lead, leads_on=leads_on, questions=not if_room)
        if told and (not if_room or self.write.has_room(told)):
            self.write.text(links(told))

    def _heading(self, block: Block) -> None:
        self.lead, self.context = True, _context(block.name)
        if block.level == 1:
            self.write.start_column(block.name)
            self.context = "title"
        elif block.level == 2:
            self.write.start_column(block.name)
        else:
            self.write.start_slide(block.name)

    def _set(self, block: Block) -> None:
        """An equation, a list, a table or a piece of code that stands in the prose."""
        text = links(block.text)
        if block.kind == "equation":
            rows = text.count(r"\\") + text.count("\n") // 3
            self.write.text(text, "equation", 92 + 40 * rows)
        elif block.kind == "list":
            text = short_list(text)
            items = re.split(r"\n(?=[-*+]|\d+[.)])", text)
            height = sum(text_height(item, WIDTH - 40) - 4 for item in items)
            self.write.text(text, "list", height)
        elif block.kind == "table":
            self._table(text)
        elif block.kind == "code" and text.count("\n") - 1 <= MOST_LINES:
            self.write.text(text, "code", 30 * text.count("\n") + 40)

    def _card(self, table: str) -> None:
        """The chapter's card, on the title slide; a table without heads is a list of terms."""
        rows = [cells(line) for line in table.strip().split("\n")[2:]]
        term = lambda row: f"<dt>{inline(row[0].strip('* '))}</dt><dd>{inline(row[1])}</dd>"
        card = '<dl class="card">' + "".join(term(row) for row in rows if len(row) == 2) + "</dl>"
        self.write.text(card, "title", 300)
        self.write.close()

    def _table(self, table: str, kind: str = "table") -> None:
        """As many slides as its rows need."""
        head, rule, *rows = table.strip().split("\n")
        widths = column_widths([head, *rows])
        tall = [row_height(row, widths) for row in rows]
        at, used = [head, rule], 60.0
        for row, height in zip(rows, tall, strict=True):
            if used + height > ROOM - 20 and len(at) > 2:
                self.write.text("\n".join(at), kind, used)
                at, used = [head, rule], 60.0
            at.append(row)
            used += height
        self.write.text("\n".join(at), kind, min(used, ROOM))

    def _folded(self, fold: Block) -> None:
        name = re.sub(r"<[^>]+>", "", fold.name)
        if re.match(r"predict before", name, re.IGNORECASE):
            cell = f"<details>\n<summary>{fold.name}</summary>\n\n{links(fold.text)}\n\n</details>"
            self.write.text(cell, "prompt", text_height(name, WIDTH - 60) + 34)
            self.write.note(f"{fold.name} {links(fold.text)}")
            self.write.close()
            return
        context = _context(name)
        if context == "further reading" or not context:
            self.write.note(links(f"**{name}**\n\n{fold.text}"))
            return
        self.context = context
        if context == "check yourself":
            self._prose(fold.text, False)
        elif context == "exercises":
            self.write.start_column("Exercises")
            for block in blocks(fold.text):
                self._exercise(block)
        else:
            self.write.start_column(name)
            for block in blocks(fold.text):
                if block.kind == "table":
                    self._table(links(block.text), "papers")
                elif block.kind == "list":
                    self._set(block)
                else:
                    self.write.note(links(block.text))
        self.context = ""

    # -- check yourself, exercises

    def _is_question(self, found: Sequence[Block], i: int) -> bool:
        return (
            self.context == "check yourself"
            and bool(re.match(r"(\*\*)?\d+\.\s", found[i].text))
            and i + 1 < len(found)
            and found[i + 1].kind == "fold"
        )

    def _question(self, found: Sequence[Block], i: int) -> int:
        """A question and its folds: one that holds the answer, or one for each that is offered.

        Returns:
            how many folds.
        """
        self.asked += 1
        asked = re.sub(r"^(\*\*)?\d+\.\s+", r"\1", found[i].text.strip())
        answers = []
        for block in found[i + 1 :]:
            if block.kind != "fold":
                break
            answers.append(block)
        write = self.write
        if self.asked == 1:
            write.start_column("Check yourself")
        write.column, write.title = "Check yourself · ? of ?", "Check yourself"
        write.column = f"Check yourself · {self.asked} of ?"
        write.close()
        write.title_is_new = True
        write.text(links(asked if asked.startswith("**") else f"**{asked}**"), "quiz")
        # Of answers that exclude each other one is open at a time.
        group = f' name="question-{self.asked}"' if len(answers) > 1 else ""
        folds = [
            f"<details{group}>\n<summary>{a.name}</summary>\n\n{links(a.text)}\n\n</details>"
            for a in answers
        ]
        height = sum(text_height(a.name) + 20 for a in answers)
        self.write.slides[-1].parts.append(
            Part("answers", new_markdown_cell("\n\n".join(folds)), height)
        )
        told = [f"**{a.name}** {links(a.text)}" for a in answers]
        write.note("\n\n".join(told))
        write.close()
        return len(answers)

    def _exercise(self, block: Block) -> None:
        """Titles on the slide; what they ask is in the notes."""
        if block.kind == "list":
            text = links(block.text)
            items = re.split(r"\n(?=[-*+]|\d+[.)])", text)
            self.write.text(text, "exercises", sum(text_height(item) for item in items))
        elif block.kind == "paragraph" and (title := re.match(r"\*\*.+?\*\*", block.text)):
            self.write.text(links(title[0]), "exercises", LINE + 14)
            self.write.note(links(block.text))
        elif block.kind != "fold":
            self.write.note(links(block.text))

    # -- code cells

    def _code(self, cell: Mapping) -> None:
        outputs = cell["outputs"]
        source = without_imports(cell["source"])
        if is_set_up(cell["source"]) or not (source or outputs):
            return
        rich = [o for o in outputs if kind_of(o) in ("figure", "claim", "widget", "table")]
        printed = [o for o in outputs if kind_of(o) == "text"]
        if rich:
            self._rich(rich)
            if printed:
                self.write.note("\n\n".join(_fenced(_text_of(o)) for o in printed))
            return
        lines = source.count("\n") + 1
        told = bool(printed) or bool(re.search(r"^(def|class) ", source, re.MULTILINE))
        short = lines + sum(_text_of(o).count("\n") + 1 for o in printed) <= MOST_LINES + 6
        if self.write.column == "Build it" and told and short and 0 < lines <= MOST_LINES:
            self.write.code(source, printed)
            self.shown = True

    def _rich(self, outputs: Sequence[Mapping]) -> None:
        """Figures, tables and widgets, one a slide; claims with them or on a slide of their own."""
        self.shown = True
        claims: list[Mapping] = []
        for output in outputs:
            kind = kind_of(output)
            if kind == "claim":
                claims.append(output)
                continue
            self._claims(claims)
            cell = new_code_cell("", outputs=[_shown(output)])
            if kind == "figure":
                shape = _shape(output)
                self.write.add(Part(kind, cell, min(FIGURE, WIDTH / shape), shape))
            elif kind == "widget":
                self.write.add(Part(kind, cell, ROOM - 110))
                self.write.close()
            else:
                rows, columns = _table_size(cell["outputs"][0])
                if rows <= MOST_ROWS + 1 and columns <= MOST_COLUMNS:
                    self.write.add(Part(kind, cell, 44 * rows + 24))
        self._claims(claims)

    def _claims(self, claims: list[Mapping]) -> None:
        for output in claims:
            for record in records_of(output["data"][CLAIM]):
                cell = new_code_cell("", outputs=[_claim(record)])
                height = text_height(statement(record), WIDTH - 400, 0.86) + 20
                height += text_height(evidence(record), WIDTH - 400, 0.67)
                self.write.add(Part("claim", cell, height))
        claims.clear()


def _context(name: str) -> str:
    """Which of the blocks at the end of a chapter a heading or a fold opens, if any."""
    name = re.sub(r"[*_]|<[^>]+>", "", name).strip().lower()
    known = ("check yourself", "exercises", "what the papers really say", "further reading")
    return next((one for one in known if name.startswith(one)), "")


def is_set_up(source: str) -> bool:
    """Installs, seeds, or imports and nothing else."""
    if re.search(r"^\s*%pip|^device = setup\(|^setup\(", source, re.MULTILINE):
        return True
    return not without_imports(source)


def without_imports(source: str) -> str:
    """Code less its import statements and the empty lines that they leave."""
    bare = re.sub(r"^(?:from\s+\S+\s+)?import\s+(?:\([^)]*\)|.*)$", "", source, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", bare).strip()


def kind_of(output: Mapping) -> str:
    """figure, claim, widget, table, source (folded code) or text."""
    data = output.get("data", {})
    if data.get("text/html", "").startswith("<details"):
        return "source"  # folded on the page, and so not on a slide
    if CLAIM in data:
        return "claim"
    if WIDGET in data:
        return "widget"
    shown = data.get("text/html", "")
    if "<img" in shown:
        return "figure"
    if "book-source" in shown:
        return "source"
    if "<table" in shown:
        return "table"
    if "image/png" in data or "image/svg+xml" in data:
        return "figure"
    return "text"


def _makes(cell: Mapping, kind: str) -> bool:
    return any(kind_of(output) == kind for output in cell.get("outputs", []))


def _shown(output: Mapping) -> Mapping:
    """An output with the one form of it that the deck shows."""
    if "data" not in output:
        return output
    order = (WIDGET, "text/html", "image/svg+xml", "image/png", "text/plain")
    best = next(mime for mime in order if mime in output["data"])
    data = output["data"][best]
    return new_output("display_data", data={best: tidy(data) if best == "text/html" else data})


def tidy(shown: str) -> str:
    """A data frame's table without the row that holds nothing but the name of its index."""
    name = r"<tr[^>]*>\s*<th>([^<]+)</th>(?:\s*<th></th>)+\s*</tr>\s*"
    if found := re.search(name, shown):
        shown = shown[: found.start()] + shown[found.end() :]
        shown = re.sub(r"(<tr[^>]*>\s*)<th></th>", rf"\g<1><th>{found[1]}</th>", shown, count=1)
    return shown


def _claim(record: Mapping) -> Mapping:
    """A claim, its sentence on the left, what it rests on on the right."""
    shown = (
        f'<div class="claim"><span class="claim-mark" aria-hidden="true">{mark(record)}</span>'
        f'<span class="claim-sentence">{html.escape(statement(record))}</span>'
        f'<span class="claim-figure"><small>{html.escape(evidence(record))}</small></span></div>'
    )
    return new_output("display_data", data={"text/html": shown})


def _shape(output: Mapping) -> float:
    """Width over height of a PNG; 1.6 where that cannot be read."""
    data = output["data"]
    found = re.search(r"base64,([A-Za-z0-9+/]{48})", data.get("text/html", ""))
    start = found[1] if found else data.get("image/png", "")[:48]
    raw = base64.b64decode(start or "AAAA")
    if raw[:4] != b"\x89PNG":
        return 1.6
    width, height = struct.unpack(">II", raw[16:24])
    return width / height


def _table_size(output: Mapping) -> tuple[int, int]:
    shown = output["data"]["text/html"]
    return shown.count("<tr"), len(re.findall(r"<t[hd]", shown.split("</tr>")[0]))


def _fenced(text: str) -> str:
    return f"```\n{text}\n```"


def _as_note(cell: Mapping) -> str:
    if cell["cell_type"] == "markdown":
        return links(cell["source"])
    printed = [_text_of(o) for o in cell["outputs"] if kind_of(o) == "text"]
    return "\n\n".join(_fenced(text) for text in [cell["source"], *printed])


# ---------------------------------------------------------------- no more than a lecture holds


def worth(slide: Slide) -> float:
    """How gladly a slide is kept."""
    if slide.pinned or (slide.column == "The question" and slide.starts):
        return ALWAYS
    if slide.kinds & {"title", "widget", "quiz", "papers", "exercises"}:
        return ALWAYS
    if slide.kinds == {"text"}:
        said = sum(plain_length(part.cell["source"]) for part in slide.parts)
        if said < 60:
            return 0  # one short sentence is no slide
    best = max(WORTH.get(part.kind, 6) for part in slide.parts)
    return best - 0.5 * slide.follows + slide.starts


def tighten(slides: Sequence[Slide], most: int = MOST_SLIDES) -> list[Slide]:
    """Give up slides until no more than `most` are left.

    The next to go is the one of least worth. Each further slide under one heading counts one less,
    and the only one under its heading counts more, so that the plan of the chapter can be seen.
    What was to be said goes to a slide beside it, under the same heading where there is one.
    """
    slides = list(slides)
    heading = lambda slide: (slide.column, slide.title)
    while len(slides) > most or any(worth(slide) <= 0 for slide in slides[1:]):
        under = Counter(map(heading, slides))

        def kept(i: int, under: Counter = under) -> tuple[float, int]:
            value, others = worth(slides[i]), under[heading(slides[i])] - 1
            return (value + (-others or ONLY) if value > 0 else -inf), -i

        may_go = [i for i in range(1, len(slides)) if worth(slides[i]) < ALWAYS]
        if not may_go:
            break
        at = min(may_go, key=kept)
        gone = slides.pop(at)
        last = at == len(slides)
        onward = not last and heading(slides[at]) == heading(gone) != heading(slides[at - 1])
        heir = slides[at] if onward else slides[at - 1]
        code = [part.cell["source"] for part in gone.parts if part.kind == "code"]
        notes = [one if one.startswith("```") else _fenced(one) for one in code] + gone.notes
        heir.notes = notes + heir.notes if onward else heir.notes + notes
        if not last and gone.starts and slides[at].column == gone.column:
            slides[at].starts = True
    return slides
