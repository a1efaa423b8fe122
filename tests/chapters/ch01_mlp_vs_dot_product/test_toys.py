"""Made-up data with a known answer."""

import pytest
import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import (
    noisy_corners,
    one_true_love_in_three,
    parity,
    preference_matrices,
    xor,
)


def test_toys():
    ids, likes = xor()
    assert (2 * likes.view(2, 2) - 1).tolist() == [[-1, 1], [1, -1]] and len(ids) == 4
    corners, odd = parity(3)
    assert len(corners) == 8 and odd.sum() == 4
    ranks = {n: int(torch.linalg.matrix_rank(t)) for n, t in preference_matrices(16).items()}
    assert ranks == {"two tribes": 1, "one true love": 16, "staircase": 16, "coin flips": 16}
    points, corner = noisy_corners(80, 0.1, torch.Generator().manual_seed(0))
    assert points.shape == (80, 3) and corner.bincount().tolist() == [10] * 8
    with pytest.raises(ValueError, match="multiple of 8"):
        noisy_corners(81, 0.1, torch.Generator())


@pytest.mark.parametrize("n", [3, 16, 1_000])
def test_one_true_love_has_its_signs_in_three_dimensions(n):
    users, films = one_true_love_in_three(n)
    assert users.shape == (n, 3)
    assert torch.equal(users @ films.T > 0, torch.eye(n).bool())
