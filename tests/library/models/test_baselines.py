"""Closed forms against their formulas, and against published figures."""

import math

import numpy as np
import pytest
import torch

from recsys_book.data import Interactions, load
from recsys_book.data.fetch import DataUnavailable
from recsys_book.evaluate import leave_one_out
from recsys_book.models.baselines import EASE, IALS, ItemKNN, Popularity


def some_log(n_users=23, n_items=17, n=150, seed=0):
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(n_users, (n,), generator=generator)
    items = torch.randint(n_items, (n,), generator=generator)
    return Interactions(users, items, n_users, n_items).without_repeats()


def dense(log):
    x = torch.zeros(log.n_users, log.n_items, dtype=torch.float64)
    x[log.user, log.item] = 1
    return x


@pytest.mark.parametrize(("shrinkage", "damping"), [(0.0, 0.0), (5.0, 0.5)])
def test_item_knn_equals_its_formula(shrinkage, damping):
    log = some_log()
    model = ItemKNN(log, k=4, shrinkage=shrinkage, damping=damping, block=5)
    x = dense(log)
    weighed = x * x.sum(1, keepdim=True).clamp(min=1) ** (-damping / 2)
    norm = weighed.norm(dim=0)
    likeness = (weighed.T @ weighed) / (norm[:, None] * norm + shrinkage)
    likeness.fill_diagonal_(0)
    for j in range(log.n_items):  # each item keeps its four most similar ones
        order = np.lexsort((np.arange(log.n_items), -likeness[:, j].numpy()))
        likeness[order[4:], j] = 0
    assert torch.allclose(model.score(torch.arange(log.n_users)), x @ likeness)
    assert torch.allclose(
        model(torch.tensor([3, 1]), torch.tensor([2, 0])), (x @ likeness)[[3, 1], [2, 0]]
    )
    best, value = model.neighbours(2, 1)[0]
    assert best == int(likeness[:, 2].argmax()) and math.isclose(value, float(likeness[:, 2].max()))


@pytest.mark.parametrize("n_users", [23, 9])  # more users than items, and fewer
def test_ease_is_the_best_linear_model_without_a_diagonal(n_users):
    log = some_log(n_users)
    model, x = EASE(log, l2=3.0), dense(log)
    weights = model.weights
    assert weights.diagonal().abs().max() == 0
    # At the optimum the gradient of |X − XB|² + l2 |B|² vanishes everywhere off the diagonal.
    gradient = -2 * x.T @ (x - x @ weights) + 2 * 3.0 * weights
    gradient.fill_diagonal_(0)
    assert gradient.abs().max() < 1e-10
    assert torch.allclose(model.score(torch.tensor([4])), (x @ weights)[[4]])
    assert model.neighbours(3, 2)[0][1] == pytest.approx(float(weights[:, 3].max()))


@pytest.mark.parametrize("block", [7, 10_000])
def test_ials_solves_each_side_and_block_size_changes_nothing(block):
    log, a, l2 = some_log(), 0.3, 0.05
    model = IALS(log, dim=3, unobserved_weight=a, l2=l2, sweeps=4, block=block)
    x, p, q = dense(log).float(), model.user_vectors, model.item_vectors
    # Items were solved for last: the loss's gradient with respect to them vanishes.
    weight_of_item = l2 * (x.sum(0) + a * log.n_users)
    q = q.clone().requires_grad_()
    scores = p @ q.T
    loss = (x * (scores - 1).square()).sum() + a * scores.square().sum()
    loss = loss + (weight_of_item * q.square().sum(1)).sum()
    loss.backward()
    assert q.grad.abs().max() < 1e-4
    assert torch.allclose(model.score(torch.arange(3)), p[:3] @ model.item_vectors.T)


def test_users_without_a_past_get_scores_too():
    log = Interactions(torch.tensor([0, 0, 2]), torch.tensor([0, 1, 1]), 4, 3)
    for model in (ItemKNN(log), EASE(log), IALS(log, dim=2)):
        assert torch.isfinite(model.score(torch.arange(4))).all()
        assert (model.score(torch.tensor([1])).abs() < 1e-6).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda log: ItemKNN(log, k=0), "k is 0"),
        (lambda log: ItemKNN(log, shrinkage=-1), "shrinkage is -1"),
        (lambda log: EASE(log, l2=0), "l2 is 0; it must be above 0"),
        (lambda log: IALS(log, dim=0), "dim is 0"),
        (lambda log: IALS(log, unobserved_weight=0), "unobserved_weight is 0"),
        (
            lambda log: EASE(Interactions(log.user, log.item, 30_001, 30_002)),
            "train has 30,002 items and 30,001 users",
        ),
        (lambda log: EASE(log).score(torch.tensor([23])), "users contains 23"),
        (lambda log: IALS(log)(torch.tensor([0]), torch.tensor([17])), "items contains 17"),
    ],
)
def test_baselines_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make(some_log())


def test_the_published_figures_on_the_ncf_split():
    """Settings as `python -m recsys_book.reproduce ch00/films` chooses them, on validation."""
    try:
        split = load("ncf-ml-1m", download=False)
    except DataUnavailable as reason:
        pytest.skip(str(reason)[:90])
    train = split.train_and_validation
    torch.set_num_threads(1)

    def figures(model):
        report = leave_one_out(model, split.users, split.test_candidates)
        return float(report.hit_rate.mean()), float(report.ndcg.mean())

    # Ferrari Dacrema et al. 2021, table 55.
    hit_rate, ndcg = figures(EASE(train, 1_000))
    assert abs(hit_rate - 0.7192) < 0.003 and abs(ndcg - 0.4494) < 0.003
    hit_rate, ndcg = figures(ItemKNN(train, k=50, shrinkage=0, damping=0.5))
    assert hit_rate > 0.6694 - 0.010 and ndcg > 0.3979 - 0.010
    hit_rate, ndcg = figures(IALS(train, 64, unobserved_weight=0.3, l2=0.007))
    assert hit_rate > 0.7109 - 0.010 and ndcg > 0.4382 - 0.010


def test_popularity_counts():
    train = Interactions(torch.tensor([0, 1, 1]), torch.tensor([2, 2, 0]), n_users=2, n_items=4)
    model = Popularity(train)
    assert model.score(torch.tensor([0, 1])).tolist() == [[1, 0, 2, 0]] * 2
    assert model(torch.tensor([0, 1]), torch.tensor([2, 3])).tolist() == [2, 0]
