"""Losses, as plain functions of tensors."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys_book.checks import check_same_shape


def bce(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy from logits, the mean over the batch (He et al. 2017, equation 7).

    Args:
        logits: `[B]` log-odds.
        labels: `[B]` float, 0 or 1.
        weight: optional `[B]`, how much each example counts; the sum is still divided by B.

    Returns:
        a scalar tensor.
    """
    check_same_shape("logits", logits, "labels", labels)
    return F.binary_cross_entropy_with_logits(logits, labels, weight=weight)


def bpr_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Bayesian personalized ranking: the mean of −ln sigmoid(positive − negative).

    Rendle, Freudenthaler, Gantner, Schmidt-Thieme: BPR: Bayesian Personalized Ranking from Implicit
    Feedback. UAI 2009, https://arxiv.org/abs/1205.2618, section 4.1. Only differences count: adding
    the same number to every score of a user changes nothing. The paper's L2 term is left to the
    optimizer.

    Args:
        positive: `[B]` scores of items that were chosen.
        negative: `[B]` or `[B, n]` scores of items that the same user was not seen to choose.

    Returns:
        a scalar tensor.

    Raises:
        ValueError: another shape; broadcasting would pair the scores of different users.
    """
    if positive.dim() != 1 or negative.shape[:1] != positive.shape or negative.dim() > 2:
        raise ValueError(
            f"negative has shape {tuple(negative.shape)} and positive {tuple(positive.shape)}; "
            "they must be [B] or [B, n], and [B]"
        )
    if negative.dim() == 2:
        positive = positive.unsqueeze(-1)  # [B, 1]
    return F.softplus(negative - positive).mean()
