"""The rungs of the ladder: baselines, DNN, BPR, full-catalogue ranking, share of the learnable."""

import math

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch00_why_deep_learning.figures import luck_of_people, price_table
from recsys_book.data import Interactions, load
from recsys_book.data.fetch import DataUnavailable
from recsys_book.evaluate import full_catalogue, leave_one_out
from recsys_book.losses import bpr_loss
from recsys_book.metrics import ndcg_at_k, share_of_learnable
from recsys_book.models.baselines import EASE, IALS, ItemKNN, Popularity
from recsys_book.models.dnn import DNN
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.show.claims import learnable_interval


def some_log(n_users=23, n_items=17, n=150, seed=0):
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(n_users, (n,), generator=generator)
    items = torch.randint(n_items, (n,), generator=generator)
    return Interactions(users, items, n_users, n_items).without_repeats()


def dense(log):
    x = torch.zeros(log.n_users, log.n_items, dtype=torch.float64)
    x[log.user, log.item] = 1
    return x


# ---------------------------------------------------------------- closed forms


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


# ---------------------------------------------------------------- DNN and BPR


def test_dnn_is_an_mlp_on_the_vectors_side_by_side():
    model = DNN([3, 4], dim=2, hidden=(5,), bag_fields=(1,), init_std=1)
    ids = torch.tensor([[2, 3], [0, 1]])
    bag, mask = torch.tensor([[1, 2], [0, 0]]), torch.tensor([[True, True], [False, False]])
    table = model.vectors.table.weight
    side_by_side = torch.stack(
        [
            torch.cat([table[2], table[3 + 3], (table[3 + 1] + table[3 + 2]) / 2]),
            torch.cat([table[0], table[3 + 1], torch.zeros(2)]),
        ]
    )
    assert torch.allclose(model(ids, {1: (bag, mask)}), model.mlp(side_by_side).squeeze(-1))
    with pytest.raises(
        ValueError, match=r"bags are of fields \(\); this model was made for \(1,\)"
    ):
        model(ids)
    with pytest.raises(ValueError, match="bag_fields contains 2"):
        DNN([3, 4], bag_fields=(2,))


def test_bpr_sees_differences_only():
    positive, negative = torch.randn(6), torch.randn(6, 3)
    expected = -torch.log(torch.sigmoid(positive[:, None] - negative)).mean()
    assert torch.allclose(bpr_loss(positive, negative), expected)
    assert torch.allclose(bpr_loss(positive + 5, negative + 5), expected, atol=1e-6)
    assert torch.allclose(bpr_loss(positive, negative[:, 0]), bpr_loss(positive, negative[:, :1]))
    assert torch.isfinite(bpr_loss(torch.tensor([-200.0]), torch.tensor([200.0])))
    for bad in (negative.T, negative[:5], negative[None]):
        with pytest.raises(ValueError, match="negative has shape"):
            bpr_loss(positive, bad)


# ---------------------------------------------------------------- full-catalogue ranking


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_full_catalogue_equals_one_user_at_a_time(batch_size):
    seen, log = some_log(), some_log(seed=1)
    relevant = log[~torch.isin(log.keys(), seen.keys())]
    relevant = relevant[relevant.user != 5]
    model = MatrixFactorization(23, 17, dim=3)
    report = full_catalogue(model.score, relevant, seen, k=4, batch_size=batch_size)
    assert report.n_not_ranked == 23 - len(relevant.user.unique()) >= 1
    assert model.training
    for place, user in enumerate(report.users.tolist()):
        scores = model.score(torch.tensor([user])).detach().double()
        scores[0, seen.item[seen.user == user]] = -torch.inf
        wanted = torch.zeros(1, 17, dtype=torch.bool)
        wanted[0, relevant.item[relevant.user == user]] = True
        assert torch.isclose(report.ndcg[place], ndcg_at_k(scores, wanted, 4)[0])
        top = scores[0].topk(4).indices
        hits = int(wanted[0, top].sum())
        assert report.hit_rate[place] == (hits > 0)
        assert torch.isclose(report.recall[place], torch.tensor(hits / int(wanted.sum())).double())


def test_full_catalogue_refuses():
    log = some_log()
    score = Popularity(log).score
    with pytest.raises(ValueError, match="stand in relevant and in seen"):
        full_catalogue(score, log, log)
    with pytest.raises(ValueError, match="seen is of 24 users"):
        full_catalogue(score, log, some_log(n_users=24))
    with pytest.raises(ValueError, match=r"score gave shape \(2, 3\)"):
        full_catalogue(lambda users: torch.zeros(2, 3), log)
    with pytest.raises(ValueError, match="k is 18"):
        full_catalogue(score, log, k=18)
    with pytest.raises(ValueError, match="contains NaN"):
        full_catalogue(lambda users: torch.full((len(users), 17), torch.nan), log)


def test_a_constant_model_ranks_nothing():
    log = some_log()
    report = full_catalogue(lambda users: torch.zeros(len(users), 17), log, k=3)
    assert report.hit_rate.sum() == 0 and report.ndcg.sum() == 0


# ---------------------------------------------------------------- the unit


def test_share_of_learnable():
    assert share_of_learnable(0.5, 0.4, 0.8) == pytest.approx(0.25)  # NDCG: more is better
    assert share_of_learnable(0.45, 0.5, 0.4) == pytest.approx(0.5)  # log-loss: less is better
    assert share_of_learnable(0.6, 0.5, 0.4) < 0
    interval = learnable_interval([0.45, 0.46], [0.5, 0.5], [0.4, 0.42])
    assert interval.mean == pytest.approx(0.5) and interval.n == 2
    with pytest.raises(ValueError, match="nothing to learn"):
        share_of_learnable(0.1, 0.3, 0.3)
    with pytest.raises(ValueError, match="value is nan"):
        share_of_learnable(math.nan, 0.3, 0.4)
    with pytest.raises(ValueError):
        learnable_interval([0.1, 0.2], [0.1], [0.2])


# ---------------------------------------------------------------- what the chapter prints


def test_the_price_table_takes_its_seconds_from_the_record_and_its_counts_are_whole():
    run = lambda seconds: (
        {
            rung: {
                "auc": 0.7,
                "log_loss": 0.4,
                "ndcg": 0.2,
                "parameters": 1_234,
                "seconds": seconds,
            }
            for rung in ("Popularity", "MF", "FM", "DNN")
        }
        | {"EASE": {"ndcg": 0.1, "seconds": seconds}, "Oracle": {"auc": 0.8, "ndcg": 1.0}}
    )
    table = price_table([run(99.0)] * 3, [run(1.0), run(2.0), run(40.0)], n_films=20)
    assert table.loc["DNN", "seconds, recorded"] == table.loc["EASE", "seconds, recorded"] == "2.00"
    assert table.loc["DNN", "numbers learned"] == "1,234"
    assert table.loc["EASE", "numbers learned"] == "380" and table.loc["EASE", "AUC"] == ""
    assert table.loc["Oracle", "NDCG@10"] == "1.000" and table.loc["Oracle", "log-loss"] == ""


def test_the_luck_of_people_is_that_of_two_shares():
    rungs = {name: {"runs": [{"hit_rate": h}]} for name, h in {"EASE": 0.5, "DNN": 0.1}.items()}
    told = luck_of_people({"figures": {"films": {"users": 100, "rungs": rungs}}}, "EASE", "DNN")
    error = math.sqrt((0.5 * 0.5 + 0.1 * 0.9) / 100)
    assert "difference 0.400" in told and f"100 people may move it by ±{1.96 * error:.3f}" in told
