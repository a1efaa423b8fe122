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
