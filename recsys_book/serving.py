"""From a history to a ranked list: nearest neighbours, then a ranker over the few hundred found.

The two stages of Covington, Adams, Sargin: Deep Neural Networks for YouTube Recommendations. RecSys
2016, https://doi.org/10.1145/2959100.2959190, figure 2. Which index to use the paper does not say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys_book.arguments import check_ids, check_whole
from recsys_book.data.interactions import ABSENT
from recsys_book.index import Index, digest
from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker


@dataclass(frozen=True)
class Ranked:
    """Answer to one request.

    Attributes:
        items: `[n]` ids, the best first.
        watch_time: `[n]` what the ranker expects of each, in the unit it was taught.
        candidates: `[C]` what the first stage found, in its order.
        milliseconds: stage → how long it took.
    """

    items: Tensor
    watch_time: Tensor
    candidates: Tensor
    milliseconds: dict[str, float]


class Funnel:
    """History → user vector → candidates → ranked list.

    Args:
        generator: first stage.
        ranker: second stage.
        index: over the generator's item vectors.
        catalogue: version that all three were made for.

    Raises:
        ValueError: parts of different catalogues, or an index of other vectors than the
            generator's: a model that was trained on needs its index built again.
    """

    def __init__(
        self,
        generator: CandidateGenerator,
        ranker: WatchTimeRanker,
        index: Index,
        catalogue: str = "",
    ) -> None:
        sizes = {"generator": generator.n_items, "ranker": ranker.n_items, "index": index.n_items}
        if len(set(sizes.values())) > 1:
            words = ", ".join(f"{name} {n}" for name, n in sizes.items())
            raise ValueError(f"the parts know different numbers of items: {words}")
        if index.catalogue != catalogue:
            raise ValueError(
                f"index is of catalogue {index.catalogue!r}; the funnel is of {catalogue!r}"
            )
        if index.made_of != digest(generator.item_vectors()):
            raise ValueError("index is not made of the generator's item vectors; build it again")
        self.generator, self.ranker = generator.eval(), ranker.eval()
        self.index, self.catalogue = index, index.catalogue

    @torch.no_grad()
    def recommend(
        self,
        history: Tensor,
        n: int = 20,
        *,
        n_candidates: int = 200,
        context: Tensor | None = None,
        features: Callable[[Tensor], tuple[Tensor | None, Tensor | None]] | None = None,
        effort: int | None = None,
    ) -> Ranked:
        """One request.

        Args:
            history: `[L]` ids of what was watched, in any order; empty for somebody new.
            n: length of the list.
            n_candidates: C, what the first stage hands over, or all that is not watched and that
                the index can reach, if that is less; watched items are left out before.
            context: `[F]` ids for the generator.
            features: `features(items [C])` gives the ranker's fields `[C, F']` and continuous
                inputs `[C, C']` (None where it takes none).
            effort: of the index, to begin with: it is doubled for as long as fewer than C are
                found.

        Raises:
            ValueError: an unknown item in the history, n above what is left of the catalogue or
                what the index can reach.
        """
        n_items = self.index.n_items
        if history.dim() != 1:
            raise ValueError(f"history has shape {tuple(history.shape)}; it must be [L]")
        history = history.long() if history.numel() == 0 else history
        at = self.generator.item_vectors().device
        history = history.to(at)
        check_ids("history", history, n_items)
        watched = history.unique()
        check_whole("n", n)
        check_whole("n_candidates", n_candidates)
        if n > min(n_candidates, n_items - len(watched)):
            raise ValueError(
                f"n is {n}; there are {n_candidates} candidates at most and "
                f"{n_items - len(watched)} items not watched"
            )
        clock = [time.perf_counter()]
        tick = lambda: clock.append(time.perf_counter())
        user = self.generator(history[None], None if context is None else context[None])
        tick()
        found = self._candidates(user, watched, n_candidates, effort)
        if len(found) < n:
            raise ValueError(
                f"n is {n}; the index reaches {len(found)} of the "
                f"{n_items - len(watched)} items not watched: build it with more links"
            )
        tick()
        fields, continuous = (None, None) if features is None else features(found)
        tick()
        histories = history.expand(len(found), -1)
        expected = self.ranker.predict_watch_time(found, histories, fields, continuous)
        best = expected.topk(min(n, len(found)))
        tick()
        names = ("user vector", "candidates", "features", "ranking")
        took = {
            name: 1e3 * (b - a) for name, a, b in zip(names, clock[:-1], clock[1:], strict=True)
        }
        return Ranked(found[best.indices], best.values, found, took)

    def _candidates(self, user: Tensor, watched: Tensor, wanted: int, effort: int | None) -> Tensor:
        """The nearest items not watched; looks harder until there are enough."""
        n_items = self.index.n_items
        k = min(wanted + len(watched), n_items)
        wanted = min(wanted, n_items - len(watched))
        while True:
            found = self.index.search(user, k, effort)[1][0].to(watched.device)
            found = found[(found != ABSENT) & ~torch.isin(found, watched)][:wanted]
            if len(found) == wanted or self.index.kind in ("exact", "flat"):
                return found
            effort = 2 * (effort or 2 * k)
            if effort > 4 * n_items:  # every list and every item has been looked at
                return found
