"""Small layers that several models share.

Shapes: B batch, F fields, D dimension, L length of a bag or history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from recsys_book.arguments import check_ids, check_positive

#: Bags: for the field at position f, further ids of that field and which of them are real.
#: {f: (ids [B, L], mask [B, L])}
Bags = Mapping[int, tuple[Tensor, Tensor]]


class MLP(nn.Module):
    """Linear → ReLU, once per hidden width, then one linear output where `n_out` is given.

    Args:
        n_in: width of the input.
        hidden: widths of the hidden layers; `()` leaves the output layer alone, a linear model.
        n_out: width of the output; None ends after the last ReLU (a tower).
        dropout: chance of dropping a hidden unit in training.

    Shapes: `[..., n_in]` → `[..., n_out]`, or `[..., hidden[-1]]` without an output layer.
    """

    def __init__(
        self, n_in: int, hidden: Sequence[int] = (), n_out: int | None = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be at least 0 and under 1")
        for name, width in [("n_in", n_in), *(("hidden", h) for h in hidden), ("n_out", n_out)]:
            if width is not None and width < 1:
                raise ValueError(f"{name} contains {width}; a width must be at least 1")
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(n_in, width), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
            n_in = width
        if n_out is not None:
            layers.append(nn.Linear(n_in, n_out))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def masked_mean(vectors: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real entries of a padded bag; an empty bag gives zeros, never NaN.

    Args:
        vectors: `[B, L, D]`. What stands where the mask is False is not looked at: NaN or an
            infinity there changes neither the mean nor a gradient.
        mask: `[B, L]` bool, True where the entry is real.

    Returns:
        `[B, D]`. Appending padding does not change it.

    Raises:
        ValueError: other shapes, a mask that is not bool.
    """
    if vectors.dim() != 3 or vectors.shape[:2] != mask.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; it must be "
            f"{tuple(vectors.shape[:2])}, the first two of vectors {tuple(vectors.shape)}, and bool"
        )
    # Chosen, not multiplied: zero times NaN is NaN, in the sum and in the gradient.
    real = torch.where(mask.unsqueeze(-1), vectors, 0)  # [B, L, D]
    count = mask.sum(1, keepdim=True).clamp(min=1)  # [B, 1]
    return real.sum(1) / count.to(vectors.dtype)


def look_up(table: Tensor, ids: Tensor) -> Tensor:
    """`table[ids]`, with a gradient that is quick where ids repeat.

    In the gradient the rows of one id are summed. Sorted by id they stand side by side, and a bag
    sum takes them in one go; PyTorch's own way on a CPU was seen to take five times as long.

    Args:
        table: `[N, D]`.
        ids: `[...]` int64, in 0..N−1 (not checked here).

    Returns:
        `[..., D]`.
    """
    if table.is_cuda or not table.requires_grad:
        return F.embedding(ids, table)
    return _LookUp.apply(table, ids)


def select_rows(table: Tensor, ids: Tensor) -> Tensor:
    """`table[ids]`, by an operation whose backward pass is the quicker one for short vectors.

    On one core of a CPU it took less than half the time of `look_up` for vectors of 16 numbers, a
    sixth for single weights, and 1.7 times as long for vectors of 64 in batches of thousands: so
    fields use this, and matrix factorization the other.

    Args:
        table: `[N, D]`.
        ids: `[...]` int64, in 0..N−1 (not checked here).

    Returns:
        `[..., D]`.
    """
    return table.index_select(0, ids.flatten()).view(*ids.shape, table.shape[1])


class QuickEmbedding(nn.Embedding):
    """`nn.Embedding`, with `look_up`'s gradient; of the same weights it gives the same rows."""

    def forward(self, ids: Tensor) -> Tensor:
        """`[..., D]` for ids `[...]`."""
        return look_up(self.weight, ids)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.n = len(table)
        return F.embedding(ids, table)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        place = ids.flatten().argsort()
        count = torch.bincount(ids.flatten(), minlength=ctx.n)
        rows = gradient.reshape(-1, gradient.shape[-1])
        return F.embedding_bag(place, rows, count.cumsum(0) - count, mode="sum"), None


class FieldEmbedding(nn.Module):
    """One vector per id of each categorical field, all fields in one table.

    Args:
        cardinalities: how many ids each field has. Ids count from 0 within their own field, and
            id 0 is kept for values never seen in training.
        dim: D.
        init_std: standard deviation of the normal initialization.

    Shapes: ids `[B, F]` → `[B, F + number of bags, D]`; a bag becomes the mean of its vectors.
    """

    def __init__(self, cardinalities: Sequence[int], dim: int, init_std: float = 0.01) -> None:
        super().__init__()
        check_cardinalities(cardinalities)
        check_positive("dim", dim)
        self.cardinalities = list(cardinalities)
        self.table = nn.Embedding(sum(cardinalities), dim)  # [sum of cardinalities, D]
        nn.init.normal_(self.table.weight, std=init_std)
        self.register_buffer("offsets", field_offsets(cardinalities), persistent=False)

    def forward(self, ids: Tensor, bags: Bags | None = None) -> Tensor:
        check_fields(ids, self.cardinalities)
        if not bags:
            return self._look_up(ids + self.offsets)  # [B, F, D]
        # One look-up for all: its backward pass is what takes the time in training.
        parts = [ids + self.offsets]
        for field, (bag, mask) in bags.items():
            check_bag(field, bag, mask, len(ids))
            check_ids(f"bag of field {field}", bag, self.cardinalities[field])
            parts.append(bag + self.offsets[field])
        looked_up = self._look_up(torch.cat(parts, dim=1))  # [B, F + all L, D]
        vectors, *members = looked_up.split([part.shape[1] for part in parts], dim=1)
        masks = [mask for _, mask in bags.values()]
        pooled = [masked_mean(m, mask) for m, mask in zip(members, masks, strict=True)]  # [B, D]
        return torch.cat([vectors, torch.stack(pooled, dim=1)], dim=1)

    def _look_up(self, rows: Tensor) -> Tensor:
        return select_rows(self.table.weight, rows)


class FieldLinear(nn.Module):
    """A weight per id and one bias: logistic regression on one-hots, without the one-hots.

    Shapes: ids `[B, F]` → logits `[B]`. Weights start at zero. A bag adds the mean of its weights.
    """

    def __init__(self, cardinalities: Sequence[int]) -> None:
        super().__init__()
        self.weights = FieldEmbedding(cardinalities, dim=1, init_std=0.0)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, ids: Tensor, bags: Bags | None = None) -> Tensor:
        return self.bias + self.weights(ids, bags).sum(dim=(1, 2))  # [B]


def field_offsets(cardinalities: Sequence[int]) -> Tensor:
    """`[F]`: where each field's ids start in the shared table."""
    return torch.tensor([0, *cardinalities[:-1]]).cumsum(0)


def check_bag(field: int, bag: Tensor, mask: Tensor, n: int) -> None:
    """Raise unless bag and mask are `[n, L]`, the mask bool: shapes that fit only by broadcasting
    would give everybody somebody else's bag."""
    if bag.dim() != 2 or len(bag) != n or mask.shape != bag.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"bag of field {field} has shape {tuple(bag.shape)} and its mask {tuple(mask.shape)} "
            f"of {mask.dtype}; both must be [{n}, L], and the mask bool"
        )


def check_cardinalities(cardinalities: Sequence[int]) -> None:
    """Raise unless there is a field and every field has an id."""
    if len(cardinalities) == 0:
        raise ValueError("cardinalities is empty; there must be at least one field")
    if min(cardinalities) < 1:
        raise ValueError(f"cardinalities contains {min(cardinalities)}; each must be at least 1")


def check_fields(ids: Tensor, cardinalities: Sequence[int]) -> None:
    """Raise unless ids are integers `[B, F]`, each in its field's 0..n−1."""
    if ids.dim() != 2 or ids.shape[1] != len(cardinalities):
        raise ValueError(f"ids has shape {tuple(ids.shape)}; it must be [B, {len(cardinalities)}]")
    if ids.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"ids has dtype {ids.dtype}; ids must be int64 (or int32)")
    limits = torch.tensor(cardinalities, device=ids.device)
    bad = (ids < 0) | (ids >= limits)
    if bad.any():
        row, field = (int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"ids contains {int(ids[row, field])} in field {field}; "
            f"its ids must run from 0 to {cardinalities[field] - 1}"
        )
