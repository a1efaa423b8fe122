"""Continuous inputs brought to 0..1 by their place among the training values."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys_book.arguments import check_finite


class Quantiles:
    """x → the share of training values below x, read off by linear interpolation.

    Covington, Adams, Sargin: Deep Neural Networks for YouTube Recommendations. RecSys 2016,
    https://doi.org/10.1145/2959100.2959190, section 4.1: the values come out evenly spread over
    0..1, whatever their scale and tail. What lies outside the training values becomes 0 or 1.

    Args:
        values: `[M, C]` of the training examples; any number of rows.
        n: quantiles kept of each column.

    Raises:
        ValueError: no rows, NaN.
    """

    def __init__(self, values: Tensor, n: int = 200) -> None:
        if values.dim() != 2 or len(values) == 0:
            raise ValueError(
                f"values has shape {tuple(values.shape)}; it must be [M, C], M above 0"
            )
        if n < 2:
            raise ValueError(f"n is {n}; it must be 2 at least")
        check_finite("values", values)
        values = values.double().sort(dim=0).values
        n = max(2, min(n, len(values)))
        place = torch.linspace(0, len(values) - 1, n, dtype=torch.float64).round().long()
        self.points = values[place].T.contiguous()  # [C, n], rising

    def __call__(self, values: Tensor) -> Tensor:
        """`[B, C]` float32 in 0..1."""
        if values.dim() != 2 or values.shape[1] != len(self.points):
            raise ValueError(
                f"values has shape {tuple(values.shape)}; it must be [B, {len(self.points)}]"
            )
        check_finite("values", values)
        x, n = values.double().T.contiguous(), self.points.shape[1]
        # Of many equal training values the middle of their stretch is taken.
        left = torch.searchsorted(self.points, x).clamp(max=n - 1)
        right = (torch.searchsorted(self.points, x, right=True) - 1).clamp(min=0)
        equal = right >= left
        low = (left - 1).clamp(min=0)
        a, b = self.points.gather(1, low), self.points.gather(1, left)
        between = low + ((x - a) / (b - a).clamp(min=1e-300)).clamp(0, 1)
        place = torch.where(equal, (left + right) / 2, between)
        return (place / (n - 1)).T.float()
