"""Frames: pictures made ahead of time and a slider or two to move through them.

An anywidget: its JavaScript travels with its state, so the same object works in Jupyter, in Colab
and in the built page, where no kernel answers. Whatever it can show is computed before; moving a
slider only chooses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import anywidget
import matplotlib
import numpy as np
import traitlets
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from recsys_book.show.plots import SIGNED, to_png
from recsys_book.widgets.carried import check_between, check_carried, check_place, check_title

HERE = Path(__file__).parent


def joined(*names: str) -> str:
    """Files of this folder as one text: an anywidget takes one module and one style sheet."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class Frames(anywidget.AnyWidget):
    """A picture chosen by one or two controls.

    Make one with `Frames.from_arrays` or `Frames.from_images`. An axis whose labels are numbers
    becomes a slider, one whose labels are words a select.

    Attributes:
        index: where each control stands, from 0; may be set, and read after a reader's move.
    """

    _esm = joined("shared.js", "frames.js")
    _css = joined("shared.css", "frames.css")

    data = traitlets.Bytes().tag(sync=True)  # all frames, one after the other
    offsets = traitlets.List(traitlets.Int()).tag(sync=True)  # where each begins, and the end
    axes = traitlets.List(traitlets.Dict()).tag(sync=True)  # {"name", "labels", "select"}
    alts = traitlets.List(traitlets.Unicode()).tag(sync=True)  # what each frame shows, in words
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)  # a line under each frame
    picture = traitlets.Dict().tag(sync=True)  # how to draw: see frames.js
    lut = traitlets.Bytes().tag(sync=True)  # 256 colours, for arrays
    title = traitlets.Unicode().tag(sync=True)
    index = traitlets.List(traitlets.Int()).tag(sync=True)  # where each control stands
    interval = traitlets.Int(350).tag(sync=True)  # milliseconds a frame when playing

    @classmethod
    def from_arrays(
        cls,
        values: np.ndarray,
        axes: Mapping[str, Sequence],
        alts: Sequence[str],
        *,
        title: str,
        vmin: float,
        vmax: float,
        cmap: str | Colormap = SIGNED,
        panels: Sequence[str] = ("",),
        captions: Sequence[str] = (),
        points: Sequence[Mapping] = (),
        extent: tuple[float, float, float, float] | None = None,
        x_label: str = "",
        y_label: str = "",
        legend: tuple[str, str] = ("", ""),
        smooth: bool = False,
        start: Sequence[int] | None = None,
    ) -> Frames:
        """Frames of numbers, drawn as coloured cells on a canvas: a byte a cell.

        Args:
            values: `[…axes, P, H, W]`, P panels side by side; row 0 is drawn at the bottom.
            axes: control name → its labels, at most two.
            alts: what each frame shows, in words, in the order of the frames (last axis fastest).
            title: what the widget is, for the reader and for screen readers.
            vmin: value of the first colour; no value may lie below.
            vmax: value of the last colour; no value may lie above.
            cmap: a matplotlib colour map, or its name.
            panels: P titles.
            captions: a line under each frame; none by default.
            points: marks drawn on every panel: {"x", "y", "text", "dark"} in `extent` units.
            extent: x0, x1, y0, y1 of a panel. There are ticks where marks stand, or else at the
                ends; None draws no ticks.
            x_label: under the panels.
            y_label: beside them.
            legend: words for `vmin` and `vmax`.
            smooth: blend between cells.
            start: where the controls stand at first.

        Raises:
            ValueError: numbers of frames, alts or panels that do not fit, values that are not
                finite or outside vmin..vmax, marks or ends that JSON cannot carry, no title.
        """
        values = np.asarray(values, dtype=float)
        shape = tuple(len(labels) for labels in axes.values())
        if values.ndim != len(shape) + 3 or values.shape[: len(shape)] != shape:
            raise ValueError(
                f"values has shape {values.shape}; it must be {(*shape, 'P', 'H', 'W')} "
                f"for the axes {list(axes)}"
            )
        if values.shape[-3] != len(panels):
            raise ValueError(f"panels has {len(panels)} titles for {values.shape[-3]} panels")
        if not np.isfinite(values).all():
            raise ValueError("values contains NaN or an infinity; every cell must be a number")
        if not vmin < vmax or not math.isfinite(vmax - vmin):
            raise ValueError(
                f"vmin is {vmin} and vmax {vmax}; vmin must be below vmax, both finite"
            )
        points = [dict(point) for point in points]
        check_carried("points", points)
        check_carried("extent", None if extent is None else list(extent))
        if values.min() < vmin or values.max() > vmax:
            raise ValueError(
                f"values run from {values.min():.4g} to {values.max():.4g}, "
                f"outside vmin={vmin} to vmax={vmax}; nothing is clipped in silence"
            )
        cells = np.round((values - vmin) / (vmax - vmin) * 255).astype(np.uint8)
        frames = [frame.tobytes() for frame in cells.reshape(-1, *values.shape[-3:])]
        colours = matplotlib.colormaps.get_cmap(cmap)(np.linspace(0, 1, 256))[:, :3]
        picture = {
            "kind": "array",
            "panels": list(panels),
            "height": values.shape[-2],
            "width": values.shape[-1],
            "points": points,
            "extent": list(extent) if extent else None,
            "x_label": x_label,
            "y_label": y_label,
            "legend": list(legend),
            "smooth": smooth,
        }
        lut = np.round(colours * 255).astype(np.uint8).tobytes()
        return cls._build(frames, axes, alts, captions, title, picture, start, lut=lut)

    @classmethod
    def from_images(
        cls,
        images: Sequence[bytes | Figure],
        axes: Mapping[str, Sequence],
        alts: Sequence[str],
        *,
        title: str,
        captions: Sequence[str] = (),
        start: Sequence[int] | None = None,
    ) -> Frames:
        """Frames of pictures: PNG or WebP bytes, or matplotlib figures (saved and closed).

        Arguments as in `from_arrays`; the order of `images` is that of `alts`.
        """
        frames = [to_png(i) if isinstance(i, Figure) else i for i in images]
        kinds = {_media_type(frame) for frame in frames}
        if len(kinds) > 1:
            raise ValueError(f"images are of several kinds ({', '.join(sorted(kinds))}); use one")
        picture = {"kind": "image", "media_type": kinds.pop() if kinds else ""}
        return cls._build(frames, axes, alts, captions, title, picture, start)

    @classmethod
    def _build(cls, frames, axes, alts, captions, title, picture, start, **more) -> Frames:
        if not 1 <= len(axes) <= 2:
            raise ValueError(f"axes has {len(axes)} controls; it must have one or two")
        sizes = [len(labels) for labels in axes.values()]
        if min(sizes) < 2:
            raise ValueError(f"axes has a control of {min(sizes)} step; it must have two or more")
        for name, given in (("frames", frames), ("alts", alts), ("captions", captions)):
            if len(given) != math.prod(sizes) and not (name == "captions" and not given):
                raise ValueError(f"{len(given)} {name} for {math.prod(sizes)} places on {sizes}")
        if not all(a.strip() for a in alts):
            raise ValueError("alts contains an empty text; every frame must be told in words")
        start = check_place("start", [0] * len(sizes) if start is None else start, sizes)
        return cls(
            data=b"".join(frames),
            offsets=list(itertools.accumulate((len(f) for f in frames), initial=0)),
            axes=[_axis(name, labels) for name, labels in axes.items()],
            alts=list(alts),
            captions=list(captions),
            picture=picture,
            title=check_title(title),
            index=start,
            **more,
        )

    @traitlets.validate("index")
    def _check_index(self, proposal: dict) -> list[int]:
        return check_place("index", proposal["value"], [len(axis["labels"]) for axis in self.axes])

    @traitlets.validate("axes", "picture")
    def _check_carried(self, proposal: dict) -> list | dict:
        return check_carried(proposal["trait"].name, proposal["value"])

    @traitlets.validate("interval")
    def _check_interval(self, proposal: dict) -> int:
        return check_between("interval", proposal["value"], 1)

    @property
    def payload(self) -> int:
        """Bytes that a page carries for the frames, before base64."""
        return len(self.data)


def _axis(name: str, labels: Sequence) -> dict:
    return {
        "name": name,
        "labels": [str(label) for label in labels],
        "select": any(isinstance(label, str) for label in labels),
    }


def _media_type(frame: bytes) -> str:
    if frame.startswith(b"\x89PNG"):
        return "image/png"
    if frame[:4] == b"RIFF" and frame[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError(f"an image begins with {frame[:8]!r}; it must be PNG or WebP")
