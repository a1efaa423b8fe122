"""Wide & Deep: a linear model that remembers pairs, beside a network that generalizes.

Cheng and others: Wide & Deep Learning for Recommender Systems. DLRS 2016,
https://doi.org/10.1145/2988450.2988454, equations 1 to 3, figures 1 and 4:

    P(Y = 1 | x) = sigmoid(w_wide · [x, φ(x)] + w_deep · a + b)

x are the raw one-hots, φ(x) their crosses (1 where both parts are there), a the last layer of the
network. Both sides are trained on one loss of the summed logit; section 3.3 gives the wide side to
FTRL with L1 and the deep side to AdaGrad.

The paper's deployed model has one family of crosses, installed app × shown app: a user has many
apps installed, so that side of the cross is a bag. Here that is `(Bag(film), film)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from recsys_book.arguments import check_ids, check_positive
from recsys_book.embeddings import mix_bits
from recsys_book.layers import (
    MLP,
    Bags,
    FieldEmbedding,
    check_bag,
    check_cardinalities,
    check_fields,
    field_offsets,
    select_rows,
)
from recsys_book.optim import FTRL

MAX_WEIGHTS = 50_000_000  # of an exact cross: 200 MB, and FTRL keeps three numbers more for each


@dataclass(frozen=True)
class Bag:
    """In a cross: all the ids in the bag of a field, in place of the one id of the field."""

    field: int


Cross = tuple[int | Bag, int]


@dataclass(frozen=True)
class Explanation:
    """Logits taken apart; their sum is what `forward` returns.

    Attributes:
        bias: a number, the same for all.
        fields: `[B, F]` the wide weight of each field's id.
        crosses: one tensor a cross: `[B]`, or `[B, L]` for a bag, 0 where the bag is empty.
        deep: `[B]` the network's part.
    """

    bias: Tensor
    fields: Tensor
    crosses: list[Tensor]
    deep: Tensor

    def logits(self) -> Tensor:
        """`[B]`, the sum of all parts."""
        crosses = sum(part.flatten(1).sum(1) if part.dim() > 1 else part for part in self.crosses)
        return self.bias + self.fields.sum(1) + crosses + self.deep


class Wide(nn.Module):
    """A bias, a weight per id and a weight per pair of ids, all starting at zero.

    Alone it is logistic regression on one-hots and crosses.

    Args:
        cardinalities: how many ids each of the F fields has.
        crosses: pairs of fields (i, j); a `Bag` in front crosses every id in that field's bag
            with the id of field j, each pair a feature of its own (an id that stands in the bag
            twice counts twice).
        buckets: None keeps a weight for each pair. A number makes crosses with more pairs than
            that share so many weights, each pair's place decided by a hash.
        sparse: gradients name only the rows they touch. For large tables, with an optimizer that
            takes such gradients (FTRL, Adagrad and SGD do, Adam does not, nor does clipping).

    Raises:
        ValueError: a field that does not exist, a field crossed with itself, the same cross twice,
            or an exact cross of more than 50 million pairs.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        crosses: Sequence[Cross] = (),
        buckets: int | None = None,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        check_cardinalities(cardinalities)
        if buckets is not None and buckets < 1:
            raise ValueError(f"buckets is {buckets}; it must be at least 1")
        self.cardinalities, self.buckets = list(cardinalities), buckets
        self.crosses = [cast(Cross, tuple(cross)) for cross in crosses]
        sizes = list(cardinalities)
        for cross in self.crosses:
            _check_cross(cross, self.crosses, len(self.cardinalities))
            sizes.append(self._size(cross))
        self.table = nn.Embedding(sum(sizes), 1, sparse=sparse)  # [all ids and pairs, 1]
        nn.init.zeros_(self.table.weight)
        self.bias = nn.Parameter(torch.zeros(()))
        self.register_buffer("offsets", field_offsets(sizes), persistent=False)

    def parts(self, ids: Tensor, bags: Bags | None = None) -> tuple[Tensor, list[Tensor]]:
        """Weights of the fields `[B, F]`, and of each cross, `[B]` or `[B, L]`."""
        check_fields(ids, self.cardinalities)
        n_fields = len(self.cardinalities)
        rows, masks = [ids + self.offsets[:n_fields]], []
        for cross, offset in zip(self.crosses, self.offsets[n_fields:], strict=True):
            pairs, mask = self._pairs(cross, ids, bags)  # [B, 1 or L]
            rows.append(pairs + offset)
            masks.append(mask)
        # One look-up for all: its backward pass is what takes the time in training.
        weights = self._look_up(torch.cat(rows, dim=1))  # [B, F + all pairs]
        fields, *crosses = weights.split([r.shape[1] for r in rows], dim=1)
        # Chosen, not multiplied: zero times a weight that has left all bounds is NaN.
        crosses = [
            w.squeeze(1) if m is None else torch.where(m, w, 0)
            for w, m in zip(crosses, masks, strict=True)
        ]
        return fields, crosses

    def forward(self, ids: Tensor, bags: Bags | None = None) -> Tensor:
        """Logits `[B]`: the bias and the weights of whatever is there."""
        fields, crosses = self.parts(ids, bags)
        logit = self.bias + fields.sum(1)
        for part in crosses:
            logit = logit + (part if part.dim() == 1 else part.sum(1))
        return logit

    def cross_weights(self, cross: int) -> Tensor:
        """The weights of one cross: `[n_i, n_j]`, or `[buckets]` where it is hashed (a view)."""
        first, second = self.crosses[cross]
        start = int(self.offsets[len(self.cardinalities) + cross])
        weights = self.table.weight[start : start + self._size(self.crosses[cross]), 0]
        if self._hashed(self.crosses[cross]) is not None:
            return weights
        return weights.view(self.cardinalities[_field(first)], self.cardinalities[second])

    def _look_up(self, rows: Tensor) -> Tensor:
        """The weights of `rows`, of the same shape."""
        if self.table.sparse:
            return self.table(rows).squeeze(-1)
        return select_rows(self.table.weight, rows).squeeze(-1)

    def _pairs(self, cross: Cross, ids: Tensor, bags: Bags | None) -> tuple[Tensor, Tensor | None]:
        first, second = cross
        mask = None
        if isinstance(first, Bag):
            if bags is None or first.field not in bags:
                raise ValueError(
                    f"bags are of fields {tuple(bags or ())}; cross {cross} needs one of field "
                    f"{first.field}"
                )
            left, mask = bags[first.field]  # [B, L]
            check_bag(first.field, left, mask, len(ids))
            check_ids(f"bag of field {first.field}", left, self.cardinalities[first.field])
        else:
            left = ids[:, first, None]  # [B, 1]
        right = ids[:, second, None]  # [B, 1]
        left = left.long()  # bags may come as int32, which pairs would overflow
        if (buckets := self._hashed(cross)) is not None:
            return hash_pairs(left, right, buckets), mask
        return left * self.cardinalities[second] + right, mask

    def _size(self, cross: Cross) -> int:
        n = self.cardinalities[_field(cross[0])] * self.cardinalities[cross[1]]
        if (buckets := self._hashed(cross)) is not None:
            return buckets
        if n > MAX_WEIGHTS:
            raise ValueError(
                f"crosses contains {cross} with {n:,} pairs, more than {MAX_WEIGHTS:,}; hash it: "
                "buckets=1_000_000, say, makes pairs share so many weights"
            )
        return n

    def _hashed(self, cross: Cross) -> int | None:
        """How many weights its pairs share; None where each has its own."""
        n = self.cardinalities[_field(cross[0])] * self.cardinalities[cross[1]]
        return self.buckets if self.buckets is not None and n > self.buckets else None


class WideAndDeep(nn.Module):
    """The wide and the deep side, their logits summed.

    Args:
        cardinalities: how many ids each of the F fields has; id 0 is kept for values never seen.
        crosses: of the wide side, see `Wide`.
        dim: D, length of the deep side's own vectors; 32 in the paper.
        hidden: widths of the deep side's hidden layers; (1024, 512, 256) in the paper.
        bag_fields: fields whose bags the deep side averages and reads too.
        buckets: see `Wide`.
        dropout: chance of dropping a hidden unit in training.
        init_std: standard deviation of the vectors' normal initialization.
        sparse: see `Wide`; the deep side's gradients stay dense.
    """

    def __init__(
        self,
        cardinalities: Sequence[int],
        crosses: Sequence[Cross] = (),
        dim: int = 32,
        hidden: Sequence[int] = (1024, 512, 256),
        bag_fields: Sequence[int] = (),
        buckets: int | None = None,
        dropout: float = 0.0,
        init_std: float = 0.01,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        for field in bag_fields:
            if not 0 <= field < len(cardinalities):
                raise ValueError(
                    f"bag_fields contains {field}; fields run from 0 to {len(cardinalities) - 1}"
                )
        if len(set(bag_fields)) < len(bag_fields):
            raise ValueError(f"bag_fields is {tuple(bag_fields)}; a field has one bag")
        self.bag_fields = tuple(bag_fields)
        self.wide = Wide(cardinalities, crosses, buckets, sparse)
        self.vectors = FieldEmbedding(cardinalities, dim, init_std)
        width = (len(cardinalities) + len(self.bag_fields)) * dim
        self.tower = MLP(width, hidden, n_out=None, dropout=dropout)
        # No bias here: one b for both sides, and the wide one has it.
        self.out = nn.Linear(hidden[-1] if hidden else width, 1, bias=False)

    def forward(self, ids: Tensor, bags: Bags | None = None) -> Tensor:
        """Logits `[B]` for ids `[B, F]`, and the bags that crosses and deep side were made for."""
        return self.wide(ids, bags) + self.deep(ids, bags)

    def deep(self, ids: Tensor, bags: Bags | None = None) -> Tensor:
        """The deep side's part of the logits, `[B]`."""
        bags = bags or {}
        if set(self.bag_fields) - set(bags):
            raise ValueError(
                f"bags are of fields {tuple(bags)}; the deep side needs {self.bag_fields}"
            )
        pooled = {field: bags[field] for field in self.bag_fields}
        vectors = self.vectors(ids, pooled)  # [B, F + bags, D]
        return self.out(self.tower(vectors.flatten(1))).squeeze(-1)  # [B]

    @torch.no_grad()
    def explain(self, ids: Tensor, bags: Bags | None = None) -> Explanation:
        """The logits of `[B, F]` ids taken apart: bias, each wide weight, the deep side."""
        fields, crosses = self.wide.parts(ids, bags)
        bias = self.wide.bias.detach().clone()
        return Explanation(bias, fields, crosses, self.deep(ids, bags))


def wide_optimizer(
    wide: Wide,
    lr: float = 0.1,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    beta: float = 1.0,
    batch_size: int = 1,
) -> FTRL:
    """FTRL for a wide side just made, still zero; the bias is not penalized.

    FTRL was made for single examples. A mean over a batch makes gradients `batch_size` times
    smaller, so l1, l2 and beta are divided by it, and mean what they mean there: with l1 = 3 a
    weight stays at zero until more than three clicks that nothing else foretold, or as many
    non-clicks, speak for it. Every batch must have that size: in a smaller one each example counts
    for more.

    Args:
        wide: its weights still zero.
        lr, l1, l2, beta: as for single examples, see `FTRL`.
        batch_size: examples whose mean the loss is.
    """
    check_positive("batch_size", batch_size)
    penalties = {"l1": l1 / batch_size, "l2": l2 / batch_size}
    bias = {"params": [wide.bias], "l1": 0.0, "l2": 0.0}
    return FTRL([{"params": [wide.table.weight], **penalties}, bias], lr, beta=beta / batch_size)


def wide_and_deep_optimizers(
    model: WideAndDeep,
    *,
    wide_lr: float = 0.1,
    deep_lr: float = 0.05,
    l1: float = 0.0,
    l2: float = 0.0,
    beta: float = 1.0,
    batch_size: int = 1,
    weight_decay: float = 0.0,
) -> list[torch.optim.Optimizer]:
    """FTRL for the wide side and AdaGrad for the deep side (section 3.3).

    Args:
        model: just made, its wide side still zero.
        wide_lr, l1, l2, beta, batch_size: of FTRL, see `wide_optimizer`.
        deep_lr, weight_decay: of AdaGrad.

    Returns:
        two optimizers, to be stepped on one loss: `fit` takes them so.
    """
    deep = [w for name, w in model.named_parameters() if not name.startswith("wide.")]
    wide = wide_optimizer(model.wide, wide_lr, l1=l1, l2=l2, beta=beta, batch_size=batch_size)
    return [wide, torch.optim.Adagrad(deep, deep_lr, weight_decay=weight_decay)]


def hash_pairs(left: Tensor, right: Tensor, buckets: int) -> Tensor:
    """A bucket 0..buckets−1 for each pair of ids; the same on every machine, in every run.

    Args:
        left, right: ids whose shapes broadcast.
        buckets: how many.
    """
    return mix_bits(left.long() * _ODD + right.long()) % buckets


_ODD = 0x9E3779B97F4A7C15 - (1 << 64)  # as a number of 64 bits with a sign


def _field(side: int | Bag) -> int:
    return side.field if isinstance(side, Bag) else side


def _check_cross(cross: Cross, crosses: Sequence[Cross], n_fields: int) -> None:
    if len(cross) != 2 or not all(isinstance(side, int | Bag) for side in cross):
        raise ValueError(f"crosses contains {cross}; it must be a pair of fields")
    first, second = cross
    for field in (_field(first), second):
        if isinstance(field, Bag) or not 0 <= field < n_fields:
            raise ValueError(
                f"crosses contains {cross}; fields run from 0 to {n_fields - 1}, and a Bag stands "
                "in front"
            )
    if first == second:
        raise ValueError(f"crosses contains {cross}: a field crossed with itself says nothing new")
    if sum(set(map(str, other)) == set(map(str, cross)) for other in crosses) > 1:
        raise ValueError(f"crosses contains {cross} twice, in one order or the other")
