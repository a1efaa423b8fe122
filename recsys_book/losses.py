"""Losses, as plain functions of tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys_book.arguments import check_finite, check_positive, check_same_shape


def bce(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy from logits, the mean over the batch (He et al. 2017, equation 7).

    Args:
        logits: `[B]` log-odds.
        labels: `[B]` float, 0 or 1.
        weight: optional `[B]`, how much each example counts; the sum is still divided by B.

    Returns:
        a scalar tensor.

    Raises:
        ValueError: labels other than 0 and 1 or no floats, a shape other than the logits', or no
            example.
    """
    check_same_shape("logits", logits, "labels", labels)
    check_positive("B, the number of examples,", len(logits))
    if weight is not None:
        check_same_shape("logits", logits, "weight", weight)
    if not labels.is_floating_point():
        raise ValueError(f"labels has dtype {labels.dtype}; labels must be floats, 0 or 1")
    bad = (labels != 0) & (labels != 1)
    if bad.any():
        raise ValueError(f"labels contains {float(labels[bad][0])}; a label must be 0 or 1")
    return F.binary_cross_entropy_with_logits(logits, labels, weight=weight)


def sampled_softmax_loss(
    positive: Tensor,
    negative: Tensor,
    log_q: Tensor | None = None,
    *,
    positive_ids: Tensor | None = None,
    negative_ids: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Softmax over a whole catalogue, estimated from m drawn items: the mean over the batch of

        −s₊/τ + log( exp(s₊/τ) + Σ_j exp(s_j/τ − log(m q_j)) )

    Bengio, Senécal: Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic
    Language Model. IEEE TNN 19 (4), 2008. Drawn with chance q, an item stands for 1/(m q) items, so
    the sum over the sample estimates the sum over the catalogue without bias. Its logarithm does
    not: the gradient is biased, and less so the larger m is. Only where q is the model's own
    softmax over the negatives is it exact at any m. The positive was not drawn and keeps its score.

    Args:
        positive: `[B]` scores of what was chosen.
        negative: `[B, m]` scores of the drawn items.
        log_q: `[m]` or `[B, m]`, logarithm of the chance with which one draw gives the item. None
            leaves the correction out, which amounts to uniform draws from m items in all.
        positive_ids: `[B]`; given together with negative_ids, a drawn item that is the positive
            itself is left out (an accidental hit).
        negative_ids: `[m]` or `[B, m]`.
        temperature: τ, by which scores are divided, and log(m q) is not.

    Returns:
        a scalar tensor.

    Raises:
        ValueError: other shapes, one kind of ids without the other, a temperature not above 0, a
            log_q that is no logarithm of a chance.
    """
    check_positive("temperature", temperature)
    if positive.dim() != 1 or negative.dim() != 2 or len(negative) != len(positive):
        raise ValueError(
            f"positive has shape {tuple(positive.shape)} and negative {tuple(negative.shape)}; "
            "they must be [B] and [B, m]"
        )
    m = negative.shape[1]
    check_positive("m, the number of negatives,", m)
    check_positive("B, the number of examples,", len(positive))
    logits = negative / temperature
    if log_q is not None:
        _check_beside("log_q", log_q, negative)
        check_finite("log_q", log_q)
        if float(log_q.max()) > 1e-6:
            raise ValueError(f"log_q contains {float(log_q.max()):g}; a chance is 1 at most")
        logits = logits - (log_q + math.log(m))
    if (positive_ids is None) != (negative_ids is None):
        raise ValueError("positive_ids and negative_ids must be given together, or neither")
    if positive_ids is not None and negative_ids is not None:
        check_same_shape("positive_ids", positive_ids, "positive", positive)
        _check_beside("negative_ids", negative_ids, negative)
        for name, ids in (("positive_ids", positive_ids), ("negative_ids", negative_ids)):
            if ids.is_floating_point():  # above 2**24 ids would run together
                raise ValueError(f"{name} has dtype {ids.dtype}; ids must be int64")
        logits = logits.masked_fill(positive_ids[:, None] == negative_ids, -torch.inf)
    chosen = positive / temperature
    every = torch.cat([chosen[:, None], logits], dim=1)  # [B, 1 + m]
    return (every.logsumexp(dim=1) - chosen).mean()


def in_batch_softmax_loss(
    scores: Tensor,
    log_q: Tensor | None = None,
    *,
    ids: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """`sampled_softmax_loss` whose negatives are what the others of the batch chose.

    Yi, Yang, Hong, Cheng, Heldt, Kumthekar, Zhao, Wei, Chi: Sampling-Bias-Corrected Neural Modeling
    for Large Corpus Item Recommendations. RecSys 2019, https://doi.org/10.1145/3298689.3346996.
    Nothing is drawn and nothing more is looked up, but an item then comes up as a negative as often
    as it is chosen: without log_q popular items are pushed down.

    The paper takes log q off every logit, the positive's too; here the positive keeps its score, as
    it was not drawn. What follows from that for the correction is worked out by Khrylchenko et al.,
    RecSys 2025, https://arxiv.org/abs/2507.09331.

    Args:
        scores: `[B, B]`, of user i (row) with what user j chose (column).
        log_q: `[B]`, logarithm of the chance that a row of the log holds the item of column j.
        ids: `[B]` of the chosen items; another column with the user's own item is then no negative.
        temperature: as in `sampled_softmax_loss`.

    Returns:
        a scalar tensor.

    Raises:
        ValueError: a shape other than `[B, B]` with B at least 2, and as `sampled_softmax_loss`.
    """
    n = scores.shape[-1] if scores.dim() else 0
    if scores.shape != (n, n) or n < 2:
        raise ValueError(
            f"scores has shape {tuple(scores.shape)}; it must be [B, B] with B at least 2"
        )
    # Row i without its own column: columns 0..i−1 and i+1..B−1.
    others = torch.arange(n - 1, device=scores.device).expand(n, -1)
    others = others + (others >= torch.arange(n, device=scores.device)[:, None])  # [B, B − 1]
    for name, values in (("log_q", log_q), ("ids", ids)):
        if values is not None and values.shape != (n,):
            raise ValueError(f"{name} has shape {tuple(values.shape)}; it must be [{n}]")
    return sampled_softmax_loss(
        scores.diagonal(),
        scores.gather(1, others),
        None if log_q is None else log_q[others],
        positive_ids=ids,
        negative_ids=None if ids is None else ids[others],
        temperature=temperature,
    )


def watch_time_loss(
    logits: Tensor, clicked: Tensor, watch_time: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Weighted logistic regression, the mean over the batch (Covington et al. 2016, section 4.2).

    Clicked impressions count with their watch time T, all others with 1. The odds learned are then
    (sum of T) / (number of others), and exp(logit) estimates E[T] / (1 − p), in the unit of T.
    A click with T = 0 weighs nothing as a click and would vanish; it is taken as an impression that
    nobody watched. So k, p and "clicked" mean *watched*, T > 0, wherever the odds are spoken of.

    Args:
        logits: `[B]`.
        clicked: `[B]` bool.
        watch_time: `[B]`, 0 or more; of impressions not clicked it is not looked at.
        weight: optional `[B]`, 0 or more, how much each impression counts beside that.

    Returns:
        a scalar tensor.

    Raises:
        ValueError: other shapes, a watch time or weight that is negative or no number.
    """
    check_same_shape("logits", logits, "clicked", clicked)
    check_same_shape("logits", logits, "watch_time", watch_time)
    if clicked.dtype != torch.bool:
        raise ValueError(f"clicked has dtype {clicked.dtype}; it must be bool")
    check_positive("B, the number of impressions,", len(logits))
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    time = torch.where(clicked, watch_time, torch.zeros_like(watch_time))
    for name, values in (("watch_time", time), ("weight", weight)):
        if values is None:
            continue
        check_same_shape("logits", logits, name, values)
        check_finite(name, values)
        if float(values.min()) < 0:
            raise ValueError(f"{name} contains {float(values.min()):g}; it must be 0 or more")
    watched = time > 0
    counts = torch.where(watched, time, torch.ones_like(time)).to(logits.dtype)  # float32 at least
    if weight is not None:
        counts = counts * weight
    return bce(logits, watched.to(logits.dtype), weight=counts)


def _check_beside(name: str, values: Tensor, negative: Tensor) -> None:
    """Raise unless values are `[m]` or `[B, m]`, as negative is."""
    if values.shape not in (negative.shape, negative.shape[1:]):
        raise ValueError(
            f"{name} has shape {tuple(values.shape)}; it must be [m] or [B, m], and negative has "
            f"{tuple(negative.shape)}"
        )
