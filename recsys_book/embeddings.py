"""Tools around tables of vectors: padding, hashing, neighbours, and vectors for the new.

`recsys_book.layers.FieldEmbedding` is the table itself, for several fields at once.

Shapes: N rows, D dimension, k neighbours, B batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys_book.arguments import check_finite, check_ids, check_positive

MEASURES = ("cosine", "dot product")


# ---------------------------------------------------------------- padding


class PaddedEmbedding(nn.Module):
    """A vector per id 0..n−1, and a row n of zeros for padding, which never trains.

    `nn.Embedding(padding_idx=…)` keeps the row's gradient at zero, but an initialization written
    over the whole table, as most are, fills the row with noise that no gradient ever touches. Here
    the row is put back to zeros after the draw. From zero it stays there: its gradient is zero, and
    weight decay of zero is zero.

    Args:
        n: number of real ids; n itself is the padding id.
        dim: D.
        init_std: standard deviation of the normal initialization.

    Shapes: ids `[...]` in 0..n → `[..., D]`.
    """

    def __init__(self, n: int, dim: int, init_std: float = 0.1) -> None:
        super().__init__()
        check_positive("n", n)
        check_positive("dim", dim)
        self.n = n
        self.table = nn.Embedding(n + 1, dim, padding_idx=n)
        with torch.no_grad():
            nn.init.normal_(self.table.weight, std=init_std)
            self.table.weight[n] = 0

    def forward(self, ids: Tensor) -> Tensor:
        check_ids("ids", ids, self.n + 1)
        return self.table(ids)


# ---------------------------------------------------------------- hashing


def hash_ids(ids: Tensor | Sequence, n_buckets: int, seed: int = 0) -> Tensor:
    """Spread ids over buckets 0..n_buckets−1: a vocabulary that needs no list of what exists.

    Weinberger et al.: Feature Hashing for Large Scale Multitask Learning. ICML 2009,
    https://doi.org/10.1145/1553374.1553516. The same on every machine.

    Args:
        ids: whole numbers of any shape, or a sequence of words, shape `[n]`.
        n_buckets: size of the table behind.
        seed: of the hash; two seeds are two independent hashes.

    Returns:
        int64, the shape of `ids`.
    """
    check_positive("n_buckets", n_buckets)
    if n_buckets != int(n_buckets) or n_buckets > 1 << 62:
        raise ValueError(f"n_buckets is {n_buckets}; it must be a whole number, at most 2^62")
    if not isinstance(ids, Tensor):
        listed = [] if isinstance(ids, str) else list(ids)
        if listed and all(isinstance(i, str) for i in listed):
            # pandas' hash of strings is the same in every process; Python's own is salted.
            words = pd.util.hash_array(np.asarray(listed, dtype=object))
            ids = torch.from_numpy(words.astype(np.uint64).view(np.int64))
        elif listed and np.asarray(ids).dtype.kind in "iu":
            ids = torch.from_numpy(np.asarray(ids).astype(np.int64))
        else:
            raise ValueError(f"ids is {ids!r:.60}; it must be a list of whole numbers, or of words")
    if ids.dtype not in (torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8):
        raise ValueError(f"ids has dtype {ids.dtype}; it must be whole numbers, or words")
    mixed = mix_bits(ids.long() + _wrapped(_ODD[0] * (2 * seed + 1)))
    # The remainder of the 64 bits as a number without a sign: of all but the last, then of both.
    return (((mixed >> 1) & _LARGEST) % n_buckets * 2 + (mixed & 1)) % n_buckets


def mix_bits(x: Tensor) -> Tensor:
    """Shuffle the bits of int64 numbers, one to one: neighbours land far apart.

    The last steps of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
    Generators. OOPSLA 2014, https://doi.org/10.1145/2660193.2660195): each product with an odd
    number and each shift moves what one bit says to many. Arithmetic on int64 wraps around, on
    every machine alike.
    """
    for shift, odd in ((30, _ODD[1]), (27, _ODD[2])):
        x = (x ^ _shifted(x, shift)) * odd
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, by: int) -> Tensor:
    """To the right, with zeros from the left also where the first bit is one."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _wrapped(number: int) -> int:
    """The number of 64 bits with a sign that has the same last 64 bits."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


_LARGEST = (1 << 63) - 1
#: SplitMix64's constants, as numbers with a sign.
_ODD = tuple(map(_wrapped, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)))


def share_colliding(buckets: Tensor) -> float:
    """Share of ids that do not have their place to themselves.

    Args:
        buckets: `[n]`, or `[n, H]` where an id has H places: it collides when another id has the
            very same H.
    """
    if len(buckets) == 0:
        raise ValueError("buckets is empty; a share of no ids is no number")
    places = buckets.view(len(buckets), -1).sort(dim=1).values  # the order of the sum is nothing
    _, inverse, counts = places.unique(dim=0, return_inverse=True, return_counts=True)
    return float((counts[inverse] > 1).float().mean())


def expected_colliding(n_ids: int, n_buckets: int) -> float:
    """The same share, expected of a perfect hash: 1 − (1 − 1/m)^(n − 1)."""
    check_positive("n_ids", n_ids)
    check_positive("n_buckets", n_buckets)
    return float(1 - (1 - 1 / n_buckets) ** (n_ids - 1))


class HashedEmbedding(nn.Module):
    """A table of fewer rows than ids: an id's vector is the sum of the rows its hashes point at.

    With one hash, ids in one bucket are one and the same to the model. With two they share one row
    now and then, and hardly ever both. Serrà, Karatzoglou: Getting Deep Recommenders Fit: Bloom
    Embeddings for Sparse Binary Input/Output Networks. RecSys 2017,
    https://doi.org/10.1145/3109859.3109876.

    Args:
        n_buckets: rows of the table.
        dim: D.
        n_hashes: rows an id adds up.
        init_std: standard deviation of the normal initialization of the *sum*.

    Shapes: ids `[...]`, any int64 → `[..., D]`.
    """

    def __init__(
        self, n_buckets: int, dim: int, n_hashes: int = 1, init_std: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__()
        check_positive("dim", dim)
        for name, value in (("n_buckets", n_buckets), ("n_hashes", n_hashes)):
            check_positive(name, value)
            if value != int(value):
                raise ValueError(f"{name} is {value}; it must be a whole number")
        self.n_buckets, self.n_hashes, self.seed = n_buckets, n_hashes, seed
        self.table = nn.Embedding(n_buckets, dim)
        nn.init.normal_(self.table.weight, std=init_std / n_hashes**0.5)

    def buckets(self, ids: Tensor) -> Tensor:
        """`[..., H]` rows of each id."""
        hashes = range(self.seed * self.n_hashes, (self.seed + 1) * self.n_hashes)
        return torch.stack([hash_ids(ids, self.n_buckets, h) for h in hashes], dim=-1)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(self.buckets(ids)).sum(-2)


# ---------------------------------------------------------------- neighbours


def nearest(
    vectors: Tensor,
    k: int,
    *,
    by: str = "cosine",
    among: Tensor | None = None,
    batch_size: int = 1_024,
) -> tuple[Tensor, Tensor]:
    """Each row's k nearest other rows, by brute force: exact, and quick up to some 100,000 rows.

    By **cosine**, only directions count. By **dot product**, a long vector is near to everything
    that points even roughly its way, so that a few long rows stand in most lists.

    Args:
        vectors: `[N, D]`.
        k: neighbours, below the number of candidates.
        by: "cosine" or "dot product".
        among: `[N]` bool, the rows that may be neighbours; all by default.
        batch_size: rows compared with all others at once.

    Returns:
        rows `[N, k]`, nearest first, and their cosines or dot products `[N, k]`. A row of length
        zero has cosine 0 with everything.

    Raises:
        ValueError: another measure, k out of range, NaN.
    """
    if by not in MEASURES:
        raise ValueError(f"by is {by!r}; it must be one of {', '.join(MEASURES)}")
    if vectors.dim() != 2:
        raise ValueError(f"vectors has shape {tuple(vectors.shape)}; it must be [N, D]")
    if not vectors.is_floating_point():
        raise ValueError(f"vectors has dtype {vectors.dtype}; it must be floating point")
    vectors = vectors.detach()
    if vectors.dtype in (torch.float16, torch.bfloat16):
        vectors = vectors.float()
    check_finite("vectors", vectors)
    check_positive("k", k)
    if k != int(k):
        raise ValueError(f"k is {k}; it must be a whole number")
    if among is not None:
        _check_mask("among", among, len(vectors))
    n_candidates = len(vectors) if among is None else int(among.sum())
    if k >= n_candidates:
        raise ValueError(f"k is {k} with {n_candidates} candidates; it must be below")
    if by == "cosine":
        vectors = _directions(vectors)
    rows, values = [], []
    for some in torch.arange(len(vectors), device=vectors.device).split(batch_size):
        like = vectors[some] @ vectors.T  # [B, N]
        check_finite("products of vectors", like)
        like[torch.arange(len(some), device=like.device), some] = -torch.inf  # not itself
        if among is not None:
            like[:, ~among] = -torch.inf
        top = like.topk(k, dim=1)
        rows.append(top.indices)
        values.append(top.values)
    return torch.cat(rows), torch.cat(values)


def _directions(vectors: Tensor) -> Tensor:
    """Rows scaled to length 1, at any scale; zeros stay zeros."""
    largest = vectors.abs().amax(dim=1, keepdim=True)
    return F.normalize(vectors / torch.where(largest > 0, largest, 1))


def _check_mask(name: str, mask: Tensor, n: int) -> None:
    if mask.shape != (n,) or mask.dtype != torch.bool:
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)} and dtype {mask.dtype}; it must be [{n}] bool"
        )
