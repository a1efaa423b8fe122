"""Metrics, as plain functions of tensors.

Ranking metrics take `scores[U, C]` and `relevant[U, C]` (U users, C candidates each) and return one
value per user, `[U]`: take `.mean()` for the figure and keep the rest for an interval. A score of
−inf marks an absent candidate. What happens when scores tie is a rule with a name:

- `"worst"` (the default): the relevant item comes last among its equals. A model that gives every
  item the same score has ranked nothing, and gets 0.
- `"average"`: the expectation over all orders of the tied items.
- `"best"`: the relevant item comes first. A constant model is then perfect, which is why this rule,
  found in several public implementations, is here only to be shown.

Pointwise metrics (`auc`, `log_loss`, `rmse`) take `[B]` and return a float; `user_auc` gives one
value per user.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys_book.arguments import NotFinite, check_finite, check_ids, check_k, check_same_shape

TIE_RULES = ("worst", "average", "best")


# ---------------------------------------------------------------- ranking


def hit_rate_at_k(scores: Tensor, relevant: Tensor, k: int, ties: str = "worst") -> Tensor:
    """Is at least one relevant item among the top k? HR@K (He et al. 2017, section 4.1).

    Args:
        scores: `[U, C]`; −inf marks an absent candidate.
        relevant: `[U, C]` bool; at least one per user.
        k: cut-off, 1..C.
        ties: `"worst"`, `"average"` or `"best"`.

    Returns:
        `[U]` float64 in 0..1 (only 0 or 1 unless ties are averaged).

    Raises:
        ValueError: NaN, shapes that differ, k out of range, an unknown tie rule, a user without a
            relevant item, a relevant candidate that is absent.
    """
    return ranking_at_k(scores, relevant, k, ties)[0]


def recall_at_k(scores: Tensor, relevant: Tensor, k: int, ties: str = "worst") -> Tensor:
    """Share of a user's relevant items that are in the top k.

    Arguments, returns and errors as in `hit_rate_at_k`.
    """
    return ranking_at_k(scores, relevant, k, ties)[2]


def ndcg_at_k(scores: Tensor, relevant: Tensor, k: int, ties: str = "worst") -> Tensor:
    """Discounted gain of the top k as a share of the best possible (Järvelin & Kekäläinen 2002).

    A relevant item at rank r (from 1) gains 1 / log2(r + 1). The ideal list holds
    min(k, number of relevant items) of them at its top, so [1, 0, 0] with three relevant items
    somewhere is under 1. Arguments, returns and errors as in `hit_rate_at_k`.
    """
    return ranking_at_k(scores, relevant, k, ties)[1]


def ranking_at_k(
    scores: Tensor, relevant: Tensor, k: int, ties: str = "worst"
) -> tuple[Tensor, Tensor, Tensor]:
    """HR@K, NDCG@K and recall@K of one ranking, sorted once.

    Arguments and errors as in `hit_rate_at_k`.

    Returns:
        three times `[U]` float64.
    """
    gains = _gains_by_rank(scores, relevant, k, ties)
    top, n_relevant = gains[:, :k], relevant.sum(dim=1)  # [U, k], [U]
    if ties == "average":
        hit = 1 - _chance_of_no_hit(scores, relevant, k)
    else:
        hit = top.amax(dim=1)
    discount = 1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64, device=scores.device))
    ideal = discount.cumsum(0)[n_relevant.clamp(max=k) - 1]  # [U]
    return hit, top @ discount / ideal, top.sum(dim=1) / n_relevant


def _gains_by_rank(scores: Tensor, relevant: Tensor, k: int, ties: str) -> Tensor:
    """`[U, C]` float64: the (expected) relevance of whatever stands at each rank."""
    _check_ranking(scores, relevant, k, ties)
    # Two stable sorts: the first decides the order within ties, the second goes by score.
    first = relevant if ties == "best" else ~relevant
    order = first.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    by_score = scores.gather(1, order).argsort(dim=1, descending=True, stable=True)
    order = order.gather(1, by_score)
    gains = relevant.gather(1, order).to(torch.float64)
    if ties != "average":
        return gains
    group = _tie_groups(scores.gather(1, order))
    zeros = torch.zeros_like(gains)
    size = zeros.scatter_add(1, group, torch.ones_like(gains))
    total = zeros.scatter_add(1, group, gains)
    return (total / size.clamp(min=1)).gather(1, group)


def _tie_groups(sorted_scores: Tensor) -> Tensor:
    """`[U, C]` int64: 0 for the highest score and its equals, 1 for the next, …"""
    new = sorted_scores[:, 1:] != sorted_scores[:, :-1]
    start = torch.zeros_like(new[:, :1], dtype=torch.int64)
    return torch.cat([start, new.to(torch.int64).cumsum(dim=1)], dim=1)


def _chance_of_no_hit(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """`[U]`: chance that no relevant item is in the top k when ties are broken at random.

    Only the items tied at the edge of the list are drawn at random: m places are left for the g
    tied items, r of them relevant, and none of the r is drawn with chance C(g−r, m) / C(g, m).
    """
    edge = scores.topk(k, dim=1).values[:, -1:]  # [U, 1] the k-th highest score
    above, tied = scores > edge, scores == edge
    m = (k - above.sum(1)).double()
    g, r = tied.sum(1).double(), (tied & relevant).sum(1).double()
    log_choose = lambda n, m: torch.lgamma(n + 1) - torch.lgamma(m + 1) - torch.lgamma(n - m + 1)
    possible = m <= g - r
    safe_m = torch.where(possible, m, torch.zeros_like(m))
    miss = torch.exp(log_choose(g - r, safe_m) - log_choose(g, safe_m))
    miss = torch.where(possible, miss, torch.zeros_like(miss))
    return torch.where((above & relevant).any(1), torch.zeros_like(miss), miss)


def _check_ranking(scores: Tensor, relevant: Tensor, k: int, ties: str) -> None:
    if ties not in TIE_RULES:
        raise ValueError(f"ties is {ties!r}; it must be one of {', '.join(TIE_RULES)}")
    if scores.dim() != 2:
        raise ValueError(f"scores has shape {tuple(scores.shape)}; it must be [users, candidates]")
    if relevant.dtype != torch.bool:
        raise ValueError(f"relevant has dtype {relevant.dtype}; it must be bool")
    check_same_shape("scores", scores, "relevant", relevant)
    check_finite("scores", scores, allow_minus_inf=True)
    check_k(k, scores.shape[1])
    empty = ~relevant.any(dim=1)
    if empty.any():
        raise ValueError(
            f"relevant marks nothing for user row {int(empty.nonzero()[0])}; "
            "drop users without a relevant item first, and report how many they are"
        )
    if torch.isneginf(scores[relevant]).any():
        raise NotFinite("scores is -inf (absent) for a relevant candidate; it can never be found")


# ---------------------------------------------------------------- pointwise


def auc(labels: Tensor, scores: Tensor) -> float:
    """Chance that a random positive scores above a random negative; ties count one half.

    The Mann-Whitney statistic from average ranks, over all examples at once: a mean of batch AUCs
    is another number.

    Args:
        labels: `[B]`, 0 or 1, both present.
        scores: `[B]`, any monotone score.

    Raises:
        ValueError: labels of one class only or other than 0 and 1, NaN, shapes that differ.
    """
    labels = _check_labels(labels, scores)
    if labels.all() or not labels.any():
        raise ValueError(f"labels are all {int(labels[0])}; AUC needs both classes")
    _, inverse, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()  # rank of the last of each group of equals
    average_rank = last - (counts.double() - 1) / 2
    n_pos, n_neg = int(labels.sum()), int((~labels).sum())
    rank_sum = average_rank[inverse][labels].sum()
    return float((rank_sum - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


@dataclass(frozen=True)
class UserAUC:
    """AUC within each user.

    Attributes:
        values: `[U']` float64, one a user who has both classes.
        users: `[U']` who they are, ascending.
        impressions: `[U']` how many examples each of them has.
        n_left_out: users with one class only, whose AUC is not defined; they are in no mean.
    """

    values: Tensor
    users: Tensor
    impressions: Tensor
    n_left_out: int

    def mean(self) -> float:
        """Every user counts the same."""
        return float(self.values.mean())

    def weighted_mean(self) -> float:
        """Every user counts by their impressions: often called GAUC (Zhou et al.: Deep Interest
        Network for Click-Through Rate Prediction. KDD 2018, section 6.3,
        https://doi.org/10.1145/3219819.3219823)."""
        return float(self.values @ self.impressions.double() / self.impressions.sum())

    def __str__(self) -> str:
        left_out = f", {self.n_left_out:,} left out" if self.n_left_out else ""
        return (
            f"AUC within users {self.mean():.4f}, by impressions {self.weighted_mean():.4f} "
            f"({len(self.users):,} users{left_out})"
        )


def user_auc(labels: Tensor, scores: Tensor, users: Tensor) -> UserAUC:
    """AUC within each user; ties count one half.

    It asks only in which order each user's own examples stand. A score that tells frequent clickers
    from rare ones, and nothing else, has a good `auc` and one half here.

    Args:
        labels: `[B]`, 0 or 1.
        scores: `[B]`, any score; only its order within a user matters.
        users: `[B]` int64.

    Raises:
        ValueError: labels other than 0 and 1, NaN, shapes that differ, users that are no ids, no
            user with both classes.
    """
    labels = _check_labels(labels, scores)
    check_same_shape("users", users, "scores", scores)
    check_ids("users", users, int(users.max()) + 1)
    users, row = torch.unique(users, return_inverse=True)  # [U], [B]
    rank = torch.unique(scores, return_inverse=True)[1]
    # One key per user and score: sorted by it, users stand one behind the other.
    key = row * (int(rank.max()) + 1) + rank
    _, group, counts = torch.unique(key, return_inverse=True, return_counts=True)
    average_rank = counts.cumsum(0).double() - (counts.double() - 1) / 2
    n = torch.bincount(row, minlength=len(users))  # [U]
    before = n.cumsum(0) - n  # examples of the users in front
    rank_in_user = average_rank[group] - before[row]
    n_pos = torch.bincount(row[labels], minlength=len(users)).double()
    rank_sum = torch.zeros_like(n_pos).index_add_(0, row[labels], rank_in_user[labels])
    pairs = n_pos * (n - n_pos)
    both = pairs > 0
    if not both.any():
        raise ValueError(
            f"labels are of one class only for each of the {len(users)} users; "
            "AUC within users needs at least one user with both"
        )
    values = (rank_sum - n_pos * (n_pos + 1) / 2)[both] / pairs[both]
    return UserAUC(values, users[both], n[both], int((~both).sum()))


def log_loss(labels: Tensor, logits: Tensor) -> float:
    """Mean negative log-likelihood in nats, from logits: finite at ±100, no clipping constant.

    A constant guess of one half scores ln 2 = 0.693 on any data.

    Args:
        labels: `[B]`, 0 or 1.
        logits: `[B]`, log-odds.
    """
    labels = _check_labels(labels, logits)
    return float(F.binary_cross_entropy_with_logits(logits.double(), labels.double()))


def rmse(targets: Tensor, predictions: Tensor) -> float:
    """Root of the mean squared error, `[B]` against `[B]`."""
    check_same_shape("targets", targets, "predictions", predictions)
    check_finite("targets", targets)
    check_finite("predictions", predictions)
    if targets.numel() == 0:
        raise ValueError("targets is empty; there is nothing to average")
    return float((targets.double() - predictions.double()).square().mean().sqrt())


# ---------------------------------------------------------------- the book's unit


def mispredicted_watch_time(scores: Tensor, seconds: Tensor, users: Tensor) -> float:
    """Of all pairs of a watched and an unwatched impression of one user, the share of the watch
    time that stands in pairs ordered the wrong way round (Covington et al. 2016, section 4.3, where
    a pair is of one page; here of all that the user was shown in the test).

    Args:
        scores: `[M]`.
        seconds: `[M]` watched, 0 for what was not.
        users: `[M]`.

    Returns:
        0 is perfect, a half is chance. Equal scores count as wrong.

    Raises:
        ValueError: other shapes, NaN, no pair at all.
    """
    check_same_shape("scores", scores, "seconds", seconds)
    check_same_shape("scores", scores, "users", users)
    check_finite("scores", scores)
    check_finite("seconds", seconds)
    if scores.numel() == 0:
        raise ValueError("scores is empty; a share of nothing is no number")
    # Scores as whole numbers, so that user and score make one key; equal scores stay equal.
    rank = torch.unique(scores, return_inverse=True)[1]
    span = int(rank.max()) + 1
    watched = seconds > 0
    others = (users[~watched] * span + rank[~watched]).sort().values
    own, own_rank = users[watched], rank[watched]
    start = torch.searchsorted(others, own * span)
    end = torch.searchsorted(others, (own + 1) * span)
    below = torch.searchsorted(others, own * span + own_rank)  # unwatched ones that score less
    time = seconds[watched].double()
    total = (time * (end - start)).sum()
    if total == 0:
        raise ValueError("there is no pair of a watched and an unwatched impression of one user")
    return float((time * (end - below)).sum() / total)


def share_of_learnable(value: float, popularity: float, oracle: float) -> float:
    """How much of what can be learned beyond popularity a model has learned.

    0 is popularity, 1 the oracle, which knows the truth of a simulated world. A model that is worse
    than popularity is below 0. The same for figures to maximize (NDCG) and to minimize (log-loss).

    Args:
        value: the model's figure.
        popularity: that of popularity, on the same test.
        oracle: that of the oracle, on the same test.

    Raises:
        ValueError: a figure that is not finite, or popularity as good as the oracle: there is
            nothing to learn.
    """
    for name, figure in (("value", value), ("popularity", popularity), ("oracle", oracle)):
        if not math.isfinite(figure):
            raise ValueError(f"{name} is {figure}; it must be a number")
    if oracle == popularity:
        raise ValueError(f"oracle and popularity are both {oracle}; there is nothing to learn")
    return (value - popularity) / (oracle - popularity)


def _check_labels(labels: Tensor, scores: Tensor) -> Tensor:
    check_same_shape("labels", labels, "scores", scores)
    if labels.dim() != 1 or labels.numel() == 0:
        raise ValueError(f"labels has shape {tuple(labels.shape)}; it must be [B] with B >= 1")
    check_finite("labels", labels.double())
    check_finite("scores", scores)
    odd = (labels != 0) & (labels != 1)
    if odd.any():
        raise ValueError(f"labels contains {float(labels[odd][0])}; it must be 0 or 1")
    return labels.bool()
