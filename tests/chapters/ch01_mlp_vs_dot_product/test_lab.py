"""Small models trained together, and what a dot product of some length can reach."""

import pytest
import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product import lab as experiments
from recsys_book.chapters.ch01_mlp_vs_dot_product.figures import boundary_frames
from recsys_book.layers import MLP


def test_train_together_trains_each_copy_as_if_alone():
    ids, likes = experiments.xor()
    x = ids.float()
    loss = lambda m: torch.nn.functional.binary_cross_entropy_with_logits(m(x).squeeze(-1), likes)
    make = lambda: MLP(2, (4,))
    together = experiments.one_per_seed(make, [0, 1, 2])
    experiments.train_together(together, loss, steps=30)
    for seed in (0, 1, 2):
        [alone] = experiments.one_per_seed(make, [seed])
        experiments.train_together([alone], loss, steps=30)
        assert torch.allclose(together[seed](x), alone(x), atol=1e-6)


def test_the_boundary_widget_tells_what_it_shows():
    runs = experiments.xor_boundaries((2, 4), seeds=(0, 1), n_steps=20, pictures=4, grid=5)
    widget = boundary_frames(runs)
    assert len(widget.alts) == 2 * len(runs.steps)
    assert f"{runs.loss[1, -1]:.3f}" in widget.alts[-1] and "4 hidden units" in widget.alts[-1]
    assert len(widget.data) == 2 * len(runs.steps) * 25

    failing = experiments.xor_boundaries((2,), seeds=(1,), n_steps=20, pictures=4, grid=5)
    both = boundary_frames(runs, failing=failing)
    assert len(both.alts) == 3 * len(runs.steps)
    assert both.axes[0]["labels"] == ["2, a start that fails", "2, the best start", "4"]
    assert f"{failing.loss[0, -1]:.3f}" in both.captions[len(runs.steps) - 1]
    assert "2 hidden units, a start that fails" in both.alts[0]


def test_best_values_is_the_truncated_svd():
    table = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(experiments.best_values(table, 6), table, atol=1e-5)
    error = (experiments.best_values(table, 2) - table).square().sum()
    assert error.item() == pytest.approx(
        torch.linalg.svdvals(table)[2:].square().sum().item(), rel=1e-4
    )


def test_learned_signs_of_two_tribes_need_one_factor():
    table = experiments_tables()["two tribes"][None]
    signs = experiments.learned_signs(table, dims=[1, 2], restarts=4, steps=300)
    assert torch.equal(signs[0, 0], table[0])


def experiments_tables():
    from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import preference_matrices

    return preference_matrices(8)
