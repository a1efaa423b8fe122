"""Evaluation in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys_book.data.interactions import ABSENT, Interactions
from recsys_book.metrics import hit_rate_at_k, ndcg_at_k
from recsys_book.sampling import UnseenItems


@dataclass(frozen=True)
class RankingReport:
    """Leave-one-out figures.

    Attributes:
        hit_rate: `[U']` HR@K of each user ranked.
        ndcg: `[U']` NDCG@K of each user ranked.
        users: `[U']` who was ranked.
        n_not_ranked: users left out because they have no held-out item or nothing to rank it
            against; they are in no mean.
        k: the cut-off K.
        ties: the tie rule.
    """

    hit_rate: Tensor
    ndcg: Tensor
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
            repeated among its own negatives (it would compete with itself).
    """
    if candidates.dim() != 2 or len(candidates) != len(users):
        raise ValueError(
            f"candidates has shape {tuple(candidates.shape)}; it must be [{len(users)}, C]"
        )
    present = candidates != ABSENT  # [U, C]
    repeated = (candidates[:, 1:] == candidates[:, :1]) & present[:, 1:]
    if repeated.any():
        raise ValueError(
            f"candidates of user {int(users[repeated.any(1)][0])} contain the held-out item twice "
            f"({int(repeated.any(1).sum())} such users); drop the copies first"
        )
    rankable = present[:, 0] & present[:, 1:].any(dim=1)  # [U]
    n_not_ranked = int((~rankable).sum())
    users, candidates, present = users[rankable], candidates[rankable], present[rankable]

    scores = torch.full(candidates.shape, -torch.inf, dtype=torch.float64, device=users.device)
    scores[present] = _score_pairs(
        model, users[:, None].expand_as(candidates)[present], candidates[present], batch_size
    )
    relevant = torch.zeros_like(present)
    relevant[:, 0] = True
    return RankingReport(
        hit_rate=hit_rate_at_k(scores, relevant, k, ties),
        ndcg=ndcg_at_k(scores, relevant, k, ties),
        users=users,
        n_not_ranked=n_not_ranked,
        k=k,
        ties=ties,
    )


@torch.no_grad()
def _score_pairs(model: Callable, users: Tensor, items: Tensor, batch_size: int) -> Tensor:
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
    """Each user's held-out item and `n` others that nobody has seen the user with.

    Draw them once and keep them: candidates drawn anew at every evaluation add noise that looks
    like progress.

    Args:
        held_out: `[U]`, one item per user 0..U−1.
        known: all pairs known at this point, the held-out ones included. An item held out for a
            later test is not known yet and may be drawn.
        n: how many others.
        seed: of the draw.

    Returns:
        `[U, 1 + n]`, the held-out item in column 0.
    """
    users = torch.arange(len(held_out), device=held_out.device)
    generator = torch.Generator(held_out.device).manual_seed(seed)
    return torch.cat([held_out[:, None], UnseenItems(known).sample(users, n, generator)], dim=1)
