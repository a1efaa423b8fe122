"""Small worlds with a known answer, for chapter 01."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def xor() -> tuple[Tensor, Tensor]:
    """Two users, two films: each user likes the film that the other does not.

    Returns:
        ids `[4, 2]` int64 (user, film), and labels `[4]` float, 1 where the user likes the film.
    """
    return parity(2)


def parity(n_fields: int) -> tuple[Tensor, Tensor]:
    """Every combination of `n_fields` yes-or-no fields, and whether the number of yeses is odd.

    Three fields give the three-way effect that no sum of pairwise effects can express.

    Returns:
        ids `[2^F, F]` int64 of 0 and 1, and labels `[2^F]` float.
    """
    if n_fields < 1:
        raise ValueError(f"n_fields is {n_fields}; it must be at least 1")
    ids = torch.tensor(list(itertools.product([0, 1], repeat=n_fields)))
    return ids, (ids.sum(dim=1) % 2).float()


def noisy_corners(n: int, noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points around the eight corners of the cube: `n` of them, equally many around each.

    Args:
        n: how many points, a multiple of 8.
        noise: standard deviation of the scatter.
        generator: of the scatter.

    Returns:
        points `[n, 3]` float, and the corner that each belongs to, `[n]` int64 in the order of
        `parity(3)`.
    """
    if n < 8 or n % 8:
        raise ValueError(f"n is {n}; it must be a multiple of 8")
    corners, _ = parity(3)
    corner = torch.arange(8).repeat_interleave(n // 8)  # [n]
    scatter = noise * torch.randn(n, 3, generator=generator)
    return corners[corner].float() + scatter, corner


def preference_matrices(n: int = 16) -> dict[str, Tensor]:
    """Four square tables of likes (+1) and dislikes (−1), each `[n, n]`.

    - "two tribes": even users like odd films and the other way round; XOR, tiled. Rank 1.
    - "one true love": user i likes film i and nothing else. Rank n.
    - "staircase": user i likes films 0..i. Rank n.
    - "coin flips": no structure at all; full rank with near certainty.
    """
    i = torch.arange(n)
    flips = torch.rand(n, n, generator=torch.Generator().manual_seed(0)) < 0.5
    likes = {
        "two tribes": (i[:, None] + i) % 2 == 1,
        "one true love": i[:, None] == i,
        "staircase": i[:, None] >= i,
        "coin flips": flips,
    }
    return {name: 2.0 * table - 1 for name, table in likes.items()}


def one_true_love_in_three(n: int) -> tuple[Tensor, Tensor]:
    """Vectors of length 3 whose dot products have the signs of "one true love", for any n >= 3.

    Films stand on a circle. Each user's vector is a straight cut that leaves one film on its side:
    p_i · q_j = cos(angle_i − angle_j) − c, which for c just under 1 is positive only for j = i.

    Returns:
        user vectors P `[n, 3]` and film vectors Q `[n, 3]`, float64.
    """
    if n < 3:
        raise ValueError(f"n is {n}; a circle needs at least 3 films")
    angle = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    cut = (1 + torch.cos(torch.tensor(2 * torch.pi / n, dtype=torch.float64))) / 2
    around = torch.stack([angle.cos(), angle.sin()], dim=1)  # [n, 2]
    users = torch.cat([around, -cut.expand(n, 1)], dim=1)
    films = torch.cat([around, torch.ones(n, 1, dtype=torch.float64)], dim=1)
    return users, films
