"""Quantiles of training values."""

import numpy as np
import pytest
import torch
from scipy.stats import percentileofscore

from recsys_book.chapters.ch04_youtube_dnn.quantiles import Quantiles


def test_quantiles_are_the_share_of_training_values_below():
    values = torch.rand(5_000, 2, generator=torch.Generator().manual_seed(0)) ** 3 * 1_000
    new = torch.rand(300, 2, generator=torch.Generator().manual_seed(1)) ** 3 * 1_000
    found = Quantiles(values)(new)
    for column in range(2):
        true = percentileofscore(values[:, column].numpy(), new[:, column].numpy()) / 100
        assert np.abs(found[:, column].numpy() - true).max() < 0.01
    spread = Quantiles(values)(values)[:, 0]
    assert abs(float(spread.mean()) - 0.5) < 0.01  # evenly over 0..1
    assert abs(float(spread.std()) - 12**-0.5) < 0.01


def test_outside_is_zero_or_one_and_equal_values_share_the_middle():
    q = Quantiles(torch.tensor([[0.0], [0], [0], [0], [1], [2], [3], [4]]), n=8)
    found = q(torch.tensor([[-5.0], [9.0], [0.0], [4.0], [2.5]])).flatten()
    assert found[0] == 0 and found[1] == 1
    assert float(found[2]) == pytest.approx(1.5 / 7)  # places 0 to 3
    assert found[3] == 1 and float(found[4]) == pytest.approx(5.5 / 7)
    constant = Quantiles(torch.full((5, 1), 3.0))
    assert constant(torch.tensor([[3.0]])).item() == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [torch.empty(0, 2), torch.zeros(3), torch.tensor([[float("nan")]])])
def test_bad_training_values_are_named(bad):
    with pytest.raises(ValueError, match="values"):
        Quantiles(bad)
    with pytest.raises(ValueError, match="n is 1"):
        Quantiles(torch.rand(4, 1), n=1)
    with pytest.raises(ValueError, match=r"values has shape \(2, 3\)"):
        Quantiles(torch.rand(4, 2))(torch.rand(2, 3))


def test_few_training_values_are_interpolated_in_a_line():
    q = Quantiles(torch.arange(10.0)[:, None])
    found = q(torch.tensor([[0.01], [0.5], [0.99], [4.25]])).flatten()
    assert found.tolist() == pytest.approx([0.01 / 9, 0.5 / 9, 0.99 / 9, 4.25 / 9], abs=1e-6)
