"""EmbeddingExplorer: a map of vectors that can be asked what is near what.

An anywidget like Frames: everything it can show travels with it, so the same object works in
Jupyter, in Colab, in the built page and in a plain HTML file, where no kernel answers.

The neighbours it lists are those among the *vectors*, found by `recsys_book.embeddings.nearest`,
not those on the map: where a line is long, the map has torn neighbours apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import anywidget
import matplotlib
import numpy as np
import torch
import traitlets
from scipy.stats import rankdata
from torch import Tensor

from recsys_book.embeddings import nearest
from recsys_book.show.plots import PALETTE
from recsys_book.widgets.carried import check_between, check_carried, check_title
from recsys_book.widgets.frames import joined
from recsys_book.widgets.stand_alone import stand_alone

MAX_POINTS = 65_535  # an id of a point takes two bytes
#: What a list of neighbours can be ordered by: name → measure of `nearest`, and what is shown.
MEASURES = {
    "cosine distance": ("cosine", lambda value: 1 - value),
    "dot product": ("dot product", lambda value: value),
}
COLOURS = [PALETTE[n] for n in ("blue", "orange", "green", "vermilion", "purple", "sky", "grey")]
SHAPES = 3  # colours are told apart by shape where there are more categories than colours
MAX_CATEGORIES = len(COLOURS) * SHAPES


class EmbeddingExplorer(anywidget.AnyWidget):
    """A map with an epoch slider, a search, neighbours and colours. Make one with `from_vectors`.

    Attributes:
        index: which map is shown, from 0; may be set.
        selected: the pinned point, −1 for none; may be set, and read after a reader's click.
        colouring, measure: which colours and which measure are chosen, from 0; may be set.
    """

    _esm = joined("shared.js", "search.js", "explorer.js")
    _css = joined("shared.css", "search.css", "explorer.css")

    coordinates = traitlets.Bytes().tag(sync=True)  # uint16 [E, n, 2], 0..65535
    neighbours = traitlets.Bytes().tag(sync=True)  # uint16 [M, E, n, k]
    values = traitlets.Bytes().tag(sync=True)  # uint16 [M, E, n, k], from low to high of a measure
    measures = traitlets.List(traitlets.Dict()).tag(sync=True)  # {"name", "low", "high"}
    k = traitlets.Int().tag(sync=True)
    colours = traitlets.Bytes().tag(sync=True)  # uint8 [C, n]: a category, or 0..255 of a number
    colourings = traitlets.List(traitlets.Dict()).tag(sync=True)  # {"name", "kind", …}
    palette = traitlets.List(traitlets.Unicode()).tag(sync=True)
    titles = traitlets.List(traitlets.Unicode()).tag(sync=True)  # n
    details = traitlets.List(traitlets.Unicode()).tag(sync=True)  # n, a line each
    axis = traitlets.Dict().tag(sync=True)  # {"name", "labels", "select"} of the slider
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)  # E, a line under each map
    alts = traitlets.List(traitlets.Unicode()).tag(sync=True)  # E, each map in words
    title = traitlets.Unicode().tag(sync=True)
    noun = traitlets.Unicode("film").tag(sync=True)  # what a point is
    index = traitlets.Int().tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    colouring = traitlets.Int(0).tag(sync=True)
    measure = traitlets.Int(0).tag(sync=True)
    interval = traitlets.Int(800).tag(sync=True)  # milliseconds an epoch when playing

    @classmethod
    def from_vectors(
        cls,
        snapshots: Sequence[Tensor],
        maps: Sequence[np.ndarray],
        titles: Sequence[str],
        *,
        title: str,
        epochs: Sequence,
        colourings: Mapping[str, Sequence],
        details: Sequence[str] = (),
        captions: Sequence[str] = (),
        alts: Sequence[str] = (),
        measures: Sequence[str] = ("cosine distance",),
        k: int = 6,
        among: Tensor | None = None,
        axis: str = "epoch",
        noun: str = "film",
        start: int = -1,
    ) -> EmbeddingExplorer:
        """Find the neighbours and pack everything into bytes.

        Args:
            snapshots: vectors `[n, D]` at E moments, whose neighbours are listed.
            maps: coordinates `[n, 2]` at the same moments, such as `maps.epoch_maps` gives. Each is
                centred and scaled to fill the square; its shape is kept.
            titles: n.
            title: what the widget is, for the reader and for screen readers.
            epochs: labels of the moments.
            colourings: name → n words (categories, at most 21 of them) or n numbers.
            details: a line about each point; none by default.
            captions: a line under each map; here stand its purity and its trustworthiness.
            alts: each map in words; made from the captions by default.
            measures: of MEASURES, the first is chosen at first.
            k: neighbours listed.
            among: `[n]` bool, the points that may be listed as neighbours; all by default.
            axis: name of the slider.
            noun: what a point is, in the singular.
            start: the moment shown at first; −1 is the last.

        Raises:
            ValueError: numbers of things that do not fit, NaN, an empty title, too many points or
                categories, an unknown measure.
        """
        n, moments, measures = len(titles), len(snapshots), list(measures)
        check_title(title)
        _check_sizes(snapshots, maps, titles, epochs, details, captions, alts, k)
        if not colourings:
            raise ValueError("colourings is empty; points need something to be coloured by")
        unknown = [name for name in measures if name not in MEASURES]
        if unknown or not measures:
            raise ValueError(f"measures is {list(measures)}; each must be of {', '.join(MEASURES)}")
        check_between("start", start, -moments, moments - 1)
        found = [_neighbours(snapshots, name, k, among) for name in measures]
        colours = [_colours(name, values, n) for name, values in colourings.items()]
        captions = list(captions)
        if not alts:
            lines = captions or [""] * moments
            alts = [
                f"Map of {n:,} {noun}s, {axis} {label}. {line}".strip()
                for label, line in zip(epochs, lines, strict=True)
            ]
        return cls(
            coordinates=b"".join(_square(flat) for flat in maps),
            neighbours=b"".join(rows for rows, _, _ in found),
            values=b"".join(values for _, values, _ in found),
            measures=[about for _, _, about in found],
            k=k,
            colours=b"".join(values for values, _ in colours),
            colourings=[about for _, about in colours],
            palette=COLOURS,
            titles=[" ".join(text.split()) for text in titles],  # as a text field would hold them
            details=list(details) or [""] * n,
            axis={"name": axis, "labels": [str(label) for label in epochs], "select": False},
            captions=captions,
            alts=list(alts),
            title=title,
            noun=noun,
            index=start % moments,
        )

    @traitlets.validate("index", "selected", "colouring", "measure")
    def _in_range(self, proposal: dict) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        ends = {
            "index": (0, len(self.axis.get("labels", ""))),
            "selected": (-1, len(self.titles)),
            "colouring": (0, len(self.colourings)),
            "measure": (0, len(self.measures)),
        }
        low, end = ends[name]
        return check_between(name, value, low, max(end - 1, 0))

    @traitlets.validate("measures", "colourings", "axis")
    def _check_carried(self, proposal: dict) -> list | dict:
        return check_carried(proposal["trait"].name, proposal["value"])

    @traitlets.validate("interval")
    def _check_interval(self, proposal: dict) -> int:
        return check_between("interval", proposal["value"], 1)

    @property
    def payload(self) -> int:
        """Bytes that a page carries for the points, before base64."""
        packed = self.coordinates, self.neighbours, self.values, self.colours
        return sum(map(len, packed)) + sum(len(t.encode()) for t in (*self.titles, *self.details))

    def to_html(self) -> str:
        """The widget as a piece of HTML that needs nothing else, see `stand_alone`."""
        return stand_alone(self, EmbeddingExplorer)


def _check_sizes(snapshots, maps, titles, epochs, details, captions, alts, k) -> None:
    n, moments = len(titles), len(snapshots)
    if moments < 2:
        raise ValueError(f"snapshots holds {moments} moments; a slider needs two or more")
    if not k < n <= MAX_POINTS:
        raise ValueError(f"titles are {n}; there must be more than k = {k}, at most {MAX_POINTS:,}")
    if not all(isinstance(text, str) and text.strip() for text in titles):
        raise ValueError("titles contains an empty one; every point must have a name, in words")
    for name, given in (("maps", maps), ("epochs", epochs), ("captions", captions), ("alts", alts)):
        if len(given) != moments and not (name in ("captions", "alts") and not len(given)):
            raise ValueError(f"{name} are {len(given)} for {moments} snapshots")
    if len(details) not in (0, n):
        raise ValueError(f"details are {len(details)} for {n} titles")
    for snapshot, flat in zip(snapshots, maps, strict=True):
        if snapshot.dim() != 2 or len(snapshot) != n:
            raise ValueError(f"snapshots contains shape {tuple(snapshot.shape)}; not [{n}, D]")
        if np.shape(flat) != (n, 2):
            raise ValueError(f"maps contains shape {np.shape(flat)}; it must be {(n, 2)}")
        if not np.isfinite(flat).all():
            raise ValueError("maps contains NaN or an infinity; every point must be somewhere")


def _square(flat: np.ndarray) -> bytes:
    """A map as uint16 `[n, 2]`, centred in the square 0..65535, both axes on one scale."""
    flat = np.asarray(flat, dtype=float)
    middle = flat.max(0) / 2 + flat.min(0) / 2  # halved first: a sum could leave all bounds
    half = float((flat.max(0) / 2 - flat.min(0) / 2).max()) or 1.0
    return np.round(((flat - middle) / half + 1) / 2 * 65_535).astype("<u2").tobytes()


def _neighbours(snapshots, name: str, k: int, among=None) -> tuple[bytes, bytes, dict]:
    """Rows and values of the k nearest at every moment, packed, and the range of the values."""
    by, shown = MEASURES[name]
    found = [nearest(snapshot.float(), k, by=by, among=among) for snapshot in snapshots]
    rows = torch.stack([rows for rows, _ in found]).numpy().astype("<u2")
    values = shown(torch.stack([values for _, values in found]).double().numpy())
    low, high = float(values.min()), float(values.max())
    packed = np.round((values - low) / ((high - low) or 1.0) * 65_535).astype("<u2")
    # Two decimals where two bytes can carry them, fewer where values lie far apart.
    step = (high - low) / 65_535
    decimals = 2 if step <= 0.01 else max(0, math.floor(-math.log10(step)))
    about = {"name": name, "low": low, "high": high, "decimals": decimals}
    return rows.tobytes(), packed.tobytes(), about


def _colours(name: str, values: Sequence, n: int) -> tuple[bytes, dict]:
    """One byte a point, and what the bytes mean."""
    if len(values) != n:
        raise ValueError(f"colourings[{name!r}] has {len(values)} values for {n} points")
    if any(isinstance(value, str) for value in values):
        if not all(isinstance(value, str) for value in values):
            raise ValueError(
                f"colourings[{name!r}] mixes words and numbers; it must be of one kind"
            )
        values = [str(value) for value in values]
        labels = sorted(set(values))
        if len(labels) > MAX_CATEGORIES:
            raise ValueError(
                f"colourings[{name!r}] has {len(labels)} categories; at most {MAX_CATEGORIES} can "
                "be told apart"
            )
        codes = np.array([labels.index(value) for value in values], dtype=np.uint8)
        return codes.tobytes(), {"name": name, "kind": "category", "labels": labels}
    numbers = np.asarray(values, dtype=float)
    if numbers.shape != (n,) or not np.isfinite(numbers).all():
        raise ValueError(f"colourings[{name!r}] must hold {n} finite numbers")
    # By place in the order: popularity has so long a tail that a scale would show two colours.
    place = rankdata(numbers)
    place = (place - place.min()) / ((place.max() - place.min()) or 1.0)
    shown = lambda value: f"{value:,.0f}" if (numbers % 1 == 0).all() else f"{value:,.3g}"
    ramp = matplotlib.colormaps["cividis"](np.linspace(0, 1, 16))
    about = {
        "name": name,
        "kind": "number",
        "low": f"lowest ({shown(numbers.min())})",
        "high": f"highest ({shown(numbers.max())})",
        "ramp": [matplotlib.colors.to_hex(colour) for colour in ramp],
    }
    return np.round(place * 255).astype(np.uint8).tobytes(), about
