"""One search for settings, the same for every rival.

From a start it moves one setting by one step at a time, for as long as validation gains. It ends
when both neighbours of every setting were tried and none is better by more than a least gain. So no
choice lies at the edge of what was offered: the box grows with the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Setting = dict[str, float]


@dataclass
class Search:
    """What a search found.

    Attributes:
        best: the setting with the highest score.
        score: of it.
        tried: every setting with its score, in order.
        settled: both neighbours of every part of `best` were tried; False where the budget was
            spent before.
    """

    best: Setting
    score: float
    tried: list[tuple[Setting, float]] = field(repr=False)
    settled: bool


def search(
    score: Callable[[Setting], float],
    start: Mapping[str, float],
    steps: Mapping[str, float | Sequence[float]],
    budget: int = 60,
    least: float = 0.0,
) -> Search:
    """Climb from a start, one setting one step up or down.

    Args:
        score: of a setting, to be made large.
        start: name → value.
        steps: name → the factor of a step, above 1, or the values that there are, in order. An int
            in `start` stays an int.
        budget: settings tried at most.
        least: what a step must gain to be taken; keeps the search from walking along a plateau.

    Raises:
        ValueError: a step without a start, a factor that is no step, a start that is none of the
            values, a budget below 1, or a least gain below 0.
    """
    _check(start, steps, budget, least)
    at = {name: _place(start[name], step) for name, step in steps.items()}
    scores: dict[tuple[int, ...], float] = {}
    order: list[tuple[int, ...]] = []

    def setting(places: Mapping[str, int]) -> Setting:
        moved = {n: _value(start[n], step, places[n]) for n, step in steps.items()}
        return dict(start) | moved

    def known(places: Mapping[str, int]) -> float | None:
        key = tuple(places[name] for name in steps)
        if key not in scores:
            if len(order) == budget:
                return None
            scores[key] = score(setting(places))
            order.append(key)
        return scores[key]

    best = known(at)
    assert best is not None
    moved, settled = True, True
    while moved:
        moved, settled = False, True
        for name, step in steps.items():
            for way in (1, -1):
                while _there(step, at[name] + way):
                    there = at | {name: at[name] + way}
                    found = known(there)
                    if found is None:
                        settled = False
                        break
                    if found <= best + least:
                        break
                    at, best, moved = there, found, True
    of = lambda key: setting(dict(zip(steps, key, strict=True)))
    return Search(setting(at), best, [(of(key), scores[key]) for key in order], settled)


def _check(start: Mapping, steps: Mapping, budget: int, least: float) -> None:
    if budget < 1:
        raise ValueError(f"budget is {budget}; it must be at least 1")
    if not least >= 0:
        raise ValueError(f"least is {least}; it must be at least 0")
    for name, step in steps.items():
        if name not in start:
            raise ValueError(f"steps has {name!r}, which start has not")
        if isinstance(step, Sequence):
            if start[name] not in step:
                raise ValueError(f"start[{name!r}] is {start[name]}; it must be one of {step}")
        elif not step > 1:
            raise ValueError(f"steps[{name!r}] is {step}; a factor must be above 1")


def _place(value: float, step: float | Sequence[float]) -> int:
    return list(step).index(value) if isinstance(step, Sequence) else 0


def _there(step: float | Sequence[float], place: int) -> bool:
    return not isinstance(step, Sequence) or 0 <= place < len(step)


def _value(start: float, step: float | Sequence[float], place: int) -> float:
    if isinstance(step, Sequence):
        return step[place]
    value = start * step**place
    return max(round(value), 1) if isinstance(start, int) else float(f"{value:.3g}")
