"""A claim: two things measured, what is said of them, and the verdict; shown and recorded.

Every comparison that the book reports is a claim, so that no number in the prose can drift from the
code that measured it. A claim is judged by one rule and no other:

- on the simulated service, by a paired 95 % t-interval over worlds (`by_world`);
- on real data, by a paired 95 % bootstrap over people, trainings averaged (`by_people`);
- on a toy, over random starts (`by_start`); of speed, over rounds of a recorded run (`by_round`);
- where nothing is drawn (a closed form, a count, a recorded time) by the two numbers (`measured`).

The record travels in the notebook cell's output under a MIME type of its own, and the page of
findings is read from there.
"""

from __future__ import annotations

import hashlib
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from recsys_book.show.intervals import (
    Interval,
    bootstrap_interval,
    check_figures,
    paired_bootstrap,
    t_interval,
)

MIME = "application/vnd.recsys-book.claim+json"


# ---------------------------------------------------------------- what is compared

Values: TypeAlias = Sequence[float] | Sequence[Sequence[float]] | np.ndarray | Tensor | float

WORLDS, STARTS, PEOPLE, ROUNDS = "simulated worlds", "random starts", "people", "rounds"
TRAININGS = "trainings, not over people"
OVER = (WORLDS, STARTS, PEOPLE, ROUNDS, TRAININGS)


@dataclass(frozen=True)
class Comparison:
    """Two things measured.

    Attributes:
        a, b: their levels.
        gap: a − b with its interval, or a / b where `ratio`; None where nothing was drawn.
        ratio: a is compared as a multiple of b.
        note: what else went into the levels, such as "mean of 3 trainings".
    """

    a: float
    b: float
    gap: Interval | None = None
    ratio: bool = False
    note: str = ""

    @property
    def value(self) -> float:
        """a − b, or a / b."""
        if self.gap is not None:
            return self.gap.mean
        return self.a / self.b if self.ratio else self.a - self.b

    @property
    def low(self) -> float:
        """Lower end of the interval; the value itself where nothing was drawn."""
        return self.value if self.gap is None else self.gap.low

    @property
    def high(self) -> float:
        """Upper end of the interval; the value itself where nothing was drawn."""
        return self.value if self.gap is None else self.gap.high

    def text(self, digits: int = 3, sign: str = "") -> str:
        """The difference (low to high), for tables."""
        return (self.gap or Interval(self.value, self.value, self.value, 1)).text(digits, sign)


def by_world(a: Values, b: Values, *, ratio: bool = False) -> Comparison:
    """Compare over simulated worlds: a paired t-interval.

    Args:
        a: one figure per world, at least two.
        b: the other's, the same worlds in the same order; or one number, which stays the same.
        ratio: compare a / b, world by world, instead of a − b.

    Raises:
        ValueError: unequal numbers, fewer than two worlds, a figure that is not finite.
    """
    return _paired(a, b, WORLDS, ratio)


def by_start(a: Values, b: Values, *, ratio: bool = False) -> Comparison:
    """Compare over random starts on one and the same data, as `by_world` does over worlds.

    Where every figure is 0 or 1 (did this start succeed?) the starts are resampled instead: a
    share ends at 0 and 1, and a t-interval does not know.
    """
    left, right = _pair(a, b)
    if not ratio and np.isin(left, (0, 1)).all() and np.isin(right, (0, 1)).all():
        gap = replace(bootstrap_interval(left - right), over=STARTS)
        return Comparison(float(left.mean()), float(right.mean()), gap)
    return _paired(a, b, STARTS, ratio)


def by_round(a: Values, b: Values) -> Comparison:
    """Compare times or speeds as a multiple, over the rounds of a recorded run: in each round both
    were measured on one machine, one after the other."""
    return _paired(a, b, ROUNDS, ratio=True)


def by_training(a: Values, b: Values) -> Comparison:
    """Compare over trainings on one real data set, where no figure per person was kept.

    Such an interval leaves out what other people would change, usually the larger part, and the
    claim says so. Keep figures per person and use `by_people` wherever you can.
    """
    return _paired(a, b, TRAININGS, ratio=False)


def by_people(a: Values, b: Values, *, seed: int = 0) -> Comparison:
    """Compare on real data: the paired bootstrap over people, trainings averaged first.

    Args:
        a: one figure per person, `[people]`, or `[trainings, people]`.
        b: the other's, the same people in the same order; its number of trainings may differ. Or
            one number, which stays the same.
        seed: of the resampling.

    Raises:
        ValueError: other shapes, unequal numbers of people, fewer than two of them, a figure that
            is not finite.
    """
    left, runs = _mean_over_runs("a", a)
    right, more = _mean_over_runs("b", b)
    if right.ndim == 0:
        right = np.full_like(left, right)
    gap = replace(paired_bootstrap(left, right, seed=seed), over=PEOPLE)
    runs = max(runs, more)
    note = f"mean of {runs} trainings" if runs > 1 else ""
    return Comparison(float(left.mean()), float(right.mean()), gap, note=note)


def measured(a: float, b: float, *, ratio: bool = False, note: str = "") -> Comparison:
    """Compare two numbers where nothing was drawn: a closed form, a count, a recorded time."""
    for name, value in (("a", a), ("b", b)):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}; a comparison needs a finite number")
    if ratio and b == 0:
        raise ValueError("b is 0; nothing is a multiple of it")
    return Comparison(float(a), float(b), ratio=ratio, note=note)


def _paired(a: Values, b: Values, over: str, ratio: bool) -> Comparison:
    left, right = _pair(a, b)
    if ratio and not (right != 0).all():
        raise ValueError("b contains 0; nothing is a multiple of it")
    gap = t_interval(left / right if ratio else left - right)
    return Comparison(float(left.mean()), float(right.mean()), replace(gap, over=over), ratio)


def _pair(a: Values, b: Values) -> tuple[np.ndarray, np.ndarray]:
    """Two rows of figures; a single number is repeated."""
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if left.ndim == 0:
        left = np.full(right.shape, left)
    if right.ndim == 0:
        right = np.full(left.shape, right)
    if left.shape != right.shape:
        raise ValueError(f"a has {left.size} figures and b {right.size}; pairs need equal numbers")
    return check_figures(left), check_figures(right)


def _mean_over_runs(name: str, values: Values) -> tuple[np.ndarray, int]:
    array = np.asarray(values, dtype=float)
    if array.ndim == 2 and len(array):
        return array.mean(axis=0), len(array)
    if array.ndim > 1:
        raise ValueError(
            f"{name} has shape {array.shape}; it must be [people] or [trainings, people]"
        )
    return array, 1


# ---------------------------------------------------------------- what is said of it

#: What a claim can say of its two things → what it is called, and the mark on the page.
VERDICTS = {
    ">": ("shown", "✓"),
    "<": ("shown", "✓"),
    "≈": ("not told apart", "≈"),
    "=": ("equal within the margin", "="),
}


class Claim:
    """A claim that held; shows itself as a sentence and carries its record."""

    def __init__(self, record: dict) -> None:
        self.record = record

    def __repr__(self) -> str:
        return f"{mark(self.record)} {statement(self.record)} ({evidence(self.record)})"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": repr(self), "text/html": claim_html(self.record), MIME: self.record}


def claim(
    sentence: str,
    found: Comparison,
    relation: str,
    unit: str,
    *,
    margin: float | None = None,
) -> Claim:
    """State a finding, and stop if the figures do not bear it out.

    Args:
        sentence: the finding in words, without a full stop; the levels are put behind it.
        found: what was compared, see the top of this file.
        relation: of the first thing to the second. ">" or "<": shown, the whole interval lies on
            that side. "≈": not told apart, the interval holds no difference; this is not "equal".
            "=": equal, the whole interval lies within the margin.
        unit: of the levels, as it is read after them: "NDCG@10", "nats of log-loss".
        margin: for "=" alone; chosen before the run.

    Returns:
        a Claim, which a notebook shows when it ends a cell.

    Raises:
        ValueError: a relation or a unit that is none, a margin that is missing or too many.
        TypeError: `found` is no Comparison: a claim knows no other criterion.
        AssertionError: the figures say otherwise.
    """
    if not isinstance(found, Comparison):
        raise TypeError(
            f"found is a {type(found).__name__}; compare with by_world, by_people, by_start, "
            "by_round or measured: a claim knows no other criterion"
        )
    if relation not in VERDICTS:
        raise ValueError(f"relation is {relation!r}; it must be one of {', '.join(VERDICTS)}")
    if (margin is not None) != (relation == "="):
        raise ValueError(f"margin is {margin} and relation {relation!r}; = takes one, others none")
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin is {margin}; it must be above 0")
    if relation == "≈" and found.gap is None:
        raise ValueError("relation is '≈' where nothing was drawn; two numbers are told apart or =")
    gap = found.gap
    record = {
        "claim": sentence,
        "a": found.a,
        "b": found.b,
        "unit": unit,
        "relation": relation,
        "verdict": VERDICTS[relation][0],
        "margin": margin,
        "ratio": found.ratio,
        "value": float(found.value),
        "low": None if gap is None else float(gap.low),
        "high": None if gap is None else float(gap.high),
        "n": None if gap is None else gap.n,
        "over": "" if gap is None else gap.over,
        "note": found.note,
    }
    if not _bears_out(record):
        raise AssertionError(
            f"the figures do not bear out {relation!r}: {statement(record)} ({evidence(record)})"
        )
    check_record(record)
    return Claim(record)


def _bears_out(record: Mapping) -> bool:
    """Whether the interval, or the number where nothing was drawn, says what the relation says."""
    none = 1.0 if record["ratio"] else 0.0
    low = record["value"] if record["low"] is None else record["low"]
    high = record["value"] if record["high"] is None else record["high"]
    if record["relation"] == ">":
        return low > none
    if record["relation"] == "<":
        return high < none
    if record["relation"] == "≈":
        return low <= none <= high
    return none - record["margin"] < low and high < none + record["margin"]


# ---------------------------------------------------------------- how it is shown


def mark(record: Mapping) -> str:
    """✓, ≈ or =; in brackets where the interval leaves people out."""
    sign = VERDICTS[record["relation"]][1]
    return f"({sign})" if record["over"] == TRAININGS else sign


def statement(record: Mapping) -> str:
    """The sentence with both levels: "EASE ranks better: .041 against .022 NDCG@10"."""
    digits = _digits(record)
    if record["ratio"]:
        a, b = _three(record["a"]), _three(record["b"])
    else:
        a, b = _number(record["a"], digits), _number(record["b"], digits)
    return f"{record['claim']}: {a} against {b} {record['unit']}"


def evidence(record: Mapping) -> str:
    """What stands in brackets behind it: difference, interval, over what."""
    parts = [f"{figure_text(record)} times" if record["ratio"] else ""]
    parts[0] = parts[0] or f"difference {figure_text(record)}"
    if record["margin"] is not None:
        parts.append(f"margin {_number(record['margin'], _digits(record))}")
    if record["low"] is not None and record["high"] - record["low"] < 1e-3 * abs(record["value"]):
        parts.append(f"within a thousandth of it in all {record['n']:,} {record['over']}")
    elif bounds := interval_text(record):
        parts += [f"95 % interval {bounds}", f"{record['n']:,} {record['over']}"]
    if record["note"]:
        parts.append(record["note"])
    return ", ".join(parts)


def figure_text(record: Mapping) -> str:
    """The difference, or the multiple, as the claim shows it."""
    return _number(record["value"], _digits(record))


def interval_text(record: Mapping) -> str:
    """ "low to high" as the claim shows it; empty where there is no interval."""
    if record["low"] is None:
        return ""
    digits = _digits(record)
    low, high = (_number(record[end], digits) for end in ("low", "high"))
    return f"{low} to {high}" if low != high else f"narrower than {_number(10.0**-digits, digits)}"


def claim_html(record: Mapping, inside: str = "", where: str = "") -> str:
    """A claim for the page.

    Args:
        record: of a claim.
        inside: HTML between the sentence and the brackets.
        where: HTML behind the brackets.
    """
    said = VERDICTS[record["relation"]][0]
    return (
        f'<div class="claim claim-{said.split()[0]}" id="{anchor(record["claim"])}">'
        f'<span class="claim-mark" role="img" aria-label="{said}" title="{said}">'
        f"{mark(record)}</span> <b>{html.escape(statement(record))}</b>{inside} "
        f'<span class="claim-evidence">({_unbroken(evidence(record))})</span>'
        f"{' ' + where if where else ''}</div>"
    )


def _unbroken(text: str) -> str:
    """For HTML, with a number and its sign of per cent on one line."""
    return html.escape(text).replace(" %", "\N{NO-BREAK SPACE}%")


class Group:
    """Several claims as one output."""

    def __init__(self, claims: Sequence[Claim], body: str) -> None:
        self.claims, self.body = claims, body

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.claims))

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        records = [made.record for made in self.claims]
        return {"text/plain": repr(self), "text/html": self.body, MIME: records}


def drawn(title: str, *claims: Claim) -> Group:
    """Claims in one unit as a figure: a dot and its interval each, on one scale.

    Raises:
        ValueError: no claim, other units, or one without an interval.
    """
    units = {(made.record["unit"], made.record["ratio"]) for made in claims}
    if len(units) != 1:
        raise ValueError(f"claims have the units {sorted(units)}; one figure takes one unit")
    if loose := [made.record["claim"] for made in claims if made.record["low"] is None]:
        raise ValueError(f"“{loose[0]}” has no interval, so it cannot be drawn")
    [(unit, ratio)] = units
    records = [made.record for made in claims]
    none = 1.0 if ratio else 0.0
    ends = [none, *(r["low"] for r in records), *(r["high"] for r in records)]
    rows = "".join(claim_html(r, _strip(r, min(ends), max(ends), none)) for r in records)
    kind = "ratio of" if ratio else "difference in"
    caption = f"{html.escape(title)} <small>({kind} {html.escape(unit)})</small>"
    figure = f"<figcaption>{caption}</figcaption>{rows}{_scale(min(ends), max(ends), none)}"
    return Group(claims, f'<figure class="claims">{figure}</figure>')


def folded(title: str, *claims: Claim) -> Group:
    """Claims under a line that opens: what was measured besides what the main line needs."""
    rows = "".join(claim_html(made.record) for made in claims)
    summary = f"<summary><b>{html.escape(title)}</b> ({len(claims)})</summary>"
    return Group(claims, f'<details class="claims">{summary}{rows}</details>')


def _strip(record: Mapping, least: float, most: float, none: float) -> str:
    """One row of `drawn`, as SVG: the line of no difference, the interval and the dot."""
    place = lambda value: f"{_along(value, least, most):.2f}%"
    low, dot, high = (place(record[part]) for part in ("low", "value", "high"))
    line = 'stroke="currentColor" stroke-width'
    fill = "currentColor" if record["verdict"] == "shown" else "none"
    return (
        '<svg class="claim-strip" width="100%" height="16" aria-hidden="true" '
        'style="display:block;overflow:visible">'
        f'<line x1="{place(none)}" x2="{place(none)}" y1="0" y2="16" {line}="1" opacity=".45"/>'
        f'<line x1="{low}" x2="{high}" y1="8" y2="8" {line}="2"/>'
        f'<circle cx="{dot}" cy="8" r="4" fill="{fill}" {line}="2"/></svg>'
    )


def _scale(least: float, most: float, none: float) -> str:
    """The axis under the rows of `drawn`: no difference, and the ends that are far enough from it
    for their numbers to be read."""
    places = {value: _along(value, least, most) for value in (least, most, none)}
    shown = [v for v in (least, most) if abs(places[v] - places[none]) > 12]
    text = "".join(
        f'<text x="{places[v]:.2f}%" y="12" text-anchor="middle">'
        f"{_number(v, 3) if v != none else f'{none:.0f}'}</text>"
        for v in (none, *shown)
    )
    return (
        '<svg class="claim-scale" width="100%" height="16" aria-hidden="true" font-size="12" '
        f'fill="currentColor" style="display:block;overflow:visible">{text}</svg>'
    )


def _along(value: float, least: float, most: float) -> float:
    """Where a value stands between the ends of the scale, in percent of the width."""
    return 3 + 94 * (value - least) / ((most - least) or 1)


def anchor(sentence: str) -> str:
    """Where a page shows the claim: the same for as long as the sentence stays the same."""
    return f"claim-{hashlib.sha256(sentence.encode()).hexdigest()[:8]}"


# ---------------------------------------------------------------- its record


def records_in(notebook: Mapping) -> list[dict]:
    """Records of the claims in an executed notebook's outputs, in order.

    Args:
        notebook: as `json` or `nbformat` reads it.

    Raises:
        ValueError: a record that is broken; the cell is named, counted from 1.
    """
    records = []
    for number, cell in enumerate(notebook["cells"], start=1):
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                try:
                    records += records_of(output["data"][MIME])
                except ValueError as error:
                    raise ValueError(f"cell {number}: {error}") from None
    return records


def records_of(data: Any) -> list[dict]:
    """The checked records of one output: of a claim, or of several."""
    found = list(data) if isinstance(data, list | tuple) else [data]
    for record in found:
        check_record(record)
    return [dict(record) for record in found]


PARTS = "claim a b unit relation verdict margin ratio value low high n over note".split()


def check_record(record: Mapping) -> None:
    """Raise a ValueError unless this is the record of a claim that held, and complete."""
    if not isinstance(record, Mapping):
        raise ValueError(f"a claim's record is {record!r}; it must have names and values")
    if lacking := set(PARTS) - set(record):
        raise ValueError(f"a claim's record lacks {', '.join(sorted(lacking))}: {dict(record)}")
    for part in ("claim", "unit"):
        if not isinstance(record[part], str) or not record[part].strip():
            raise ValueError(f"{part} is {record[part]!r}; it must be in words")
    sentence, low, high = record["claim"], record["low"], record["high"]
    for part in ("value", "a", "b"):
        if not _is_number(record[part]):
            raise ValueError(f"{part} is {record[part]!r} for “{sentence}”; it must be a number")
    if record["relation"] not in VERDICTS:
        raise ValueError(f"relation is {record['relation']!r} for “{sentence}”")
    if not (low is None and high is None):
        if not (_is_number(low) and _is_number(high) and low <= high):
            raise ValueError(
                f"the interval of “{sentence}” is {low!r} to {high!r}; low comes first"
            )
        if not _is_count(record["n"], least=2):
            raise ValueError(f"n is {record['n']!r} for “{sentence}”; it must be 2 or more")
        if record["over"] not in OVER:
            raise ValueError(
                f"over is {record['over']!r} for “{sentence}”; it must be one of {', '.join(OVER)}"
            )
    if record["relation"] == "=" and not _is_number(record["margin"]):
        raise ValueError(f"margin is {record['margin']!r} for “{sentence}”; = needs one")
    if not _bears_out(record):
        raise ValueError(f"the figures of “{sentence}” do not bear out {record['relation']!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _digits(record: Mapping) -> int:
    """Decimals that show what the interval (or the margin, or the difference) can tell: two digits
    of half its length, as many as keep an end beside 0 from being shown as 0, no more than four."""
    if record["low"] is not None and record["high"] > record["low"]:
        scale = (record["high"] - record["low"]) / 2
        nearest = min(abs(record["low"]), abs(record["high"]))
        if 0 < nearest < 0.05 * scale:  # on which side of 0 it lies is the verdict
            scale = max(10 * nearest, 1e-4)
    else:
        scale = record["margin"] or abs(record["value"])
    if record["ratio"]:
        return 1 if record["value"] >= 3 else 2
    if not scale:
        return 3
    return min(max(1 - math.floor(math.log10(scale)), 0), 4)


def _number(value: float, digits: int) -> str:
    """Fixed decimals, no 0 before the point, a true minus sign."""
    text = f"{abs(value):,.{digits}f}"
    sign = "−" if value < 0 and float(text.replace(",", "")) else ""
    return sign + (text[1:] if text.startswith("0.") else text)


def _three(value: float) -> str:
    """Three digits of a time, a speed or a size."""
    if not value:
        return "0"
    return _number(value, min(max(2 - math.floor(math.log10(abs(value))), 0), 6))
