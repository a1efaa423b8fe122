"""Factorization machines of second order.

Rendle: Factorization Machines. ICDM 2010, https://doi.org/10.1109/ICDM.2010.127, equation 1
and lemma 3.1:

    y = w0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j
    pair sum = 1/2 sum_f [(sum_i v_if x_i)^2 − sum_i v_if^2 x_i^2],   O(k n) in place of O(k n^2)

Here the inputs are categorical fields: x_i is 1 for the id that a field takes and 0 elsewhere, so
the sums run over the F vectors looked up.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from recsys_book.layers import Bags, FieldEmbedding, FieldLinear


def pairwise_sum(vectors: Tensor) -> Tensor:
    """Sum over all pairs of fields of the dot product of their vectors.

    Args:
        vectors: `[B, F, D]`.

    Returns:
        `[B]`, in time linear in F.
    """
    square_of_sum = vectors.sum(dim=1).square()  # [B, D]
    sum_of_squares = vectors.square().sum(dim=1)  # [B, D]
    return 0.5 * (square_of_sum - sum_of_squares).sum(dim=1)  # [B]


class FactorizationMachine(nn.Module):
    """A weight per id, and a dot product per pair of fields.

    Args:
        cardinalities: how many ids each of the F fields has.
        dim: D, length of the vectors.
        init_std: standard deviation of the vectors' normal initialization.
    """

    def __init__(self, cardinalities: Sequence[int], dim: int = 8, init_std: float = 0.01) -> None:
        super().__init__()
        self.linear = FieldLinear(cardinalities)
        self.vectors = FieldEmbedding(cardinalities, dim, init_std)

    def forward(self, ids: Tensor, bags: Bags | None = None) -> Tensor:
        """Logits `[B]` for ids `[B, F]`; a bag joins the pairs as one more field."""
        return self.linear(ids, bags) + pairwise_sum(self.vectors(ids, bags))
