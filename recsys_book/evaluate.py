"""Evaluation in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from recsys_book.arguments import check_ids, check_whole
from recsys_book.data.interactions import ABSENT, Interactions, PairsOfUsers
from recsys_book.metrics import ranking_at_k
from recsys_book.sampling import UnseenItems


@dataclass(frozen=True)
class RankingReport:
    """Ranking figures, leave-one-out or over the full catalogue.

    Attributes:
        hit_rate: `[U']` HR@K of each user ranked.
        ndcg: `[U']` NDCG@K of each user ranked.
        recall: `[U']` recall@K of each user ranked; with one held-out item the same as HR@K.
        users: `[U']` who was ranked.
        n_not_ranked: users left out because they have no held-out item or nothing to rank it
            against; they are in no mean.
        k: the cut-off K.
        ties: the tie rule.
    """

    hit_rate: Tensor
    ndcg: Tensor
    recall: Tensor
    users: Tensor
    n_not_ranked: int
    k: int
    ties: str

    def __str__(self) -> str:
        left_out = f", {self.n_not_ranked:,} not ranked" if self.n_not_ranked else ""
        return (
            f"HR@{self.k} {self.hit_rate.mean():.4f}  NDCG@{self.k} {self.ndcg.mean():.4f}  "
            f"({len(self.users):,} users{left_out}, ties {self.ties})"
        )


class Scorer(Protocol):
    """A model that scores the whole catalogue for some users at once."""

    def score(self, users: Tensor) -> Tensor:
        """Scores `[U, N]` of users `[U]`."""


def leave_one_out(
    model: Callable[[Tensor, Tensor], Tensor],
    users: Tensor,
    candidates: Tensor,
    *,
    k: int = 10,
    ties: str = "worst",
    batch_size: int = 65_536,
) -> RankingReport:
    """Rank each user's held-out item against sampled ones (He et al. 2017, section 4.1).

    The candidates are given, never drawn here: two evaluations of one model give one figure.

    Args:
        model: `model(users [B], items [B])` returns scores `[B]`. A torch module is put in eval
            mode and back.
        users: `[U]`.
        candidates: `[U, C]` item ids, the held-out item in column 0; −1 is an empty place.
        k: cut-off.
        ties: tie rule, see `recsys_book.metrics`.
        batch_size: pairs scored at once.

    Raises:
        ValueError: shapes that do not fit, k out of range, NaN scores, and the held-out item
            repeated among its own negatives (it would compete with itself); nobody to rank.
    """
    if candidates.dim() != 2 or len(candidates) != len(users):
        raise ValueError(
            f"candidates has shape {tuple(candidates.shape)}; it must be [{len(users)}, C]"
        )
    check_whole("batch_size", batch_size)
    present = candidates != ABSENT  # [U, C]
    repeated = (candidates[:, 1:] == candidates[:, :1]) & present[:, 1:]
    if repeated.any():
        raise ValueError(
            f"candidates of user {int(users[repeated.any(1)][0])} contain the held-out item twice "
            f"({int(repeated.any(1).sum())} such users); drop the copies first"
        )
    rankable = present[:, 0] & present[:, 1:].any(dim=1)  # [U]
    n_not_ranked = int((~rankable).sum())
    if not rankable.any():
        raise ValueError(
            f"candidates has nothing to rank for any of {len(users)} users; a report needs a user "
            "with a held-out item in column 0 and another beside it"
        )
    users, candidates, present = users[rankable], candidates[rankable], present[rankable]

    scores = torch.full(candidates.shape, -torch.inf, dtype=torch.float64, device=users.device)
    scores[present] = _score_pairs(
        model, users[:, None].expand_as(candidates)[present], candidates[present], batch_size
    )
    relevant = torch.zeros_like(present)
    relevant[:, 0] = True
    hit_rate, ndcg, recall = ranking_at_k(scores, relevant, k, ties)
    return RankingReport(hit_rate, ndcg, recall, users, n_not_ranked, k, ties)


@torch.no_grad()
def full_catalogue(
    score: Callable[[Tensor], Tensor],
    relevant: Interactions,
    seen: Interactions | None = None,
    *,
    k: int = 10,
    ties: str = "worst",
    batch_size: int = 256,
) -> RankingReport:
    """Rank the whole catalogue for every user, without what the user has had already.

    Args:
        score: `score(users [U])` returns `[U, N]`, such as the method of that name of the book's
            models. −inf takes an item out of the race (one that is not out yet, say).
        relevant: what should stand on top, one row a (user, item) pair.
        seen: pairs taken out of the race; usually all that was trained on.
        k: cut-off.
        ties: tie rule, see `recsys_book.metrics`.
        batch_size: users scored at once.

    Raises:
        ValueError: sizes that do not fit, a pair both relevant and seen, NaN scores, k out of
            range, nobody with anything relevant. Users without are left out and counted.
    """
    n_users, n_items = relevant.n_users, relevant.n_items
    if len(relevant) == 0:
        raise ValueError(
            f"relevant is empty: none of {n_users} users has anything to be found, and a report "
            "needs one who has"
        )
    check_whole("batch_size", batch_size)
    if seen is not None:
        if (seen.n_users, seen.n_items) != (n_users, n_items):
            raise ValueError(
                f"seen is of {seen.n_users} users and {seen.n_items} items, relevant of "
                f"{n_users} and {n_items}"
            )
        both = torch.isin(relevant.keys(), seen.keys())
        if both.any():
            pair = int(both.nonzero()[0])
            raise ValueError(
                f"user {int(relevant.user[pair])} and item {int(relevant.item[pair])} stand in "
                f"relevant and in seen ({int(both.sum())} such pairs); an item to be found must "
                "not be taken out of the race"
            )
    users = relevant.user.unique()  # sorted
    wanted = PairsOfUsers(relevant)
    taken = None if seen is None else PairsOfUsers(seen)
    parts = []
    model: Any = getattr(score, "__self__", None)  # a method of a torch module: put it in eval mode
    was_training = getattr(model, "training", False)
    if was_training:
        model.eval()
    for some in users.split(batch_size):
        scores = score(some).double()  # [b, N]
        if scores.shape != (len(some), n_items):
            raise ValueError(
                f"score gave shape {tuple(scores.shape)}; it must be {(len(some), n_items)}"
            )
        if taken is not None:
            scores = scores.masked_fill(taken.mask(some), -torch.inf)
        is_relevant = wanted.mask(some)
        parts.append(ranking_at_k(scores, is_relevant, k, ties))
    if was_training:
        model.train()
    hit_rate, ndcg, recall = (torch.cat(column) for column in zip(*parts, strict=True))
    return RankingReport(hit_rate, ndcg, recall, users, n_users - len(users), k, ties)


@torch.no_grad()
def _score_pairs(model: Any, users: Tensor, items: Tensor, batch_size: int) -> Tensor:
    was_training = getattr(model, "training", False)
    if was_training:
        model.eval()
    parts = zip(users.split(batch_size), items.split(batch_size), strict=True)
    scores = torch.cat([model(u, i).double() for u, i in parts])
    if was_training:
        model.train()
    return scores


def sampled_candidates(
    held_out: Tensor, known: Interactions, n: int = 99, *, seed: int = 0
) -> Tensor:
    """Each user's held-out item and `n` different others that nobody has seen the user with.

    Draw them once and keep them: candidates drawn anew at every evaluation add noise that looks
    like progress.

    Args:
        held_out: `[U]`, one item per user 0..U−1; −1 for a user without one.
        known: all pairs known at this point. An item held out for a later test is not known yet and
            may be drawn. A user's own held-out item is not, whether it stands here or not.
        n: how many others.
        seed: of the draw.

    Returns:
        `[U, 1 + n]`, the held-out item in column 0; no item stands in a row twice. The row of a
        user without a held-out item is all −1: there is nothing to rank.

    Raises:
        ValueError: a user who has fewer than `n` others left; the message says how many there are.
            More users than `known` has, an item out of range.
    """
    if held_out.dim() != 1 or len(held_out) > known.n_users:
        raise ValueError(
            f"held_out has shape {tuple(held_out.shape)}; it must be [U], one item for each of the "
            f"first U of {known.n_users} users"
        )
    check_whole("n", n)
    users = (held_out != ABSENT).nonzero().squeeze(1)
    items = held_out[users]
    check_ids("held_out", items, known.n_items)
    never = Interactions(
        torch.cat([known.user.long(), users]),
        torch.cat([known.item.long(), items.long()]),
        known.n_users,
        known.n_items,
    )
    generator = torch.Generator(held_out.device).manual_seed(seed)
    drawn = UnseenItems(never).sample_distinct(users, n, generator)
    candidates = held_out.new_full((len(held_out), 1 + n), ABSENT)
    candidates[users, 0] = items
    candidates[users, 1:] = drawn.to(candidates.dtype)
    return candidates
