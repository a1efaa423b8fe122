"""Switches: a small table of results that is looked up by flipping the rules it was made under.

An anywidget, as Frames is: all results travel with the page, and a switch only chooses among them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import anywidget
import numpy as np
import traitlets

from recsys_book.widgets.carried import Refused, check_carried, check_place, check_title
from recsys_book.widgets.frames import joined


class Switches(anywidget.AnyWidget):
    """What each of several models scores under a choice of rules, and who wins.

    Args:
        values: `[…switches, M]`, one figure per model and combination; the highest wins.
        switches: name → its positions, at least two each.
        models: M names.
        title: what the widget is, for the reader and for screen readers.
        start: where the switches stand at first.
        digits: decimals shown.
        margin: two figures nearer than this are called too close to tell.

    Raises:
        ValueError: shapes that do not fit, figures that are not finite, a start that is no place, a
            margin below 0, an empty title.
    """

    _esm = joined("shared.js", "switches.js")
    _css = joined("shared.css", "switches.css")

    data = traitlets.Bytes().tag(sync=True)  # float32, the last switch but models fastest
    switches = traitlets.List(traitlets.Dict()).tag(sync=True)  # {"name", "labels"}
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    digits = traitlets.Int(3).tag(sync=True)
    margin = traitlets.Float(0.0).tag(sync=True)
    index = traitlets.List(traitlets.Int()).tag(sync=True)  # where each switch stands

    def __init__(
        self,
        values: np.ndarray,
        switches: Mapping[str, Sequence[str]],
        models: Sequence[str],
        *,
        title: str,
        start: Sequence[int] | None = None,
        digits: int = 3,
        margin: float = 0.0,
    ) -> None:
        values = np.asarray(values, dtype=float)
        sizes = [len(labels) for labels in switches.values()]
        if not sizes or min(sizes) < 2 or len(models) < 2:
            raise ValueError(
                f"switches have {sizes} positions and models are {len(models)}; "
                "each switch needs two or more, and two models must be compared"
            )
        if values.shape != (*sizes, len(models)):
            raise ValueError(f"values has shape {values.shape}; it must be {(*sizes, len(models))}")
        if not np.isfinite(values).all():
            raise ValueError("values contains NaN or an infinity; every figure must be a number")
        start = list(start) if start is not None else [0] * len(sizes)
        super().__init__(
            data=values.astype("<f4").tobytes(),
            switches=[{"name": n, "labels": list(map(str, s))} for n, s in switches.items()],
            models=list(models),
            title=title,
            digits=digits,
            margin=margin,
            index=start,
        )

    @traitlets.validate("index")
    def _check_index(self, proposal: dict) -> list[int]:
        sizes = [len(switch["labels"]) for switch in self.switches]
        return check_place("index", proposal["value"], sizes)

    @traitlets.validate("switches")
    def _check_switches(self, proposal: dict) -> list[dict]:
        return check_carried("switches", proposal["value"])

    @traitlets.validate("margin")
    def _check_margin(self, proposal: dict) -> float:
        margin = check_carried("margin", proposal["value"])
        if margin < 0:
            raise Refused(f"margin is {margin}; it must be 0 or more")
        return margin

    @traitlets.validate("title")
    def _check_title(self, proposal: dict) -> str:
        return check_title(proposal["value"])

    def shown(self) -> dict[str, float]:
        """model → the figure shown now."""
        table = np.frombuffer(self.data, dtype="<f4").reshape(-1, len(self.models))
        sizes = [len(switch["labels"]) for switch in self.switches]
        row = table[int(np.ravel_multi_index(self.index, sizes))]
        return {name: float(value) for name, value in zip(self.models, row, strict=True)}

    @property
    def combinations(self) -> int:
        """How many ways the switches can stand."""
        return math.prod(len(switch["labels"]) for switch in self.switches)
