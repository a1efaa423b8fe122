"""The NCF split of MovieLens-1M."""

import pytest
import torch

from recsys_book.data import ncf_ml_1m
from recsys_book.data.interactions import Interactions


def test_titles_come_from_the_order_of_first_appearance():
    ratings = b"1::30::5::1\n1::10::3::2\n2::30::4::3\n2::20::4::4\n"
    order = ncf_ml_1m.order_of_first_appearance(ratings)
    assert order.tolist() == [30, 10, 20]
    movies = "10::Caf\xe9 (1990)::Drama\n20::B::X\n30::C::Y\n".encode("latin-1")
    assert ncf_ml_1m.titles_of(movies, order) == ["C", "Caf\xe9 (1990)", "B"]


def test_one_validation_item_a_user_needs_sorted_pairs_and_two_a_user():
    pairs = Interactions(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 2]), 2, 3)
    with pytest.raises(ValueError, match="sorted by user"):
        ncf_ml_1m.draw_one_per_user(pairs, 0)
    with pytest.raises(ValueError, match="user 1 has 1 interactions"):
        ncf_ml_1m.draw_one_per_user(
            Interactions(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), 2, 3), 0
        )
