"""HistoryEditor: both networks of chapter 04 in the page, and a watch history to edit.

An anywidget that carries the *models*, not their answers: their weights travel as 16-bit floats,
and the forward passes are written out once more in JavaScript, some forty lines of it. Whatever the
reader puts into the history, the page works out the user vector, ranks the catalogue, and lets the
second network order what the first one found. No kernel is asked.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import anywidget
import numpy as np
import torch
import traitlets
from torch import nn

from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker
from recsys_book.widgets.carried import (
    Refused,
    check_between,
    check_carried,
    check_ids_of,
    check_place,
    check_title,
)
from recsys_book.widgets.explorer import COLOURS, MAX_CATEGORIES, _square
from recsys_book.widgets.frames import joined
from recsys_book.widgets.stand_alone import stand_alone


class HistoryEditor(anywidget.AnyWidget):
    """A history, the candidates it leads to, and their order. Make one with `from_models`.

    Attributes:
        history: ids of the watched items; may be set, and read after a reader's click.
        context: place in the labels of each context field; may be set.
    """

    _esm = joined("shared.js", "search.js", "history_editor.js")
    _css = joined("shared.css", "search.css", "history_editor.css")

    weights = traitlets.Bytes().tag(sync=True)  # float16, one array after the other
    arrays = traitlets.List(traitlets.Dict()).tag(sync=True)  # {"name", "shape", "start"}
    titles = traitlets.List(traitlets.Unicode()).tag(sync=True)  # N
    details = traitlets.List(traitlets.Unicode()).tag(sync=True)  # N, a line each
    coordinates = traitlets.Bytes().tag(sync=True)  # uint16 [N, 2], 0..65535
    kinds = traitlets.Bytes().tag(sync=True)  # uint8 [N]: a category
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of the categories
    palette = traitlets.List(traitlets.Unicode()).tag(sync=True)
    contexts = traitlets.List(traitlets.Dict()).tag(sync=True)  # {"name", "labels"}
    continuous = traitlets.List(traitlets.Float()).tag(sync=True)  # C, the same for every item
    n_candidates = traitlets.Int().tag(sync=True)
    shown = traitlets.Int().tag(sync=True)  # length of the lists
    title = traitlets.Unicode().tag(sync=True)
    noun = traitlets.Unicode("film").tag(sync=True)
    unit = traitlets.Unicode("minutes").tag(sync=True)  # of the expected watch time
    history = traitlets.List(traitlets.Int()).tag(sync=True)
    context = traitlets.List(traitlets.Int()).tag(sync=True)

    @classmethod
    def from_models(
        cls,
        generator: CandidateGenerator,
        ranker: WatchTimeRanker,
        flat: np.ndarray,
        titles: Sequence[str],
        *,
        title: str,
        kinds: Sequence[str],
        details: Sequence[str] = (),
        contexts: Mapping[str, Sequence[str]] | None = None,
        continuous: Sequence[float] = (),
        history: Sequence[int] = (),
        n_candidates: int = 100,
        shown: int = 10,
        noun: str = "film",
        unit: str = "minutes",
    ) -> HistoryEditor:
        """Pack two trained models.

        Args:
            generator: first stage; without example age, or served at age 0.
            ranker: second stage, over the same items.
            flat: coordinates `[N, 2]` of a map of the items.
            titles: N.
            title: what the widget is, for the reader and for screen readers.
            kinds: N words to colour the map by, 21 different ones at most.
            details: a line about each item.
            contexts: field → its values in the order of their ids from 1 on (0 is "unseen"), the
                same fields for both models.
            continuous: what each of the ranker's continuous inputs is taken to be, in 0..1.
            history: ids to begin with.
            n_candidates: what the first stage hands over.
            shown: length of the two lists.
            noun: what an item is.
            unit: of the watch time that the ranker was taught.

        Raises:
            ValueError: numbers of things that do not fit, a history with unknown ids.
        """
        n, contexts = len(titles), dict(contexts or {})
        for name, model in (("generator", generator), ("ranker", ranker)):
            if model.n_items != n:
                raise ValueError(f"{name} knows {model.n_items} items; titles are {n}")
        sizes = [1 + len(values) for values in contexts.values()]
        for name, fields in (("generator", generator.context), ("ranker", ranker.fields)):
            found = [] if fields is None else fields.cardinalities
            if found != sizes:
                raise ValueError(f"contexts have {sizes} ids, 0 included; the {name} has {found}")
        if len(continuous) != ranker.n_continuous:
            raise ValueError(
                f"continuous has {len(continuous)} values; the ranker takes {ranker.n_continuous}"
            )
        if not all(0 <= value <= 1 for value in continuous):
            raise ValueError(f"continuous is {list(continuous)}; each must lie between 0 and 1")
        if np.shape(flat) != (n, 2) or not np.isfinite(flat).all():
            raise ValueError(f"flat has shape {np.shape(flat)}; it must be {(n, 2)}, and finite")
        labels = sorted(set(kinds))
        if len(kinds) != n or len(labels) > MAX_CATEGORIES:
            raise ValueError(f"kinds are {len(kinds)}, of {len(labels)}; they must be {n}, of "
                             f"{MAX_CATEGORIES} at most")  # fmt: skip
        if len(details) not in (0, n):
            raise ValueError(f"details are {len(details)} for {n} titles")
        if not 1 <= shown <= n_candidates <= n:
            raise ValueError(f"shown is {shown} and n_candidates {n_candidates}, of {n} items")
        weights, arrays = pack(generator, ranker)
        return cls(
            weights=weights,
            arrays=arrays,
            titles=[" ".join(text.split()) for text in titles],
            details=list(details) or [""] * n,
            coordinates=_square(flat),
            kinds=bytes(labels.index(kind) for kind in kinds),
            labels=labels,
            palette=COLOURS,
            contexts=[{"name": k, "labels": list(v)} for k, v in contexts.items()],
            continuous=[float(value) for value in continuous],
            n_candidates=n_candidates,
            shown=shown,
            title=check_title(title),
            noun=noun,
            unit=unit,
            context=[0] * len(contexts),
            history=check_ids_of("history", history, n),
        )

    @traitlets.validate("history")
    def _check_history(self, proposal: dict) -> list[int]:
        return check_ids_of("history", proposal["value"], len(self.titles))

    @traitlets.validate("context")
    def _check_context(self, proposal: dict) -> list[int]:
        sizes = [len(field["labels"]) for field in self.contexts]
        return check_place("context", proposal["value"], sizes)

    @traitlets.validate("arrays", "contexts")
    def _check_carried(self, proposal: dict) -> list:
        return check_carried(proposal["trait"].name, proposal["value"])

    @traitlets.validate("continuous")
    def _check_continuous(self, proposal: dict) -> list[float]:
        if not all(0 <= value <= 1 for value in proposal["value"]):  # NaN is not
            raise Refused(f"continuous is {proposal['value']}; each must lie between 0 and 1")
        return proposal["value"]

    @traitlets.validate("n_candidates", "shown")
    def _check_length(self, proposal: dict) -> int:
        return check_between(proposal["trait"].name, proposal["value"], 1, len(self.titles))

    def to_html(self) -> str:
        """The widget as a piece of HTML that needs nothing else, see `stand_alone`."""
        return stand_alone(self, HistoryEditor)

    @property
    def payload(self) -> int:
        """Bytes that a page carries for the models and the items, before base64."""
        texts = (*self.titles, *self.details)
        packed = self.weights, self.coordinates, self.kinds
        return sum(map(len, packed)) + sum(len(text.encode()) for text in texts)


def pack(generator: CandidateGenerator, ranker: WatchTimeRanker) -> tuple[bytes, list[dict]]:
    """All weights as float16, and where each array starts, counted in numbers."""
    arrays, parts, start = [], [], 0
    for prefix, model in (("generator", generator), ("ranker", ranker)):
        for name, weight in model.state_dict().items():
            arrays.append({"name": f"{prefix}.{name}", "shape": list(weight.shape), "start": start})
            with np.errstate(over="ignore"):  # it is looked for below
                parts.append(weight.detach().cpu().numpy().astype("<f2"))
            start += weight.numel()
    if not all(np.isfinite(part).all() for part in parts):
        raise ValueError("the models hold weights that 16 bits cannot carry")
    return b"".join(part.tobytes() for part in parts), arrays


def rounded(model: nn.Module) -> nn.Module:
    """The model as the page carries it: a copy whose weights went through 16 bits."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.half().float())
    return model.eval()
