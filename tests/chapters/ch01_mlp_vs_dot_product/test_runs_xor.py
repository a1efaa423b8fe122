"""The recorded sweep on parity."""

import math


def test_no_fm_beats_a_coin_on_parity_and_an_mlp_does():
    from recsys_book.chapters.ch01_mlp_vs_dot_product.runs_xor import parity_by_dim

    lowest = parity_by_dim(dims=(2, 8, 64), seeds=range(5), steps=300)
    assert min(min(v) for v in lowest["fm"].values()) >= math.log(2) - 1e-6
    assert max(lowest["mlp"]) < 0.01
